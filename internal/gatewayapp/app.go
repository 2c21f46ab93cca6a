package gatewayapp

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/internal/gateway"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
)

// App is the gateway binary at work.
type App struct {
	cfg      Config
	log      *slog.Logger
	gateway  *gateway.Gateway
	server   *otlp.Server
	gauge    *gauge
	metrics  net.Listener // nil: off
	token    string       // of /metrics, "" if none is asked for
	load     func() (Config, error)
	stopping atomic.Bool
}

// Options of an App.
type Options struct {
	Config Config
	Logs   io.Writer // os.Stderr if nil

	// Load reads the configuration again, for Reload.
	Load func() (Config, error)
}

// New opens spools and binds every port; nothing is served before Run.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Logs == nil {
		o.Logs = os.Stderr
	}
	a := &App{cfg: o.Config, load: o.Load, log: logger(&o.Config.Log, o.Logs)}
	opts, err := optionsOf(&a.cfg, a.log)
	if err != nil {
		return nil, err
	}
	opts.Logger = a.log
	serverTLSConfig, err := serverTLS("otlp.tls", a.cfg.OTLP.TLS)
	if err != nil {
		return nil, err
	}
	authenticate, err := tokenCheck(a.cfg.OTLP.TokenFile)
	if err != nil {
		return nil, err
	}
	if a.gateway, err = gateway.New(opts); err != nil {
		return nil, err
	}
	a.gauge = &gauge{next: a.gateway, limit: a.cfg.Limits.MemoryBytes, spans: func() uint64 {
		return a.gateway.Stats().Pipelines[otlp.SignalTraces].Taken
	}}
	l := &a.cfg.Limits
	a.server = otlp.NewRaw(otlp.Options{
		GRPCAddr: a.cfg.OTLP.GRPCListen, HTTPAddr: a.cfg.OTLP.HTTPListen, GRPCKey: "otlp.grpc_listen", HTTPKey: "otlp.http_listen",
		MaxRequestBytes: l.MaxRequestBytes, MaxHeaderBytes: l.MaxHeaderBytes, MaxInFlight: l.MaxInFlight, MaxHeldBytes: l.MaxHeldBytes, MaxConnections: l.MaxConnections,
		Authenticate: authenticate, TLS: serverTLSConfig, Logger: a.log,
		Prompt: func(sig otlp.Signal) bool { // else requests wait for a disk or a backend
			if sig == otlp.SignalTraces {
				return a.cfg.Traces.Acknowledge == "memory"
			}
			return a.cfg.Telemetry.Acknowledge == "memory"
		},
	}, a.gauge)
	if err := errors.Join(a.server.Listen(), a.listen(ctx)); err != nil {
		return nil, errors.Join(err, a.abandon(ctx))
	}
	return a, nil
}

// abandon closes what New opened: Run with a context that has ended.
func (a *App) abandon(ctx context.Context) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if a.metrics != nil {
		a.metrics.Close()
	}
	if addrs := a.server.Addrs(); addrs.GRPC+addrs.HTTP != "" {
		return errors.Join(a.server.Run(ended), a.gateway.Run(ended))
	}
	return a.gateway.Run(ended)
}

func logger(c *LogConfig, to io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration was checked
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, opts))
	}
	return slog.New(slog.NewTextHandler(to, opts))
}

// tokenCheck compares tokens in constant time; nil takes everybody.
func tokenCheck(file string) (func(context.Context, string) error, error) {
	if file == "" {
		return nil, nil
	}
	want, err := readSecret(file)
	if err != nil {
		return nil, heal.Wrap("otlp.token_file", err)
	}
	return func(_ context.Context, got string) error {
		if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
			return heal.Errorf(heal.Denied, "authenticate", "the bearer token is not the one of otlp.token_file")
		}
		return nil
	}, nil
}

// listen binds the port of the metrics.
func (a *App) listen(ctx context.Context) error {
	c := &a.cfg.Metrics
	if c.Listen == "" {
		return nil
	}
	config, err := serverTLS("metrics.tls", c.TLS)
	if err != nil {
		return err
	}
	if c.TokenFile != "" {
		if a.token, err = readSecret(c.TokenFile); err != nil {
			return heal.Wrap("metrics.token_file", err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return heal.Errorf(heal.Conflict, "metrics.listen", "%s is in use by another process; set a free one", c.Listen)
	case err != nil:
		return heal.Errorf(heal.Invalid, "metrics.listen", "%w", err)
	case config != nil:
		l = tls.NewListener(l, config)
	}
	a.metrics = l
	return nil
}

// Addrs are the addresses that are bound: gRPC, HTTP and metrics.
func (a *App) Addrs() (grpc, http, metrics string) {
	addrs := a.server.Addrs()
	if a.metrics != nil {
		metrics = a.metrics.Addr().String()
	}
	return addrs.GRPC, addrs.HTTP, metrics
}

// wholeTracesGC is how much garbage may pile up while spans are held, in percent
// of what is in use.
const wholeTracesGC = 25

// Run serves until ctx ends or a part fails. Then it lets requests in flight
// finish, empties what is in memory, and closes everything. Each value of
// reload reads the configuration again.
func (a *App) Run(ctx context.Context, reload <-chan os.Signal) error {
	if limit := a.cfg.Limits.MemoryBytes; limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9) // the collector works harder before requests are refused
	}
	if a.cfg.Sampling.WholeTraces {
		// What is held has no pointers, so that a collection costs little, and at
		// the default it could take twice its size.
		debug.SetGCPercent(wholeTracesGC)
	}
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var wg, working sync.WaitGroup
	errs := make([]error, 4)
	part := func(wg *sync.WaitGroup, i int, name string, ctx context.Context, run func(context.Context) error) {
		wg.Go(func() {
			defer stopServing() // half a gateway is worse than a restart
			errs[i] = heal.Wrap(name, run(ctx))
		})
	}
	part(&working, 0, "gateway", work, a.gateway.Run)
	part(&working, 1, "measure", work, a.gauge.run)
	part(&wg, 2, "otlp", serving, a.server.Run)
	part(&wg, 3, "metrics", serving, a.runMetrics)
	wg.Go(func() { a.reloads(serving, reload) })
	wg.Go(func() { a.flushes(serving) })
	if nap != nil {
		working.Go(func() { (&vigil{requests: a.requests, nap: nap}).run(work) })
	}
	grpc, http, metrics := a.Addrs()
	a.log.Info("ready", slog.String("otlp_grpc", grpc), slog.String("otlp_http", http), slog.String("metrics", metrics), slog.String("data", a.cfg.DataDir))
	<-serving.Done()
	a.stopping.Store(true)
	a.log.Info("stopping")
	wg.Wait()
	stopWork() // only now: requests in flight were still served
	working.Wait()
	return errors.Join(errs...)
}

// requests is how many were taken so far, refused ones too.
func (a *App) requests() uint64 {
	s := a.server.Stats()
	return s.Traces.Requests + s.Metrics.Requests + s.Logs.Requests
}

func (a *App) reloads(ctx context.Context, reload <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			if err := a.Reload(ctx); err != nil {
				a.log.Error("the configuration was not reloaded; the former one stays in force", slog.Any("error", err))
				continue
			}
			a.log.Info("configuration reloaded: sampling, statements, export and backends")
		}
	}
}

// Reload reads the configuration again and puts sampling, statements, export and
// backends into force.
func (a *App) Reload(ctx context.Context) error {
	if a.load == nil {
		return heal.Errorf(heal.Invalid, "reload", "there is no file to read")
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	settings, err := settingsOf(&cfg, a.log)
	if err != nil {
		return err
	}
	return a.gateway.Reload(ctx, settings)
}

// flushes brings what is derived from spans up to date.
func (a *App) flushes(ctx context.Context) {
	ticker := time.NewTicker(a.cfg.Metrics.FlushInterval.Std())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			a.gateway.FlushRED(now)
		}
	}
}

// runMetrics serves /metrics, /healthz and /readyz.
func (a *App) runMetrics(ctx context.Context) error {
	if a.metrics == nil {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if a.token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(a.token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the bearer token is not the one of metrics.token_file", http.StatusUnauthorized)
			return
		}
		a.serveMetrics(w, r)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", a.serveReady)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	over := make(chan error, 1)
	go func() { over <- server.Serve(a.metrics) }()
	select {
	case err := <-over:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if server.Shutdown(stop) != nil {
		_ = server.Close() // time is up
	}
	if err := <-over; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveReady says whether requests are welcome, and if not why.
func (a *App) serveReady(w http.ResponseWriter, _ *http.Request) {
	var reasons []string
	if a.stopping.Load() {
		reasons = append(reasons, "the gateway was told to stop")
	}
	if g := a.gauge; g.limit > 0 && g.memory.Load() > uint64(g.limit) {
		reasons = append(reasons, "limits.memory_bytes is reached")
	}
	for _, p := range a.gateway.Stats().Pipelines {
		if p.Spool != nil && p.Spool.Bytes >= a.spoolLimit(p.Signal)/100*95 {
			reasons = append(reasons, "the spool of "+p.Signal.String()+" is nearly full")
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": len(reasons) == 0, "reasons": reasons}) // who has gone asks again
}

func (a *App) spoolLimit(sig otlp.Signal) int64 {
	if sig == otlp.SignalTraces {
		return a.cfg.Traces.SpoolMaxBytes
	}
	return a.cfg.Telemetry.SpoolMaxBytes
}
