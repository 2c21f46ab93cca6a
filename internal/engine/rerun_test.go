package engine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestRerunFromTheFailedTask(t *testing.T) {
	r := newRig(t)
	r.start()
	r.world.fail["two"] = 1
	undoable := func(t engine.Task) engine.Task { t.UndoAction = "world.undo"; return t }
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{undoable(step("one", "world.once")), undoable(step("two", "world.once", "one")), step("three", "world.once", "two")}})
	if run := r.ended(id); run.State != heal.RunFailed {
		t.Fatalf("run: got %s, want failed", run.State)
	}
	again, err := r.eng.Rerun(t.Context(), id, engine.Rerun{By: "op", Why: "the disk is free now"})
	if err != nil {
		t.Fatal(err)
	}
	run := r.ended(again.ID)
	if run.State != heal.RunSucceeded || run.RerunOf != id || r.get(id).RerunBy != again.ID {
		t.Errorf("rerun: %s of %s, the old one is gone on with by %s", run.State, run.RerunOf, r.get(id).RerunBy)
	}
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two", "three"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
	if out := run.Task("one").Output["task"]; out != "one" {
		t.Errorf("output of what was kept: got %v, want one", out)
	}
	if _, err := r.eng.Rerun(t.Context(), id, engine.Rerun{By: "op"}); !heal.Is(err, heal.Conflict) {
		t.Errorf("a second rerun: got %v, want a conflict", err)
	}
	if err := r.eng.Rollback(t.Context(), id, "op", ""); !heal.Is(err, heal.Conflict) || !strings.Contains(err.Error(), string(again.ID)) {
		t.Errorf("rollback of what was taken over: got %v, want a conflict that names %s", err, again.ID)
	}
	if err := r.eng.Rollback(t.Context(), again.ID, "op", ""); err != nil {
		t.Fatal(err)
	}
	r.until(again.ID, "rolled back", func(run heal.Run) bool { return run.Rollback == heal.RunRolledBack })
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two", "three", "~two", "~one"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
}

func TestRerunRefuses(t *testing.T) {
	r := newRig(t)
	r.start()
	plan := engine.Plan{Tasks: []engine.Task{step("one", "world.put"), step("two", "world.once", "one"), step("three", "world.put", "two")}}
	r.world.lost["two"] = true
	doubtful := r.run("service/a", plan)
	r.until(doubtful, "unknown", func(run heal.Run) bool { return run.State == heal.RunUnknown })
	refused := func(why string, rerun engine.Rerun, kind heal.Kind) {
		t.Helper()
		if _, err := r.eng.Rerun(t.Context(), doubtful, rerun); !heal.Is(err, kind) || !strings.Contains(err.Error(), why) {
			t.Errorf("rerun at %v: got %v, want %q", rerun.From, err, why)
		}
	}
	refused("has not ended", engine.Rerun{}, heal.Conflict)
	if err := r.eng.Cancel(t.Context(), doubtful, "op", "enough"); err != nil {
		t.Fatal(err)
	}
	r.ended(doubtful)
	refused("no task \"four\"", engine.Rerun{From: []string{"four"}}, heal.Invalid)
	refused("whether task two happened is not known", engine.Rerun{From: []string{"one"}}, heal.Conflict)
	again, err := r.eng.Rerun(t.Context(), doubtful, engine.Rerun{From: []string{"two"}, By: "op"})
	if err != nil {
		t.Fatal(err)
	}
	r.ended(again.ID)
	if diff := cmp.Diff(r.world.tasksOf(t), []string{"one", "two", "two", "three"}); diff != "" {
		t.Errorf("effects (-got +want):\n%s", diff)
	}
}
