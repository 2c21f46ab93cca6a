package engine_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
)

// server is one of several engines on the store of a rig.
type server struct {
	*engine.Engine
	kill context.CancelFunc // nothing it does is recorded from then on
	done chan error
}

func (r *rig) server(owner string) *server {
	r.t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	s := &server{kill: kill, done: make(chan error, 1)}
	s.Engine = engine.New(deadAfter{r.db, ctx}, r.world, library{}, engine.Options{
		Owner: owner, Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Lease: 300 * time.Millisecond, Renew: 50 * time.Millisecond, Margin: 50 * time.Millisecond,
		Drain: time.Millisecond, Limits: r.limit, Logger: slog.New(slog.DiscardHandler),
	})
	go func() { s.done <- s.Run(ctx) }()
	r.t.Cleanup(func() {
		kill()
		if err := <-s.done; err != nil {
			r.t.Error(err)
		}
	})
	return s
}

func (r *rig) runOn(s *server, target heal.EntityID, plan engine.Plan) heal.RunID {
	r.t.Helper()
	run, err := s.StartNow(r.t.Context(), r.order(target, plan))
	if err != nil {
		r.t.Fatal(err)
	}
	return run.ID
}

// Of several servers each that dies is replaced by the others: every run ends
// well and every effect happens once.
func TestServersTakeOverFromEachOther(t *testing.T) {
	r := newRig(t)
	first, second, third := r.server("first"), r.server("second"), r.server("third")
	var ids []heal.RunID
	for i := range 30 {
		of := []*server{first, second, third}[i%3]
		target := heal.EntityID(fmt.Sprintf("service/%02d", i))
		ids = append(ids, r.runOn(of, target, engine.Plan{Tasks: []engine.Task{
			step("one", "world.see"), step("two", "wait.for", "one"), step("three", "world.see", "two"),
		}}))
		switch i {
		case 9:
			first.kill()
		case 19:
			second.kill()
		}
		if i == 9 || i == 19 { // what the dead would have begun goes to the living
			first = third
		}
		if i == 19 {
			second = third
		}
	}
	for _, id := range ids {
		if run := r.ended(id); run.State != heal.RunSucceeded {
			t.Errorf("run %s: got %s (%s), want succeeded", id, run.State, run.Reason)
		}
	}
	times := map[string]int{}
	for _, key := range r.world.effects {
		times[key]++
	}
	if len(times) != 2*len(ids) {
		t.Errorf("%d steps happened, want %d", len(times), 2*len(ids))
	}
	for key, n := range times {
		if n != 1 {
			t.Errorf("%s happened %d times, want once", key, n)
		}
	}
}

func TestAnotherServerCancels(t *testing.T) {
	r := newRig(t)
	r.world.entered = make(chan string, 10)
	one, two := r.server("one"), r.server("two")
	id := r.runOn(one, "service/a", engine.Plan{Tasks: []engine.Task{step("blocks", "world.block")}})
	<-r.world.entered
	if err := two.Cancel(t.Context(), id, "ann", "enough"); err != nil {
		t.Fatal(err)
	}
	// The call ends long before its own deadline, and nobody knows how.
	r.until(id, "settled", func(run heal.Run) bool { return run.State == heal.RunUnknown || run.State.Ended() })
}
