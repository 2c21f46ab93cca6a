package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// KeepChanges is how long changes are remembered. What is older is not taken.
const KeepChanges = 90 * 24 * time.Hour

// maxChanges bounds the changes that are remembered; beyond it the oldest give
// way, and are counted.
const maxChanges = 100_000

// sameDeploy is how far apart the telemetry of one deploy may be seen, by
// several servers or over the instances of a service.
const sameDeploy = 10 * time.Minute

// changesRead bounds the changes of one entity that a diagnosis reads, the
// newest first.
const changesRead = 50

// Changed writes down what was changed, once for its id, and gives what is
// written. A change without a time took effect now. The kind is Conflict if the
// id stands for something else already.
func (l *Loop) Changed(ctx context.Context, c heal.Change) (heal.Change, error) {
	return l.changed(ctx, c, c.At)
}

// Noticed is Changed for what shows in telemetry. It came about after since, when
// there was telemetry last before: the same change that was told of in between is
// it.
func (l *Loop) Noticed(ctx context.Context, c heal.Change, since time.Time) (heal.Change, error) {
	return l.changed(ctx, c, since)
}

func (l *Loop) changed(ctx context.Context, c heal.Change, since time.Time) (heal.Change, error) {
	const op = "take a change"
	now := l.now().UTC()
	untimed := c.At.IsZero()
	if c.At, c.ReceivedAt = c.At.UTC(), now; untimed {
		c.At = now
	}
	if err := c.Validate(); err != nil {
		return heal.Change{}, err
	}
	if c.At.Sub(now) > heal.ClockSkewLimit || now.Sub(c.At) > KeepChanges {
		return heal.Change{}, heal.Errorf(heal.Invalid, op, "at: %s, expected a time within the last %.0f days and not after now", c.At.Format(time.RFC3339), KeepChanges.Hours()/24)
	}
	var kept heal.Change
	wrote, dropped := false, 0
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		wrote, dropped = false, 0
		there, known, err := knownChange(tx, c, since, untimed)
		if err != nil {
			return err
		}
		if kept = c; known {
			kept = there
			return nil
		}
		if dropped, err = makeRoom(tx); err != nil {
			return err
		}
		wrote = true
		_, err = store.ChangeKind.Put(tx, &c, store.Absent)
		return err
	})
	if err != nil {
		return heal.Change{}, heal.Wrap(op, err)
	}
	l.opts.Counters.noted(ctx, c.Source == heal.FromTelemetry, wrote, dropped)
	return kept, nil
}

// knownChange gives a change that is written already: that of the id, or the
// same deploy as it was seen before.
func knownChange(tx store.Tx, c heal.Change, since time.Time, untimed bool) (heal.Change, bool, error) {
	there, err := store.ChangeKind.Get(tx, store.ChangeKind.Key(&c))
	if err == nil {
		if untimed {
			c.At = there.Value.At
		}
		if !sameChange(there.Value, c) {
			return heal.Change{}, false, heal.Errorf(heal.Conflict, "", "%q is the id of another change already, of %s at %s: %s", c.ID, there.Value.Entity, there.Value.At.Format(time.RFC3339), there.Value.Text())
		}
		return there.Value, true, nil
	}
	if !heal.Is(err, heal.NotFound) || c.Source != heal.FromTelemetry {
		return heal.Change{}, false, ignore(err, heal.NotFound)
	}
	soon := c.At.Add(-sameDeploy)
	if since = since.Add(-sameDeploy); since.After(soon) {
		since = soon
	}
	around, err := changesOf(tx, c.Entity, since, c.At.Add(sameDeploy))
	for _, a := range around {
		if a.Scope != c.Scope || a.Kind != c.Kind {
			continue
		}
		// One that was told says more than what its telemetry shows.
		if a.Version == c.Version || a.Version == "" {
			return a, true, err
		}
		if a.At.Before(soon) {
			break // whatever was before was changed again
		}
	}
	return heal.Change{}, false, err
}

// ignore gives nil for an error of the kind.
func ignore(err error, kind heal.Kind) error {
	if heal.Is(err, kind) {
		return nil
	}
	return err
}

// sameChange compares what was told, not when it was told nor what it is
// suspected of.
func sameChange(a, b heal.Change) bool {
	return a.At.Equal(b.At) && a.ID == b.ID && a.Kind == b.Kind && a.Entity == b.Entity && a.Scope == b.Scope &&
		a.By == b.By && a.Summary == b.Summary && a.Link == b.Link && a.Version == b.Version && a.Source == b.Source
}

// makeRoom deletes the oldest changes where one more would be too many.
func makeRoom(tx store.Tx) (deleted int, err error) {
	n, err := tx.Count(store.Changes)
	if err != nil || n < maxChanges {
		return 0, err
	}
	page, err := tx.List(store.Query{Table: store.Changes, Order: "at", Limit: int(min(n-maxChanges+1, store.MaxPage))})
	if err != nil {
		return 0, err
	}
	for _, r := range page.Records {
		if err := tx.Delete(store.Changes, r.Key); err != nil {
			return 0, err
		}
	}
	return len(page.Records), nil
}

// changesOf gives the changes of an entity between two times, the newest first.
func changesOf(r store.Reader, entity heal.EntityID, from, to time.Time) ([]heal.Change, error) {
	rows, _, err := store.ChangeKind.List(r, store.Query{Order: "at", Desc: true, Limit: changesRead, Where: []store.Cond{
		{Column: "entity", Op: store.Eq, Value: string(entity)},
		{Column: "at", Op: store.Ge, Value: store.Nanos(from)},
		{Column: "at", Op: store.Le, Value: store.Nanos(to)},
	}})
	list := make([]heal.Change, 0, len(rows))
	for _, row := range rows {
		list = append(list, row.Value)
	}
	return list, err
}

// readChanges gathers what was changed about an entity around the beginning of a
// case.
func (l *Loop) readChanges(ctx context.Context, s *cause.Signals, inc *heal.Incident, id heal.EntityID, now time.Time) error {
	return l.parts.Store.View(ctx, func(r store.Reader) error {
		s.Changes = nil
		for _, entity := range changedWith([]heal.EntityID{id}) {
			list, err := changesOf(r, entity, inc.BeganAt.Add(-cause.ChangeAge), now)
			if err != nil {
				return err
			}
			for _, c := range list {
				if c.Scope.WithService("") == inc.Scope.WithService("") {
					s.Changes = append(s.Changes, cause.Change{At: c.At, Text: c.Text(), ID: string(c.ID)})
				}
			}
		}
		if len(s.Changes) >= changesRead {
			s.Gaps = append(s.Gaps, fmt.Sprintf("changes before the newest %d", changesRead))
		}
		return nil
	})
}
