package engine

import (
	"context"
	"fmt"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Previews say what actions would do; action.PreviewSet is one. There is no
// way to act through it.
type Previews interface {
	Preview(ctx context.Context, call action.Call) (action.Preview, error)
}

// DryRunner shows what a playbook would do. It holds previewers only, no
// drivers: it cannot act.
type DryRunner struct {
	Store    store.Store
	Previews Previews
	Library  Library
	Specs    map[string]action.Spec
	Options  Options
}

// DryRun keeps and gives a run in which every task says what it would do and
// what the guards would answer now.
func (d *DryRunner) DryRun(ctx context.Context, o Order) (heal.Run, error) {
	if err := o.Target.Validate(); err != nil {
		return heal.Run{}, heal.Wrap("dry run of "+o.Name, err)
	}
	book, err := d.Library.Open(o.Source)
	if err != nil {
		return heal.Run{}, err
	}
	now := d.Options.Clock()
	run := heal.Run{
		ID: heal.RunID(heal.NewID(now, d.Options.Entropy)), IncidentID: o.Incident, DecisionID: o.Decision, Attempt: o.Attempt, Scope: o.Scope,
		Playbook: o.Name, Digest: o.Digest, Target: o.Target, Params: o.Params, Facts: o.Facts, DryRun: true, State: heal.RunSucceeded,
		Reason: "dry run: nothing was done", Tasks: newTasks(book.Plan()), RequestedBy: o.RequestedBy, CreatedAt: now, StartedAt: now, EndedAt: now,
	}
	for i := 0; i < len(run.Tasks); i++ { // a loop adds its parts behind it
		if run.Tasks[i].Group != "" {
			d.open(book, &run, i)
			continue
		}
		d.preview(ctx, book, &run, &run.Tasks[i])
	}
	err = d.Store.Update(ctx, func(tx store.Tx) error {
		_, err := store.RunKind.Put(tx, &run, store.Fresh)
		return err
	})
	return run, err
}

// open says what is in a group, and lays out the parts of a loop as a run would.
func (d *DryRunner) open(book Book, run *heal.Run, i int) {
	t := &run.Tasks[i]
	spec := book.Plan().task(t.ID)
	t.State = heal.RunSkipped
	switch t.Group {
	case heal.GroupPlaybook:
		t.Preview = fmt.Sprintf("Would carry out the tasks of %s.", t.Action)
	case heal.GroupLoop:
		items, err := book.Items(run, t.ID)
		if err == nil {
			err = fits(run, t.ID, len(items))
		}
		if err != nil {
			t.Preview = "depends on what happens before: " + err.Error()
			return
		}
		t.Preview = fmt.Sprintf("Would do this for each of %d entries, %d at once.", len(items), max(spec.Parallel, 1))
		defer func() { run.Tasks = spread(run.Tasks, spec, items) }()
	}
	if spec.Confirm != nil {
		t.Preview += "\n" + wouldAsk(book.Plan(), spec.Confirm, run, t.ID)
	}
}

// preview fills in what one task would do. What depends on the output of a
// task that did not run cannot be rendered, and says so.
func (d *DryRunner) preview(ctx context.Context, book Book, run *heal.Run, t *heal.TaskRun) {
	t.State = heal.RunSkipped
	work, err := book.Work(run, t.ID, false)
	if err != nil {
		t.Preview = "depends on what happens before: " + err.Error()
		return
	}
	call := action.Call{Key: heal.StepKey{Run: run.ID, Task: t.ID, Attempt: 1}, Action: work.Action, Target: work.Target, Params: work.Params}
	ctx, cancel := context.WithTimeout(ctx, work.Timeout)
	defer cancel()
	p, err := d.Previews.Preview(ctx, call)
	if err != nil {
		t.Preview = "would fail: " + err.Error()
		t.Error, t.ErrorKind = err.Error(), heal.KindOf(err).String()
		return
	}
	t.Preview = p.Text
	if p.Diff != "" {
		t.Preview += "\n" + p.Diff
	}
	if ask := book.Plan().task(t.ID).Confirm; ask != nil && t.Item == "" {
		t.Preview += "\n" + wouldAsk(book.Plan(), ask, run, t.ID)
	}
	said, err := d.guards(ctx, run, work)
	if err != nil {
		t.Preview += fmt.Sprintf("\nThe guards could not be asked: %v", err)
		return
	}
	if v := said.Verdict; !v.Allowed() {
		t.Refusal = &v.Reason
		t.Preview += "\nA guard would refuse it now: " + v.Reason.Text
	}
	for _, f := range said.Rules {
		t.Guards = append(t.Guards, heal.GuardWord{Rule: string(f.Rule), Allows: f.Allows, Reason: f.Reason})
	}
}

// wouldAsk says whom a task would ask.
func wouldAsk(plan *Plan, ask *Ask, run *heal.Run, task string) string {
	question := ask.Question
	if plan.Question != nil {
		question = plan.Question(run, task)
	}
	return fmt.Sprintf("Would first ask %d of %s within %s: %s", max(ask.Quorum, 1), ask.Owner, ask.Within, question)
}

// guards asks every guard what it would say now.
func (d *DryRunner) guards(ctx context.Context, run *heal.Run, work Work) (said guard.Explanation, err error) {
	err = d.Store.View(ctx, func(r store.Reader) error {
		t := try{work: work, spec: d.Specs[work.Action]}
		opts := d.Options
		opts.defaults()
		said, err = guard.Explain(r, request(run, &t), opts.Limits, opts.Clock())
		return err
	})
	return said, err
}
