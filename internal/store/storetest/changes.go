package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// changes gives what changed as "+key" and "-key".
func (s *suite) changes(table store.Table, after store.Revision, limit int) (out []string, last store.Revision) {
	s.Helper()
	last = after
	s.view(func(v store.Reader) error {
		changes, err := v.Changes(table, after, limit)
		for _, c := range changes {
			if c.Record.Revision <= last {
				s.Errorf("revision %d of %s comes after %d", c.Record.Revision, c.Record.Key, last)
			}
			last = c.Record.Revision
			if c.Deleted != (c.Record.Body == nil) {
				s.Errorf("change of %s: deleted is %v, body is %q", c.Record.Key, c.Deleted, c.Record.Body)
			}
			sign := "+"
			if c.Deleted {
				sign = "-"
			}
			out = append(out, sign+c.Record.Key)
		}
		return err
	})
	return out, last
}

func testChanges(_ *testing.T, s *suite) {
	expect := func(after store.Revision, limit int, want ...string) store.Revision {
		s.Helper()
		got, last := s.changes(store.Settings, after, limit)
		if diff := cmp.Diff(want, got); diff != "" {
			s.Errorf("changes after %d (-want +got):\n%s", after, diff)
		}
		return last
	}
	expect(0, 0)
	start := s.put(store.Settings, setting("a", "1"), setting("b", "1"), setting("c", "1"))
	s.put(store.Switches, setting("elsewhere", "1"))
	expect(0, 0, "+a", "+b", "+c")
	expect(start, 0)
	s.delete(store.Settings, "b")
	s.put(store.Settings, setting("a", "2")) // only its newest put is told
	expect(start, 0, "-b", "+a")
	expect(0, 0, "+c", "-b", "+a")

	last := expect(0, 2, "+c", "-b") // a page, and on from where it ended
	expect(last, 2, "+a")

	s.delete(store.Settings, "c")
	s.put(store.Settings, setting("c", "2"))
	got, _ := s.changes(store.Settings, start, 0)
	if len(got) == 0 || got[len(got)-1] != "+c" {
		s.Errorf("changes of what was deleted and put again: got %v, want +c last", got)
	}
	s.view(func(v store.Reader) error {
		if changes, err := v.Changes(store.Settings, v.Revision(), 0); err != nil || len(changes) != 0 {
			s.Errorf("changes after the newest revision: got %v, %v, want none", changes, err)
		}
		_, err := v.Changes(store.Settings, v.Revision()+1, 0)
		if !errors.Is(err, store.ErrCompacted) {
			s.Errorf("changes after a revision that is not known: got %v, want %v", err, store.ErrCompacted)
		}
		return nil
	})
}

func (s *suite) compact(keep int64) {
	s.Helper()
	c, ok := s.s.(Compacter)
	if !ok {
		s.Fatalf("%T has no Compact", s.s)
	}
	if err := c.Compact(s.Context(), keep); err != nil {
		s.Fatalf("compact: %v", err)
	}
}

func (s *suite) compacted(table store.Table, after store.Revision, want bool) {
	s.Helper()
	s.view(func(v store.Reader) error {
		_, err := v.Changes(table, after, 0)
		if errors.Is(err, store.ErrCompacted) != want {
			s.Errorf("changes of %s after %d: got %v, want compacted %v", table, after, err, want)
		}
		if want {
			s.kind(err, heal.Conflict, "changes from before the compaction")
		}
		return nil
	})
}

func testCompaction(_ *testing.T, s *suite) {
	before := s.put(store.Settings, setting("a", "1"), setting("b", "1"))
	s.delete(store.Settings, "a")
	var deleted store.Revision
	s.view(func(v store.Reader) error {
		deleted = v.Revision()
		return nil
	})
	s.put(store.Settings, setting("c", "1"))
	s.delete(store.Settings, "b")

	s.compact(1_000_000)
	s.compacted(store.Settings, 0, false)

	s.compact(1) // keeps the deletion of b, which is the newest revision
	s.compacted(store.Settings, 0, true)
	s.compacted(store.Settings, before, true)
	s.compacted(store.Settings, deleted, false)
	s.compacted(store.Switches, 0, false) // nothing of it was forgotten
	if got, _ := s.changes(store.Settings, deleted, 0); !cmp.Equal(got, []string{"+c", "-b"}) {
		s.Errorf("changes after the compacted revision: got %v, want [+c -b]", got)
	}

	s.compact(0)
	s.compacted(store.Settings, deleted, true)
	s.s = s.reopen()
	s.compacted(store.Settings, deleted, true)
	s.kind(s.s.(Compacter).Compact(s.Context(), -1), heal.Invalid, "compact keeping less than nothing")
}

func testCompactionOfMany(_ *testing.T, s *suite) {
	const many = 2500
	s.update(func(tx store.Tx) error {
		for i := range many {
			key := fmt.Sprint(i)
			if _, err := tx.Put(store.Settings, setting(key, "1")); err != nil {
				return err
			}
			if err := tx.Delete(store.Settings, key); err != nil {
				return err
			}
		}
		return nil
	})
	s.compact(10)
	var newest store.Revision
	s.view(func(v store.Reader) error {
		newest = v.Revision()
		return nil
	})
	s.compacted(store.Settings, newest-11, true)
	s.compacted(store.Settings, newest-10, false)
	if got, _ := s.changes(store.Settings, newest-10, 0); len(got) != 5 {
		s.Errorf("deletions kept: got %v, want 5", got)
	}
}

func testWait(_ *testing.T, s *suite) {
	ctx, cancel := s.soon()
	defer cancel()
	first := s.put(store.Settings, setting("a", "1"))
	if got, err := s.s.Wait(ctx, first-1); err != nil || got != first {
		s.Errorf("wait for what is there: got %d, %v, want %d", got, err, first)
	}
	type answer struct {
		revision store.Revision
		err      error
	}
	const waiters = 3
	answers := make(chan answer, waiters)
	for range waiters {
		go func() {
			r, err := s.s.Wait(ctx, first)
			answers <- answer{r, err}
		}()
	}
	// Neither a failed update nor one that writes nothing is a change.
	_ = s.s.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Put(store.Settings, setting("b", "1"))
		return errors.Join(err, errors.New("no"))
	})
	s.update(func(store.Tx) error { return nil })
	second := s.put(store.Settings, setting("c", "1"))
	for range waiters {
		if got := <-answers; got.err != nil || got.revision != second {
			s.Errorf("wait: got %d, %v, want %d", got.revision, got.err, second)
		}
	}
	s.view(func(v store.Reader) error {
		if v.Revision() < second {
			s.Errorf("revision of a view after the wait: got %d, want %d", v.Revision(), second)
		}
		return nil
	})

	stopped, stop := context.WithCancel(ctx)
	go func() {
		_, err := s.s.Wait(stopped, second)
		answers <- answer{err: err}
	}()
	stop()
	if got := <-answers; !errors.Is(got.err, context.Canceled) {
		s.Errorf("wait with a cancelled context: got %v, want %v", got.err, context.Canceled)
	}
}
