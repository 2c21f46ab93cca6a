package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// crowd holds the writer with one update until n more wait behind it, then lets
// all of them go and gives their errors. Index 0 is the one that held.
func crowd(t *testing.T, db *DB, n int, f func(i int, tx store.Tx) error) []error {
	t.Helper()
	errs := make([]error, n+1)
	let := make(chan struct{})
	done := make(chan struct{})
	for i := range n + 1 {
		go func() {
			errs[i] = db.Update(t.Context(), func(tx store.Tx) error {
				if i == 0 {
					<-let
				}
				return f(i, tx)
			})
			done <- struct{}{}
		}()
		synctest.Wait() // the queue is in the order of i
	}
	close(let)
	for range n + 1 {
		<-done
	}
	return errs
}

// inBubble opens a store in a synctest bubble: its own clock stands still, so
// that a group is bounded by its size only.
func inBubble(t *testing.T, o Options, f func(t *testing.T, db *DB)) {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func putKey(tx store.Tx, i int, size int) error {
	_, err := tx.Put(store.Settings, store.Record{Key: fmt.Sprintf("k%04d", i), Body: make([]byte, size)})
	return err
}

func TestUpdatesShareACommit(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, db *DB) {
		for i, err := range crowd(t, db, 50, func(i int, tx store.Tx) error { return putKey(tx, i, 10) }) {
			if err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		}
		if got := db.Stats(); got.Updates != 51 || got.Commits != 1 {
			t.Errorf("stats: got %+v, want 51 updates in 1 commit", got)
		}
	})
}

func TestGroupsAreBounded(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, db *DB) {
		crowd(t, db, 2*groupSize, func(i int, tx store.Tx) error { return putKey(tx, i, 10) })
		if got := db.Stats(); got.Commits != 3 {
			t.Errorf("stats: got %+v, want 3 commits", got)
		}
	})
	inBubble(t, Options{}, func(t *testing.T, db *DB) {
		crowd(t, db, 9, func(i int, tx store.Tx) error {
			time.Sleep(groupTime / 2) // of the bubble's clock
			return putKey(tx, i, 10)
		})
		if got := db.Stats(); got.Commits != 5 {
			t.Errorf("stats: got %+v, want 5 commits of two slow updates each", got)
		}
	})
}

func TestFailuresInAGroupStandAlone(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, db *DB) {
		no := errors.New("no")
		for i, err := range crowd(t, db, 9, func(i int, tx store.Tx) error {
			if err := putKey(tx, i, 10); err != nil || i%3 != 0 {
				return err
			}
			return no
		}) {
			if (i%3 == 0) != errors.Is(err, no) {
				t.Errorf("update %d: got %v", i, err)
			}
		}
		if got := count(t, db); got != 6 {
			t.Errorf("records: got %d, want 6", got)
		}
		if got := db.Stats(); got.Commits != 1 {
			t.Errorf("stats: got %+v, want 1 commit", got)
		}
	})
}

// TestFailedCommit: a constraint that is checked at the commit only stands for
// whatever can go wrong there.
func TestFailedCommit(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, db *DB) {
		for _, text := range []string{
			"CREATE TABLE parent (id INTEGER PRIMARY KEY)",
			"CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
		} {
			if err := db.writer.exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		before := db.last
		for i, err := range crowd(t, db, 4, func(i int, tx store.Tx) error {
			if i == 2 {
				if err := db.writer.exec(context.Background(), "INSERT INTO child VALUES (1)"); err != nil {
					return err
				}
			}
			return putKey(tx, i, 10)
		}) {
			if err == nil {
				t.Errorf("update %d: got no error from the commit that failed", i)
			}
		}
		if got := count(t, db); got != 0 || db.last != before {
			t.Errorf("after the failed commit: got %d records at revision %d, want 0 at %d", got, db.last, before)
		}
		put(t, db, "next")
		if got := db.Stats(); got.Updates != 1 {
			t.Errorf("stats: got %+v, want 1 update", got)
		}
	})
}

// TestDiskFull: SQLite rolls the whole transaction back when the disk is full.
// Nothing of the group may stay, whatever f does with the error.
func TestDiskFull(t *testing.T) {
	for _, swallow := range []bool{false, true} {
		inBubble(t, Options{}, func(t *testing.T, db *DB) {
			put(t, db, "before")
			var pages int
			if err := db.writer.one(t.Context(), "PRAGMA page_count", nil, []any{&pages}); err != nil {
				t.Fatal(err)
			}
			limit(t, db, pages+20)
			errs := crowd(t, db, 3, func(i int, tx store.Tx) error {
				size := 10
				if i == 2 {
					size = 1 << 20
				}
				err := putKey(tx, i, size)
				if i == 2 && !heal.Is(err, heal.Transient) {
					t.Errorf("put on a full disk: got %v, want an error of kind transient", err)
				}
				if i == 2 && swallow {
					err = nil
					_ = putKey(tx, 100, 10) // must not stand alone
				}
				return err
			})
			if !heal.Is(errs[2], heal.Transient) || !strings.Contains(errs[2].Error(), "is full") {
				t.Errorf("update on a full disk: got %v, want plain words of kind transient", errs[2])
			}
			want := int64(1)
			for i, err := range errs {
				switch {
				case err == nil:
					want++
				case !heal.Is(err, heal.Transient):
					t.Errorf("update %d beside it: got %v, want an error of kind transient", i, err)
				}
			}
			if got := count(t, db); got != want {
				t.Errorf("records: got %d, want the %d acknowledged ones", got, want)
			}
			limit(t, db, 1<<30)
			put(t, db, "after")
			if err := db.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func limit(t *testing.T, db *DB, pages int) {
	t.Helper()
	if err := db.writer.exec(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	inBubble(t, Options{Queue: 3}, func(t *testing.T, db *DB) {
		refused := 0
		for i, err := range crowd(t, db, 10, func(i int, tx store.Tx) error { return putKey(tx, i, 10) }) {
			switch {
			case heal.Is(err, heal.Transient):
				refused++
			case err != nil || i > 3:
				t.Errorf("update %d: got %v", i, err)
			}
		}
		if got := db.Stats(); refused != 7 || got.Refused != 7 || got.Waiting != 0 {
			t.Errorf("refused: got %d and %+v, want 7", refused, got)
		}
	})
}

// TestLeavingTheQueue: who gives up while waiting does not hold up the others.
func TestLeavingTheQueue(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, db *DB) {
		ctx, cancel := context.WithCancel(t.Context())
		let, done := make(chan struct{}), make(chan error, 3)
		update := func(ctx context.Context, i int, f func()) {
			done <- db.Update(ctx, func(tx store.Tx) error {
				f()
				return putKey(tx, i, 10)
			})
		}
		go update(t.Context(), 0, func() { <-let })
		synctest.Wait()
		go update(ctx, 1, func() {})
		synctest.Wait()
		go update(t.Context(), 2, func() {})
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("update that gave up: got %v, want %v", err, context.Canceled)
		}
		close(let)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := count(t, db); got != 2 {
			t.Errorf("records: got %d, want 2", got)
		}
	})
}

// TestCloseServesTheQueue: what was in line before Close is made durable.
func TestCloseServesTheQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		for i, err := range crowd(t, db, 5, func(i int, tx store.Tx) error {
			if i == 0 {
				go func() { closed <- db.Close() }()
				synctest.Wait()
			}
			return putKey(tx, i, 10)
		}) {
			if err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
	if got := count(t, mustOpen(t, Options{Path: path})); got != 6 {
		t.Errorf("records: got %d, want 6", got)
	}
}
