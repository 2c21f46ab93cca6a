package loop

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// baseline gives the answers to a question from before the case, and their
// median, nil if there are none. What tells the loss of requests is asked for as
// often as the judgement needs, times of other trouble left out; where that is
// too little, and for all else, a few answers must do.
func (l *Loop) baseline(ctx context.Context, q cause.Question, began time.Time, troubled []spell) (*float64, []cause.Sample) {
	var samples []cause.Sample
	if q.Series {
		from, to, step := cause.Past(began, l.opts.Baseline)
		past, err := l.parts.Metrics.Samples(ctx, q.Expr, from, to, step)
		for _, s := range past {
			if err == nil && !math.IsNaN(s.Value) && !within(troubled, s.At) {
				samples = append(samples, s)
			}
		}
	}
	if len(samples) < cause.Enough {
		samples = l.fewBefore(ctx, q.Expr, began, troubled)
	}
	if len(samples) == 0 {
		return nil, nil
	}
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, s.Value)
	}
	slices.Sort(values)
	return &values[len(values)/2], samples
}

// fewBefore gives the answers at a few times before the case, those of other
// trouble only if there are no others.
func (l *Loop) fewBefore(ctx context.Context, expr string, began time.Time, troubled []spell) []cause.Sample {
	var samples, calm []cause.Sample
	for _, at := range cause.BaselineTimes(began) {
		if began.Sub(at) > l.opts.Baseline {
			break
		}
		if v, ok, err := l.parts.Metrics.Value(ctx, expr, at); err == nil && ok && !math.IsNaN(v) {
			s := cause.Sample{At: at, Value: v}
			if samples = append(samples, s); !within(troubled, at) {
				calm = append(calm, s)
			}
		}
	}
	if len(calm) > 0 {
		return calm
	}
	return samples
}

// spell is a time in which something was wrong.
type spell struct{ from, until time.Time }

// aroundTrouble is for how long before a fault is said to begin, and after it is
// said to be over, what was measured is not taken as normal: rates look back, and
// rules wait.
const aroundTrouble = 2 * time.Minute

// pastRest is for how long what faults stood when is not read anew: many cases
// are diagnosed at once, and what has just begun is no past.
const pastRest = 10 * time.Second

// past is what faults stood when, over many cases.
type past struct {
	mu       sync.Mutex
	read     time.Time // when it was read
	from     time.Time // since when cases are known
	troubles map[heal.EntityID][]trouble
}

// trouble is a time in which a fault of a case stood.
type trouble struct {
	of heal.IncidentID
	spell
}

// troubled gives the times before a case in which faults stood on entities that
// are asked about. That it cannot be read takes nothing away.
func (l *Loop) troubled(ctx context.Context, inc *heal.Incident, entities []heal.EntityID) []spell {
	l.past.mu.Lock()
	defer l.past.mu.Unlock()
	from, now := inc.BeganAt.Add(-l.opts.Baseline), l.now()
	if age := now.Sub(l.past.read); age < 0 || age > pastRest || from.Before(l.past.from) {
		troubles, err := l.troubles(ctx, from)
		if err != nil {
			return nil
		}
		l.past.read, l.past.from, l.past.troubles = now, from, troubles
	}
	var list []spell
	for _, id := range entities {
		for _, t := range l.past.troubles[id] {
			if t.of != inc.ID {
				list = append(list, t.spell)
			}
		}
	}
	return list
}

// troubles reads what faults stood when, of the newest cases since a time and of
// the newest of those that are open still.
func (l *Loop) troubles(ctx context.Context, from time.Time) (map[heal.EntityID][]trouble, error) {
	var all map[heal.EntityID][]trouble
	err := l.parts.Store.View(ctx, func(r store.Reader) error {
		all = map[heal.EntityID][]trouble{}
		for _, where := range [][]store.Cond{
			{{Column: "updated", Op: store.Ge, Value: store.Nanos(from)}},
			{{Column: "open", Op: store.Eq, Value: int64(1)}, {Column: "updated", Op: store.Lt, Value: store.Nanos(from)}},
		} {
			rows, _, err := store.IncidentKind.List(r, store.Query{Where: where, Order: "updated", Desc: true})
			if err != nil {
				return err
			}
			for i := range rows {
				inc := &rows[i].Value
				for m := range inc.Members {
					f := &inc.Members[m].Fault
					all[f.Key.Entity] = append(all[f.Key.Entity], trouble{inc.ID, spellOf(f, inc.EndedAt)})
				}
			}
		}
		return nil
	})
	return all, err
}

// spellOf is when a fault stood, of a case that ended then.
func spellOf(f *heal.Fault, ended time.Time) spell {
	until := f.ClearedAt
	if until.IsZero() {
		until = ended
	}
	s := spell{from: f.Began.Add(-aroundTrouble)}
	if !until.IsZero() {
		s.until = until.Add(aroundTrouble)
	}
	return s
}

// within reports whether a time lies in one of the spells; one without an end
// goes on.
func within(spells []spell, at time.Time) bool {
	return slices.ContainsFunc(spells, func(s spell) bool {
		return !at.Before(s.from) && (s.until.IsZero() || !at.After(s.until))
	})
}
