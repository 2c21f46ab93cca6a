package loop

import (
	"fmt"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/store"
)

// KnowledgeKind stores what is known of plans against causes.
var KnowledgeKind = store.Kind[learn.Knowledge]{
	Table: store.Knowledge, Version: 1,
	Key:     func(k *learn.Knowledge) string { return k.Key() },
	Columns: func(k *learn.Knowledge) []any { return []any{string(k.Pattern)} },
}

// endAttempt writes down how an attempt ended and what it taught.
func (l *Loop) endAttempt(d *draft, a *heal.Attempt, result heal.AttemptResult, note string) error {
	a.Result, a.Note, a.EndedAt = result, note, d.now
	if err := l.reportAttempt(d, a); err != nil {
		return err
	}
	worth, counts := learn.Effectiveness(result)
	o := heal.Outcome{
		IncidentID: d.ID, Attempt: a.N, At: d.now, Pattern: a.Pattern, Entity: a.Target, Playbook: a.Playbook,
		Result: result, Effectiveness: worth, Duration: a.EndedAt.Sub(a.StartedAt), Scope: d.Scope,
	}
	if f := d.PrimaryFault(); f != nil {
		o.AlertName = f.AlertName
	}
	if top := d.Diagnosis.Top(); top != nil {
		o.FaultType = top.Type
	}
	if _, err := store.OutcomeKind.Put(d.tx, &o, store.Any); err != nil {
		return err
	}
	if !counts {
		return nil
	}
	known := learn.Knowledge{Pattern: a.Pattern, Playbook: a.Playbook}
	got, err := KnowledgeKind.Get(d.tx, known.Key())
	if err != nil && !heal.Is(err, heal.NotFound) {
		return err
	}
	if err == nil {
		known = got.Value
	}
	known = learn.Add(known, o)
	d.say("learn", fmt.Sprintf("%s against %s: %d of %d uses healed, smoothed rate %.2f", known.Playbook, known.Pattern, known.Successes, known.Uses, known.Rate()))
	_, err = KnowledgeKind.Put(d.tx, &known, store.Any)
	return err
}

// reportAttempt tells the guards how an attempt that touched something ended. A
// breaker that opens because of it is for people to hear of.
func (l *Loop) reportAttempt(d *draft, a *heal.Attempt) error {
	if a.ActedAt.IsZero() {
		return nil
	}
	opened, err := guard.Report(d.tx, guard.Ending{
		Run: a.RunID, Target: a.Target, Scope: l.scopeOf(&d.Incident, a.Target), Healed: a.Result == heal.AttemptHealed,
	}, l.opts.Limits, d.now)
	for _, b := range opened {
		text := fmt.Sprintf("the breaker of %s opened: %s; automation begins nothing there until a person closes it", b.Where(), b.Why)
		d.say("learn", text)
		owe(&d.Incident, d.now, heal.Critical, text)
	}
	return err
}

// release takes a fault out of a case that is ending and hands it back to the
// incident stage.
func (l *Loop) release(d *draft, left remnant) error {
	next, gone, ok := incident.Detach(d.Incident, left.fault.Key, d.now)
	if !ok {
		return nil
	}
	d.Incident = next
	text := "%s still holds and was no symptom of this: it is looked at anew"
	if left.wait > 0 {
		text = "%s is still reported by its source: if that stays so for " + left.wait.String() + " it is looked at anew"
	}
	d.say("learn", fmt.Sprintf(text, gone.Key))
	err := handOverOne(d.tx, fmt.Sprintf("%s/%s", d.ID, gone.Key), signal{Kind: alert.SignalRaised, Fault: gone, Wait: left.wait})
	nudge(l.faults)
	return err
}

func knowledgeOf(r store.Reader, pattern heal.Pattern) ([]learn.Knowledge, error) {
	rows, err := KnowledgeKind.All(r, store.Query{Where: []store.Cond{{Column: "pattern", Op: store.Eq, Value: string(pattern)}}})
	list := make([]learn.Knowledge, len(rows))
	for i := range rows {
		list[i] = rows[i].Value
	}
	return list, err
}

// provenBooks counts the verified successes of each playbook, any cause.
func provenBooks(r store.Reader) (map[string]int, error) {
	rows, err := KnowledgeKind.All(r, store.Query{})
	proven := map[string]int{}
	for _, row := range rows {
		proven[row.Value.Playbook] += row.Value.Successes
	}
	return proven, err
}

// pastOutcomes reads the newest outcomes, for experience.
func pastOutcomes(r store.Reader, pattern heal.Pattern) ([]heal.Outcome, error) {
	rows, _, err := store.OutcomeKind.List(r, store.Query{
		Where: []store.Cond{{Column: "pattern", Op: store.Eq, Value: string(pattern)}}, Order: "at", Desc: true, Limit: 200,
	})
	list := make([]heal.Outcome, len(rows))
	for i := range rows {
		list[i] = rows[i].Value
	}
	return list, err
}
