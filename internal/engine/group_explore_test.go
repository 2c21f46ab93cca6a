package engine

import (
	"slices"
	"testing"

	"github.com/homeostat/homeostat/internal/heal"
)

// opening is the event by which what was queued begins: a group is entered, a
// loop with two entries.
func (w world) opening(key heal.StepKey) Event {
	switch task := w.run.Task(key.Task); {
	case task.Group == heal.GroupLoop && !key.Undo:
		return Entered{Key: key, Items: []string{`"x"`, `"y"`}}
	case task.Group == heal.GroupPlaybook && !key.Undo:
		return Entered{Key: key}
	}
	return Started{Key: key}
}

// begun moves a key that was queued on: a try is in flight now, a group is open.
func (w *world) begun(name string, key heal.StepKey) {
	delete(w.queued, name)
	if w.run.Task(key.Task).Group == "" {
		w.flying[name] = key
	} else {
		w.past = append(w.past, key)
	}
}

// checkGroups: nothing within a group begins before it is open, no loop has
// more tries in flight than it may, a group has ended exactly if all within it
// has, and it ended well only if nothing in a loop failed.
func (w world) checkGroups(t *testing.T, plan *Plan) {
	t.Helper()
	flying := map[string]int{}
	for _, key := range w.flying {
		flying[w.run.Task(key.Task).Of]++
	}
	going, bad := map[string]int{}, map[string]int{}
	for i := range w.run.Tasks {
		part := &w.run.Tasks[i]
		of := w.run.Task(part.Of)
		if of == nil {
			continue
		}
		if !part.StartedAt.IsZero() && of.StartedAt.IsZero() {
			t.Fatalf("task %s began before %s was entered", part.ID, of.ID)
		}
		if part.State == heal.RunFailed || part.State == heal.RunTimedOut {
			bad[of.ID]++
		}
		if !part.State.Ended() && part.State != heal.RunUnknown {
			going[of.ID]++
		}
	}
	for i := range w.run.Tasks {
		group := &w.run.Tasks[i]
		if group.Group == "" {
			continue
		}
		if most := plan.task(group.ID).Parallel; group.Group == heal.GroupLoop && flying[group.ID] > most {
			t.Fatalf("loop %s has %d tries in flight, at most %d may be", group.ID, flying[group.ID], most)
		}
		held := w.run.State == heal.RunPaused // the rest follows once it is resumed
		if group.State.Ended() && going[group.ID] > 0 && !held {
			t.Fatalf("%s is %s with %d parts that have not ended", group.ID, group.State, going[group.ID])
		}
		if group.State == heal.RunSucceeded && group.Group == heal.GroupLoop && bad[group.ID] > 0 {
			t.Fatalf("loop %s succeeded with %d entries that failed", group.ID, bad[group.ID])
		}
		if group.State == heal.RunRunning && !held && going[group.ID] == 0 && !w.doubted(group.ID) {
			t.Fatalf("%s is open though all of it has ended", group.ID)
		}
	}
}

// doubted reports whether nobody is sure of a part of a group.
func (w world) doubted(group string) bool {
	return slices.ContainsFunc(w.run.Tasks, func(t heal.TaskRun) bool { return t.Of == group && t.State == heal.RunUnknown })
}

// refusedWithin reports whether somebody said no to a task or to one within it.
func (w world) refusedWithin(id string) bool {
	return saidNo(w.run.Task(id).Approval) || slices.ContainsFunc(w.run.Parts(id), w.refusedWithin)
}
