package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Rerun asks for what a run did not complete to be done by a new run.
type Rerun struct {
	From []string // tasks to begin at; empty: at those that failed or ran out of time
	By   string
	Why  string
}

// Rerun makes a new run that takes over what an ended one completed and does
// the rest: the tasks it begins at, what depends on them, and whatever was not
// completed. The old run can then neither be rolled back nor be run again; the
// new one undoes what it took over too. It goes on by itself.
func (e *Engine) Rerun(ctx context.Context, id heal.RunID, r Rerun) (heal.Run, error) {
	var out applied
	err := e.store.Update(ctx, func(tx store.Tx) (err error) {
		out, err = e.rerun(tx, id, r)
		return err
	})
	if err == nil {
		e.goOn(out)
	}
	return out.run.Value, err
}

func (e *Engine) rerun(tx store.Tx, id heal.RunID, r Rerun) (applied, error) {
	old, err := e.load(tx, id)
	if err != nil {
		return applied{}, err
	}
	was := &old.run.Value
	tasks, err := takeOver(was, old.book.Plan(), r.From)
	if err != nil {
		return applied{}, err
	}
	facts := was.Facts
	if facts.Incident == "" {
		facts.Incident = was.IncidentID
	}
	out, err := e.start(tx, Order{
		Scope: was.Scope, Name: was.Playbook, Digest: was.Digest, Target: was.Target, Params: was.Params, Facts: facts,
		RequestedBy: r.By, rerunOf: id, tasks: tasks,
	})
	if err != nil {
		return applied{}, err
	}
	was.RerunBy = out.run.Value.ID
	if _, err := store.RunKind.Put(tx, was, old.run.Revision); err != nil {
		return applied{}, err
	}
	_, err = journalKind.Put(tx, &Entry{
		Run: id, At: out.at, Phase: PhaseNoted, By: r.By, Text: because("run "+string(was.RerunBy)+" goes on with it", r.Why),
	}, store.Any)
	return out, err
}

// takeOver lays out the tasks of a rerun: those that are kept as they ended,
// the others fresh.
func takeOver(old *heal.Run, plan *Plan, from []string) ([]heal.TaskRun, error) {
	refuse := func(format string, args ...any) ([]heal.TaskRun, error) {
		return nil, heal.Errorf(heal.Conflict, "run "+string(old.ID)+" again", format, args...)
	}
	switch {
	case old.DryRun:
		return refuse("it was a dry run")
	case !old.State.Ended():
		return refuse("it has not ended, it is %s", old.State)
	case old.RerunBy != "":
		return refuse("run %s goes on with it already", old.RerunBy)
	}
	if len(from) == 0 {
		from = broken(old)
	}
	if len(from) == 0 && old.Rollback == "" {
		return refuse("no task of it failed; name the one to begin at, of %s", strings.Join(ids(plan), ", "))
	}
	for _, id := range from {
		if old.Task(id) == nil {
			return nil, heal.Errorf(heal.Invalid, "run "+string(old.ID)+" again", "there is no task %q; there are %s", id, strings.Join(ids(plan), ", "))
		}
	}
	again := behind(plan, old, from)
	whole := completed(old, again)
	var tasks []heal.TaskRun
	for i := range old.Tasks {
		was := &old.Tasks[i]
		named := slices.ContainsFunc(around(old, was), func(id string) bool { return slices.Contains(from, id) })
		switch {
		case was.State == heal.RunUnknown && !named:
			return refuse("whether task %s happened is not known; look at its target, then begin at it or leave it", was.ID)
		case was.Undo != nil && was.Undo.State == heal.RunFailed && !named:
			return refuse("the undo of task %s failed; look at its target, then begin at it or leave it", was.ID)
		case was.Item != "" && again[was.Of]:
			// The list is made anew.
		case whole[was.ID] || was.State == heal.RunSucceeded && was.Group == "" && !again[was.ID]:
			kept := *was
			kept.Kept = was.State == heal.RunSucceeded
			kept.Undo = nil
			tasks = append(tasks, kept)
		default:
			fresh := plan.task(was.ID).fresh()
			if was.Item != "" { // the list stays as it was
				fresh.ID, fresh.Group, fresh.Of, fresh.Item = was.ID, "", was.Of, was.Item
			}
			tasks = append(tasks, fresh)
		}
	}
	return tasks, nil
}

// around is a task and the groups it is within.
func around(run *heal.Run, t *heal.TaskRun) []string {
	var out []string
	for ; t != nil; t = run.Task(t.Of) {
		out = append(out, t.ID)
	}
	return out
}

// completed are the groups that ended well, with nothing in them that failed or
// is done again, and all that is within them, also what conditions left out.
func completed(run *heal.Run, again map[string]bool) map[string]bool {
	out := map[string]bool{}
	for i := range run.Tasks {
		t := &run.Tasks[i]
		if out[t.Of] || t.Group != "" && t.State == heal.RunSucceeded && !touched(run, t.ID, again) && !partFailed(run, t.ID) {
			out[t.ID] = true
		}
	}
	return out
}

// touched reports whether a task or anything within it is among some.
func touched(run *heal.Run, id string, some map[string]bool) bool {
	return some[id] || slices.ContainsFunc(run.Parts(id), func(part string) bool { return touched(run, part, some) })
}

// broken are the tasks at which a run broke.
func broken(run *heal.Run) []string {
	var out []string
	for i := range run.Tasks {
		switch t := &run.Tasks[i]; t.State {
		case heal.RunFailed, heal.RunTimedOut:
			if !partFailed(run, t.ID) { // else that is where
				out = append(out, t.ID)
			}
		case heal.RunSkipped, heal.RunCancelled, heal.RunRolledBack, heal.RunSucceeded, heal.RunUnknown,
			heal.RunPending, heal.RunWaiting, heal.RunRunning, heal.RunPaused:
		}
	}
	if len(out) > 0 || run.State == heal.RunSucceeded {
		return out
	}
	for i := range run.Tasks { // cut short: begin where it stopped
		t := &run.Tasks[i]
		if (t.State == heal.RunCancelled || t.State == heal.RunSkipped) && len(run.Parts(t.ID)) == 0 {
			out = append(out, t.ID)
		}
	}
	return out
}

// partFailed reports whether anything within a group failed.
func partFailed(run *heal.Run, group string) bool {
	return slices.ContainsFunc(run.Parts(group), func(id string) bool {
		s := run.Task(id).State
		return s == heal.RunFailed || s == heal.RunTimedOut || partFailed(run, id)
	})
}

// behind are the tasks and all that depend on them. What is within a group that
// is done again is done again; what needs a group waits for all within it.
func behind(plan *Plan, run *heal.Run, from []string) map[string]bool {
	out := map[string]bool{}
	for _, id := range from {
		out[id] = true
	}
	for grown := true; grown; {
		grown = false
		for i := range run.Tasks {
			t := &run.Tasks[i]
			needs := plan.task(t.ID).Needs
			if t.Item != "" {
				needs = nil // they are the loop's
			}
			if !out[t.ID] && (out[t.Of] || slices.ContainsFunc(needs, func(need string) bool { return touched(run, need, out) })) {
				out[t.ID], grown = true, true
			}
		}
	}
	return out
}

func ids(plan *Plan) []string {
	out := make([]string, len(plan.Tasks))
	for i := range plan.Tasks {
		out[i] = plan.Tasks[i].ID
	}
	return out
}

// heldElsewhere refuses to undo what another run has taken over.
func (m *machine) heldElsewhere() error {
	if m.run.RerunBy == "" {
		return nil
	}
	return m.conflict("was taken over by run %s; roll that one back", m.run.RerunBy)
}
