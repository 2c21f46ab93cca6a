package engine_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

func TestRunInOrder(t *testing.T) {
	r := newRig(t)
	r.start()
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{
		step("one", "world.put"), step("pause", "wait.for", "one"), step("two", "world.see", "pause"), step("never", "world.once", "two"), step("after", "world.once", "never"), step("look", "world.read", "two"),
	}})
	run := r.ended(id)
	want := map[string]heal.RunState{"one": heal.RunSucceeded, "pause": heal.RunSucceeded, "two": heal.RunSucceeded, "never": heal.RunSkipped, "after": heal.RunSkipped, "look": heal.RunSucceeded}
	if diff := cmp.Diff(states(run), want); diff != "" {
		t.Errorf("tasks (-got +want):\n%s", diff)
	}
	if run.State != heal.RunSucceeded {
		t.Errorf("run: got %s, want succeeded", run.State)
	}
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two", "look"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
}

func TestRetryThenRollback(t *testing.T) {
	r := newRig(t)
	r.start()
	r.world.fail["two"] = 1
	r.world.fail["three"] = 5
	undoable := func(t engine.Task) engine.Task { t.UndoAction = "world.undo"; return t }
	two, three := undoable(step("two", "world.see", "one")), step("three", "world.see", "two")
	two.Tries = 2
	three.Tries, three.OnFailure.Rollback = 2, true
	run := r.ended(r.run("service/a", engine.Plan{Tasks: []engine.Task{undoable(step("one", "world.put")), two, three}}))
	if run.State != heal.RunRolledBack || run.Rollback != heal.RunRolledBack {
		t.Errorf("run: got %s, rollback %s, want both rolled_back", run.State, run.Rollback)
	}
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two", "~two", "~one"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
}

func TestFailingCompensationDoesNotStopTheOthers(t *testing.T) {
	r := newRig(t)
	r.start()
	undoable := func(t engine.Task) engine.Task { t.UndoAction = "world.undo"; return t }
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{undoable(step("one", "world.put")), undoable(step("two", "world.put", "one")), undoable(step("three", "world.put", "two"))}})
	r.ended(id)
	r.world.mu.Lock()
	r.world.fail["two"] = 9
	r.world.mu.Unlock()
	if err := r.eng.Rollback(t.Context(), id, "op", "it did not help"); err != nil {
		t.Fatal(err)
	}
	run := r.until(id, "rolled back", func(run heal.Run) bool { return run.State.Ended() && run.Rollback == heal.RunFailed })
	if got, want := run.Task("two").Undo.State, heal.RunFailed; got != want {
		t.Errorf("undo of two: got %s, want %s", got, want)
	}
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two", "three", "~three", "~one"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
	if want := "the undo of two failed"; !strings.Contains(run.Reason, want) {
		t.Errorf("reason: got %q, want it to say %q", run.Reason, want)
	}
}

func TestLostAnswerIsLookedInto(t *testing.T) {
	r := newRig(t)
	r.start()
	r.world.lost["see"], r.world.lost["put"], r.world.lost["once"] = true, true, true
	put := step("put", "world.put")
	put.Tries = 2
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{put, step("see", "world.see", "put"), step("once", "world.once", "see")}})
	run := r.until(id, "unknown", func(run heal.Run) bool { return run.State == heal.RunUnknown })
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"put", "put", "see", "once"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
	if a := run.Task("once").Approval; a == nil || a.Owner != "operator" {
		t.Errorf("the uncertain task asks nobody: %+v", a)
	}
	if err := r.eng.Settle(t.Context(), id, engine.Settled{Task: "once", As: engine.SettleHappened, By: "op"}); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(id); run.State != heal.RunSucceeded {
		t.Errorf("run: got %s, want succeeded", run.State)
	}
}

func TestApprovalDeniedApprovedExpiredTwice(t *testing.T) {
	r := newRig(t)
	r.start()
	ask := &engine.Ask{Question: "go?", Owner: "approver", Within: time.Hour}
	plan := engine.Plan{Tasks: []engine.Task{step("one", "world.put")}, Approval: ask}
	denied := r.run("service/a", plan)
	if err := r.eng.Answer(t.Context(), denied, engine.Answered{Answer: heal.DeniedBy, By: "op", As: []string{"op", "approver"}}); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(denied); run.State != heal.RunCancelled || run.Reason != "denied by op" {
		t.Errorf("denied run: got %s (%s), want cancelled", run.State, run.Reason)
	}
	if err := r.eng.Answer(t.Context(), denied, engine.Answered{Answer: heal.Approved, By: "op", As: []string{"op", "approver"}}); !heal.Is(err, heal.Conflict) {
		t.Errorf("second answer: got %v, want a conflict", err)
	}
	approved := r.run("service/a", plan)
	if err := r.eng.Answer(t.Context(), approved, engine.Answered{Answer: heal.Approved, By: "op", As: []string{"op", "approver"}}); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(approved); run.State != heal.RunSucceeded {
		t.Errorf("approved run: got %s, want succeeded", run.State)
	}
	plan.Approval = &engine.Ask{Question: "go?", Owner: "approver", Within: 100 * time.Millisecond}
	run := r.ended(r.run("service/a", plan))
	if run.State != heal.RunCancelled || run.Approval.Answer != heal.Expired || !run.Approval.Escalated {
		t.Errorf("unanswered run: got %s, answer %q, want cancelled and expired after a reminder", run.State, run.Approval.Answer)
	}
}

func TestPauseResumeCancel(t *testing.T) {
	r := newRig(t)
	r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
	r.start()
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{step("one", "world.put"), step("two", "world.put", "one")}})
	<-r.world.entered
	if err := r.eng.Pause(t.Context(), id, "op", "looking"); err != nil {
		t.Fatal(err)
	}
	close(r.world.gate)
	run := r.until(id, "first task done", func(run heal.Run) bool { return run.Task("one").State == heal.RunSucceeded })
	if run.State != heal.RunPaused || run.Task("two").Attempt != 0 {
		t.Errorf("run: got %s, task two at try %d, want paused and untouched", run.State, run.Task("two").Attempt)
	}
	if err := r.eng.Resume(t.Context(), id, "op"); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(id); run.State != heal.RunSucceeded {
		t.Errorf("run: got %s, want succeeded", run.State)
	}
	blocked := r.run("service/b", engine.Plan{Tasks: []engine.Task{step("block", "world.block"), step("next", "world.put", "block")}})
	for key := range r.world.entered {
		if k, _ := heal.ParseStepKey(key); k.Task == "block" {
			break
		}
	}
	if err := r.eng.Cancel(t.Context(), blocked, "op", "enough"); err != nil {
		t.Fatal(err)
	}
	run = r.ended(blocked)
	if run.State != heal.RunCancelled || run.Task("next").State != heal.RunCancelled {
		t.Errorf("cancelled run: got %s, next task %s", run.State, run.Task("next").State)
	}
	if got := run.Task("block").State; got != heal.RunUnknown {
		t.Errorf("interrupted once-only task: got %s, want unknown", got)
	}
}

func TestOneRunPerServiceAtATime(t *testing.T) {
	r := newRig(t)
	r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
	r.start()
	plan := engine.Plan{Tasks: []engine.Task{step("one", "world.put")}}
	first := r.run("service/a", plan)
	<-r.world.entered
	second := r.run("service/a", plan)
	run := r.until(second, "refused", func(run heal.Run) bool { return run.Tasks[0].Refusal != nil })
	if got, want := run.Tasks[0].Refusal.Code, "guard_lease"; got != want {
		t.Errorf("refusal: got %s, want %s", got, want)
	}
	close(r.world.gate)
	r.ended(first)
	if run := r.ended(second); run.State != heal.RunSucceeded {
		t.Errorf("second run: got %s, want succeeded once the first has ended", run.State)
	}
}

func TestKillSwitchPausesBeforeTheNextStep(t *testing.T) {
	r := newRig(t)
	r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
	r.start()
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{step("one", "world.put"), step("two", "world.put", "one")}})
	<-r.world.entered
	turn := func(on bool) {
		if err := r.db.Update(t.Context(), func(tx store.Tx) error {
			return guard.Turn(tx, guard.Switch{On: on, By: "op", Why: "test", At: time.Now()})
		}); err != nil {
			t.Fatal(err)
		}
	}
	turn(true)
	close(r.world.gate)
	run := r.until(id, "paused", func(run heal.Run) bool { return run.State == heal.RunPaused })
	if got, want := run.Task("two").Refusal.Code, "guard_kill_switch"; got != want {
		t.Errorf("refusal: got %s, want %s", got, want)
	}
	turn(false)
	if err := r.eng.Resume(t.Context(), id, "op"); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(id); run.State != heal.RunSucceeded {
		t.Errorf("run: got %s, want succeeded", run.State)
	}
}

func TestTakeOverAfterACrash(t *testing.T) {
	tests := []struct {
		action  string
		happens bool // before the crash
		want    heal.RunState
		effects int
	}{
		{"world.put", false, heal.RunSucceeded, 1},
		{"world.put", true, heal.RunSucceeded, 1},
		{"world.see", false, heal.RunSucceeded, 1},
		{"world.see", true, heal.RunSucceeded, 1},
		{"world.once", false, heal.RunUnknown, 0},
		{"world.once", true, heal.RunUnknown, 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s happened %v", tt.action, tt.happens), func(t *testing.T) {
			r := newRig(t)
			r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
			ctx, crash := context.WithCancel(context.Background())
			done := make(chan error, 1)
			dead := engine.New(deadAfter{r.db, ctx}, r.world, library{}, engine.Options{Owner: "dead", Sole: true, Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Drain: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
			go func() { done <- dead.Run(ctx) }()
			id := r.run("service/a", engine.Plan{Tasks: []engine.Task{step("one", tt.action)}})
			dead.Nudge()
			key := <-r.world.entered
			if tt.happens {
				r.world.mu.Lock()
				r.world.effects = append(r.world.effects, key)
				r.world.happens[key] = true
				r.world.mu.Unlock()
			}
			crash() // the call is in the air, its result never recorded
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			close(r.world.gate)
			r.start()
			run := r.until(id, string(tt.want), func(run heal.Run) bool { return run.State == tt.want })
			if got := len(r.world.tasksOf(t)); got != tt.effects {
				t.Errorf("effects: got %d, want %d", got, tt.effects)
			}
			if got := run.Task("one").Attempt; got != 1 {
				t.Errorf("try: got %d, want the same try to go on", got)
			}
		})
	}
}

// deadAfter is a store whose writes fail once ctx has ended, as those of a
// process that was killed.
type deadAfter struct {
	store.Store
	ctx context.Context
}

func (d deadAfter) Update(ctx context.Context, f func(store.Tx) error) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	return d.Store.Update(ctx, f)
}
