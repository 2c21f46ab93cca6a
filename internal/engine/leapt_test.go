package engine_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
)

// TestLeapEndsNoLease: when the clock of two servers leaps ahead, neither takes
// what the other has in flight for abandoned, and still takes it over when the
// other is gone.
func TestLeapEndsNoLease(t *testing.T) {
	for _, gone := range []bool{false, true} {
		name := map[bool]string{false: "the other goes on", true: "the other is gone"}[gone]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
				var ahead atomic.Int64
				clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				var leapt atomic.Pointer[time.Time]
				ctx, stop := context.WithCancel(context.Background())
				alive, die := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				run := func(owner string) {
					e := engine.New(deadAfter{r.db, alive}, r.world, library{}, engine.Options{
						Owner: owner, Clock: clock, Entropy: rand.Reader, Limits: r.limit, Logger: slog.New(slog.DiscardHandler), Drain: time.Millisecond,
						Lease: 3 * time.Second, Renew: time.Second, Margin: time.Second / 2,
						Leapt: func() time.Time {
							if at := leapt.Load(); at != nil {
								return *at
							}
							return time.Time{}
						},
					})
					wg.Go(func() {
						if err := e.Run(ctx); err != nil {
							t.Errorf("%s: got %v, want nil", owner, err)
						}
					})
				}
				run("one")
				id := r.run("service/a", engine.Plan{Tasks: []engine.Task{step("one", "world.put")}})
				<-r.world.entered
				if gone {
					die()
				}
				alive = context.Background() // for the next
				run("two")
				at := clock().Add(time.Hour)
				leapt.Store(&at)
				ahead.Store(int64(time.Hour))
				<-time.After(2900 * time.Millisecond)
				if n := len(r.world.entered); n != 0 {
					t.Errorf("calls within a lease of the leap: got %d more, want none", n)
				}
				<-time.After(1500 * time.Millisecond)
				want := 0
				if gone {
					want = 1
				}
				if n := len(r.world.entered); n != want {
					t.Errorf("calls after it: got %d more, want %d", n, want)
				}
				close(r.world.gate)
				if state := r.ended(id).State; state != heal.RunSucceeded {
					t.Errorf("run: got %s, want succeeded", state)
				}
				stop()
				wg.Wait()
				die()
			})
		})
	}
}
