// Package lease says who owns what: a resource has one holder, and every
// change of holder raises the epoch, so that what an earlier holder left
// behind can be told from the present.
//
// Its one invariant: for one resource, epochs only rise, and two holders never
// hold it at once by the store's time. It is not for waiting: a lease that is
// taken is an answer, the caller decides what to do.
package lease

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Lease is the ownership of one resource.
type Lease struct {
	Resource string    `json:"resource"`
	Holder   string    `json:"holder"` // empty: free
	Epoch    int64     `json:"epoch"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until,omitzero"` // zero: until released
}

var kind = store.Kind[Lease]{
	Table: store.Leases, Version: 1,
	Key: func(l *Lease) string { return l.Resource },
	Columns: func(l *Lease) []any {
		return []any{l.Holder, l.Epoch, store.Nanos(l.Until)}
	},
}

// Held reports whether somebody holds the lease at that time.
func (l Lease) Held(now time.Time) bool {
	return l.Holder != "" && (l.Until.IsZero() || now.Before(l.Until))
}

// Look reads a lease; a resource never leased is free at epoch 0.
func Look(r store.Reader, resource string) (Lease, error) {
	got, err := kind.Get(r, resource)
	if heal.Is(err, heal.NotFound) {
		return Lease{Resource: resource}, nil
	}
	return got.Value, err
}

// Acquire takes the lease for ttl (0: until released), or renews it if holder
// has it already, in which case the epoch stays. When somebody else holds it,
// the error is of kind Conflict and the lease returned is theirs.
func Acquire(tx store.Tx, resource, holder string, ttl time.Duration, now time.Time) (Lease, error) {
	l, err := Look(tx, resource)
	if err != nil {
		return Lease{}, err
	}
	return l.Acquire(tx, holder, ttl, now)
}

// Acquire is the function of that name for a lease that was looked at in the
// same transaction.
func (l Lease) Acquire(tx store.Tx, holder string, ttl time.Duration, now time.Time) (Lease, error) {
	if l.Held(now) && l.Holder != holder {
		return l, heal.Errorf(heal.Conflict, "lease "+l.Resource, "is held by %s since %s", l.Holder, l.Since.UTC().Format(time.RFC3339))
	}
	if l.Holder != holder || !l.Held(now) {
		l.Epoch++
		l.Holder, l.Since = holder, now
	} else if ttl == 0 && l.Until.IsZero() {
		return l, nil // nothing to write
	}
	l.Until = time.Time{}
	if ttl > 0 {
		l.Until = now.Add(ttl)
	}
	_, err := kind.Put(tx, &l, store.Any)
	return l, err
}

// Release frees the resource if holder has it; the epoch is kept.
func Release(tx store.Tx, resource, holder string) error {
	l, err := Look(tx, resource)
	if err != nil || l.Holder != holder {
		return err
	}
	return l.release(tx)
}

// Forget frees the resource if holder has it, and its epoch is not kept: for
// resources that nothing is left behind at.
func Forget(tx store.Tx, resource, holder string) error {
	l, err := Look(tx, resource)
	if err != nil || l.Holder != holder {
		return err
	}
	return tx.Delete(store.Leases, resource)
}

// ReleaseAll frees everything that holder has.
func ReleaseAll(tx store.Tx, holder string) error {
	held, err := HeldBy(tx, holder)
	if err != nil {
		return err
	}
	for _, l := range held {
		if err := l.release(tx); err != nil {
			return err
		}
	}
	return nil
}

func (l Lease) release(tx store.Tx) error {
	l.Holder, l.Until = "", time.Time{}
	_, err := kind.Put(tx, &l, store.Any)
	return err
}

// HeldBy lists the leases of one holder.
func HeldBy(r store.Reader, holder string) ([]Lease, error) {
	rows, err := kind.All(r, store.Query{Where: []store.Cond{{Column: "owner", Op: store.Eq, Value: holder}}})
	leases := make([]Lease, len(rows))
	for i := range rows {
		leases[i] = rows[i].Value
	}
	return leases, err
}
