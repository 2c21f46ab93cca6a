package loop

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// runCases works on every open case that is due.
func (l *Loop) runCases(ctx context.Context) {
	slots := make(chan struct{}, l.opts.Workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	l.stage(ctx, "cases", l.cases, func(ctx context.Context) (time.Duration, error) {
		due, rest, err := l.dueCases(ctx)
		for _, id := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return rest, nil
			}
			if !l.take(id) {
				<-slots
				continue
			}
			wg.Go(func() {
				wait := l.work(ctx, id)
				<-slots
				pause(ctx, wait) // a case that rests holds up no other
				l.leave(id)
				nudge(l.cases)
			})
		}
		return rest, err
	})
}

// dueCases lists open cases that are due and not worked on, and ended ones
// that still owe a message. rest is how long there is nothing else to do, 0 if
// more is due than was listed.
func (l *Loop) dueCases(ctx context.Context) (due []heal.IncidentID, rest time.Duration, err error) {
	rest = poll
	limit := 4 * l.opts.Workers
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		now := l.now()
		for _, open := range []int64{1, 0} {
			q := store.Query{
				Table: store.Incidents, Order: "due", Limit: min(limit, store.MaxPage),
				Where: []store.Cond{{Column: "open", Op: store.Eq, Value: open}, {Column: "due", Op: store.Gt, Value: int64(0)}},
			}
			for {
				page, err := r.List(q)
				if err != nil {
					return err
				}
				ids, next := l.ripe(page.Records, now)
				due = append(due, ids...)
				if !next.IsZero() {
					rest = min(rest, next.Sub(now))
					break
				}
				if q.Cursor = page.Cursor; q.Cursor == "" {
					break
				}
				if len(due) >= limit {
					rest = 0
					return nil
				}
			}
		}
		return nil
	})
	return due, rest, err
}

// ripe keeps the cases that are due and not worked on; next is when the first
// of the others is due, zero if all are.
func (l *Loop) ripe(records []store.Record, now time.Time) (due []heal.IncidentID, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range records {
		at, ok := rec.Columns[dueColumn].(int64)
		if ok && at > store.Nanos(now) {
			return due, time.Unix(0, at)
		}
		if id := heal.IncidentID(rec.Key); !l.busy[id] && l.parts.Share.Holds(dutyOf(id)) {
			due = append(due, id)
		}
	}
	return due, time.Time{}
}

// dueColumn is where store.Schema has the column due of cases.
var dueColumn = slices.IndexFunc(store.Schema[store.Incidents].Columns, func(c store.Column) bool { return c.Name == "due" })

func (l *Loop) take(id heal.IncidentID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[id] {
		return false
	}
	l.busy[id] = true
	return true
}

func (l *Loop) leave(id heal.IncidentID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, id)
}

// maxConflicts is how often in a row a case may change under our hands before
// it is left alone for a while.
const maxConflicts = 20

// work brings one case as far as it can go now, and says how long to leave it
// alone then.
func (l *Loop) work(ctx context.Context, id heal.IncidentID) (rest time.Duration) {
	for conflicts := 0; ctx.Err() == nil; {
		inc, err := l.load(ctx, id)
		if err == nil && !l.isDue(&inc.Value) && len(inc.Value.Owed) == 0 {
			return 0
		}
		if err == nil {
			err = l.advance(ctx, inc)
		}
		changed := errors.Is(err, errAgain) || heal.Is(err, heal.Conflict)
		switch {
		case err == nil:
			conflicts = 0
			continue
		case errors.Is(err, errHeld):
			return recheck
		case changed && conflicts < maxConflicts:
			conflicts++
			continue
		}
		if ctx.Err() == nil {
			l.opts.Logger.Error("work on case, will try again", slog.String("incident", string(id)), slog.Any("error", err))
		}
		return restAfterError
	}
	return 0
}

func (l *Loop) isDue(inc *heal.Incident) bool {
	return !inc.State.Ended() && !inc.DueAt.IsZero() && !inc.DueAt.After(l.now())
}

func (l *Loop) load(ctx context.Context, id heal.IncidentID) (inc store.Stored[heal.Incident], err error) {
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		inc, err = store.IncidentKind.Get(r, string(id))
		return err
	})
	return inc, err
}

// advance takes the next step of a case. Telling people goes first, but what
// cannot be told now does not hold up the case.
func (l *Loop) advance(ctx context.Context, inc store.Stored[heal.Incident]) error {
	if len(inc.Value.Owed) > 0 {
		err := l.deliverOwed(ctx, inc)
		if err == nil || !l.isDue(&inc.Value) {
			return err
		}
		l.opts.Logger.Warn("tell people, will try again", slog.String("incident", string(inc.Value.ID)), slog.Any("error", err))
	}
	switch inc.Value.State {
	case heal.CaseOpen, heal.CaseDiagnosing:
		return l.traced(ctx, "diagnose", inc, l.diagnose)
	case heal.CaseDeciding:
		return l.traced(ctx, "decide", inc, l.decide)
	case heal.CaseVerifying:
		return l.traced(ctx, "verify", inc, l.verify)
	case heal.CaseEscalated:
		return l.closeIfOver(ctx, inc)
	case heal.CaseWaiting, heal.CaseActing:
		return l.put(ctx, inc, func(*draft) error { return nil }) // woken by the run, not by time
	case heal.CaseHealed, heal.CaseClosed:
	}
	return nil
}

// draft is a case being changed in a transaction.
type draft struct {
	heal.Incident
	tx    store.Tx
	now   time.Time
	story []*heal.TimelineEntry
}

// say adds a line to the story.
func (d *draft) say(stage, text string, reasons ...heal.Reason) {
	d.story = append(d.story, say(&d.Incident, d.now, stage, text, reasons...))
}

// put changes a case in one transaction: nothing of it is kept unless all of
// it is. The case is due no more unless change says when.
func (l *Loop) put(ctx context.Context, inc store.Stored[heal.Incident], change func(*draft) error) error {
	var next heal.Incident
	var at store.Revision
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		d := draft{Incident: inc.Value, tx: tx, now: l.now()}
		d.Attempts = slices.Clone(d.Attempts)
		d.DueAt, d.UpdatedAt = time.Time{}, d.now
		err := change(&d)
		if err != nil {
			return err
		}
		next = d.Incident
		at, err = save(&d, inc.Revision)
		return err
	})
	if err == nil {
		l.settleIndex(next, at)
		l.opts.Counters.changed(ctx, &inc.Value, &next)
	}
	return err
}

// save writes a draft and its story.
func save(d *draft, expect store.Revision) (store.Revision, error) {
	if err := tell(d.tx, d.story...); err != nil {
		return 0, err
	}
	return store.IncidentKind.Put(d.tx, &d.Incident, expect)
}

// settleIndex brings the index of open cases up to date.
func (l *Loop) settleIndex(inc heal.Incident, at store.Revision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open.put(inc, at)
	if known, ok := l.recent.get(inc.ID); ok && known.Revision < at {
		l.remember(inc, at)
	}
}

// What is remembered of cases: so many, in each of two generations, and none
// with more faults.
const (
	recentCases   = 1000
	recentMembers = 64
)

// remember keeps an open case as it was written last, so that the next signal
// for it needs no reading. The caller holds mu.
func (l *Loop) remember(inc heal.Incident, at store.Revision) {
	if inc.State.Ended() || len(inc.Members) > recentMembers {
		l.recent.remove(inc.ID)
		return
	}
	l.recent.put(inc.ID, store.Stored[heal.Incident]{Value: inc, Revision: at})
}

// tellTimeout bounds one call of the notifier.
const tellTimeout = 5 * time.Second

// deliverOwed hands the messages a case owes to the notifier, which keeps them
// from then on. If the case changes meanwhile they are not told again.
func (l *Loop) deliverOwed(ctx context.Context, inc store.Stored[heal.Incident]) error {
	told := inc.Value.Owed
	for _, m := range told {
		if err := l.tellOne(ctx, inc.Value.ID, m); err != nil {
			return heal.Wrap("notify", err)
		}
	}
	for tries := 0; ; tries++ {
		err := l.put(ctx, inc, func(d *draft) error {
			d.DueAt, d.UpdatedAt = inc.Value.DueAt, inc.Value.UpdatedAt
			d.Owed = slices.DeleteFunc(slices.Clone(d.Owed), func(m heal.Message) bool {
				return slices.ContainsFunc(told, func(t heal.Message) bool { return t.At.Equal(m.At) && t.Text == m.Text })
			})
			return nil
		})
		if !heal.Is(err, heal.Conflict) || tries == maxConflicts {
			return err
		}
		if inc, err = l.load(ctx, inc.Value.ID); err != nil {
			return err
		}
	}
}

func (l *Loop) tellOne(ctx context.Context, id heal.IncidentID, m heal.Message) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	return l.parts.Notifier.Tell(ctx, id, m)
}
