package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/decide"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/gateway"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/notify"
	"github.com/homeostat/homeostat/internal/obs"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/probe"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/telemetry/embedded"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/watch"
	"github.com/homeostat/homeostat/internal/wire"
)

// Options are what a Server is told besides its configuration.
type Options struct {
	Version string
	Stderr  io.Writer
}

// Server is the all-in-one.
type Server struct {
	cfg     Config
	opts    Options
	obs     *obs.Obs
	health  *obs.Health
	log     *slog.Logger
	closers []func() error // in the order of opening
	parts   []part         // in the order of starting

	id        string // of this server, over restarts
	store     record
	clock     *store.Clock // of everything that is decided, done and recorded; signals keep the wall's
	share     *lease.Share // among the servers on the store; nil: this one is alone
	audited   store.Store  // the store, for what people ask for
	audit     *audit.Recorder
	accounts  *auth.Accounts
	series    *series.DB
	telemetry *embedded.Store
	red       *wire.Aggregator
	topology  *topology.Map
	probes    *probe.Set
	watch     *watch.Watcher // nil: off
	versions  *watch.Versions
	rules     rules
	drivers   *drivers
	channel   notify.Channel // nil: none is configured
	outbox    *notify.Outbox
	heartbeat *notify.Heartbeat // nil: none is configured
	limits    guard.Limits
	engine    *engine.Engine
	shelf     *shelf
	loop      *loop.Loop
	otlp      *otlp.Server
	intake    *gateway.Intake
	listener  net.Listener // of the API
}

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// TokenFile is where the first start leaves its token.
func (c *Config) TokenFile() string { return filepath.Join(c.DataDir, "operator.token") }

// New opens everything and binds every port; nothing is served before Run. On
// an error everything opened is closed again.
func New(ctx context.Context, cfg Config, opts Options) (_ *Server, err error) {
	if opts.Stderr == nil {
		opts.Stderr = os.Stderr
	}
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return nil, heal.Errorf(heal.Invalid, "data_dir", "%w", err)
	}
	s := &Server{cfg: cfg, opts: opts, health: obs.NewHealth()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// Processes started here outlive the folder this one was started in.
	if s.cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return nil, heal.Errorf(heal.Invalid, "data_dir", "%w", err)
	}
	if err := os.MkdirAll(s.cfg.DataDir, 0o700); err != nil {
		return nil, heal.Errorf(heal.Invalid, "data_dir", "%w", err)
	}
	for _, open := range []func(context.Context) error{
		s.openObs, s.checkAddresses, s.openStore, s.openAudit, s.openTelemetry, s.openNotify, s.openDrivers, s.openGuard, s.openLoop, s.openSensors, s.openDoors, s.openMetrics,
	} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// onClose remembers to close something, in the reverse order of opening.
func (s *Server) onClose(f func() error) { s.closers = append(s.closers, f) }

// add remembers to run something.
func (s *Server) add(name string, run func(context.Context) error) {
	s.parts = append(s.parts, part{name, run})
}

func (s *Server) close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// logLevels are the words of log.level.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func (s *Server) openObs(ctx context.Context) error {
	o, err := obs.New(ctx, obs.Options{
		Version: s.opts.Version, Logs: s.opts.Stderr, JSON: s.cfg.Log.Format == "json", Level: logLevels[s.cfg.Log.Level], Endpoint: s.cfg.Export.OTLPEndpoint,
	})
	if err != nil {
		return err
	}
	s.obs, s.log = o, o.Logger
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return o.Shutdown(ctx)
	})
	return nil
}

// checkAddresses refuses to listen to strangers without TLS and identity.
func (s *Server) checkAddresses(context.Context) error {
	if err := auth.CheckListen(s.cfg.Server.Listen, s.cfg.Server.TLS.CertFile != "", true); err != nil {
		return heal.Wrap("server.listen", err)
	}
	for _, a := range []struct{ key, addr string }{{"otlp.grpc_listen", s.cfg.OTLP.GRPCListen}, {"otlp.http_listen", s.cfg.OTLP.HTTPListen}} {
		if a.addr == "" {
			continue
		}
		if err := auth.CheckListen(a.addr, s.cfg.OTLP.TLS.CertFile != "", s.cfg.OTLP.RequireToken); err != nil {
			return heal.Wrap(a.key, err)
		}
	}
	return nil
}

func (s *Server) openTelemetry(context.Context) (err error) {
	remotes, err := s.remotes()
	if err != nil {
		return err
	}
	s.series, err = series.Open(series.Options{
		Dir: filepath.Join(s.cfg.DataDir, "metrics"), Retention: s.cfg.Metrics.Retention.Std(), Remotes: remotes, Logger: slog.New(quiet{s.log.Handler()}),
	})
	if err != nil {
		return err
	}
	s.onClose(s.series.Close)
	s.add("metrics", s.series.Run)
	s.telemetry, err = embedded.Open(filepath.Join(s.cfg.DataDir, "telemetry"), embedded.Options{
		RecordsPerSecond: s.cfg.Telemetry.RecordsPerSecond, MaxBytes: s.cfg.Telemetry.MaxBytes, Retention: days(s.cfg.Telemetry.RetentionDays).Std(), Log: s.log,
	})
	if err != nil {
		return err
	}
	s.onClose(s.telemetry.Close)
	s.add("telemetry", s.telemetry.Run)
	s.red = wire.New(wire.Options{MaxOperations: s.cfg.Metrics.MaxOperations}, time.Now())
	s.topology = topology.New(topology.Options{Scope: s.cfg.HomeScope()})
	if err := s.recallTopology(); err != nil {
		return err
	}
	f := flusher{red: s.red, series: s.series, topology: s.topology, every: s.cfg.Metrics.FlushInterval.Std(), report: func(err error) {
		s.log.Warn("metrics from spans were not all written", slog.Any("error", err))
	}}
	s.add("span metrics", f.run)
	return nil
}

// remotes are the other stores of metrics.
func (s *Server) remotes() ([]series.Remote, error) {
	var list []series.Remote
	for i, r := range s.cfg.Metrics.Remotes {
		one := series.Remote{URL: r.URL, Timeout: r.Timeout.Std()}
		if r.TokenFile != "" {
			token, err := readSecret(r.TokenFile)
			if err != nil {
				return nil, heal.Wrap(fmt.Sprintf("metrics.remotes[%d].token_file", i), err)
			}
			one.Token = token
		}
		list = append(list, one)
	}
	return list, nil
}

// openNotify makes the webhook: messages of cases go through an outbox, those
// of playbooks straight, as a task wants to know whether it was sent.
func (s *Server) openNotify(context.Context) error {
	if err := s.openHeartbeat(); err != nil {
		return err
	}
	if s.cfg.Notify.WebhookURL == "" {
		return nil
	}
	opts := notify.WebhookOptions{URL: s.cfg.Notify.WebhookURL}
	if s.cfg.Notify.SecretFile != "" {
		secret, err := readSecret(s.cfg.Notify.SecretFile)
		if err != nil {
			return heal.Wrap("notify.secret_file", err)
		}
		opts.Secret = secret
	}
	hook, err := notify.NewWebhook(opts)
	if err != nil {
		return heal.Wrap("notify.webhook_url", err)
	}
	s.channel = hook
	s.outbox = notify.NewOutbox(notify.Retry(hook, notify.RetryOptions{}), notify.OutboxOptions{Log: s.log})
	s.add("notifications", s.outbox.Run)
	return nil
}

// openHeartbeat makes the dead man's switch: it beats while the server is ready.
func (s *Server) openHeartbeat() (err error) {
	if s.cfg.Notify.HeartbeatURL == "" {
		return nil
	}
	s.heartbeat, err = notify.NewHeartbeat(notify.HeartbeatOptions{
		URL: s.cfg.Notify.HeartbeatURL, Every: s.cfg.Notify.HeartbeatInterval.Std(), Log: s.log,
		Well: func(ctx context.Context) error { return s.health.Ready(ctx).Err() },
	})
	if err != nil {
		return heal.Wrap("notify.heartbeat_url", err)
	}
	s.add("heartbeat", s.heartbeat.Run)
	return nil
}

func (s *Server) openDrivers(context.Context) (err error) {
	s.drivers, err = newDrivers(&s.cfg, now{metrics{s.series}}, s.channel, s.log)
	if s.drivers != nil {
		s.onClose(s.drivers.process.Close)
	}
	return err
}

// openGuard takes the first census, so that nothing is judged without one.
func (s *Server) openGuard(ctx context.Context) (err error) {
	if s.limits, err = s.cfg.Guard.limits(); err != nil {
		return err
	}
	c := censusOf(s.store, s.topology, &s.cfg, s.clock.Now, s.log)
	if err := c.look(ctx); err != nil {
		return heal.Wrap("count what is bad", err)
	}
	s.limits.Census, s.limits.Clock = c, s.clock
	s.add("census", c.run)
	return nil
}

// zeroMeant is a zero that the configuration says: to a package's Options a
// zero says nothing, and stands for the default.
const zeroMeant = time.Nanosecond

func (s *Server) openLoop(ctx context.Context) error {
	specs := s.drivers.set.Specs()
	counts, err := engine.NewMetrics(s.obs.Meter)
	if err != nil {
		return err
	}
	counters, err := loop.NewCounters(s.obs.Meter)
	if err != nil {
		return err
	}
	library := engine.Playbooks{Specs: specs}
	opts := engine.Options{
		Owner: heal.NewID(time.Now(), rand.Reader), Sole: s.share == nil, Limits: s.limits, Live: now{metrics{s.series}},
		Clock: s.clock.Now, Leapt: s.clock.Leapt, Entropy: rand.Reader, Logger: s.log, Metrics: counts, Tracer: s.obs.Tracer,
	}
	listener := &lateListener{outbox: s.outbox}
	opts.Listener = Audited(s.audit, listener)
	s.engine = engine.New(s.audited, s.drivers.set, library, opts)
	dry := &engine.DryRunner{Store: s.audited, Previews: s.drivers.previews, Library: library, Specs: specs, Options: opts}
	if err := s.openShelf(ctx, dry); err != nil {
		return err
	}
	if err := s.openProbes(); err != nil {
		return err
	}
	s.openWatch()
	s.openVersions()
	c := s.cfg.Loop
	together := c.Together.Std()
	if together == 0 {
		together = -1 // which is off
	}
	s.loop = loop.New(loop.Parts{
		Store: s.audited, Audit: s.audit, Share: s.share, Engine: runner{s.engine, dry}, Catalog: s.shelf.catalog, Topology: s.topology,
		Metrics: metrics{s.series}, Logs: logs{s.telemetry}, Probes: probes{s.probes}, Notifier: told{s.outbox}, Watched: watched{s.watch},
	}, loop.Options{
		Scope: s.cfg.HomeScope(), Settle: max(c.Settle.Std(), zeroMeant), Window: c.Window.Std(), Together: together, Verify: c.VerifyWindow.Std(), Baseline: c.Baseline.Std(),
		Approval: c.ApprovalDeadline.Std(), Approver: c.Approver, Backlog: s.cfg.Intake.MaxBacklog, Workers: c.Workers,
		Policy: decide.Policy{MinConfidence: max(c.MinConfidence, math.SmallestNonzeroFloat64), MaxAttempts: s.cfg.Guard.Attempts}, Limits: s.limits,
		Clock: s.clock.Now, Uneven: s.clock.Uneven, Entropy: rand.Reader, Logger: s.log, Counters: counters, Tracer: s.obs.Tracer,
	})
	listener.loop = s.loop
	watch := guard.Watch{Store: s.store, Runs: s.engine, Clock: s.clock.Now, Logger: s.log}
	s.add("engine", s.engine.Run)
	s.add("kill switches", watch.Run)
	s.add("loop", s.loop.Run)
	return nil
}

// runner is the engine as the loop needs it: with dry runs.
type runner struct {
	*engine.Engine
	dry *engine.DryRunner
}

func (r runner) DryRun(ctx context.Context, o engine.Order) (heal.Run, error) {
	return r.dry.DryRun(ctx, o)
}
