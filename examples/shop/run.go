package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Run is one process of the shop, from start to ctx's end. It stops gracefully:
// requests at work get five seconds, telemetry two.
func Run(ctx context.Context, c Config, name string) error {
	return run(ctx, c, name, os.Stderr)
}

func run(ctx context.Context, c Config, name string, logs io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("shop configuration: %w", err)
	}
	service, err := c.service(name)
	if err != nil {
		return err
	}
	s, err := newSignals(ctx, c.Telemetry, name, logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.shutdown()) }()
	dir, remove, err := dataDir(c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	p := &process{
		config: c, service: service, dir: dir, signals: s, faults: &faults{}, memory: newMemory(service.Memory), desk: &desk{},
		mux: http.NewServeMux(), admin: http.NewServeMux(),
	}
	if err := watchProcess(s.meter, p.memory.limit); err != nil {
		return err
	}
	p.client = s.client(service.Timeout)
	defer p.client.CloseIdleConnections()
	defer func() {
		for _, end := range p.ends {
			err = errors.Join(err, end())
		}
	}()
	if err := p.build(ctx); err != nil {
		return err
	}
	return p.serve(ctx)
}

// dataDir is where a process keeps what outlives it; remove takes away one that
// was made for this process alone.
func dataDir(configured string) (path string, remove func() error, err error) {
	if configured == "" {
		path, err = os.MkdirTemp("", "shop-")
		return path, func() error { return os.RemoveAll(path) }, err
	}
	return configured, func() error { return nil }, os.MkdirAll(configured, 0o700)
}

// process is one running service.
type process struct {
	config  Config
	service Service
	dir     string // what outlives the process
	signals *signals
	faults  *faults
	memory  *memory
	desk    *desk
	board   *switchboard
	client  *http.Client
	mux     *http.ServeMux // what others ask
	admin   *http.ServeMux // what only tests and the demo ask
	work    []part         // what runs beside them
	ends    []func() error // what is closed last
}

func (p *process) build(ctx context.Context) (err error) {
	if p.board, err = openSwitchboard(p.service, p.file("upstreams.json")); err != nil {
		return err
	}
	p.board.serve(p.admin)
	if err := p.watchBoard(); err != nil {
		return err
	}
	p.faults.keep, p.faults.jam = p.memory.keep, func() { p.desk.jam(context.WithoutCancel(ctx)) }
	p.work = append(p.work, func(ctx context.Context) error {
		p.desk.watch(ctx, func(held time.Duration) {
			p.signals.logger.LogAttrs(ctx, slog.LevelError, "deadlock detected: requests wait for a lock that nobody gives back", slog.Duration("held", held))
		})
		return nil
	})
	healthy := func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]string{"status": "ok"}) }
	p.mux.HandleFunc("GET /healthz", p.desk.wrap(healthy))
	if p.service.Role != Payment {
		p.mux.HandleFunc("GET /readyz", p.desk.wrap(healthy))
	}
	p.admin.HandleFunc("POST /fault", p.faults.set)
	p.admin.HandleFunc("DELETE /fault", p.faults.clear)
	switch p.service.Role {
	case Frontend:
		p.frontend()
	case Cart:
		p.cart()
	case Payment:
		return p.payment()
	case Inventory:
		return p.inventory()
	case Load:
		p.load()
	default:
		return fmt.Errorf("%s: there is no role %q", p.service.Name, p.service.Role)
	}
	return nil
}

// handle adds an instrumented route.
func (p *process) handle(pattern string, h http.HandlerFunc) {
	p.mux.Handle(pattern, p.signals.route(pattern, p.desk.wrap(p.faults.wrap(func(w http.ResponseWriter, r *http.Request) {
		if err := p.memory.room(); err != nil {
			p.reply(w, r, nil, err)
			return
		}
		h(w, r)
	}))))
}

// file is where the process keeps something that outlives it.
func (p *process) file(kind string) string {
	return filepath.Join(p.dir, url.PathEscape(p.service.Name)+"."+kind)
}

// serve listens and works until ctx ends or one part fails. Requests at work are
// finished before the work they need is stopped.
func (p *process) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var servers []part
	for address, mux := range map[string]*http.ServeMux{p.service.Listen: p.mux, p.service.Admin: p.admin} {
		if address == "" {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("%s: %w", p.service.Name, err)
		}
		defer l.Close()
		servers = append(servers, func(ctx context.Context) error { return serveHTTP(ctx, l, mux) })
	}
	p.signals.logger.LogAttrs(ctx, slog.LevelInfo, "started", slog.String("address", p.service.Listen))

	working, rest := context.WithCancel(context.WithoutCancel(ctx))
	defer rest()
	works := start(working, p.work, cancel)
	err := start(ctx, servers, cancel)()
	rest()
	err = errors.Join(err, works())
	p.desk.close()
	p.signals.logger.LogAttrs(ctx, slog.LevelInfo, "stopped")
	return err
}

// part runs until ctx ends.
type part func(ctx context.Context) error

// start runs the parts; one that ends calls ended. What it gives waits for all.
func start(ctx context.Context, parts []part, ended func()) (wait func() error) {
	results := make(chan error, len(parts))
	for _, run := range parts {
		go func() {
			err := run(ctx)
			ended()
			results <- err
		}()
	}
	return func() error {
		var errs []error
		for range parts {
			errs = append(errs, <-results)
		}
		return errors.Join(errs...)
	}
}

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10}
	done := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := server.Shutdown(patience)
		if err != nil {
			err = server.Close()
		}
		done <- err
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-done
}
