package loop

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// suspect writes with the changes that a new diagnosis of a case counts for its
// candidates which case that is, and takes that back from those that only the
// diagnosis before counted.
func suspect(tx store.Tx, inc *heal.Incident, d *heal.Diagnosis) error {
	before, now := cause.Suspects(inc.Diagnosis), cause.Suspects(d)
	ids := slices.Concat(before, now)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := suspectOne(tx, inc, id, slices.Contains(now, id)); err != nil {
			return err
		}
	}
	return nil
}

// suspectOne brings one change up to date. One that is no longer kept is nobody's
// concern.
func suspectOne(tx store.Tx, inc *heal.Incident, id heal.ChangeID, suspected bool) error {
	of := heal.Change{ID: id, Scope: inc.Scope}
	got, err := store.ChangeKind.Get(tx, store.ChangeKind.Key(&of))
	if err != nil {
		return ignore(err, heal.NotFound)
	}
	c := got.Value
	at := slices.IndexFunc(c.Suspected, func(s heal.Suspicion) bool { return s.Incident == inc.ID })
	if found := at >= 0; found == suspected {
		return nil
	}
	if suspected {
		c.Suspected = append(slices.Clone(c.Suspected), heal.Suspicion{Incident: inc.ID, Scope: inc.Scope, Title: inc.Title})
		c.Suspected = c.Suspected[max(0, len(c.Suspected)-heal.MaxSuspicions):]
	} else {
		c.Suspected = slices.Delete(slices.Clone(c.Suspected), at, at+1)
	}
	_, err = store.ChangeKind.Put(tx, &c, got.Revision)
	return err
}

// changesShown bounds the changes of one entity on either side of the onset of a
// case that ChangesAround gives, and changesAround all of them.
const (
	changesShown  = 20
	changesAround = 50
)

// ChangesAround gives what was changed about the entities that a case leads to,
// from an hour before it began until it ended, the newest first. more says that
// some further from its beginning are left out.
func (l *Loop) ChangesAround(ctx context.Context, inc *heal.Incident) (list []heal.Change, more bool, err error) {
	if inc.BeganAt.IsZero() {
		return nil, false, nil
	}
	until := inc.EndedAt
	if until.IsZero() {
		until = l.now()
	}
	led := cause.Walk(*inc, l.parts.Topology.Snapshot(), cause.Limits{})
	if inc.Diagnosis != nil { // what was known of the topology then may be forgotten
		for i := range inc.Diagnosis.Causes {
			led = append(led, inc.Diagnosis.Causes[i].Entity)
		}
	}
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		list, more = nil, false
		for _, entity := range changedWith(led) {
			before, over1, err := changesFrom(r, inc, entity, inc.BeganAt.Add(-cause.ChangeAge), inc.BeganAt.Add(1), true)
			if err != nil {
				return err
			}
			after, over2, err := changesFrom(r, inc, entity, inc.BeganAt.Add(1), until, false)
			if err != nil {
				return err
			}
			list, more = append(append(list, before...), after...), more || over1 || over2
		}
		return nil
	})
	if err != nil {
		return nil, false, heal.Wrap("read the changes around a case", err)
	}
	slices.SortFunc(list, func(a, b heal.Change) int {
		return cmp.Or(cmp.Compare(inc.BeganAt.Sub(a.At).Abs(), inc.BeganAt.Sub(b.At).Abs()), cmp.Compare(a.ID, b.ID))
	})
	more = more || len(list) > changesAround
	list = list[:min(len(list), changesAround)]
	slices.SortFunc(list, func(a, b heal.Change) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return list, more, nil
}

// changedWith gives the entities whose changes concern the given ones: a process
// is that of the service of its name.
func changedWith(ids []heal.EntityID) []heal.EntityID {
	var out []heal.EntityID
	for _, id := range ids {
		about := []heal.EntityID{id}
		if id.Kind() == heal.KindProcess {
			about = append(about, heal.ServiceID(id.Name()))
		}
		for _, entity := range about {
			if !slices.Contains(out, entity) {
				out = append(out, entity)
			}
		}
	}
	return out
}

// changesFrom gives the changes of an entity in the place of a case, of the time
// from until before another, the newest or the oldest of them.
func changesFrom(r store.Reader, inc *heal.Incident, entity heal.EntityID, from, to time.Time, newest bool) (list []heal.Change, more bool, err error) {
	rows, cursor, err := store.ChangeKind.List(r, store.Query{Order: "at", Desc: newest, Limit: changesShown, Where: []store.Cond{
		{Column: "entity", Op: store.Eq, Value: string(entity)},
		{Column: "at", Op: store.Ge, Value: store.Nanos(from)},
		{Column: "at", Op: store.Lt, Value: store.Nanos(to)},
	}})
	for _, row := range rows {
		if row.Value.Scope.WithService("") == inc.Scope.WithService("") {
			list = append(list, row.Value)
		}
	}
	return list, cursor != "", err
}
