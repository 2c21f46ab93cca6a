package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
)

// signalBatch bounds the signals taken in one transaction, and with it how long
// others who write wait for it.
const signalBatch = 50

// takeSignals groups faults into cases.
func (l *Loop) takeSignals(ctx context.Context) (rest time.Duration, err error) {
	var batch []store.Stored[handover]
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		batch, _, err = handoverKind.List(r, store.Query{Order: "revision", Limit: 1})
		return err
	})
	if err != nil || len(batch) == 0 {
		return poll, err
	}
	graph := l.parts.Topology.Snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	err = l.parts.Store.Update(ctx, func(tx store.Tx) error {
		for i := range batch {
			for k := range batch[i].Value.Signals {
				if err := l.takeSignal(tx, &batch[i].Value.Signals[k], graph); err != nil {
					return err
				}
			}
			if err := tx.Delete(store.Faults, batch[i].Value.Key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		again := l.reindex(ctx)
		if heal.Is(err, heal.Conflict) {
			err = nil
		}
		return 0, errors.Join(err, again)
	}
	l.opts.Counters.batch(ctx, "incidents", len(batch))
	nudge(l.cases)
	return 0, nil
}

// takeSignal brings one fault into its case. The index is changed before the
// transaction is durable, so that the next fault of the batch sees it; if the
// transaction fails it is built anew.
func (l *Loop) takeSignal(tx store.Tx, s *signal, graph incident.Graph) error {
	if s.Kind == alert.SignalCleared {
		return l.clear(tx, s.Fault)
	}
	for {
		a := l.open.Assign(s.Fault, graph, l.now())
		if a.Join == "" {
			return l.openCase(tx, s, a)
		}
		inc, err := store.IncidentKind.Get(tx, string(a.Join))
		if err != nil {
			return err
		}
		if inc.Value.State.Ended() { // it ended since the index was read
			l.open.remove(a.Join)
			continue
		}
		return l.join(tx, inc, s.Fault, a)
	}
}

func (l *Loop) openCase(tx store.Tx, s *signal, a incident.Assignment) error {
	now, f := l.now(), s.Fault
	inc := incident.New(heal.IncidentID(l.newID()), f, now)
	inc.DueAt = now.Add(max(l.opts.Settle, s.Wait))
	story := say(&inc, now, "sense", fmt.Sprintf("%s: %s", f.Source, f.Message), a.Reasons...)
	if err := tell(tx, story); err != nil {
		return err
	}
	at, err := store.IncidentKind.Put(tx, &inc, store.Absent)
	l.open.put(inc, at)
	return err
}

func (l *Loop) join(tx store.Tx, inc store.Stored[heal.Incident], f heal.Fault, a incident.Assignment) error {
	now := l.now()
	before := len(inc.Value.Members)
	primary := inc.Value.PrimaryFault()
	next := incident.Join(inc.Value, f, a, now)
	if len(next.Members) > before {
		if err := tell(tx, say(&next, now, "sense", fmt.Sprintf("%s joins as %s: %s", f.Key, a.Role, f.Message), a.Reasons...)); err != nil {
			return err
		}
	}
	if deepened(primary, next.PrimaryFault()) && next.State == heal.CaseDeciding {
		next.State, next.DueAt, next.Held = heal.CaseOpen, now, "" // what was found was found for another fault
	}
	at, err := store.IncidentKind.Put(tx, &next, inc.Revision)
	l.open.put(next, at)
	return err
}

func deepened(before, after *heal.Fault) bool {
	return before != nil && after != nil && before.Key != after.Key
}

// clear notes that a fault no longer holds by its source's word. That alone
// heals nothing: a case in verification still wants fresh evidence.
func (l *Loop) clear(tx store.Tx, f heal.Fault) error {
	id, ok := l.open.Find(f.Scope, f.Key)
	if !ok {
		return nil
	}
	inc, err := store.IncidentKind.Get(tx, string(id))
	if err != nil || inc.Value.State.Ended() {
		return err
	}
	now := l.now()
	next, changed := incident.Clear(inc.Value, f.Key, f.AlertID, f.ClearedAt)
	if !changed {
		return nil
	}
	next.UpdatedAt = now
	if err := tell(tx, say(&next, now, "sense", fmt.Sprintf("%s cleared, says %s", f.Key, f.Source))); err != nil {
		return err
	}
	if len(incident.Holding(next)) == 0 && idle(next.State) {
		next.DueAt = now // nothing holds any more: look at it
	}
	at, err := store.IncidentKind.Put(tx, &next, inc.Revision)
	l.open.put(next, at)
	return err
}

// idle reports whether nothing is being done about a case in that state.
func idle(s heal.CaseState) bool {
	switch s {
	case heal.CaseOpen, heal.CaseDiagnosing, heal.CaseDeciding, heal.CaseEscalated:
		return true
	case heal.CaseWaiting, heal.CaseActing, heal.CaseVerifying, heal.CaseHealed, heal.CaseClosed:
		return false
	}
	return false
}
