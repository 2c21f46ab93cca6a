package loop

import (
	"context"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Close ends a case by a person's word.
func (l *Loop) Close(ctx context.Context, id heal.IncidentID, by, why string) error {
	return l.byPerson(ctx, id, func(d *draft) error {
		if live(d.State) {
			return heal.Errorf(heal.Conflict, "close case "+string(id), "a run is under way for it; cancel the run first")
		}
		d.say("person", "closes it: "+why)
		d.story[len(d.story)-1].By = by
		if err := l.giveUp(d, "closed by "+by); err != nil {
			return err
		}
		return l.closeCase(d, "closed by "+by+": "+why)
	})
}

// Escalate hands a case to a person by a person's word.
func (l *Loop) Escalate(ctx context.Context, id heal.IncidentID, by, why string) error {
	return l.byPerson(ctx, id, func(d *draft) error {
		if live(d.State) {
			return heal.Errorf(heal.Conflict, "escalate case "+string(id), "a run is under way for it; cancel the run first")
		}
		if d.State == heal.CaseEscalated {
			return heal.Errorf(heal.Conflict, "escalate case "+string(id), "a person has it already")
		}
		if err := l.giveUp(d, "handed over by "+by); err != nil {
			return err
		}
		return l.escalate(d, "asked by "+by+": "+why)
	})
}

// Note adds a person's words to the story of a case.
func (l *Loop) Note(ctx context.Context, id heal.IncidentID, by, text string) error {
	return l.retry(ctx, id, func(inc store.Stored[heal.Incident]) error {
		return l.put(ctx, inc, func(d *draft) error {
			d.DueAt = inc.Value.DueAt
			d.say("person", text)
			d.story[len(d.story)-1].By = by
			return nil
		})
	})
}

// giveUp ends an attempt whose verification a person does not wait for.
func (l *Loop) giveUp(d *draft, why string) error {
	a := lastAttempt(&d.Incident)
	if a == nil || a.Result != heal.AttemptRunning {
		return nil
	}
	return l.endAttempt(d, a, heal.AttemptUnknown, why)
}

// live reports whether a run of the case may still touch the world.
func live(s heal.CaseState) bool { return s == heal.CaseActing || s == heal.CaseWaiting }

func (l *Loop) byPerson(ctx context.Context, id heal.IncidentID, change func(*draft) error) error {
	err := l.retry(ctx, id, func(inc store.Stored[heal.Incident]) error {
		if inc.Value.State.Ended() {
			return heal.Errorf(heal.Conflict, "case "+string(id), "has ended, it is %s", inc.Value.State)
		}
		return l.put(ctx, inc, change)
	})
	nudge(l.cases)
	return err
}

// personTries is how often a person's word is applied anew to a case that
// changes at the same moment.
const personTries = 5

func (l *Loop) retry(ctx context.Context, id heal.IncidentID, apply func(store.Stored[heal.Incident]) error) error {
	for tries := 1; ; tries++ {
		inc, err := l.load(ctx, id)
		if err == nil {
			err = apply(inc)
		}
		if !heal.Is(err, heal.Conflict) || tries == personTries {
			return err
		}
	}
}

// Acknowledge notes that a person has seen an alert.
func (l *Loop) Acknowledge(ctx context.Context, id heal.AlertID, by, note string) error {
	return l.changeAlert(ctx, id, func(a heal.Alert) (heal.Alert, []heal.AlertEvent, alert.Signal, error) {
		next, events, err := alert.Acknowledge(a, by, note, l.now())
		return next, events, alert.SignalNone, err
	})
}

// Unacknowledge takes an acknowledgement back.
func (l *Loop) Unacknowledge(ctx context.Context, id heal.AlertID, by, note string) error {
	return l.changeAlert(ctx, id, func(a heal.Alert) (heal.Alert, []heal.AlertEvent, alert.Signal, error) {
		next, events, err := alert.Unacknowledge(a, by, note, l.now())
		return next, events, alert.SignalNone, err
	})
}

// Resolve ends an alert by a person's word.
func (l *Loop) Resolve(ctx context.Context, id heal.AlertID, by, note string) error {
	return l.changeAlert(ctx, id, func(a heal.Alert) (heal.Alert, []heal.AlertEvent, alert.Signal, error) {
		next, events, sig := alert.ResolveByHand(a, by, note, l.now())
		return next, events, sig, nil
	})
}

type alertChange func(heal.Alert) (heal.Alert, []heal.AlertEvent, alert.Signal, error)

func (l *Loop) changeAlert(ctx context.Context, id heal.AlertID, change alertChange) error {
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		stored, err := alertKind.Get(tx, string(id))
		if err != nil {
			return err
		}
		next, events, sig, err := change(stored.Value)
		if err != nil {
			return err
		}
		rec, err := alertKind.Replace(stored, &next)
		if err != nil {
			return err
		}
		if _, err := tx.Put(store.Alerts, rec); err != nil {
			return err
		}
		for i := range events {
			if _, err := store.AlertEventKind.Put(tx, &events[i], store.Any); err != nil {
				return err
			}
		}
		if sig == alert.SignalNone {
			return nil
		}
		return handOverOne(tx, "person/"+l.newID(), signal{Kind: sig, Fault: detect.FromAlert(next, l.now())})
	})
	if err == nil {
		nudge(l.faults)
	}
	return err
}
