package gatewayapp

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/homeostat/homeostat/internal/config"
)

// consistent finds mistakes that no single key shows.
func consistent(c *Config, report config.Report) {
	if c.DataDir == "" {
		report("data_dir", "a folder", "is empty")
	}
	addresses(c, report)
	rates(&c.Sampling, report)
	_, problems := cleanerOf(c, nil)
	for _, p := range problems {
		report(fmt.Sprintf("clean.%s[%d]", p.Signal, p.Index), p.Hint, "%s", p.Text)
	}
	if c.Batch.Least > c.Batch.Most || c.Batch.Start < c.Batch.Least || c.Batch.Start > c.Batch.Most {
		report("batch", "least, start and most in ascending order", "has least %d, start %d, most %d", c.Batch.Least, c.Batch.Start, c.Batch.Most)
	}
	if len(c.Backends) == 0 {
		report("backends", "one backend at least", "is empty")
	}
	if c.Export.Retry.Jitter > 1 {
		report("export.retry.jitter", "between 0 and 1", "is %g", c.Export.Retry.Jitter)
	}
	names := map[string]bool{}
	for i, b := range c.Backends {
		key := fmt.Sprintf("backends[%d]", i)
		if names[b.Name] {
			report(key+".name", "a name of its own", "%q is taken", b.Name)
		}
		names[b.Name] = true
		endpoint(key, &b, report)
	}
}

func addresses(c *Config, report config.Report) {
	used := map[string]string{}
	for _, a := range []struct {
		key, addr, token string
		tls              TLSConfig
		group            string
	}{
		{"otlp.grpc_listen", c.OTLP.GRPCListen, c.OTLP.TokenFile, c.OTLP.TLS, "otlp"},
		{"otlp.http_listen", c.OTLP.HTTPListen, c.OTLP.TokenFile, c.OTLP.TLS, "otlp"},
		{"metrics.listen", c.Metrics.Listen, c.Metrics.TokenFile, c.Metrics.TLS, "metrics"},
	} {
		if a.addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(a.addr)
		if err != nil {
			report(a.key, "host:port, as in 127.0.0.1:4317", "is %q", a.addr)
			continue
		}
		if other := used[a.addr]; other != "" && port != "0" {
			report(a.key, "a port of its own", "is the address of %s too", other)
		}
		used[a.addr] = a.key
		if !loopback(host) && (a.tls.CertFile == "" || a.token == "") {
			report(a.key, fmt.Sprintf("a loopback address, or both %s.tls and %s.token_file", a.group, a.group), "%q is open to others", a.addr)
		}
	}
	if c.OTLP.GRPCListen == "" && c.OTLP.HTTPListen == "" {
		report("otlp", "an address to listen on", "both grpc_listen and http_listen are off")
	}
	for key, t := range map[string]TLSConfig{"otlp.tls": c.OTLP.TLS, "metrics.tls": c.Metrics.TLS} {
		if (t.CertFile == "") != (t.KeyFile == "") {
			report(key, "both cert_file and key_file, or neither", "has only one of them")
		}
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func rates(s *SamplingConfig, report config.Report) {
	check := func(key string, rate float64) {
		if !(rate >= 0 && rate <= 1) {
			report(key, "between 0 and 1", "is %g", rate)
		}
	}
	check("sampling.rate", s.Rate)
	check("sampling.most_rate", s.MostRate)
	for service, rate := range s.Services {
		check("sampling.services."+service, rate)
	}
	if s.LeastRate > s.MostRate {
		report("sampling.least_rate", "at most most_rate", "is %g, above %g", s.LeastRate, s.MostRate)
	}
}

func endpoint(key string, b *BackendConfig, report config.Report) {
	if b.Endpoint == "" {
		return // reported as missing
	}
	isURL := strings.HasPrefix(b.Endpoint, "http://") || strings.HasPrefix(b.Endpoint, "https://")
	host := ""
	switch {
	case b.Protocol == "http" && !isURL:
		report(key+".endpoint", "a URL, as in http://collector:4318", "is %q", b.Endpoint)
	case b.Protocol != "http":
		var err error
		if host, _, err = net.SplitHostPort(b.Endpoint); err != nil || isURL {
			report(key+".endpoint", "host:port, as in collector:4317", "is %q", b.Endpoint)
		}
	default:
		_, rest, _ := strings.Cut(b.Endpoint, "://")
		rest, path, _ := strings.Cut(rest, "/")
		if path != "" {
			report(key+".endpoint", "a URL without path", "is %q", b.Endpoint)
		}
		host, _, _ = strings.Cut(rest, ":")
	}
	secure := b.TLS || strings.HasPrefix(b.Endpoint, "https://")
	if b.TokenFile != "" && !secure && !loopback(host) {
		report(key+".token_file", "tls as well", "would send a token in plain text to %q", b.Endpoint)
	}
}
