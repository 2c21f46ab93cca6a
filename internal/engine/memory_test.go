package engine_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestOneCommitFromStepToStep(t *testing.T) {
	r := newRig(t)
	r.eng = engine.New(r.db, r.world, library{}, engine.Options{Owner: "one", Clock: time.Now, Entropy: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
	r.start()
	before := r.db.Stats().Updates
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{
		step("one", "world.put"), step("two", "world.see", "one"), step("three", "world.once", "two"), step("four", "world.put", "three"), step("five", "world.put", "four"),
	}})
	r.ended(id)
	r.stop()
	if got, want := r.db.Stats().Updates-before, uint64(7); got != want { // the start, the first claim, five results
		t.Errorf("updates: got %d, want %d", got, want)
	}
}

func TestTasksThatEndTogether(t *testing.T) {
	r := newRig(t)
	r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 20)
	r.start()
	branches := []string{"a", "b", "c", "d", "e", "f"}
	plan := engine.Plan{Tasks: []engine.Task{step("first", "world.put")}}
	for _, name := range branches {
		plan.Tasks = append(plan.Tasks, step(name, "world.once", "first"))
	}
	plan.Tasks = append(plan.Tasks, step("last", "world.once", branches...))
	id := r.run("service/a", plan)
	<-r.world.entered
	r.world.gate <- struct{}{}
	for range branches { // all are in flight and remember the run as it was before the others
		<-r.world.entered
	}
	if err := r.eng.Pause(t.Context(), id, "op", "looking"); err != nil {
		t.Fatal(err)
	}
	close(r.world.gate)
	r.until(id, "paused with nothing in flight", func(run heal.Run) bool {
		return run.State == heal.RunPaused && !slices.ContainsFunc(run.Tasks, func(t heal.TaskRun) bool { return t.State == heal.RunRunning })
	})
	if err := r.eng.Resume(t.Context(), id, "op"); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(id); run.State != heal.RunSucceeded {
		t.Errorf("run: got %s, want succeeded", run.State)
	}
	got := r.world.tasksOf(t)
	if len(got) == 0 || got[0] != "first" || got[len(got)-1] != "last" {
		t.Errorf("effects: got %v, want first and last at their ends", got)
	}
	slices.Sort(got)
	want := append(slices.Clone(branches), "first", "last")
	slices.Sort(want)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
}

func TestResultOfAReplacedOwnerIsRefused(t *testing.T) {
	r := newRig(t)
	r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
	slow := engine.New(r.db, r.world, library{}, engine.Options{
		Owner: "slow", Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Lease: time.Hour, Renew: time.Hour,
		Logger: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- slow.Run(ctx) }()
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{step("one", "world.put"), step("two", "world.once", "one")}})
	slow.Nudge()
	<-r.world.entered
	r.start()           // the engine alone on its store takes the claim over
	<-r.world.entered   // and repeats the call
	close(r.world.gate) // both answer; the first one's memory of the run is stale
	if run := r.ended(id); run.State != heal.RunSucceeded {
		t.Errorf("run: got %s, want succeeded", run.State)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
}
