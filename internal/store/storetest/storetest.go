// Package storetest is the suite that every engine of the store passes, and
// the check that stored forms do not change unnoticed.
//
// Its one invariant: it asks only what the contract in package store promises,
// so that an engine that passes can take another's place. It is not for
// figures of speed, nor for what only one engine has.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Compacter is what an engine offers beside the contract: to forget deletions
// older than the newest keep revisions.
type Compacter interface {
	Compact(ctx context.Context, keep int64) error
}

// Run runs the suite. open gives an empty store that is closed when its test
// ends; reopen closes it and opens what it left.
func Run(t *testing.T, open func(t *testing.T) (s store.Store, reopen func() store.Store)) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"put get delete", testRecords},
		{"every table", testEveryTable},
		{"preconditions", testPreconditions},
		{"keys that were not fresh", testNotFresh},
		{"unique index", testUnique},
		{"refused records", testRefusedRecords},
		{"paging over ties", testPaging},
		{"paging over nulls", testPagingNulls},
		{"paging while records come and go", testPagingMoves},
		{"conditions", testConditions},
		{"refused queries", testRefusedQueries},
		{"cursors", testCursors},
		{"limits", testLimits},
		{"text order", testTextOrder},
		{"changes", testChanges},
		{"compaction", testCompaction},
		{"compaction of many", testCompactionOfMany},
		{"read your writes", testReadYourWrites},
		{"error leaves nothing", testErrorLeavesNothing},
		{"panic leaves nothing", testPanicLeavesNothing},
		{"errors beside successes", testErrorsBesideSuccesses},
		{"revisions in commit order", testRevisions},
		{"compare and swap", testCompareAndSwap},
		{"as if one after the other", testSerial},
		{"snapshots", testSnapshots},
		{"wait", testWait},
		{"cancelled", testCancelled},
		{"reopen", testReopen},
		{"closed", testClosed},
		{"used too late", testUsedTooLate},
		{"clock", testClock},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, reopen := open(t)
			test.run(t, &suite{T: t, s: s, reopen: reopen})
		})
	}
}

// suite is one test on one store, with helpers that stop it at a surprise.
type suite struct {
	*testing.T
	s      store.Store
	reopen func() store.Store
}

// row makes a record with the named columns; the others are nil.
func row(table store.Table, key string, columns map[string]any) store.Record {
	r := store.Record{Key: key, Body: fmt.Appendf(nil, `{"v":1,"d":%q}`, key)}
	for _, c := range store.Schema[table].Columns {
		r.Columns = append(r.Columns, columns[c.Name])
	}
	return r
}

func setting(key, text string) store.Record {
	return store.Record{Key: key, Body: []byte(text)}
}

func (s *suite) update(f func(store.Tx) error) {
	s.Helper()
	if err := s.s.Update(s.Context(), f); err != nil {
		s.Fatalf("update: %v", err)
	}
}

func (s *suite) view(f func(store.Reader) error) {
	s.Helper()
	if err := s.s.View(s.Context(), f); err != nil {
		s.Fatalf("view: %v", err)
	}
}

func (s *suite) put(table store.Table, records ...store.Record) (last store.Revision) {
	s.Helper()
	s.update(func(tx store.Tx) error {
		for _, r := range records {
			var err error
			if last, err = tx.Put(table, r); err != nil {
				return err
			}
		}
		return nil
	})
	return last
}

func (s *suite) delete(table store.Table, key string) {
	s.Helper()
	s.update(func(tx store.Tx) error { return tx.Delete(table, key) })
}

func (s *suite) get(table store.Table, key string) (r store.Record, err error) {
	s.Helper()
	s.view(func(v store.Reader) error {
		r, err = v.Get(table, key)
		return nil
	})
	return r, err
}

// keys lists every page of a query and gives the keys, page by page.
func (s *suite) keys(q store.Query) (pages [][]string) {
	s.Helper()
	s.view(func(v store.Reader) error {
		for {
			page, err := v.List(q)
			if err != nil {
				return err
			}
			var keys []string
			for _, r := range page.Records {
				keys = append(keys, r.Key)
			}
			pages = append(pages, keys)
			if page.Cursor == "" {
				return nil
			}
			q.Cursor = page.Cursor
		}
	})
	return pages
}

func (s *suite) kind(err error, want heal.Kind, doing string) {
	s.Helper()
	if !heal.Is(err, want) {
		s.Errorf("%s: got %v, want an error of kind %v", doing, err, want)
	}
}

// soon is long enough for anything that will happen at all.
func (s *suite) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.Context(), 30*time.Second)
}
