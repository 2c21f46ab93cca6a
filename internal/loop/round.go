package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
)

// round is the signals that the incident stage takes together. It brings them
// into their cases in memory, so that a case is written once however many
// signals speak of it, and writes a few cases in each transaction, so that
// nobody waits long for it. Which signals are in their cases is written with
// them: after a crash they are not brought in again.
type round struct {
	graph   incident.Graph
	batches []string // keys; removed with the last case
	signals int
	lines   int // of stories
	drafts  map[heal.IncidentID]*casework
	queue   []*casework       // the same, in the order they are written
	done    map[string]uint64 // as of what is durable
	marked  bool              // done is in the store
}

// What one transaction writes of a round, and how many lines of stories a round
// may have; a case is written whole.
const (
	roundCases = 50
	roundLines = 100
)

// casework is a case being changed by a round.
type casework struct {
	*incident.Change
	was      store.Stored[heal.Incident] // Absent: a new one
	story    []*heal.TimelineEntry
	arrivals []*arrival
	changed  bool
}

// arrival is a signal on its way into a case.
type arrival struct {
	signal *signal
	batch  string // its key
	at     int    // place in it
	to     incident.Assignment
}

// progress is what is durable of a round that is not over.
type progress struct {
	Done map[string]uint64 `json:"done"` // a bit for each signal of a batch
}

// progressKey is no key of a batch: those have a slash.
const progressKey = "progress"

var progressKind = store.Kind[progress]{
	Table: store.Faults, Version: 1,
	Key:     func(*progress) string { return progressKey },
	Columns: func(*progress) []any { return []any{nil, nil} },
}

// doneBefore gives what a round before a crash had done.
func doneBefore(r store.Reader) (map[string]uint64, error) {
	p, err := progressKind.Get(r, progressKey)
	if heal.Is(err, heal.NotFound) {
		return map[string]uint64{}, nil
	}
	return p.Value.Done, err
}

func newRound(done map[string]uint64, graph incident.Graph) *round {
	return &round{graph: graph, drafts: map[heal.IncidentID]*casework{}, done: done, marked: len(done) > 0}
}

func (r *round) add(c *casework) {
	r.drafts[c.ID] = c
	r.queue = append(r.queue, c)
}

func (r *round) mark(done map[string]uint64, arrivals ...*arrival) {
	for _, a := range arrivals {
		done[a.batch] |= 1 << a.at
	}
}

// bring takes a signal into the case.
func (c *casework) bring(a *arrival, now time.Time) {
	c.arrivals = append(c.arrivals, a)
	if c.was.Revision == store.Absent && len(c.arrivals) == 1 {
		return // it was opened with it
	}
	if a.signal.Kind == alert.SignalCleared {
		c.clear(a.signal.Fault, now)
		return
	}
	c.join(a.signal.Fault, a.to, now)
}

func (c *casework) join(f heal.Fault, to incident.Assignment, now time.Time) {
	c.changed = true
	before, primary := len(c.Members), primaryKey(&c.Incident)
	c.Join(f, to, now)
	if len(c.Members) > before {
		text := fmt.Sprintf("%s joins as %s: %s", f.Key, to.Role, f.Message)
		if why := to.Reasons; len(why) > 0 && why[0].Code == incident.BeganTogether {
			text += ". " + why[0].Text // nobody could guess it
		}
		c.story = append(c.story, say(&c.Incident, now, "sense", text, to.Reasons...))
	}
	if primary != primaryKey(&c.Incident) && c.State == heal.CaseDeciding {
		c.State, c.DueAt, c.Held = heal.CaseOpen, now, "" // what was found was found for another fault
	}
}

func primaryKey(inc *heal.Incident) (key heal.FaultKey) {
	if f := inc.PrimaryFault(); f != nil {
		key = f.Key
	}
	return key
}

// clear notes that a fault no longer holds by its source's word. That alone
// heals nothing: a case in verification still wants fresh evidence.
func (c *casework) clear(f heal.Fault, now time.Time) {
	if !c.Clear(f.Key, f.AlertID, f.ClearedAt) {
		return
	}
	c.changed, c.UpdatedAt = true, now
	c.story = append(c.story, say(&c.Incident, now, "sense", fmt.Sprintf("%s cleared, says %s", f.Key, f.Source)))
	if len(incident.Holding(c.Incident)) == 0 && idle(c.State) {
		c.DueAt = now // nothing holds any more: look at it
	}
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

// writeRound writes the next cases of the round; the last ones end it.
func (l *Loop) writeRound(ctx context.Context) error {
	r := l.round
	w, err := r.next()
	if err != nil {
		return err
	}
	err = l.parts.Store.Update(ctx, func(tx store.Tx) error {
		if err := l.parts.Share.Fence(tx, dutySignals); err != nil {
			w.stale = nil
			return err
		}
		return w.write(tx)
	})
	if len(w.stale) > 0 && heal.Is(err, heal.Conflict) {
		return l.redo(ctx, r, w.stale)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range w.cases {
		delete(r.drafts, c.ID)
		l.opts.Counters.tied(ctx, c.arrivals)
		if c.changed {
			l.open.put(c.Incident, w.revisions[i])
			l.remember(c.Incident, w.revisions[i])
		}
	}
	r.queue = r.queue[len(w.cases):]
	r.done, r.marked = w.done, true
	if w.last {
		l.round = nil
		l.opts.Counters.batch(ctx, "incidents", r.signals)
	}
	nudge(l.cases)
	return nil
}

// redo brings the signals of cases that changed meanwhile in again.
func (l *Loop) redo(ctx context.Context, r *round, stale []*casework) error {
	return l.assigning(ctx, func(reader store.Reader) error {
		for _, c := range stale {
			delete(r.drafts, c.ID)
			r.queue = slices.DeleteFunc(r.queue, func(q *casework) bool { return q == c })
			l.recent.remove(c.ID)
			inc, err := store.IncidentKind.Get(reader, string(c.ID))
			if err != nil {
				return err
			}
			l.open.put(inc.Value, inc.Revision)
		}
		for _, c := range stale {
			for _, a := range c.arrivals {
				if err := l.assign(reader, r, a); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// writing is one transaction of a round.
type writing struct {
	cases     []*casework
	records   []store.Record   // of the cases that changed, in their places
	stories   [][]store.Record // of each case
	done      map[string]uint64
	progress  store.Record
	last      bool
	unmark    bool     // progress is to be removed
	batches   []string // to be removed with the last
	revisions []store.Revision
	stale     []*casework
}

// next takes the next cases of the queue.
func (r *round) next() (*writing, error) {
	w := &writing{done: maps.Clone(r.done)}
	for lines := 0; len(w.cases) < min(len(r.queue), roundCases) && lines < roundLines; {
		c := r.queue[len(w.cases)]
		w.cases = append(w.cases, c)
		lines += len(c.story)
		if err := w.encode(c); err != nil {
			return nil, err
		}
		r.mark(w.done, c.arrivals...)
	}
	w.revisions = make([]store.Revision, len(w.cases))
	if w.last = len(w.cases) == len(r.queue); w.last {
		w.batches, w.unmark = r.batches, r.marked
		return w, nil
	}
	var err error
	w.progress, err = progressKind.Encode(&progress{Done: w.done}, store.Any)
	return w, err
}

func (w *writing) encode(c *casework) error {
	rec, err := store.IncidentKind.Replace(c.was, &c.Incident)
	if err != nil {
		return err
	}
	story := make([]store.Record, len(c.story))
	for i, e := range c.story {
		if story[i], err = store.TimelineKind.Encode(e, store.Absent); err != nil {
			return err
		}
	}
	w.records, w.stories = append(w.records, rec), append(w.stories, story)
	return nil
}

// write is the transaction. It finds every case that changed meanwhile before
// it gives up.
func (w *writing) write(tx store.Tx) (err error) {
	w.stale = nil
	for i, c := range w.cases {
		if !c.changed {
			continue
		}
		w.revisions[i], err = tx.Put(store.Incidents, w.records[i])
		if heal.Is(err, heal.Conflict) {
			w.stale = append(w.stale, c)
			continue
		}
		for _, line := range w.stories[i] {
			if err == nil {
				_, err = tx.Put(store.Timeline, line)
			}
		}
		if err != nil {
			return err
		}
	}
	if len(w.stale) > 0 {
		return heal.Errorf(heal.Conflict, "bring signals into cases", "%d of %d cases changed meanwhile", len(w.stale), len(w.cases))
	}
	if !w.last {
		_, err = tx.Put(store.Faults, w.progress)
		return err
	}
	for _, key := range w.batches {
		if err := tx.Delete(store.Faults, key); err != nil && !heal.Is(err, heal.NotFound) {
			return err
		}
	}
	if w.unmark {
		return tx.Delete(store.Faults, progressKey)
	}
	return nil
}
