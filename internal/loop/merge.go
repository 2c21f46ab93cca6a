package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
)

// maxStanding bounds the cases on one cause that are looked at.
const maxStanding = 16

// reserve makes a case the only one that decides about its cause; errHeld if
// another one does. The caller gives the cause back with unreserve.
func (l *Loop) reserve(ctx context.Context, inc *heal.Incident) error {
	l.mu.Lock()
	holder, taken := l.begins[inc.Cause]
	if !taken {
		l.begins[inc.Cause] = inc.ID
	}
	l.mu.Unlock()
	if taken && holder != inc.ID {
		return errHeld
	}
	err := l.reserveEverywhere(ctx, inc)
	if err != nil {
		l.unreserve(ctx, inc)
	}
	return err
}

func (l *Loop) unreserve(ctx context.Context, inc *heal.Incident) {
	l.mu.Lock()
	mine := l.begins[inc.Cause] == inc.ID
	if mine {
		delete(l.begins, inc.Cause)
	}
	l.mu.Unlock()
	if mine {
		l.unreserveEverywhere(ctx, inc)
	}
}

// standing finds the open case that a diagnosed one is a symptom of: one that
// stands on the same cause and is acted upon already, else the oldest. Empty:
// this case is the one.
func (l *Loop) standing(ctx context.Context, inc *heal.Incident) (heal.IncidentID, error) {
	l.mu.Lock()
	others := l.open.Anchored(inc.Scope, inc.Cause) // oldest first
	l.mu.Unlock()
	var oldest heal.IncidentID
	for _, id := range others[:min(len(others), maxStanding)] {
		if id == inc.ID {
			continue
		}
		other, err := l.load(ctx, id)
		if err != nil {
			return "", err
		}
		switch s := other.Value.State; {
		case s.Settled():
		case live(s) || s == heal.CaseVerifying:
			return id, nil
		case oldest == "" && id < inc.ID:
			oldest = id
		}
	}
	return oldest, nil
}

// merge ends a case by bringing its faults into another one.
func (l *Loop) merge(ctx context.Context, inc store.Stored[heal.Incident], host heal.IncidentID) error {
	top := inc.Value.Diagnosis.Top()
	var into, gone heal.Incident
	var intoAt, goneAt store.Revision
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		h, err := store.IncidentKind.Get(tx, string(host))
		if err != nil {
			return err
		}
		if h.Value.State.Settled() {
			return errAgain
		}
		to := draft{Incident: h.Value, tx: tx, now: l.now()}
		for _, m := range inc.Value.Members {
			a := incident.Assignment{Role: heal.Secondary, Score: top.Score}
			to.Incident = incident.Join(to.Incident, m.Fault, a, to.now)
			to.say("analyse", fmt.Sprintf("%s joins as secondary: it comes from the same cause", m.Fault.Key), top.For...)
		}
		from := draft{Incident: inc.Value, tx: tx, now: to.now}
		from.State, from.DueAt, from.EndedAt, from.UpdatedAt, from.Held = heal.CaseClosed, time.Time{}, to.now, to.now, ""
		from.Outcome = "it has the same cause as case " + string(host) + " and was merged into it"
		from.say("analyse", from.Outcome, top.For...)
		into, gone = to.Incident, from.Incident
		if goneAt, err = save(&from, inc.Revision); err != nil {
			return err
		}
		intoAt, err = save(&to, h.Revision)
		return err
	})
	if err == nil {
		l.settleIndex(gone, goneAt)
		l.settleIndex(into, intoAt)
		l.opts.Counters.merged(ctx)
	}
	return err
}
