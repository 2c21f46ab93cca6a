package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// fiveSteps is the playbook that is run: real ones are parsed, compiled,
// rendered and guarded the same way.
const fiveSteps = `playbook_id: five-steps
name: Five steps
tier: quick_fix
trust: auto
risk: low
timeout: 10m
tasks:
  - {id: one, name: One, action: bench.touch, parameters: {label: "{{ target.name }}"}}
  - {id: two, name: Two, action: bench.touch, depends_on: [one], parameters: {label: "{{ target.name }}"}}
  - {id: three, name: Three, action: bench.touch, depends_on: [two], parameters: {label: "{{ target.name }}"}}
  - {id: four, name: Four, action: bench.touch, depends_on: [three], parameters: {label: "{{ target.name }}"}}
  - {id: five, name: Five, action: bench.touch, depends_on: [four], parameters: {label: "{{ target.name }}"}}
`

// touches is a driver that changes nothing and notes when it was called. Its
// action is declared as one that touches its target, so that every guard and
// the lease on the target are in the way, as they are in earnest.
type touches struct {
	mu   sync.Mutex
	last map[heal.RunID]time.Time
	gaps []time.Duration // between the return of one step and the call of the next
}

func (*touches) Specs() []action.Spec {
	return []action.Spec{{
		Name: "bench.touch", Doc: "Notes when it is called.", Effect: action.Idempotent, Impact: action.Reversible,
		Params: []action.Param{{Name: "label", Type: action.String, Doc: "Anything.", Required: true}},
	}}
}

func (t *touches) Do(_ context.Context, call action.Call) (action.Result, error) {
	called := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, ok := t.last[call.Key.Run]; ok {
		t.gaps = append(t.gaps, called.Sub(before))
	}
	t.last[call.Key.Run] = time.Now()
	return action.Result{}, nil
}

func (*touches) Observe(context.Context, action.Call) (action.Observation, error) {
	return action.Observation{State: action.CannotTell}, nil
}

// take gives the gaps so far and forgets them.
func (t *touches) take() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	gaps := t.gaps
	t.gaps, t.last = nil, map[heal.RunID]time.Time{}
	return gaps
}

// ends hears of runs that end.
type ends struct{ ended chan struct{} }

func (e ends) RunChanged(_ store.Tx, c engine.Change) error {
	if c.Over {
		e.ended <- struct{}{}
	}
	return nil
}

// flights is how many runs are under way in each phase: alone, as many as the
// promised rate and the promised time between steps allow together (300 runs/s
// of four gaps of 15 ms and little more), and enough to find the limit.
var flights = [...]int{1, 16, 64}

// wide is a census of scopes that are large and well, so that the guards count
// every run in its service and its cluster, as they do in earnest.
type wide struct{}

func (wide) Standing(heal.Scope, time.Duration, time.Time) guard.Standing {
	return guard.Standing{Known: true, Instances: 100_000}
}

func counted() guard.Limits {
	l := guard.DefaultLimits()
	l.Census = wide{}
	return l
}

// measureEngine carries runs of five steps out on a real file, each on a target
// of its own.
func measureEngine(ctx context.Context, o *options, r *report) error {
	open := func() (closing, error) {
		return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(o.dir, "engine", "homeostat.db")})
	}
	return measureRuns(ctx, o, r, open, 300)
}

// closing is a store of either engine.
type closing interface {
	store.Store
	Close() error
}

// measureRuns measures runs on a store, which are to be at least so many a
// second, and then how fast runs in flight are taken up by the next start.
func measureRuns(ctx context.Context, o *options, r *report, open func() (closing, error), bar float64) (err error) {
	db, err := open()
	if err != nil {
		return err
	}
	err = carryOut(ctx, o, r, db, bar)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return measureTakeUp(ctx, r, open)
}

func carryOut(ctx context.Context, o *options, r *report, db store.Store, bar float64) error {
	driver := &touches{last: map[heal.RunID]time.Time{}}
	set, err := action.NewSet(driver)
	if err != nil {
		return err
	}
	heard := ends{make(chan struct{}, 256)}
	e := engine.New(db, set, engine.Playbooks{Specs: set.Specs()}, engine.Options{
		Owner: "bench", Sole: true, Clock: time.Now, Entropy: rand.Reader, Limits: counted(),
		Listener: app.Audited(audit.NewRecorder(time.Now, rand.Reader), heard),
	})
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	total, err := load(ctx, o, r, e, driver, heard.ended, bar)
	stop()
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	return succeeded(ctx, db, total)
}

// load measures a run at a time, then many, and gives how many there were.
func load(ctx context.Context, o *options, r *report, e *engine.Engine, driver *touches, ended <-chan struct{}, bar float64) (total int, err error) {
	if o.profiles != "" {
		f, err := os.Create(o.profiles)
		if err != nil {
			return total, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return total, err
		}
		defer func() { pprof.StopCPUProfile(); _ = f.Close() }()
	}
	for _, flight := range flights {
		used := processorTime(os.Getpid())
		n, took, err := flow(ctx, e, ended, flight, o.duration, total)
		if err != nil {
			return total, err
		}
		total += n
		gaps := driver.take()
		cpu := float64((processorTime(os.Getpid()) - used).Microseconds()) / 1000 / float64(n)
		rate, with := float64(n)/took.Seconds(), fmt.Sprintf("%d in flight", flight)
		note := fmt.Sprintf("p99 %s ms; from one call's return to the next call, one durable commit between", short(quantile(gaps, 0.99)))
		switch flight {
		case flights[len(flights)-1]:
			r.add("step to step p50, "+with, quantile(gaps, 0.5), "ms", note)
			r.atLeast(bar, "runs of five guarded steps, "+with, rate, "runs/s", fmt.Sprintf("%d runs on as many targets, %s ms of processor time each", n, short(cpu)))
		default:
			r.atMost(15, "step to step p50, "+with, quantile(gaps, 0.5), "ms", note)
			r.add("runs of five guarded steps, "+with, rate, "runs/s", fmt.Sprintf("%s ms of processor time each", short(cpu)))
		}
	}
	return total, nil
}

// begin starts a run of five steps on a service.
func begin(ctx context.Context, e *engine.Engine, digest, service string) error {
	_, err := e.StartNow(ctx, engine.Order{
		Name: "five-steps", Digest: digest, Source: []byte(fiveSteps), Target: heal.ServiceID(service),
		Scope: heal.DefaultScope.WithService(service), RequestedBy: "bench",
	})
	return err
}

// flow keeps some runs in flight for a while and gives how many ended in which
// time. Targets are numbered from first.
func flow(ctx context.Context, e *engine.Engine, ended <-chan struct{}, flight int, duration time.Duration, first int) (n int, took time.Duration, err error) {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(fiveSteps)))
	start := func(i int) error { return begin(ctx, e, digest, fmt.Sprintf("target-%d", i)) }
	began := time.Now()
	starters := make(chan int, flight)
	failed := make(chan error, flight)
	var wg sync.WaitGroup
	defer func() { close(starters); wg.Wait() }()
	for range flight {
		wg.Go(func() {
			for i := range starters {
				if err := start(i); err != nil {
					failed <- err
					return
				}
			}
		})
		starters <- first
		first++
		n++
	}
	for left := flight; left > 0; {
		select {
		case <-ended:
			if time.Since(began) < duration {
				starters <- first
				first++
				n++
				continue
			}
			left--
		case err := <-failed:
			return 0, 0, err
		case <-time.After(30 * time.Second):
			return 0, 0, errors.New("no run ended for 30 s")
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
	return n, time.Since(began), nil
}

// succeeded checks that every run did all it should.
func succeeded(ctx context.Context, db store.Store, total int) error {
	return db.View(ctx, func(r store.Reader) error {
		n, err := r.Count(store.Runs, store.Cond{Column: "state", Op: store.Eq, Value: string(heal.RunSucceeded)})
		if err != nil {
			return err
		}
		calls, err := r.Count(store.Journal)
		if err != nil {
			return err
		}
		if want := int64(total); n != want || calls != 11*want { // proposed; started and finished five times
			return fmt.Errorf("%d runs succeeded with %d journal entries, want %d and %d", n, calls, want, 11*want)
		}
		return nil
	})
}
