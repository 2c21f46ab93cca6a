package loop

import (
	"context"
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
)

// RunChanged takes what happened to a run into its case, in the transaction
// that makes it so. It is the engine's Listener.
func (l *Loop) RunChanged(tx store.Tx, change engine.Change) error {
	run := &change.After
	if run.IncidentID == "" || change.Before.ID == "" {
		return nil // nobody's case, or the case itself is starting it now
	}
	inc, err := store.IncidentKind.Get(tx, string(run.IncidentID))
	if err != nil {
		return err
	}
	d := draft{Incident: inc.Value, tx: tx, now: change.At}
	d.Attempts, d.UpdatedAt = slices.Clone(d.Attempts), d.now
	attempt := attemptOf(&d.Incident, run.ID)
	if attempt == nil { // Begin, inside the transaction of the decision
		return nil
	}
	before := d.Entries
	l.narrate(&d, change)
	if err := pageRefusals(&d, change); err != nil {
		return err
	}
	if d.State == heal.CaseWaiting && !run.StartedAt.IsZero() {
		d.State = heal.CaseActing
		d.ActedAt = d.now
	}
	if change.Over {
		if err := l.runOver(&d, attempt, run); err != nil {
			return err
		}
	}
	if d.Entries == before && len(d.Owed) == len(inc.Value.Owed) && d.State == inc.Value.State {
		return nil
	}
	_, err = save(&d, inc.Revision)
	change.AfterCommit(func() {
		l.opts.Counters.changed(context.Background(), &inc.Value, &d.Incident)
		nudge(l.cases)
	})
	return err
}

func attemptOf(inc *heal.Incident, run heal.RunID) *heal.Attempt {
	for i := range inc.Attempts {
		if inc.Attempts[i].RunID == run {
			return &inc.Attempts[i]
		}
	}
	return nil
}

// narrate tells the progress of a run: what ended, what was answered, what
// people must hear.
func (l *Loop) narrate(d *draft, change engine.Change) {
	before, after := &change.Before, &change.After
	if a := after.Approval; a != nil && a.Answer != "" && (before.Approval == nil || before.Approval.Answer == "") {
		d.say("person", answerText(a))
	}
	for i := range after.Tasks {
		t := &after.Tasks[i]
		was := before.Task(t.ID)
		if was != nil && was.State != t.State && told(t.State) {
			d.say("act", taskText(t))
		}
		if was != nil && was.Refusal == nil && t.Refusal != nil {
			d.say("act", fmt.Sprintf("%s is held back: %s", t.ID, t.Refusal.Text), *t.Refusal)
		}
		if t.Undo != nil && t.Undo.State.Ended() && (was == nil || was.Undo == nil || was.Undo.State != t.Undo.State) {
			d.say("act", fmt.Sprintf("undo of %s: %s%s", t.ID, t.Undo.State, suffix(t.Undo.Error)))
		}
	}
	if after.State == heal.RunPaused && before.State != heal.RunPaused {
		d.say("act", "run paused: "+after.Reason)
	}
	for _, n := range change.Notes {
		severity := heal.Info
		if n.Urgent {
			severity = heal.Critical
		}
		owe(&d.Incident, d.now, severity, n.Text)
	}
}

// pageRefusals lets people hear of what holds a run back, where they must.
func pageRefusals(d *draft, change engine.Change) error {
	for i := range change.After.Tasks {
		t := &change.After.Tasks[i]
		was := change.Before.Task(t.ID)
		if t.Refusal == nil || was != nil && was.Refusal != nil && was.Refusal.Code == t.Refusal.Code {
			continue
		}
		page, err := guard.Page(d.tx, guard.Recall(*t.Refusal, change.After.Scope), d.now)
		if err != nil {
			return err
		}
		if page {
			owe(&d.Incident, d.now, heal.Critical, fmt.Sprintf("%s needs a person: %s.", d.Title, t.Refusal.Text))
		}
	}
	return nil
}

func told(s heal.RunState) bool {
	switch s {
	case heal.RunSucceeded, heal.RunFailed, heal.RunTimedOut, heal.RunSkipped, heal.RunUnknown, heal.RunCancelled:
		return true
	case heal.RunPending, heal.RunWaiting, heal.RunRunning, heal.RunPaused, heal.RunRolledBack:
		return false
	}
	return false
}

func taskText(t *heal.TaskRun) string {
	name := t.ID
	if t.Name != "" {
		name = t.Name
	}
	if t.Item != "" { // parts of a loop have one name
		name = t.ID + " " + t.Item
	}
	text := fmt.Sprintf("%s (%s): %s", name, t.Action, t.State)
	if t.State == heal.RunSucceeded && !t.StartedAt.IsZero() {
		text += fmt.Sprintf(" in %s", t.EndedAt.Sub(t.StartedAt).Round(1e6))
	}
	return text + suffix(t.Error)
}

func suffix(err string) string {
	if err == "" {
		return ""
	}
	return ", " + err
}

func answerText(a *heal.Approval) string {
	if a.Answer == heal.Expired {
		return fmt.Sprintf("nobody among %s answered by the deadline; silence means no", a.Owner)
	}
	text := fmt.Sprintf("%s by %s", a.Answer, a.By)
	if a.Note != "" {
		text += ": " + a.Note
	}
	return text
}

// runOver says how an attempt stands once its run has ended.
func (l *Loop) runOver(d *draft, attempt *heal.Attempt, run *heal.Run) error {
	if attempt.Result != heal.AttemptRunning {
		d.say("act", fmt.Sprintf("rollback of run %s: %s", run.ID, run.Rollback))
		return nil
	}
	attempt.ActedAt = run.ActedAt
	if run.State == heal.RunSucceeded {
		if attempt.ActedAt.IsZero() {
			attempt.ActedAt = d.now
		}
		d.State, d.DueAt = heal.CaseVerifying, d.now
		d.say("verify", fmt.Sprintf("%s is done; now it must show that it helped", run.Playbook))
		return nil
	}
	d.say("act", fmt.Sprintf("run %s ended as %s: %s", run.ID, run.State, run.Reason))
	if run.State == heal.RunCancelled || refused(run) {
		return l.notCarriedOut(d, attempt, run)
	}
	if err := l.endAttempt(d, attempt, heal.AttemptFailed, run.Reason); err != nil {
		return err
	}
	if run.HandOver {
		return l.escalate(d, fmt.Sprintf("%s wants a person: %s", run.Playbook, run.Reason))
	}
	l.again(d)
	return nil
}

// refused reports whether a run failed because of a no, not because of the
// plan: a person's or their silence, also to what nobody else could tell, or a
// guard's.
func refused(run *heal.Run) bool {
	for i := range run.Tasks {
		t := &run.Tasks[i]
		if t.State != heal.RunFailed {
			continue
		}
		silent := t.Approval != nil && (t.Approval.Answer == heal.Expired || t.Approval.Answer == heal.DeniedBy)
		if silent || t.ErrorKind == heal.Denied.String() && t.Refusal != nil {
			return true
		}
	}
	return false
}

// notCarriedOut ends automation: somebody or a guard said no, or nobody said
// yes. What has cleared meanwhile needs no person.
func (l *Loop) notCarriedOut(d *draft, attempt *heal.Attempt, run *heal.Run) error {
	if err := l.endAttempt(d, attempt, heal.AttemptDenied, run.Reason); err != nil {
		return err
	}
	if len(incident.Holding(d.Incident)) == 0 && run.ActedAt.IsZero() {
		return l.closeCase(d, "it cleared by itself before anything was done")
	}
	return l.escalate(d, fmt.Sprintf("%s on %s was not carried out: %s", run.Playbook, run.Target, run.Reason))
}

// again lets the case be diagnosed anew for its next attempt, once the spacing
// of attempts allows it.
func (l *Loop) again(d *draft) {
	limits := l.opts.Limits.For(d.Scope)
	wait := limits.Wait(len(d.Attempts) + 1)
	if len(d.Attempts) >= limits.Attempts {
		wait = 0 // the decision will say that the attempts are spent
	}
	d.State, d.DueAt = heal.CaseDiagnosing, d.now.Add(wait)
	if wait > 0 {
		d.say("decide", fmt.Sprintf("the next attempt waits %s", wait))
	}
}
