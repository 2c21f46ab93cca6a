// Package loop is Homeostat in one place: what was sensed becomes alerts,
// alerts become cases, each case is diagnosed, decided, acted upon, verified
// and learnt from.
//
//	deliveries -> alerts -> faults -> cases -> diagnosis -> decision -> run -> verdict -> knowledge
//
// Its one invariant: stages hand over through the store, in the transaction
// that ends their own work, so that a crash at any instruction loses nothing
// and does nothing twice. The judgements themselves are made by pure packages;
// this one gathers what they need and writes down what they say.
package loop

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/decide"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/store"
)

// Options are what a Loop may be told.
type Options struct {
	Scope    heal.Scope    // of alerts that name none
	Settle   time.Duration // how long a new case waits for signals that belong to it; default 2 s
	Window   time.Duration // faults this close together are grouped; default 5 min
	Together time.Duration // how far back it counts what began together; default 30 days; negative: it does not
	Verify   time.Duration // least window of a verification; default 30 s
	Baseline time.Duration // how far before a fault things are taken as normal; default 30 min
	Approval time.Duration // deadline of an approval; default 30 min
	Approver string        // role asked for approvals; default approver
	Backlog  int           // deliveries that may wait; default 10,000
	Workers  int           // cases worked on at once; default 16
	Policy   decide.Policy // its MaxAttempts defaults to that of Limits
	Limits   guard.Limits  // default guard.DefaultLimits
	Clock    func() time.Time
	Uneven   func() time.Time // until when Clock last counted otherwise than time passes; nil: never
	Entropy  io.Reader
	Logger   *slog.Logger         // default: silent
	Counters *Counters            // nil: nothing is counted
	Tracer   trace.TracerProvider // nil: nothing is traced
}

// Parts are what a Loop works with.
type Parts struct {
	Store    store.Store
	Engine   Engine
	Catalog  *Catalog
	Topology Topology
	Metrics  Metrics
	Logs     Logs
	Probes   Probes
	Notifier Notifier
	Watched  Watched         // nil: no series are watched
	Audit    *audit.Recorder // nil: nothing is kept
	Share    *lease.Share    // among the servers on the store, with all Duties; nil: this server is alone
}

// Loop runs the stages.
type Loop struct {
	parts  Parts
	opts   Options
	tracer trace.Tracer

	intake  sync.RWMutex // held for writing while the backlog is counted
	backlog backlog
	news    news
	alerts  chan struct{} // wakes the alert stage
	faults  chan struct{} // wakes the incident stage
	cases   chan struct{} // wakes the case stage

	known   *recent[string, store.Stored[heal.Alert]] // by fingerprint; the alert stage's own
	waiting []store.Stored[delivery]                  // read and not yet taken; the alert stage's own
	pace    int                                       // alerts it takes in one transaction
	hush    hush                                      // the alert stage's own

	gathered gathering // the incident stage's own
	round    *round    // its own, nil between rounds

	mu        sync.Mutex       // never taken inside a transaction
	open      index            // open cases
	onsets    *incident.Onsets // nil: what began together is not asked
	forgotten int64            // kinds of alert that gave way in onsets, as counted
	recent    *recent[heal.IncidentID, store.Stored[heal.Incident]]
	busy      map[heal.IncidentID]bool
	begins    map[heal.EntityID]heal.IncidentID // causes somebody decides about right now

	past past
}

// New makes a loop; Run starts it.
func New(parts Parts, opts Options) *Loop {
	opts.defaults()
	l := &Loop{
		parts: parts, opts: opts, tracer: tracerOf(opts.Tracer),
		alerts: make(chan struct{}, 1), faults: make(chan struct{}, 1), cases: make(chan struct{}, 1),
		known:  newRecent[string, store.Stored[heal.Alert]](recentLimit),
		recent: newRecent[heal.IncidentID, store.Stored[heal.Incident]](recentCases),
		pace:   firstTake,
		onsets: newOnsets(&opts),
		busy:   map[heal.IncidentID]bool{},
		begins: map[heal.EntityID]heal.IncidentID{},
	}
	l.open = l.newIndex()
	return l
}

func (o *Options) defaults() {
	for _, d := range []struct {
		into  *time.Duration
		value time.Duration
	}{
		{&o.Settle, 2 * time.Second},
		{&o.Window, 5 * time.Minute},
		{&o.Together, 30 * 24 * time.Hour},
		{&o.Verify, 30 * time.Second},
		{&o.Baseline, 30 * time.Minute},
		{&o.Approval, 30 * time.Minute},
	} {
		if *d.into == 0 {
			*d.into = d.value
		}
	}
	if o.Approver == "" {
		o.Approver = "approver"
	}
	if o.Backlog == 0 {
		o.Backlog = 10_000
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	if o.Limits.Attempts == 0 {
		o.Limits = guard.DefaultLimits()
	}
	if o.Policy.MaxAttempts == 0 {
		o.Policy.MaxAttempts = o.Limits.Attempts
	}
	if o.Scope == (heal.Scope{}) {
		o.Scope = heal.DefaultScope
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Run takes up what was left and runs the stages until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.recall(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return heal.Wrap("take up open cases", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.parts.Share.While(ctx, dutySignals, l.runSignals) }) // which gives no error
	wg.Go(func() { l.runCases(ctx) })
	wg.Go(func() { l.recallOnsets(ctx) })
	if l.parts.Share != nil {
		wg.Go(func() { l.follow(ctx) })
	}
	wg.Wait()
	return nil
}

// runSignals runs the stages from deliveries to cases. They remember what they
// wrote last, which holds only while nobody else runs them.
func (l *Loop) runSignals(ctx context.Context) error {
	l.known.forget()
	l.waiting, l.gathered, l.round, l.hush = nil, gathering{}, nil, hush{}
	var wg sync.WaitGroup
	wg.Go(func() { l.stage(ctx, "alerts", l.alerts, l.takeDeliveries) })
	wg.Go(func() { l.stage(ctx, "incidents", l.faults, l.takeSignals) })
	wg.Wait()
	return nil
}

// recall loads the index of open cases and the size of the backlog.
func (l *Loop) recall(ctx context.Context) error {
	if err := l.countBacklog(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reindex(ctx)
}

func (l *Loop) countBacklog(ctx context.Context) error {
	l.intake.Lock()
	defer l.intake.Unlock()
	return l.parts.Store.View(ctx, func(r store.Reader) error {
		waiting, err := r.Count(store.Deliveries)
		if err == nil {
			l.backlog.set(waiting)
		}
		return err
	})
}

// reindex builds the index of open cases anew. The caller holds mu, so that no
// change falls between the reading and the index.
func (l *Loop) reindex(ctx context.Context) error {
	return l.parts.Store.View(ctx, func(r store.Reader) error {
		rows, err := store.IncidentKind.All(r, store.Query{Where: []store.Cond{{Column: "open", Op: store.Eq, Value: int64(1)}}})
		if err != nil {
			return err
		}
		l.open = l.newIndex()
		l.news.reached(r.Revision())
		for i := range rows {
			l.open.put(rows[i].Value, rows[i].Revision)
		}
		return nil
	})
}

// restAfterError keeps a stage that cannot work (the disk is full, say) from
// spinning; poll is the longest a stage sleeps without being woken.
const (
	restAfterError = time.Second
	poll           = time.Second
)

// stage runs one stage: it works while there is work (rest is 0), then sleeps
// until it is woken or the rest is over. After an error nothing wakes it early.
func (l *Loop) stage(ctx context.Context, name string, wake <-chan struct{}, work func(context.Context) (rest time.Duration, err error)) {
	for ctx.Err() == nil {
		rest, err := work(ctx)
		if err != nil && ctx.Err() == nil {
			l.opts.Logger.Error("stage cannot work, will try again", slog.String("stage", name), slog.Any("error", err))
			l.opts.Counters.failed(ctx, name)
			pause(ctx, restAfterError)
			continue
		}
		if rest <= 0 {
			continue
		}
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, rest time.Duration) {
	if rest <= 0 {
		return
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *Loop) now() time.Time { return l.opts.Clock() }

func (l *Loop) newID() string { return heal.NewID(l.now(), l.opts.Entropy) }

var (
	// errAgain says that a case changed while it was being worked on.
	errAgain = errors.New("the case changed meanwhile")
	// errHeld says that a case waits for something that no write of its own
	// would bring nearer.
	errHeld = errors.New("the case is held back")
)
