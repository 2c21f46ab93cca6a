package audit

import (
	"context"
	"sync/atomic"

	"github.com/homeostat/homeostat/internal/store"
)

// request is what somebody asked for, on its way to the transaction that does
// it.
type request struct {
	entry Entry
	done  atomic.Bool
}

type requestKey struct{}

// With gives a context in which the first update of a store that Wrap made
// writes the entry too: what was asked for and who asked stand or fall together.
func With(ctx context.Context, e Entry) context.Context {
	return context.WithValue(ctx, requestKey{}, &request{entry: e})
}

// Recorded reports whether the entry of the context was written.
func Recorded(ctx context.Context) bool {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r != nil && r.done.Load()
}

// Wrap gives the store with updates that write the entry of their context.
func (r *Recorder) Wrap(s store.Store) store.Store { return &recorded{Store: s, recorder: r} }

type recorded struct {
	store.Store
	recorder *Recorder
}

// Update runs f and writes the entry of the context, if it has one that is not
// written yet.
func (s *recorded) Update(ctx context.Context, f func(store.Tx) error) error {
	asked, _ := ctx.Value(requestKey{}).(*request)
	if asked == nil || asked.done.Load() {
		return s.Store.Update(ctx, f)
	}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return s.recorder.Record(tx, asked.entry)
	})
	if err == nil {
		asked.done.Store(true)
	}
	return err
}
