package demo

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/heal"
)

//go:embed rules.yaml
var rules []byte

// ShopCommand is the hidden command under which this program runs one process
// of the shop: shop-process <file> <service>.
const ShopCommand = "shop-process"

// stage is everything the demo needs besides Homeostat itself.
type stage struct {
	dir    string
	shop   shop.Config
	config app.Config
}

// build writes the shop's configuration and makes Homeostat's.
func build(dir string, o Options) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := shop.FreePorts(shop.DefaultPorts + 3)
	if err != nil {
		return nil, err
	}
	next := func() int { p := ports[0]; ports = ports[1:]; return p }
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", next()) }
	cfg := app.Default()
	cfg.DataDir = filepath.Join(dir, "data")
	cfg.Server.Listen, cfg.OTLP.GRPCListen, cfg.OTLP.HTTPListen = at(), at(), at()
	s := &stage{dir: dir}
	if o.Shop != nil {
		s.shop = *o.Shop
	} else {
		s.shop = shop.Default("", next)
	}
	s.shop.Telemetry.Endpoint, s.shop.Telemetry.Interval = "http://"+cfg.OTLP.HTTPListen, time.Second
	if err := s.shop.Validate(); err != nil {
		return nil, heal.Errorf(heal.Invalid, "shop", "%w", err)
	}
	if err := s.write("shop.yaml", s.shop.Marshal); err != nil {
		return nil, err
	}
	if err := s.write("rules.yaml", func() ([]byte, error) { return rules, nil }); err != nil {
		return nil, err
	}
	s.quicken(&cfg)
	for _, service := range s.shop.Services {
		s.manage(&cfg, self, service)
	}
	s.config = cfg
	return s, nil
}

func (s *stage) write(name string, text func() ([]byte, error)) error {
	data, err := text()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, name), data, 0o600)
}

// quicken trades the patience of production for a demo that ends within a
// minute: shorter windows, and room for more faults than a shop of this size has.
func (s *stage) quicken(cfg *app.Config) {
	cfg.Metrics.FlushInterval = app.Duration(time.Second)
	cfg.Rules.Shipped, cfg.Rules.Files = false, []string{filepath.Join(s.dir, "rules.yaml")}
	cfg.Rules.Interval, cfg.Rules.Resend = app.Duration(time.Second), app.Duration(10*time.Second)
	cfg.Loop.VerifyWindow = app.Duration(6 * time.Second)
	cfg.Guard.SmallActions = 50
	cfg.Playbooks.Trust = map[string]string{
		"restart-crashed-service": string(heal.TrustAuto), "relieve-exhausted-pool": string(heal.TrustAuto), "restart-unhealthy-service": string(heal.TrustAuto),
	}
}

// manage lets Homeostat watch and handle one process of the shop.
func (s *stage) manage(cfg *app.Config, self string, service shop.Service) {
	entity := string(heal.ServiceID(service.Name))
	health := "http://" + service.Listen + "/healthz"
	cfg.Drivers.Processes = append(cfg.Drivers.Processes, app.ProcessConfig{
		Name: service.Name, Entity: entity, Command: []string{self, ShopCommand, filepath.Join(s.dir, "shop.yaml"), service.Name},
		Dir: s.dir, ReadyURL: health, Grace: app.Duration(5 * time.Second),
	})
	cfg.Monitors = append(cfg.Monitors, app.MonitorConfig{
		Name: service.Name + "-health", Entity: entity, Kind: "http", Target: health, Interval: app.Duration(500 * time.Millisecond),
		Timeout: app.Duration(2 * time.Second), Severity: string(heal.Critical),
	})
}

func (s *stage) names() string {
	var names []string
	for _, service := range s.shop.Services {
		names = append(names, service.Name)
	}
	return strings.Join(names, ", ")
}

// startAll starts the processes in the order of the configuration, callees
// first.
func (s *stage) startAll(ctx context.Context, server *app.Server) error {
	for _, service := range s.shop.Services {
		if err := server.Processes().Start(ctx, service.Name); err != nil {
			return heal.Wrap("start "+service.Name, err)
		}
	}
	return nil
}

// stopAll ends what startAll and Homeostat started; callers first.
func (s *stage) stopAll(server *app.Server, show *show) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, service := range slices.Backward(s.shop.Services) {
		if err := server.Processes().Stop(ctx, service.Name); err != nil {
			show.say("stopping", "%s: %v", service.Name, err)
		}
	}
}

// victim is the service a fault is put into: the first of its role.
func (s *stage) victim(f Fault) (shop.Service, error) {
	role := map[Fault]shop.Role{Crash: shop.Payment, Slow: shop.Inventory}[f]
	for _, service := range s.shop.Services {
		if service.Role == role && s.used(service) {
			return service, nil
		}
	}
	return shop.Service{}, heal.Errorf(heal.Invalid, "demo", "the shop has no %s that is called, which the fault %s needs", role, f)
}

// used reports whether some other service calls this one.
func (s *stage) used(service shop.Service) bool {
	for _, other := range s.shop.Services {
		for _, url := range other.Upstreams {
			if url == "http://"+service.Listen {
				return true
			}
		}
	}
	return false
}

func (s *stage) victims(faults []Fault) []heal.EntityID {
	var list []heal.EntityID
	for _, f := range faults {
		if v, err := s.victim(f); err == nil {
			list = append(list, heal.ServiceID(v.Name))
		}
	}
	return list
}

// inject breaks something. It talks to the shop alone.
func (s *stage) inject(ctx context.Context, f Fault, server *app.Server, show *show) error {
	v, err := s.victim(f)
	if err != nil {
		return err
	}
	switch f {
	case Crash:
		running, err := server.Processes().List(ctx)
		if err != nil {
			return err
		}
		for _, r := range running {
			if r.Process == v.Name && r.Alive {
				show.say("fault", "killing %s (process %d) with SIGKILL", v.Name, r.PID)
				return syscall.Kill(r.PID, syscall.SIGKILL)
			}
		}
		return heal.Errorf(heal.NotFound, "demo", "%s does not run", v.Name)
	case Slow:
		show.say("fault", "exhausting the connection pool of %s", v.Name)
		return post(ctx, "http://"+v.Admin+"/fault", `{"kind":"pool_leak"}`)
	}
	return heal.Errorf(heal.Internal, "demo", "fault %s is not known", f)
}

func post(ctx context.Context, url, body string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is read from it any more
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil || resp.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s %s %w", url, resp.Status, text, err)
	}
	return nil
}
