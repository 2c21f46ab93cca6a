package engine

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Order asks for a run.
type Order struct {
	Incident    heal.IncidentID // empty: a person's own run
	Decision    heal.DecisionID
	Attempt     int
	Scope       heal.Scope
	Name        string // of the playbook
	Digest      string
	Source      []byte
	Target      heal.EntityID
	Params      map[string]string
	Facts       heal.Facts
	Approval    *Ask // asked before anything starts, instead of the playbook's own
	RequestedBy string

	rerunOf heal.RunID     // the run it goes on with
	tasks   []heal.TaskRun // as that run left them; nil: fresh
}

// Start makes a run durable in tx; it goes on by itself once tx is.
func (e *Engine) Start(tx store.Tx, o Order) (heal.Run, error) {
	out, err := e.start(tx, o)
	return out.run.Value, err
}

func (e *Engine) start(tx store.Tx, o Order) (applied, error) {
	now := e.opts.Clock()
	if err := o.Target.Validate(); err != nil {
		return applied{}, heal.Wrap("start "+o.Name, err)
	}
	if o.rerunOf == "" {
		if err := pin(tx, o, now); err != nil {
			return applied{}, err
		}
	}
	book, err := e.books.book(tx, o.Digest)
	if err != nil {
		return applied{}, err
	}
	plan := *book.Plan()
	if o.Approval != nil {
		plan.Approval = o.Approval
	}
	run := heal.Run{
		ID: heal.RunID(heal.NewID(now, e.opts.Entropy)), IncidentID: o.Incident, DecisionID: o.Decision, Attempt: o.Attempt,
		Scope: o.Scope, Playbook: o.Name, Digest: o.Digest, Target: o.Target, Params: o.Params, Facts: o.Facts,
		State: heal.RunPending, Tasks: newTasks(&plan), RequestedBy: o.RequestedBy, CreatedAt: now,
	}
	if o.tasks != nil {
		run.RerunOf, run.Tasks = o.rerunOf, o.tasks
	}
	if _, err := journalKind.Put(tx, &Entry{Run: run.ID, At: now, Phase: PhaseProposed, Target: o.Target, By: o.RequestedBy, Text: o.Name}, store.Any); err != nil {
		return applied{}, err
	}
	d := edit{e: e, tx: tx, from: memory{run: store.Stored[heal.Run]{Value: run, Revision: store.Fresh}, book: book}, own: &belongings{}, plan: &plan, run: run, now: now}
	if err := d.step(Begin{}); err != nil {
		return applied{}, err
	}
	return d.write()
}

// pin keeps the playbook's source for as long as runs may need it.
func pin(tx store.Tx, o Order, now time.Time) error {
	_, err := sourceKind.Get(tx, o.Digest)
	if !heal.Is(err, heal.NotFound) {
		return err
	}
	_, err = sourceKind.Put(tx, &source{Digest: o.Digest, Name: o.Name, At: now, Text: o.Source}, store.Any)
	return err
}

// StartNow makes a run durable and sees that it begins.
func (e *Engine) StartNow(ctx context.Context, o Order) (heal.Run, error) {
	var out applied
	err := e.store.Update(ctx, func(tx store.Tx) (err error) {
		out, err = e.start(tx, o)
		return err
	})
	if err == nil {
		e.goOn(out)
	}
	return out.run.Value, err
}

// Pause holds new tries of a run back.
func (e *Engine) Pause(ctx context.Context, id heal.RunID, by, why string) error {
	return e.told(ctx, id, by, "paused", PauseAsked{By: by, Why: why})
}

// Resume lets a paused run go on.
func (e *Engine) Resume(ctx context.Context, id heal.RunID, by string) error {
	return e.told(ctx, id, by, "resumed", ResumeAsked{By: by})
}

// Cancel ends a run once what is in flight has ended.
func (e *Engine) Cancel(ctx context.Context, id heal.RunID, by, why string) error {
	return e.told(ctx, id, by, "cancelled", CancelAsked{By: by, Why: why})
}

// Rollback undoes what a run completed, also after its end.
func (e *Engine) Rollback(ctx context.Context, id heal.RunID, by, why string) error {
	return e.told(ctx, id, by, "rollback asked", RollbackAsked{By: by, Why: why})
}

// Answer gives a person's answer to a run's question, or a task's.
func (e *Engine) Answer(ctx context.Context, id heal.RunID, a Answered) error {
	return e.told(ctx, id, a.By, a.Answer+suffix(" task ", a.Task), a)
}

// Settle gives a person's word on a task nobody could be sure of.
func (e *Engine) Settle(ctx context.Context, id heal.RunID, s Settled) error {
	return e.told(ctx, id, s.By, "settled as "+string(s.As), s)
}

// RollbackIn is Rollback inside a transaction of the caller's.
func (e *Engine) RollbackIn(tx store.Tx, id heal.RunID, by, why string) (heal.Run, error) {
	d, err := e.edit(tx, id, nil)
	if err != nil {
		return heal.Run{}, err
	}
	if err := d.step(RollbackAsked{By: by, Why: why}); err != nil {
		return heal.Run{}, err
	}
	out, err := d.write()
	return out.run.Value, err
}

func suffix(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// told applies what a person said and journals who said it.
func (e *Engine) told(ctx context.Context, id heal.RunID, by, what string, ev Event) error {
	_, err := e.change(ctx, id, nil, func(d *edit) error {
		phase := PhaseNoted
		if a, ok := ev.(Answered); ok && a.Answer == heal.Approved {
			phase = PhaseApproved
		}
		if _, err := journalKind.Put(d.tx, &Entry{Run: id, At: d.now, Phase: phase, By: by, Text: what}, store.Any); err != nil {
			return err
		}
		return d.step(ev)
	})
	return err
}
