package demo

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/config"
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
	s.shop.Data = filepath.Join(dir, "shop")
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
	s.quicken(&cfg, o)
	if o.Alone {
		cfg.Rules.Files = nil
		cfg.Watch.Interval = config.Duration(time.Second)
	}
	for _, service := range s.shop.Services {
		s.manage(&cfg, self, service)
	}
	if o.Alone {
		cfg.Monitors = nil
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
func (s *stage) quicken(cfg *app.Config, o Options) {
	cfg.Metrics.FlushInterval = config.Duration(time.Second)
	cfg.Rules.Shipped, cfg.Rules.Files = false, []string{filepath.Join(s.dir, "rules.yaml")}
	cfg.Rules.Interval, cfg.Rules.Resend = config.Duration(time.Second), config.Duration(10*time.Second)
	cfg.Loop.VerifyWindow = config.Duration(6 * time.Second)
	cfg.Guard.SmallActions = 50
	cfg.Playbooks.Trust = map[string]string{}
	trust := heal.TrustAuto
	if o.Ask {
		trust = heal.TrustSuggest
	}
	for _, id := range []string{
		"restart-crashed-service", "relieve-exhausted-pool", "restart-unhealthy-service", "restart-leaking-service",
		"kill-hung-service", "roll-back-bad-setting", "fail-over-to-backup",
	} {
		cfg.Playbooks.Trust[id] = string(trust)
	}
}

// manage lets Homeostat watch and handle one process of the shop.
func (s *stage) manage(cfg *app.Config, self string, service shop.Service) {
	entity := string(heal.ServiceID(service.Name))
	health := "http://" + service.Listen + "/healthz"
	cfg.Drivers.Processes = append(cfg.Drivers.Processes, app.ProcessConfig{
		Name: service.Name, Entity: entity, Command: []string{self, ShopCommand, filepath.Join(s.dir, "shop.yaml"), service.Name},
		Dir: s.dir, ReadyURL: health, Grace: config.Duration(5 * time.Second),
	})
	// The port tells quickly that a process is gone. An answer may take longer:
	// that none comes while the port is open is another fault.
	cfg.Monitors = append(cfg.Monitors, app.MonitorConfig{
		Name: service.Name + "-port", Entity: entity, Kind: "tcp", Target: service.Listen, Interval: config.Duration(500 * time.Millisecond),
		Timeout: config.Duration(2 * time.Second), Severity: string(heal.Critical),
	}, app.MonitorConfig{
		Name: service.Name + "-health", Entity: entity, Kind: "http", Target: health, Interval: config.Duration(500 * time.Millisecond),
		Timeout: config.Duration(3 * time.Second), Severity: string(heal.Critical),
	})
	if service.Role == shop.Payment {
		cfg.Drivers.Settings = append(cfg.Drivers.Settings, app.SettingConfig{Entity: entity, URL: "http://" + service.Admin + "/settings"})
	}
	for role, url := range service.Backups {
		primary, backup := s.at(service.Upstreams[role]), s.at(url)
		cfg.Drivers.Failovers = append(cfg.Drivers.Failovers, app.FailoverConfig{
			Entity: string(heal.ServiceID(primary.Name)), Backup: string(heal.ServiceID(backup.Name)), SwitchURL: switchURL(service, role),
			PrimaryHealth: service.Upstreams[role] + "/readyz", BackupHealth: url + "/readyz",
		})
	}
}

// switchURL is where a service tells and takes which endpoint of an upstream it
// asks.
func switchURL(service shop.Service, role shop.Role) string {
	return "http://" + service.Admin + "/upstreams/" + string(role)
}

// at is the service that listens where a base URL points.
func (s *stage) at(url string) shop.Service {
	for _, service := range s.shop.Services {
		if url == "http://"+service.Listen {
			return service
		}
	}
	return shop.Service{Name: url}
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
