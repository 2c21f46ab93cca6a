// Package shop is a small web shop of real processes, instrumented with
// OpenTelemetry as any program would be. It is the patient of the demo: each
// service is a process that can be killed, and inventory has a connection pool
// that can be exhausted.
//
// Its one invariant: nothing it logs, measures or traces says that a fault was
// put in on purpose. It knows nothing of Homeostat and is not an example of how
// to use it.
package shop

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// Role says which program a service is. Names, ports and how many there are of
// each are configuration.
type Role string

// The roles.
const (
	Frontend  Role = "frontend"  // what shoppers ask; calls cart and payment
	Cart      Role = "cart"      // calls inventory
	Payment   Role = "payment"   // calls nobody
	Inventory Role = "inventory" // keeps the stock, behind a connection pool
	Load      Role = "load"      // the shoppers; calls frontend
)

// calls says which upstreams a role needs.
func (r Role) calls() []Role {
	switch r {
	case Frontend:
		return []Role{Cart, Payment}
	case Cart:
		return []Role{Inventory}
	case Load:
		return []Role{Frontend}
	case Payment, Inventory:
		return nil
	}
	return nil
}

func (r Role) known() bool {
	return slices.Contains([]Role{Frontend, Cart, Payment, Inventory, Load}, r)
}

// Config is the whole shop; every process reads the same.
type Config struct {
	Telemetry Telemetry `yaml:"telemetry"`
	Data      string    `yaml:"data,omitempty"` // folder for what outlives a process; empty: one for each process that goes with it
	Services  []Service `yaml:"services"`
}

// Telemetry says where signals go.
type Telemetry struct {
	Endpoint string            `yaml:"endpoint"` // base URL of an OTLP/HTTP receiver; empty: nowhere
	Headers  map[string]string `yaml:"headers,omitempty"`
	Interval time.Duration     `yaml:"interval,omitempty"` // between exports; 1 s if 0
}

// Service is one process.
type Service struct {
	Name      string          `yaml:"name"` // service.name, and the name to start it by
	Role      Role            `yaml:"role"`
	Listen    string          `yaml:"listen"`          // host:port
	Admin     string          `yaml:"admin,omitempty"` // loopback host:port for faults; empty: none can be put in
	Upstreams map[Role]string `yaml:"upstreams,omitempty"`
	Backups   map[Role]string `yaml:"backups,omitempty"` // asked instead once an upstream is switched over
	Timeout   time.Duration   `yaml:"timeout,omitempty"` // of calls to upstreams; 10 s if 0
	Memory    int64           `yaml:"memory,omitempty"`  // bytes it may use; 256 MiB if 0
	Pool      PoolOptions     `yaml:"pool,omitempty"`    // inventory only
	Rate      float64         `yaml:"rate,omitempty"`    // load only: requests a second; 20 if 0
}

// DefaultPorts is how many ports Default asks for.
const DefaultPorts = 11

// Default is a shop of five processes and its shoppers on loopback. port gives
// a free port each time it is asked, DefaultPorts times.
func Default(endpoint string, port func() int) Config {
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", port()) }
	service := func(name string, role Role) Service {
		return Service{Name: name, Role: role, Listen: at(), Admin: at()}
	}
	inventory := service("inventory", Inventory)
	payment, backup := service("payment", Payment), service("payment-backup", Payment)
	cart := service("cart", Cart)
	cart.Upstreams = map[Role]string{Inventory: "http://" + inventory.Listen}
	frontend := service("frontend", Frontend)
	frontend.Upstreams = map[Role]string{Cart: "http://" + cart.Listen, Payment: "http://" + payment.Listen}
	frontend.Backups = map[Role]string{Payment: "http://" + backup.Listen}
	load := Service{Name: "load", Role: Load, Listen: at(), Upstreams: map[Role]string{Frontend: "http://" + frontend.Listen}}
	return Config{
		Telemetry: Telemetry{Endpoint: endpoint},
		Services:  []Service{inventory, payment, backup, cart, frontend, load},
	}
}

// Ports are taken from below the range the system gives to outgoing
// connections (32768 and up on Linux), so that none is lost to a connection
// between the moment it is found and the moment its service listens.
const (
	firstPort = 20000
	lastPort  = 32000
)

// cursor goes round the range from a place of this process's own, so that no
// port is given twice before its first taker listens.
var cursor = func() *atomic.Uint32 {
	var c atomic.Uint32
	c.Store(rand.Uint32N(lastPort - firstPort))
	return &c
}()

// FreePorts finds n ports of 127.0.0.1 that nobody listens on just now.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range lastPort - firstPort {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + int(cursor.Add(1)%(lastPort-firstPort))
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find %d free ports of 127.0.0.1: only %d from %d to %d are free", n, len(ports), firstPort, lastPort)
}

// ReadConfig reads and checks a file.
func ReadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read shop configuration: %w", err)
	}
	c, err := ParseConfig(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads and checks a configuration; unknown keys are refused.
func ParseConfig(text []byte) (Config, error) {
	var c Config
	if len(text) > 1<<20 {
		return c, fmt.Errorf("is %d bytes long, at most 1 MiB is taken", len(text))
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return c, err
	}
	return c, c.Validate()
}

// Marshal writes what ParseConfig reads.
func (c Config) Marshal() ([]byte, error) { return yaml.Marshal(c) }

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	if c.Telemetry.Endpoint != "" && !isBaseURL(c.Telemetry.Endpoint) {
		errs = append(errs, fmt.Errorf("telemetry.endpoint: %q is not a base URL such as http://127.0.0.1:4318", c.Telemetry.Endpoint))
	}
	if c.Telemetry.Interval < 0 {
		errs = append(errs, fmt.Errorf("telemetry.interval: %s is negative", c.Telemetry.Interval))
	}
	seen := map[string]bool{}
	for i, s := range c.Services {
		if s.Name == "" || seen[s.Name] {
			errs = append(errs, fmt.Errorf("services[%d].name: %q is empty or taken", i, s.Name))
		}
		seen[s.Name] = true
		for _, err := range s.validate() {
			errs = append(errs, fmt.Errorf("services[%d] (%s): %w", i, s.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s Service) validate() (errs []error) {
	if !s.Role.known() {
		errs = append(errs, fmt.Errorf("role: %q is none of frontend, cart, payment, inventory, load", s.Role))
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen: expected host:port: %w", err))
	}
	if s.Admin != "" && !isLoopback(s.Admin) {
		errs = append(errs, fmt.Errorf("admin: %q is not a loopback host:port; others must not reach it", s.Admin))
	}
	for _, role := range s.Role.calls() {
		if !isBaseURL(s.Upstreams[role]) {
			errs = append(errs, fmt.Errorf("upstreams.%s: %q is not a base URL such as http://127.0.0.1:8080", role, s.Upstreams[role]))
		}
	}
	for role, url := range s.Backups {
		if !isBaseURL(url) || !slices.Contains(s.Role.calls(), role) {
			errs = append(errs, fmt.Errorf("backups.%s: %q is not a base URL of a role that %s calls", role, url, s.Role))
		}
	}
	if s.Memory < 0 {
		errs = append(errs, fmt.Errorf("memory: %d is negative", s.Memory))
	}
	if s.Timeout < 0 || s.Rate < 0 || s.Rate > 10000 {
		errs = append(errs, fmt.Errorf("timeout %s and rate %v must not be negative, and the rate at most 10000", s.Timeout, s.Rate))
	}
	return append(errs, s.Pool.validate()...)
}

func (c Config) service(name string) (Service, error) {
	var names []string
	for _, s := range c.Services {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Service{}, fmt.Errorf("the shop has no service %q, only %v", name, names)
}

// nameAt is the name of the service that listens where a base URL points, or the
// URL itself if it is none of the shop's.
func (c Config) nameAt(url string) string {
	for _, s := range c.Services {
		if url == "http://"+s.Listen {
			return s.Name
		}
	}
	return url
}

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
