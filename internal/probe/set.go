package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Sink takes transitions. An error makes the set try again, with the newest
// state there is by then.
type Sink func(ctx context.Context, t Transition) error

// Options say what is probed and who is told.
type Options struct {
	Monitors    []Config
	Sink        Sink
	Logger      *slog.Logger  // default none
	Resend      time.Duration // reminders while down; default 1 min
	Concurrency int           // probes at once; default 64
	ProcRoot    string        // where processes are looked for; default /proc

	// While runs probing of the monitor whenever it is this server's turn, where
	// several share the monitors; nil: always.
	While func(ctx context.Context, monitor string, probing func(context.Context) error) error
}

// Set is the monitors of one server. All methods may be called at any time.
type Set struct {
	opts     Options
	monitors []*monitor
	byName   map[string]*monitor
	slots    chan struct{}
	counters counters
	running  atomic.Bool
}

type counters struct {
	probes, failures, delivered, retries, superseded atomic.Int64
}

// Stats counts what a set did since New.
type Stats struct {
	Probes     int64 // probes made
	Failures   int64 // probes that failed
	Delivered  int64 // transitions and reminders the sink took
	Retries    int64 // times the sink refused
	Superseded int64 // transitions dropped for a newer one
}

// New checks the monitors; the error is of kind Invalid and names every wrong
// one. Nothing is probed before Run or CheckNow.
func New(opts Options) (*Set, error) {
	if opts.Resend == 0 {
		opts.Resend = time.Minute
	}
	if opts.Concurrency == 0 {
		opts.Concurrency = 64
	}
	if opts.ProcRoot == "" {
		opts.ProcRoot = "/proc"
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.While == nil {
		opts.While = func(ctx context.Context, _ string, probing func(context.Context) error) error { return probing(ctx) }
	}
	if opts.Sink == nil {
		return nil, heal.Errorf(heal.Internal, "set up monitors", "there is no sink for what they find")
	}
	s := &Set{opts: opts, byName: map[string]*monitor{}, slots: make(chan struct{}, opts.Concurrency)}
	var wrong []error
	for i, c := range opts.Monitors {
		c = c.withDefaults()
		err := c.check()
		if err == nil && s.byName[c.Name] != nil {
			err = errors.New("the name is taken by another monitor")
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("monitor %d (%s): %w", i+1, clip(c.Name), err))
			continue
		}
		m := newMonitor(s, c)
		s.monitors = append(s.monitors, m)
		s.byName[c.Name] = m
	}
	if len(wrong) > 0 {
		return nil, heal.Errorf(heal.Invalid, "set up monitors", "%w", errors.Join(wrong...))
	}
	return s, nil
}

// Run probes until ctx ends, waits for what is under way and returns nil. A
// second Run at the same time is refused with kind Conflict.
func (s *Set) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return heal.Errorf(heal.Conflict, "run monitors", "they run already")
	}
	defer s.running.Store(false)
	var wg sync.WaitGroup
	for _, m := range s.monitors {
		wg.Go(func() { _ = s.opts.While(ctx, m.config.Name, m.watch) }) // watch gives no error
	}
	<-ctx.Done() // also without any monitor
	wg.Wait()
	return nil
}

// State gives what is known of one monitor.
func (s *Set) State(name string) (State, bool) {
	m := s.byName[name]
	if m == nil {
		return State{}, false
	}
	return m.current(), true
}

// States gives what is known of every monitor, in the order of Options.
func (s *Set) States() []State {
	out := make([]State, 0, len(s.monitors))
	for _, m := range s.monitors {
		out = append(out, m.current())
	}
	return out
}

// StatesOf gives what is known of the monitors of one entity.
func (s *Set) StatesOf(entity heal.EntityID) []State {
	var out []State
	for _, m := range s.monitors {
		if m.config.Entity == entity {
			out = append(out, m.current())
		}
	}
	return out
}

// CheckNow makes one probe at once and gives the state after it, whose
// CheckedAt is not before the call. The result counts like any other. The
// error is NotFound for an unknown name, or ctx's; a failing probe is none.
func (s *Set) CheckNow(ctx context.Context, name string) (State, error) {
	m := s.byName[name]
	if m == nil {
		return State{}, heal.Errorf(heal.NotFound, "check monitor", "%q does not exist", clip(name))
	}
	if !m.check(ctx) {
		return m.current(), heal.Errorf(heal.Transient, "check monitor "+name, "%w", context.Cause(ctx))
	}
	return m.current(), nil
}

// Stats counts what was done so far.
func (s *Set) Stats() Stats {
	return Stats{
		Probes:     s.counters.probes.Load(),
		Failures:   s.counters.failures.Load(),
		Delivered:  s.counters.delivered.Load(),
		Retries:    s.counters.retries.Load(),
		Superseded: s.counters.superseded.Load(),
	}
}
