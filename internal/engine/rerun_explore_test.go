package engine

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// checkRerun: a run that goes on with an ended one at a task does nothing again
// that was completed and does not depend on that task, does all the rest, and
// undoes the whole in reverse order. What nobody is sure of is not done again
// unless that is the task named.
func (w world) checkRerun(t *testing.T, plan *Plan, from string) {
	t.Helper()
	tasks, err := takeOver(&w.run, plan, []string{from})
	if err != nil {
		if !heal.Is(err, heal.Conflict) {
			t.Fatal(err)
		}
		for i := range w.run.Tasks {
			task := &w.run.Tasks[i]
			if task.State == heal.RunUnknown || task.Undo != nil && task.Undo.State == heal.RunFailed {
				return
			}
		}
		t.Fatalf("a run that is %s cannot be run again at %s: %v", w.run.State, from, err)
	}
	again := world{
		run:    heal.Run{ID: "again", RerunOf: w.run.ID, State: heal.RunPending, Tasks: tasks},
		queued: map[string]heal.StepKey{}, flying: map[string]heal.StepKey{}, done: map[string]int{},
	}
	redone := behind(plan, &w.run, []string{from})
	for i := range w.run.Tasks {
		was := &w.run.Tasks[i]
		now := again.run.Task(was.ID)
		if was.State == heal.RunUnknown && was.ID != from && !redone[was.ID] {
			t.Fatalf("begun at %s: task %s would be done again, though it may have happened", from, was.ID)
		}
		if now == nil { // the loop makes its list anew
			if !redone[was.Of] {
				t.Fatalf("begun at %s: task %s is gone", from, was.ID)
			}
			continue
		}
		if want := was.State == heal.RunSucceeded && !redone[was.ID]; was.Group == "" && now.Kept != want {
			t.Fatalf("begun at %s: task %s was %s, kept: %v", from, was.ID, was.State, now.Kept)
		}
	}
	before := again.run
	again = again.smoothly(t, plan, Begin{})
	if again.run.State != heal.RunSucceeded {
		t.Fatalf("begun at %s: %s, want succeeded", from, again.run.State)
	}
	var toUndo []string
	for i := range again.run.Tasks {
		task := &again.run.Tasks[i]
		want := 1
		if was := before.Task(task.ID); task.Group != "" || was != nil && was.State.Ended() {
			want = 0
		}
		if again.done[task.ID] != want {
			t.Fatalf("begun at %s: task %s was done %d times, want %d", from, task.ID, again.done[task.ID], want)
		}
		if task.Group == "" && task.State == heal.RunSucceeded && plan.task(task.ID).UndoAction != "" {
			toUndo = append(toUndo, task.ID)
		}
	}
	again = again.smoothly(t, plan, RollbackAsked{By: "op"})
	again.checkOrder(t, plan)
	for _, id := range toUndo {
		if !slices.Contains(again.undone, id) {
			t.Fatalf("begun at %s and rolled back: %s was not undone", from, id)
		}
	}
}

// smoothly sends one event and carries the run to its end: every question gets
// its yes, every try succeeds.
func (w world) smoothly(t *testing.T, plan *Plan, ev Event) world {
	t.Helper()
	w, ok := w.send(t, plan, ev, epoch0)
	for range 1000 {
		if !ok {
			t.Fatalf("a run that is %s does not take an event", w.run.State)
		}
		if w.run.State.Ended() {
			return w
		}
		if next := w.nextAnswer(); next != nil {
			w, ok = w.send(t, plan, next, epoch0)
			continue
		}
		name := slices.Sorted(maps.Keys(w.queued))[0]
		key := w.queued[name]
		if w, ok = w.send(t, plan, w.opening(key), epoch0); !ok {
			delete(w.queued, name)
			continue
		}
		if w.begun(name, key); w.flying[name] != key {
			continue
		}
		delete(w.flying, name)
		w, ok = w.send(t, plan, Finished{Key: key}, epoch0.Add(time.Second))
		if key.Undo {
			w.undone = append(w.undone, key.Task)
		} else {
			w.done[key.Task]++
		}
	}
	t.Fatalf("a run does not end: %s", w.id())
	return w
}

// nextAnswer is the yes of somebody who has not given it to an open question.
func (w world) nextAnswer() Event {
	yes := func(a *heal.Approval, task string) Event {
		for _, p := range people {
			said := slices.ContainsFunc(a.Votes, func(v heal.Consent) bool { return v.By == p.name })
			if !said && a.Asks(p.as) {
				return Answered{Task: task, Answer: heal.Approved, By: p.name, As: p.as}
			}
		}
		return nil
	}
	if a := w.run.Approval; a != nil && a.Answer == "" {
		return yes(a, "")
	}
	for i := range w.run.Tasks {
		if task := &w.run.Tasks[i]; task.State == heal.RunWaiting {
			return yes(task.Approval, task.ID)
		}
	}
	return nil
}
