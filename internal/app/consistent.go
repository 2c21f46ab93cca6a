package app

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
)

// checker finds mistakes that no single key shows.
type checker struct{ report config.Report }

func consistent(c *Config, report config.Report) {
	d := checker{report}
	d.addresses(c)
	d.tls("server.tls", c.Server.TLS)
	d.tls("otlp.tls", c.OTLP.TLS)
	if c.DataDir == "" {
		d.at("data_dir", "a folder", "is empty")
	}
	for i, id := range []string{c.Scope.Tenant, c.Scope.Env, c.Scope.Cluster} {
		key := []string{"scope.tenant", "scope.env", "scope.cluster"}[i]
		if id == "" || strings.Contains(id, "/") {
			d.at(key, "a name without slashes", "is %q", id)
		}
	}
	if c.Loop.MinConfidence > 1 {
		d.at("loop.min_confidence", "between 0 and 1", "is %g", c.Loop.MinConfidence)
	}
	d.rates(&c.OTLP.Sampling)
	d.store(c)
	d.rules(c.Rules.Files)
	d.guard(&c.Guard)
	d.remotes(c.Metrics.Remotes)
	d.monitors(c.Monitors)
	d.processes(c.Drivers.Processes)
	d.services(c.Drivers)
	for i, allow := range c.Drivers.Exec.Allow {
		if !filepath.IsAbs(allow.Path) {
			d.at(fmt.Sprintf("drivers.exec.allow[%d].path", i), "an absolute path", "is %q", allow.Path)
		}
	}
	names := map[string]bool{"alertmanager": true}
	for i, m := range c.Intake.Mappings {
		key := fmt.Sprintf("intake.mappings[%d].name", i)
		if names[m.Name] {
			d.at(key, "a name of its own", "%q is taken", m.Name)
		}
		names[m.Name] = true
		if strings.ContainsAny(m.Name, "/?#% ") {
			d.at(key, "letters, digits, dashes", "%q cannot stand in a path", m.Name)
		}
	}
}

// rates holds shares between 0 and 1.
func (d checker) rates(s *SamplingConfig) {
	check := func(key string, rate float64) {
		if !(rate >= 0 && rate <= 1) { // NaN too
			d.at(key, "between 0 and 1", "is %g", rate)
		}
	}
	check("otlp.sampling.rate", s.Rate)
	for service, rate := range s.Services {
		check("otlp.sampling.services."+service, rate)
	}
}

// at reports a mistake at a key, with the line it was read from.
func (d checker) at(key, expected, format string, args ...any) {
	d.report(key, expected, format, args...)
}

func (d checker) addresses(c *Config) {
	used := map[string]string{}
	for _, a := range []struct {
		key, addr string
		optional  bool
	}{
		{"server.listen", c.Server.Listen, false},
		{"otlp.grpc_listen", c.OTLP.GRPCListen, true},
		{"otlp.http_listen", c.OTLP.HTTPListen, true},
	} {
		if a.addr == "" && a.optional {
			continue
		}
		_, port, err := net.SplitHostPort(a.addr)
		if err != nil {
			d.at(a.key, "host:port, as in 127.0.0.1:8080", "is %q", a.addr)
			continue
		}
		if other := used[a.addr]; other != "" && port != "0" {
			d.at(a.key, "a port of its own", "is the address of %s too", other)
		}
		used[a.addr] = a.key
	}
}

func (d checker) tls(key string, t TLSConfig) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		d.at(key, "both cert_file and key_file, or neither", "has only one of them")
	}
}

// store finds what cannot work when several servers share a database: each
// would see and touch only what is near it.
func (d checker) store(c *Config) {
	if c.Store.DSN != "" && c.Store.DSNFile != "" {
		d.at("store.dsn_file", "either dsn or dsn_file", "is given besides store.dsn")
	}
	if !c.Store.Shared {
		return
	}
	if c.Store.DSN == "" && c.Store.DSNFile == "" {
		d.at("store.shared", "a PostgreSQL database in store.dsn or store.dsn_file", "is true for a store in data_dir, which one server alone can use")
	}
	if len(c.Metrics.Remotes) == 0 {
		d.at("metrics.remotes", "a store of metrics that every server asks, because store.shared is true", "is empty")
	}
	for key, addr := range map[string]string{"otlp.grpc_listen": c.OTLP.GRPCListen, "otlp.http_listen": c.OTLP.HTTPListen} {
		if addr != "" {
			d.at(key, "empty, because store.shared is true and what one server takes in the others do not see", "is %q", addr)
		}
	}
	for i := range c.Drivers.Processes {
		d.at(fmt.Sprintf("drivers.processes[%d]", i), "none, because store.shared is true and only one server is on the host of a process", "is there")
	}
	for i, m := range c.Monitors {
		if m.Kind == "process" {
			d.at(fmt.Sprintf("monitors[%d].kind", i), "http or tcp, because store.shared is true and only one server is on the host of a process", "is process")
		}
	}
}

func (d checker) rules(files []string) {
	seen := map[string]bool{}
	for i, f := range files {
		if seen[f] {
			d.at(fmt.Sprintf("rules.files[%d]", i), "a file of its own", "%q is there already", f)
		}
		seen[f] = true
	}
}

func (d checker) remotes(list []RemoteConfig) {
	for i, r := range list {
		u, err := url.Parse(r.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			d.at(fmt.Sprintf("metrics.remotes[%d].url", i), "an http or https URL", "is %q", r.URL)
		}
	}
}

func (d checker) monitors(list []MonitorConfig) {
	names := map[string]bool{}
	for i, m := range list {
		key := fmt.Sprintf("monitors[%d]", i)
		d.entity(key+".entity", m.Entity)
		if names[m.Name] {
			d.at(key+".name", "a name of its own", "%q is taken", m.Name)
		}
		names[m.Name] = true
	}
}

func (d checker) processes(list []ProcessConfig) {
	names := map[string]bool{}
	for i, p := range list {
		key := fmt.Sprintf("drivers.processes[%d]", i)
		d.entity(key+".entity", p.Entity)
		if names[p.Name] {
			d.at(key+".name", "a name of its own", "%q is taken", p.Name)
		}
		names[p.Name] = true
		if len(p.Command) > 0 && !filepath.IsAbs(p.Command[0]) {
			d.at(key+".command", "the program's absolute path first", "begins with %q", p.Command[0])
		}
	}
}

func (d checker) services(c DriversConfig) {
	for i, s := range c.Settings {
		d.entity(fmt.Sprintf("drivers.settings[%d].entity", i), s.Entity)
	}
	for i, f := range c.Failovers {
		d.entity(fmt.Sprintf("drivers.failovers[%d].entity", i), f.Entity)
		d.entity(fmt.Sprintf("drivers.failovers[%d].backup", i), f.Backup)
	}
}

func (d checker) entity(key, id string) {
	if id == "" {
		return // reported as missing
	}
	if err := heal.EntityID(id).Validate(); err != nil {
		d.at(key, "kind/name, as in service/cart", "is %q", id)
	}
}
