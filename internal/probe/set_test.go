package probe

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target is something to probe that fails when told to.
type target struct{ down atomic.Bool }

func (t *target) probe(context.Context) error {
	if t.down.Load() {
		return errors.New("it is down")
	}
	return nil
}

// recorder is a sink that keeps what it takes and refuses while told to.
type recorder struct {
	mu     sync.Mutex
	refuse bool
	calls  int
	taken  []string
}

func (r *recorder) sink(_ context.Context, t Transition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.refuse {
		return errors.New("the store is busy")
	}
	text := string(t.From) + ">" + string(t.State.Status)
	if t.Repeat {
		text += " again"
	}
	r.taken = append(r.taken, text)
	return nil
}

func (r *recorder) setRefuse(v bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = v
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(r.taken, want); diff != "" {
		t.Errorf("transitions: -got +want\n%s", diff)
	}
}

func newSet(t *testing.T, sink Sink, probe prober, opts Options) *Set {
	t.Helper()
	opts.Sink = sink
	opts.Monitors = []Config{{
		Name: "cart", Entity: "service/cart", TCP: &TCP{Address: "127.0.0.1:1"}, Interval: time.Second,
	}}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.monitors[0].probe = probe
	return s
}

// running starts the set and gives the function that stops it.
func running(t *testing.T, s *Set) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	}
}

func after(d time.Duration) {
	time.Sleep(d) // in a synctest bubble: no real time passes
	synctest.Wait()
}

func TestTransitionsAndReminders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cart target
		var r recorder
		s := newSet(t, r.sink, cart.probe, Options{Resend: 10 * time.Second})
		stop := running(t, s)
		defer stop()
		after(2500 * time.Millisecond)
		r.want(t, "unknown>up")
		cart.down.Store(true)
		after(3 * time.Second)
		r.want(t, "unknown>up", "up>down")
		after(25 * time.Second)
		r.want(t, "unknown>up", "up>down", "down>down again", "down>down again")
		cart.down.Store(false)
		after(20 * time.Second)
		r.want(t, "unknown>up", "up>down", "down>down again", "down>down again", "down>up")
		if got := s.Stats(); got.Delivered != 5 || got.Retries != 0 || got.Superseded != 0 || got.Probes < 50 {
			t.Errorf("stats: got %+v", got)
		}
	})
}

func TestRefusedTransitionIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cart target
		r := recorder{refuse: true}
		cart.down.Store(true)
		s := newSet(t, r.sink, cart.probe, Options{})
		defer running(t, s)()
		after(10 * time.Minute)
		r.want(t)
		r.mu.Lock()
		if r.calls < 10 || r.calls > 100 {
			t.Errorf("calls of a sink that refuses for 10 minutes: got %d, want a back-off of at most 10 s", r.calls)
		}
		r.mu.Unlock()
		r.setRefuse(false)
		after(lastBackoff)
		r.want(t, "unknown>down")
	})
}

func TestNewestStateWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cart target
		var r recorder
		s := newSet(t, r.sink, cart.probe, Options{})
		defer running(t, s)()
		after(3 * time.Second)
		r.setRefuse(true)
		cart.down.Store(true)
		after(10 * time.Second)
		cart.down.Store(false)
		after(10 * time.Second)
		cart.down.Store(true)
		after(10 * time.Second)
		r.setRefuse(false)
		after(lastBackoff)
		r.want(t, "unknown>up", "up>down")
		if got := s.Stats().Superseded; got != 2 {
			t.Errorf("superseded: got %d, want 2", got)
		}
	})
}

func TestChangeWhileTheSinkIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cart target
		var r recorder
		slow := func(ctx context.Context, tr Transition) error {
			time.Sleep(5 * time.Second)
			return r.sink(ctx, tr)
		}
		cart.down.Store(true)
		s := newSet(t, slow, cart.probe, Options{})
		defer running(t, s)()
		after(3500 * time.Millisecond)
		cart.down.Store(false)
		after(20 * time.Second)
		r.want(t, "unknown>down", "down>up")
		if got := s.Stats().Superseded; got != 0 {
			t.Errorf("superseded: got %d, want 0", got)
		}
	})
}

func TestTimeoutIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		var r recorder
		s := newSet(t, r.sink, hang, Options{})
		state, err := s.CheckNow(t.Context(), "cart")
		if err != nil || state.Failures != 1 || state.Latency != time.Second || !strings.Contains(state.LastError, "no answer within 1s") {
			t.Errorf("got %+v, %v, want one failure for lack of an answer", state, err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		state, err = s.CheckNow(short, "cart")
		if !heal.Is(err, heal.Transient) || state.Failures != 1 {
			t.Errorf("caller's deadline: got %+v, %v, want kind transient and no failure counted", state, err)
		}
	})
}

func TestCheckNowIsNewerThanItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil }
		var r recorder
		s := newSet(t, r.sink, slow, Options{})
		defer running(t, s)()
		for range 5 {
			after(770 * time.Millisecond)
			before := time.Now()
			state, err := s.CheckNow(t.Context(), "cart")
			if err != nil || state.CheckedAt.Before(before) {
				t.Errorf("got a probe of %s, %v, want one not before %s", state.CheckedAt, err, before)
			}
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		busy := func(context.Context) error {
			n := now.Add(1)
			for {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(700 * time.Millisecond)
			now.Add(-1)
			return nil
		}
		var monitors []Config
		for i := range 50 {
			monitors = append(monitors, Config{
				Name: "m" + string(rune('A'+i)), Entity: "service/cart", TCP: &TCP{Address: "127.0.0.1:1"}, Interval: time.Second,
			})
		}
		var r recorder
		s, err := New(Options{Monitors: monitors, Sink: r.sink, Concurrency: 8})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.monitors {
			m.probe = busy
		}
		stop := running(t, s)
		after(30 * time.Second)
		stop()
		if got := most.Load(); got != 8 {
			t.Errorf("probes at once: got %d, want 8", got)
		}
	})
}

func TestRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		var cart target
		s := newSet(t, r.sink, cart.probe, Options{})
		defer running(t, s)()
		synctest.Wait()
		if err := s.Run(t.Context()); !heal.Is(err, heal.Conflict) {
			t.Errorf("second Run: got %v, want kind conflict", err)
		}
	})
}

func TestRunWithoutMonitorsLastsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Sink: (&recorder{}).sink})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("Run ended while its context lives: %v", err)
		default:
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
