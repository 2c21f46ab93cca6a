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

// What begins a case, joins one or clears in one is taken at once. What only
// says again what a case holds already waits so long for more of it, since a
// case is written whole each time.
const gatherFor = 2 * time.Second

// gatherMost bounds the batches of signals taken together.
const gatherMost = 200

// gathering is the batches of signals that were read and not taken yet, oldest
// first. It belongs to the incident stage.
type gathering struct {
	batches []store.Stored[handover]
	newest  store.Revision    // read so far
	since   time.Time         // the first of them was read
	urgent  bool              // there is more than repetition among them
	done    map[string]uint64 // signals of a batch that are in their cases, by the batch's key; nil: not read yet
}

// takeSignals groups faults into cases.
func (l *Loop) takeSignals(ctx context.Context) (rest time.Duration, err error) {
	if l.round == nil {
		if rest, err = l.collect(ctx); err != nil || rest > 0 {
			return rest, err
		}
		err = l.beginRound(ctx)
	}
	if err == nil {
		err = l.writeRound(ctx)
	}
	if err != nil {
		l.round, l.gathered = nil, gathering{}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.recent.forget()
		again := l.reindex(ctx)
		if heal.Is(err, heal.Conflict) {
			err = nil
		}
		return 0, errors.Join(err, again)
	}
	return 0, nil
}

// collect reads what waits; rest is how long it can wait for more.
func (l *Loop) collect(ctx context.Context) (rest time.Duration, err error) {
	g := &l.gathered
	var more []store.Stored[handover]
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		if g.done == nil {
			if g.done, err = doneBefore(r); err != nil {
				return err
			}
		}
		if len(g.batches) >= gatherMost {
			return nil
		}
		more, _, err = handoverKind.List(r, store.Query{Order: "revision", Limit: gatherMost - len(g.batches), Where: []store.Cond{
			{Column: "revision", Op: store.Gt, Value: int64(g.newest)}, {Column: "key", Op: store.Ne, Value: progressKey},
		}})
		return err
	})
	if err != nil {
		return 0, err
	}
	now := l.now()
	if len(g.batches) == 0 {
		g.since = now
	}
	if len(more) > 0 {
		g.batches = append(g.batches, more...)
		g.newest = more[len(more)-1].Revision
		g.urgent = g.urgent || l.urgent(more)
	}
	switch waited := now.Sub(g.since); {
	case len(g.batches) == 0:
		return poll, nil
	case g.urgent || len(g.done) > 0 || len(g.batches) >= gatherMost || waited < 0:
		return 0, nil
	default:
		return gatherFor - waited, nil
	}
}

// urgent reports whether there is more among signals than repetition.
func (l *Loop) urgent(batches []store.Stored[handover]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batches {
		for k := range batches[i].Value.Signals {
			s := &batches[i].Value.Signals[k]
			_, held := l.open.Find(s.Fault.Scope, s.Fault.Key)
			if held == (s.Kind == alert.SignalCleared) {
				return true
			}
		}
	}
	return false
}

// beginRound brings gathered signals into their cases, in memory. What a round
// leaves of them is taken by the next.
func (l *Loop) beginRound(ctx context.Context) error {
	g := &l.gathered
	r := newRound(g.done, l.parts.Topology.Snapshot())
	g.done = map[string]uint64{}
	err := l.assigning(ctx, func(reader store.Reader) error {
		for len(g.batches) > 0 && r.lines < roundLines {
			batch := &g.batches[0].Value
			g.batches = g.batches[1:]
			r.batches = append(r.batches, batch.Key)
			for i := range batch.Signals {
				if r.done[batch.Key]&(1<<i) != 0 {
					continue
				}
				r.signals++
				if err := l.assign(reader, r, &arrival{signal: &batch.Signals[i], batch: batch.Key, at: i}); err != nil {
					return err
				}
			}
		}
		l.countForgotten(ctx)
		return nil
	})
	l.round, g.since, g.urgent = r, time.Time{}, len(g.batches) > 0
	return err
}

// assigning runs f with the index of open cases to itself, and with a snapshot
// that is not older.
func (l *Loop) assigning(ctx context.Context, f func(store.Reader) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts.Store.View(ctx, f)
}

// assign brings a signal into the case it belongs to, as the round has it. The
// index is changed before anything is durable, so that the next signal of the
// round sees it; if the round fails it is built anew.
func (l *Loop) assign(reader store.Reader, r *round, a *arrival) error {
	f := &a.signal.Fault
	for {
		if a.signal.Kind == alert.SignalCleared {
			id, ok := l.open.Find(f.Scope, f.Key)
			if !ok {
				r.mark(r.done, a)
				return nil
			}
			a.to = incident.Assignment{Join: id}
		} else if a.to = l.open.Assign(*f, r.graph, l.now()); a.to.Join == "" {
			a.to.Join = heal.IncidentID(l.newID())
			r.add(l.openCase(a))
		}
		c := r.drafts[a.to.Join]
		if c == nil {
			inc, err := l.caseOf(reader, a.to.Join)
			if err != nil {
				return err
			}
			if inc.Value.State.Ended() { // it ended since the index was read
				l.open.remove(a.to.Join)
				continue
			}
			c = &casework{Change: incident.Begin(inc.Value), was: inc}
			r.add(c)
		}
		before := len(c.story)
		c.bring(a, l.now())
		r.lines += len(c.story) - before
		l.open.put(c.Incident, max(c.was.Revision, 0))
		return nil
	}
}

// openCase makes a case for a fault that belongs to none.
func (l *Loop) openCase(a *arrival) *casework {
	now, f := l.now(), a.signal.Fault
	c := &casework{Change: incident.Begin(incident.New(a.to.Join, f, now)), was: store.Stored[heal.Incident]{Revision: store.Absent}, changed: true}
	c.DueAt = now.Add(max(l.opts.Settle, a.signal.Wait))
	c.story = append(c.story, say(&c.Incident, now, "sense", fmt.Sprintf("%s: %s", f.Source, f.Message), a.to.Reasons...))
	return c
}

// caseOf gives a case as it was written last.
func (l *Loop) caseOf(reader store.Reader, id heal.IncidentID) (store.Stored[heal.Incident], error) {
	if known, ok := l.recent.get(id); ok {
		return known, nil
	}
	return store.IncidentKind.Get(reader, string(id))
}
