package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// RunShared runs what engines promise that let several servers use one
// database. open gives two stores on one empty database, closed when the test
// ends.
func RunShared(t *testing.T, open func(t *testing.T) (a, b store.Store)) {
	t.Helper()
	tests := []struct {
		name string
		run  func(s *suite, a, b store.Store)
	}{
		{"see each other's changes", sharedChanges},
		{"wake each other", sharedWait},
		{"revisions in commit order", sharedRevisions},
		{"as if one after the other", func(s *suite, a, b store.Store) { serial(s.T, s, []store.Store{a, b}) }},
		{"one clock", sharedClock},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := open(t)
			test.run(&suite{T: t, s: a}, a, b)
		})
	}
}

func sharedChanges(s *suite, a, b store.Store) {
	first := s.put(store.Settings, setting("k", "1"))
	other := &suite{T: s.T, s: b}
	if got, err := other.get(store.Settings, "k"); err != nil || got.Revision != first {
		s.Errorf("get in the other store: got %+v, %v, want revision %d", got, err, first)
	}
	second := other.put(store.Settings, setting("k", "2"))
	if second <= first {
		s.Errorf("revision of the other store: got %d, want more than %d", second, first)
	}
	err := a.Update(s.Context(), func(tx store.Tx) error {
		stale := setting("k", "3")
		stale.Revision = first
		_, err := tx.Put(store.Settings, stale)
		return err
	})
	s.kind(err, heal.Conflict, "put over the other store's change")
	other.delete(store.Settings, "k")
	if got, _ := s.changes(store.Settings, first, 0); len(got) != 1 || got[0] != "-k" {
		s.Errorf("changes: got %v, want the other store's deletion", got)
	}
}

func sharedWait(s *suite, a, b store.Store) {
	ctx, cancel := s.soon()
	defer cancel()
	other := &suite{T: s.T, s: b}
	var last store.Revision
	for round := range 5 {
		heard := make(chan error, 2)
		for range cap(heard) {
			go func() {
				got, err := a.Wait(ctx, last)
				if err == nil && got <= last {
					err = fmt.Errorf("got revision %d, want more than %d", got, last)
				}
				heard <- err
			}()
		}
		next := other.put(store.Settings, setting("k", fmt.Sprint(round)))
		for range cap(heard) {
			if err := <-heard; err != nil {
				s.Errorf("wait for the other store: %v", err)
			}
		}
		last = next
	}
}

// sharedRevisions watches through one store while both are written to.
func sharedRevisions(s *suite, a, b store.Store) {
	const writers, each = 8, 25
	ctx, cancel := s.soon()
	defer cancel()
	seen := make(chan map[string]store.Revision)
	go func() { seen <- s.watch(ctx, writers*each) }()
	given := make([]map[string]store.Revision, writers)
	together(writers, func(w int) {
		given[w] = map[string]store.Revision{}
		for i := range each {
			key := fmt.Sprintf("%d-%d", w, i)
			err := []store.Store{a, b}[w%2].Update(ctx, func(tx store.Tx) error {
				r, err := tx.Put(store.Settings, setting(key, "1"))
				given[w][key] = r
				return err
			})
			if err != nil {
				s.Errorf("update: %v", err)
			}
		}
	})
	got := <-seen
	used := map[store.Revision]string{}
	for w := range given {
		for key, r := range given[w] {
			if got[key] != r {
				s.Errorf("watched revision of %s: got %d, want %d", key, got[key], r)
			}
			if other, ok := used[r]; ok {
				s.Errorf("revision %d was given to %s and %s", r, other, key)
			}
			used[r] = key
		}
	}
}

func sharedClock(s *suite, a, b store.Store) {
	first, errA := a.Now(s.Context())
	second, errB := b.Now(s.Context())
	third, errC := a.Now(s.Context())
	if err := errors.Join(errA, errB, errC); err != nil {
		s.Fatal(err)
	}
	if second.Before(first) || third.Before(second) {
		s.Errorf("times asked of one store, the other and the first again: got %v, %v, %v, want them in order", first, second, third)
	}
}
