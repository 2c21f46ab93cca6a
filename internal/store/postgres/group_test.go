//go:build postgres

package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// crowd holds the writer with one update until n more wait behind it or were
// refused, then lets all of them go and gives their errors. Index 0 is the one
// that held.
func crowd(t *testing.T, db *DB, n int, f func(i int, tx store.Tx) error) []error {
	t.Helper()
	errs := make([]error, n+1)
	let, held := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(held) }) // a function may run again
	done := make(chan struct{})
	before := db.Stats().Refused
	for i := range n + 1 {
		go func() {
			errs[i] = db.Update(t.Context(), func(tx store.Tx) error {
				if i == 0 {
					hold()
					<-let
				}
				return f(i, tx)
			})
			done <- struct{}{}
		}()
		if i == 0 {
			<-held
		}
		inLine(t, db, i, before) // the queue is in the order of i
	}
	close(let)
	for range n + 1 {
		<-done
	}
	return errs
}

// inLine waits until so many wait or were refused.
func inLine(t *testing.T, db *DB, n int, before uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if s := db.Stats(); s.Waiting+int(s.Refused-before) >= n {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waiting or refused: got %+v, want %d", db.Stats(), n)
		}
	}
}

func putKey(tx store.Tx, i int) error {
	_, err := tx.Put(store.Settings, store.Record{Key: fmt.Sprintf("k%04d", i), Body: []byte("x")})
	return err
}

// patient gives a store whose groups are bounded by their size only.
func patient(t *testing.T) *DB {
	db := mustOpen(t, Options{})
	db.groupTime = time.Hour
	return db
}

func TestUpdatesShareACommit(t *testing.T) {
	db := patient(t)
	for i, err := range crowd(t, db, 50, func(i int, tx store.Tx) error { return putKey(tx, i) }) {
		if err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	}
	if got := db.Stats(); got.Updates != 51 || got.Commits != 1 {
		t.Errorf("stats: got %+v, want 51 updates in 1 commit", got)
	}
	if got := count(t, db); got != 51 {
		t.Errorf("records: got %d, want 51", got)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	db := patient(t)
	crowd(t, db, 2*groupSize, func(i int, tx store.Tx) error { return putKey(tx, i) })
	if got := db.Stats(); got.Commits != 3 {
		t.Errorf("stats: got %+v, want 3 commits", got)
	}
	db.groupTime = 0
	before := db.Stats().Commits
	crowd(t, db, 4, func(i int, tx store.Tx) error { return putKey(tx, i) })
	if got := db.Stats().Commits - before; got != 5 {
		t.Errorf("commits when time is up at once: got %d, want 5", got)
	}
}

func TestFailuresInAGroupStandAlone(t *testing.T) {
	db := patient(t)
	no := errors.New("no")
	for i, err := range crowd(t, db, 20, func(i int, tx store.Tx) error {
		if err := putKey(tx, i); err != nil {
			return err
		}
		if i%2 == 0 { // what was put is on the server
			if _, err := tx.Count(store.Settings); err != nil {
				return err
			}
		}
		if i%3 == 0 {
			return no
		}
		return nil
	}) {
		if (i%3 == 0) != errors.Is(err, no) {
			t.Errorf("update %d: got %v", i, err)
		}
	}
	if got := count(t, db); got != 14 {
		t.Errorf("records: got %d, want 14", got)
	}
	if got := db.Stats(); got.Commits != 1 {
		t.Errorf("stats: got %+v, want 1 commit", got)
	}
}

// TestFailedCommit: a constraint that is checked at the commit only stands for
// whatever the database may refuse there. Nobody in the group is told success.
func TestFailedCommit(t *testing.T) {
	db := patient(t)
	for _, text := range []string{
		"CREATE TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
	} {
		if err := db.writer.do(t.Context(), &call{text: text}); err != nil {
			t.Fatal(err)
		}
	}
	for i, err := range crowd(t, db, 4, func(i int, tx store.Tx) error {
		if i == 2 {
			if err := db.send(&call{text: "INSERT INTO child VALUES (1)"}); err != nil {
				return err
			}
		}
		return putKey(tx, i)
	}) {
		if !heal.Is(err, heal.Internal) {
			t.Errorf("update %d: got %v, want the error of the commit", i, err)
		}
	}
	if got := count(t, db); got != 0 {
		t.Errorf("records after the failed commit: got %d, want 0", got)
	}
	put(t, db, "next")
}

func TestQueueIsBounded(t *testing.T) {
	db := mustOpen(t, Options{Queue: 3})
	refused := 0
	for i, err := range crowd(t, db, 10, func(i int, tx store.Tx) error { return putKey(tx, i) }) {
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
}

// TestLeavingTheQueue: who gives up while waiting does not hold up the others.
func TestLeavingTheQueue(t *testing.T) {
	db := mustOpen(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	let, held, done := make(chan struct{}), make(chan struct{}), make(chan error, 3)
	update := func(ctx context.Context, i int, f func()) {
		done <- db.Update(ctx, func(tx store.Tx) error {
			f()
			return putKey(tx, i)
		})
	}
	go update(t.Context(), 0, func() { close(held); <-let })
	<-held
	go update(ctx, 1, func() {})
	inLine(t, db, 1, 0)
	go update(t.Context(), 2, func() {})
	inLine(t, db, 2, 0)
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
}

// TestCloseServesTheQueue: what was in line before Close is made durable.
func TestCloseServesTheQueue(t *testing.T) {
	dsn := newDatabase(t, shared)
	db, err := Open(t.Context(), Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	for i, err := range crowd(t, db, 5, func(i int, tx store.Tx) error {
		if i == 0 {
			go func() { closed <- db.Close() }()
			inLine(t, db, 6, 0)
		}
		return putKey(tx, i)
	}) {
		if err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := count(t, mustOpen(t, Options{DSN: dsn})); got != 6 {
		t.Errorf("records: got %d, want 6", got)
	}
}

// TestLargeUpdates: more than is held back is sent on the way, and undone all
// the same.
func TestLargeUpdates(t *testing.T) {
	db := mustOpen(t, Options{})
	fill := func(tx store.Tx) error {
		for i := range 12 {
			if _, err := tx.Put(store.Settings, store.Record{Key: fmt.Sprint(i), Body: make([]byte, 1<<20)}); err != nil {
				return err
			}
		}
		return nil
	}
	no := errors.New("no")
	if err := db.Update(t.Context(), func(tx store.Tx) error { return errors.Join(fill(tx), no) }); !errors.Is(err, no) {
		t.Errorf("update: got %v, want its own error", err)
	}
	if got := count(t, db); got != 0 {
		t.Errorf("records after an update that was undone: got %d, want 0", got)
	}
	if err := db.Update(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	if got := count(t, db); got != 12 {
		t.Errorf("records: got %d, want 12", got)
	}
}

// TestStatementsAreBounded: a connection forgets its statements before it has
// too many, and makes those it needs again.
func TestStatementsAreBounded(t *testing.T) {
	db := mustOpen(t, Options{})
	for i := range 2*maxStatements + 1 {
		var got int64
		if err := db.writer.do(t.Context(), &call{text: fmt.Sprintf("SELECT %d::bigint", i), row: intInto(&got)}); err != nil || got != int64(i) {
			t.Fatalf("statement %d: got %d, %v", i, got, err)
		}
		if n := len(db.writer.known); n > maxStatements {
			t.Fatalf("statements kept: got %d, want at most %d", n, maxStatements)
		}
	}
	put(t, db, "a", "b")
}

// TestSlowStatement: a statement that the database ends spoils the transaction,
// but only the update that asked for it; the others are done again.
func TestSlowStatement(t *testing.T) {
	db := patient(t)
	for i, err := range crowd(t, db, 6, func(i int, tx store.Tx) error {
		if err := putKey(tx, i); err != nil {
			return err
		}
		if i == 3 {
			return db.send(&call{text: "SET LOCAL statement_timeout = 1"}, &call{text: "SELECT pg_sleep(10)::text"})
		}
		return nil
	}) {
		if i == 3 && !heal.Is(err, heal.Transient) || i != 3 && err != nil {
			t.Errorf("update %d: got %v", i, err)
		}
	}
	if got := count(t, db); got != 6 {
		t.Errorf("records: got %d, want 6", got)
	}
}
