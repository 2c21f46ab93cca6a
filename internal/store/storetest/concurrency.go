package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// together calls f for 0 to n-1 at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func testErrorsBesideSuccesses(_ *testing.T, s *suite) {
	const n = 64
	errs := make([]error, n)
	together(n, func(i int) {
		errs[i] = s.s.Update(s.Context(), func(tx store.Tx) error {
			_, err := tx.Put(store.Settings, setting(fmt.Sprintf("k%02d", i), "1"))
			if err == nil && i%2 == 1 {
				err = heal.Errorf(heal.Denied, "", "no %d", i)
			}
			return err
		})
	})
	var want []string
	for i, err := range errs {
		switch {
		case i%2 == 0:
			want = append(want, fmt.Sprintf("k%02d", i))
			if err != nil {
				s.Errorf("update %d: got %v, want no error", i, err)
			}
		case err == nil || err.Error() != fmt.Sprintf("no %d", i):
			s.Errorf("update %d: got %v, want its own error", i, err)
		}
	}
	if got := slices.Concat(s.keys(store.Query{Table: store.Settings})...); !slices.Equal(got, want) {
		s.Errorf("records: got %v, want %v", got, want)
	}
}

// testRevisions watches while many write: no change may appear behind the
// revision that the watcher has reached.
func testRevisions(_ *testing.T, s *suite) {
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
			err := s.s.Update(ctx, func(tx store.Tx) error {
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
		for i := range each {
			key := fmt.Sprintf("%d-%d", w, i)
			r := given[w][key]
			if got[key] != r {
				s.Errorf("watched revision of %s: got %d, want %d", key, got[key], r)
			}
			if other, ok := used[r]; ok {
				s.Errorf("revision %d was given to %s and %s", r, other, key)
			}
			used[r] = key
			if i > 0 && r <= given[w][fmt.Sprintf("%d-%d", w, i-1)] {
				s.Errorf("revision of %s does not follow that of the update before", key)
			}
		}
	}
}

// watch follows the changes until it has seen the number of records.
func (s *suite) watch(ctx context.Context, want int) map[string]store.Revision {
	seen, at := map[string]store.Revision{}, store.Revision(0)
	for len(seen) < want {
		if _, err := s.s.Wait(ctx, at); err != nil {
			s.Errorf("wait: %v", err)
			return seen
		}
		err := s.s.View(ctx, func(v store.Reader) error {
			changes, err := v.Changes(store.Settings, at, 7)
			for _, c := range changes {
				seen[c.Record.Key], at = c.Record.Revision, c.Record.Revision
			}
			return err
		})
		if err != nil {
			s.Errorf("view: %v", err)
			return seen
		}
	}
	return seen
}

func testCompareAndSwap(_ *testing.T, s *suite) {
	const writers, each = 8, 20
	s.put(store.Settings, setting("n", "0"))
	together(writers, func(int) {
		for done := 0; done < each; {
			var read store.Record
			err := s.s.View(s.Context(), func(v store.Reader) (err error) {
				read, err = v.Get(store.Settings, "n")
				return err
			})
			if err != nil {
				s.Errorf("view: %v", err)
				return
			}
			n, _ := strconv.Atoi(string(read.Body))
			read.Body = []byte(strconv.Itoa(n + 1))
			err = s.s.Update(s.Context(), func(tx store.Tx) error {
				_, err := tx.Put(store.Settings, read)
				return err
			})
			switch {
			case err == nil:
				done++
			case !heal.Is(err, heal.Conflict):
				s.Errorf("update: got %v, want none or a conflict", err)
				return
			}
		}
	})
	if got, err := s.get(store.Settings, "n"); err != nil || string(got.Body) != strconv.Itoa(writers*each) {
		s.Errorf("count: got %s, %v, want %d", got.Body, err, writers*each)
	}
}

func testSnapshots(_ *testing.T, s *suite) {
	s.put(store.Settings, setting("a", "1"), setting("b", "1"))
	s.view(func(v store.Reader) error {
		before := v.Revision()
		s.put(store.Settings, setting("a", "2"), setting("c", "2"))
		s.delete(store.Settings, "b")
		if got, err := v.Get(store.Settings, "a"); err != nil || string(got.Body) != "1" {
			s.Errorf("get in the old snapshot: got %s, %v, want 1", got.Body, err)
		}
		if n, err := v.Count(store.Settings); err != nil || n != 2 {
			s.Errorf("count in the old snapshot: got %d, %v, want 2", n, err)
		}
		if v.Revision() != before {
			s.Errorf("revision of the old snapshot: got %d, want %d", v.Revision(), before)
		}
		if changes, err := v.Changes(store.Settings, before, 0); err != nil || len(changes) != 0 {
			s.Errorf("changes in the old snapshot: got %v, %v, want none", changes, err)
		}
		return nil
	})

	// Two records that are always written together are always read together.
	ctx, cancel := s.soon()
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			text := strconv.Itoa(i)
			err := s.s.Update(ctx, func(tx store.Tx) error {
				_, first := tx.Put(store.Settings, setting("x", text))
				_, second := tx.Put(store.Settings, setting("y", text))
				return errors.Join(first, second)
			})
			if err != nil {
				s.Errorf("update: %v", err)
			}
		}
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		s.view(func(v store.Reader) error {
			x, _ := v.Get(store.Settings, "x")
			y, _ := v.Get(store.Settings, "y")
			if string(x.Body) != string(y.Body) {
				s.Errorf("snapshot: got x=%s and y=%s, want the same", x.Body, y.Body)
			}
			return nil
		})
	}
}

func testCancelled(_ *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(s.Context())
	err := s.s.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Put(store.Settings, setting("a", "1")); err != nil {
			return err
		}
		cancel()
		_, err := tx.Put(store.Settings, setting("b", "1"))
		return err
	})
	if !errors.Is(err, context.Canceled) {
		s.Errorf("update cancelled half way: got %v, want %v", err, context.Canceled)
	}
	ran := false
	err = s.s.Update(ctx, func(store.Tx) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		s.Errorf("update with a cancelled context: got %v, ran %v, want %v", err, ran, context.Canceled)
	}
	err = s.s.View(ctx, func(store.Reader) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		s.Errorf("view with a cancelled context: got %v, ran %v, want %v", err, ran, context.Canceled)
	}
	reading, stop := context.WithCancel(s.Context())
	err = s.s.View(reading, func(v store.Reader) error {
		stop()
		_, err := v.Count(store.Settings)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		s.Errorf("view cancelled half way: got %v, want %v", err, context.Canceled)
	}
	if pages := s.keys(store.Query{Table: store.Settings}); len(pages[0]) != 0 {
		s.Errorf("records: got %v, want none", pages)
	}
}

func testReopen(_ *testing.T, s *suite) {
	want := row(store.Alerts, "a", map[string]any{"fingerprint": "f", "updated": int64(5)})
	s.put(store.Alerts, want)
	s.put(store.Settings, setting("gone", "1"))
	s.delete(store.Settings, "gone")
	var before store.Revision
	s.view(func(v store.Reader) error {
		before = v.Revision()
		return nil
	})
	s.s = s.reopen()
	s.view(func(v store.Reader) error {
		if v.Revision() != before {
			s.Errorf("revision: got %d, want %d", v.Revision(), before)
		}
		return nil
	})
	if got, err := s.get(store.Alerts, "a"); err != nil || string(got.Body) != string(want.Body) {
		s.Errorf("record: got %s, %v, want %s", got.Body, err, want.Body)
	}
	if got, _ := s.changes(store.Settings, 0, 0); !slices.Equal(got, []string{"-gone"}) {
		s.Errorf("changes: got %v, want the deletion", got)
	}
	if next := s.put(store.Settings, setting("b", "1")); next <= before {
		s.Errorf("next revision: got %d, want more than %d", next, before)
	}
}

func testClosed(_ *testing.T, s *suite) {
	waited := make(chan error, 1)
	go func() {
		_, err := s.s.Wait(s.Context(), 0)
		waited <- err
	}()
	if err := s.s.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	if err := <-waited; err == nil {
		s.Error("wait during close: got no error")
	}
	if err := s.s.Close(); err != nil {
		s.Errorf("close again: got %v, want no error", err)
	}
	if err := s.s.Update(s.Context(), func(store.Tx) error { return nil }); err == nil {
		s.Error("update after close: got no error")
	}
	if err := s.s.View(s.Context(), func(store.Reader) error { return nil }); err == nil {
		s.Error("view after close: got no error")
	}
}

func testUsedTooLate(_ *testing.T, s *suite) {
	var late store.Tx
	s.update(func(tx store.Tx) error { late = tx; return nil })
	_, err := late.Put(store.Settings, setting("a", "1"))
	s.kind(err, heal.Internal, "put through a transaction that is over")
	var reader store.Reader
	s.view(func(v store.Reader) error { reader = v; return nil })
	_, err = reader.Get(store.Settings, "a")
	s.kind(err, heal.Internal, "get through a view that is over")
	if pages := s.keys(store.Query{Table: store.Settings}); len(pages[0]) != 0 {
		s.Errorf("records: got %v, want none", pages)
	}
}

func testClock(_ *testing.T, s *suite) {
	got, err := s.s.Now(s.Context())
	if err != nil || got.Location() != time.UTC || time.Since(got).Abs() > time.Hour {
		s.Errorf("now: got %v, %v, want the time in UTC", got, err)
	}
}
