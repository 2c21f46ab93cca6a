package engine

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Options are what an Engine may be told.
type Options struct {
	Owner     string               // names this server in claims; required, new at every start
	Sole      bool                 // no other server shares the store: claims found at the start are taken over at once
	Workers   int                  // tries in flight at once; default 128
	Lease     time.Duration        // of a claim; default 10 s
	Renew     time.Duration        // of the lease; default 3 s
	Margin    time.Duration        // a driver's call ends this long before its lease; default 2 s
	Poll      time.Duration        // longest rest of the dispatcher; default 1 s
	Drain     time.Duration        // how long a stop waits for tries in flight; default 6 s
	AskWithin time.Duration        // deadline of the question about an uncertain try; default 30 min
	Limits    guard.Limits         // default guard.DefaultLimits
	Live      Live                 // answers conditions on live state
	Listener  Listener             // hears of every change; may be nil
	Metrics   *Metrics             // nil: nothing is counted
	Tracer    trace.TracerProvider // nil: nothing is traced
	Clock     func() time.Time
	Leapt     func() time.Time // when Clock last leapt ahead: for one Lease after it, claims seem older than they are and are left alone; nil: never
	Entropy   io.Reader        // for ids and jitter
	Logger    *slog.Logger
}

func (o *Options) defaults() {
	setDefault(&o.Workers, 128)
	setDefault(&o.Lease, 10*time.Second)
	setDefault(&o.Renew, 3*time.Second)
	setDefault(&o.Margin, 2*time.Second)
	setDefault(&o.Poll, time.Second)
	setDefault(&o.Drain, 6*time.Second)
	setDefault(&o.AskWithin, 30*time.Minute)
	if o.Limits.Attempts == 0 {
		o.Limits = guard.DefaultLimits()
	}
}

func setDefault[T comparable](into *T, value T) {
	var zero T
	if *into == zero {
		*into = value
	}
}

// Engine is the shell around Step: it persists, then performs.
type Engine struct {
	store   store.Store
	drivers Drivers
	books   *shelf
	opts    Options
	wake    chan struct{}
	handed  chan due // tries that a change of a run made due; the queue holds them too
	tracer  trace.Tracer

	stopping   atomic.Bool // nothing new is begun
	takingOver atomic.Bool // claims were left behind: these come before what follows from them

	mu     sync.Mutex
	flying map[string]*flight // by job key: being worked on by this engine
}

// flight is a job this engine works on.
type flight struct {
	run    heal.RunID
	found  job                // as it was when it was taken
	job    job                // as claimed; zero until then
	cancel context.CancelFunc // of the driver's call; nil until it is made
	again  bool               // the job was found due once more meanwhile, in another state
}

// New makes an engine; Run starts it.
func New(s store.Store, drivers Drivers, library Library, opts Options) *Engine {
	opts.defaults()
	return &Engine{
		store:   s,
		drivers: drivers,
		books:   newShelf(library),
		opts:    opts,
		wake:    make(chan struct{}, 1),
		handed:  make(chan due, opts.Workers),
		tracer:  tracerOf(opts.Tracer),
		flying:  map[string]*flight{},
	}
}

// Nudge makes the dispatcher look at the queue now.
func (e *Engine) Nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run dispatches due work until ctx ends, then waits for tries in flight, at
// most Options.Drain. What is still in flight then is taken up at the next
// start, as after a crash.
func (e *Engine) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { e.renew(work) })
	if !e.opts.Sole {
		wg.Go(func() { e.follow(work) })
	} else {
		for err := e.reclaim(ctx); err != nil && ctx.Err() == nil; err = e.reclaim(ctx) {
			e.opts.Logger.Error("take over what an earlier start left, will try again", slog.Any("error", err))
			e.postpone(ctx)
		}
	}
	slots := make(chan struct{}, e.opts.Workers)
	e.dispatch(ctx, work, slots, &wg)
	e.stopping.Store(true)
	e.drain(slots)
	stop()
	return nil
}

// drain waits until every slot is free, at most Options.Drain.
func (e *Engine) drain(slots chan struct{}) {
	deadline := time.NewTimer(e.opts.Drain)
	defer deadline.Stop()
	for range cap(slots) {
		select {
		case slots <- struct{}{}:
		case <-deadline.C:
			e.opts.Logger.Warn("tries still in flight are left to the next start")
			return
		}
	}
}

// dispatch looks into the queue at the start, when nudged and when something
// falls due. What the engine itself makes due while it runs is handed over
// without a look.
func (e *Engine) dispatch(ctx, work context.Context, slots chan struct{}, wg *sync.WaitGroup) {
	launch := func(d due) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		f := e.take(d.job)
		if f == nil {
			<-slots
			return
		}
		wg.Go(func() {
			defer func() { e.drop(f); <-slots }()
			e.handle(work, d)
		})
	}
	for ctx.Err() == nil {
		jobs, rest, err := e.due(ctx)
		if err != nil && ctx.Err() == nil {
			e.opts.Logger.Error("look for due steps", slog.Any("error", err))
		}
		for _, j := range jobs {
			launch(due{job: j})
		}
		e.launchHanded(ctx, rest, launch)
	}
}

// launchHanded launches what is handed over until it is time to look into the
// queue again.
func (e *Engine) launchHanded(ctx context.Context, rest time.Duration, launch func(due)) {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	for {
		select {
		case d := <-e.handed:
			launch(d)
		case <-e.wake:
			return
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hand gives a due try to the dispatcher; if it is far behind, the queue is
// where it will find it.
func (e *Engine) hand(d due) {
	select {
	case e.handed <- d:
	default:
		e.Nudge()
	}
}

// due lists what is due and not yet worked on here, and how long to rest after
// it.
func (e *Engine) due(ctx context.Context) (jobs []job, rest time.Duration, err error) {
	rest = e.opts.Poll
	err = e.store.View(ctx, func(r store.Reader) error {
		now := e.opts.Clock()
		left, err := leftJobs(r, e.leases(now), e.opts.Workers*2)
		if err != nil {
			return err
		}
		found, next, err := dueJobs(r, now, e.opts.Owner, e.opts.Poll, e.opts.Workers*2)
		if err != nil {
			return err
		}
		jobs = append(left, found...)
		e.takingOver.Store(len(left) > 0)
		if !next.IsZero() {
			rest = min(rest, max(next.Sub(now), time.Millisecond))
		}
		return nil
	})
	return jobs, rest, err
}

// leases is before when the leases of claims have run out.
func (e *Engine) leases(now time.Time) time.Time {
	if e.opts.Leapt != nil {
		if leapt := e.opts.Leapt(); !leapt.IsZero() && now.Before(leapt.Add(e.opts.Lease)) {
			return time.Time{}
		}
	}
	return now
}

// take marks a job as worked on here; nil if it is already.
func (e *Engine) take(j job) *flight {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.flying[j.Key]; f != nil {
		f.again = f.again || !j.same(f.found)
		return nil
	}
	f := &flight{run: j.Run, found: j}
	e.flying[j.Key] = f
	return f
}

// drop ends the work on a job.
func (e *Engine) drop(f *flight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.again {
		e.Nudge()
	}
	delete(e.flying, f.found.Key)
}

// pass makes the work on one job go on with the one that was claimed with its
// result.
func (e *Engine) pass(from, to job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.flying[from.Key]
	if f.again {
		e.Nudge()
	}
	delete(e.flying, from.Key)
	f.found, f.job, f.cancel, f.again = to, job{}, nil, false
	e.flying[to.Key] = f
}

// fly notes the claimed job and how to interrupt it.
func (e *Engine) fly(j job, cancel context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.flying[j.Key]; f != nil {
		f.job, f.cancel = j, cancel
	}
}

// interrupt stops the driver calls of a run.
func (e *Engine) interrupt(run heal.RunID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.flying {
		if f.run == run && f.cancel != nil {
			f.cancel()
		}
	}
}

// renew keeps the leases of claimed jobs, and stops the call of one whose
// lease could not be kept before another server may take it.
func (e *Engine) renew(ctx context.Context) {
	ticker := time.NewTicker(e.opts.Renew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := e.renewAll(ctx); err != nil && ctx.Err() == nil {
			e.opts.Logger.Error("renew leases of steps in flight", slog.Any("error", err))
		}
		e.stopExpiring()
	}
}

func (e *Engine) claimed() []job {
	e.mu.Lock()
	defer e.mu.Unlock()
	var jobs []job
	for _, f := range e.flying {
		if f.cancel != nil {
			jobs = append(jobs, f.job)
		}
	}
	return jobs
}

func (e *Engine) renewAll(ctx context.Context) error {
	mine := e.claimed()
	if len(mine) == 0 {
		return nil
	}
	var renewed []job
	err := e.store.Update(ctx, func(tx store.Tx) error {
		renewed = renewed[:0]
		until := e.opts.Clock().Add(e.opts.Lease)
		for _, j := range mine {
			row, err := jobKind.Get(tx, j.Key)
			if heal.Is(err, heal.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if row.Value.State != jobClaimed || row.Value.Epoch != j.Epoch {
				continue
			}
			row.Value.Lease = until
			if _, err := jobKind.Put(tx, &row.Value, row.Revision); err != nil {
				return err
			}
			renewed = append(renewed, row.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, j := range renewed {
		if f := e.flying[j.Key]; f != nil && f.job.Epoch == j.Epoch {
			f.job.Lease = j.Lease
		}
	}
	return nil
}

func (e *Engine) stopExpiring() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.flying {
		if f.cancel != nil && e.opts.Clock().After(f.job.Lease.Add(-e.opts.Margin)) {
			f.cancel()
		}
	}
}
