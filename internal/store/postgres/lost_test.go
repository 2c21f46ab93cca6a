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
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// TestCommitLost loses the connection at the commit. Whichever side of it the
// loss falls on, the update happens once and is answered truly.
func TestCommitLost(t *testing.T) {
	database := role(t, shared, "committer", "secret")
	tests := []struct {
		name string
		how  cut
		away bool
		runs int // of the function given to Update
		kind heal.Kind
		ok   bool
		want int64 // records in the end
	}{
		{"before the server gets it", beforeAsked, false, 2, 0, true, 2},
		{"after the server got it", afterAsked, false, 1, 0, true, 2},
		{"before, and the server stays away", beforeAsked, true, 1, heal.Unknown, false, 1},
		{"after, and the server stays away", afterAsked, true, 1, heal.Unknown, false, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newProxy(t, shared)
			db := mustOpen(t, Options{DSN: p.dsn("committer", "secret", database), Patience: 2 * time.Second})
			clearSettings(t, db)
			put(t, db, "before")
			runs := 0
			err := db.Update(t.Context(), func(tx store.Tx) error {
				runs++
				_, err := tx.Put(store.Settings, store.Record{Key: "lost", Revision: store.Absent})
				if runs == 1 {
					p.arm(test.how, test.away) // the next packet is the commit's
				}
				return err
			})
			if runs != test.runs {
				t.Errorf("runs of the function: got %d, want %d", runs, test.runs)
			}
			if (err == nil) != test.ok || err != nil && !heal.Is(err, test.kind) {
				t.Errorf("update: got %v, want success %v, else kind %v", err, test.ok, test.kind)
			}
			p.arm(never, false)
			if got := eventually(t, db, test.want); got != test.want {
				t.Errorf("records: got %d, want %d", got, test.want)
			}
			put(t, db, "after")
		})
	}
}

// clearSettings removes what an earlier case left.
func clearSettings(t *testing.T, db *DB) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		page, err := tx.List(store.Query{Table: store.Settings})
		for _, r := range page.Records {
			err = errors.Join(err, tx.Delete(store.Settings, r.Key))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eventually counts until the number is there: a lost commit may still be on
// its way.
func eventually(t *testing.T, db *DB, want int64) (got int64) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 250 {
		if got = count(t, db); got == want {
			return got
		}
		<-tick.C
	}
	return got
}

// TestLostInTheMiddle ends the writer's connection while a function runs: it
// runs again, and nothing of the first run stays.
func TestLostInTheMiddle(t *testing.T) {
	db := mustOpen(t, Options{})
	runs := 0
	err := db.Update(t.Context(), func(tx store.Tx) error {
		runs++
		if _, err := tx.Put(store.Settings, store.Record{Key: fmt.Sprintf("run%d", runs)}); err != nil {
			return err
		}
		if _, err := tx.Count(store.Settings); err != nil { // sends it
			return err
		}
		if runs == 1 {
			terminate(t, db)
		}
		_, err := tx.Count(store.Settings)
		if runs == 1 && !heal.Is(err, heal.Transient) {
			t.Errorf("count on a lost connection: got %v, want kind transient", err)
		}
		return nil // an error that is swallowed changes nothing
	})
	if err != nil || runs != 2 {
		t.Errorf("update: got %v after %d runs, want success after 2", err, runs)
	}
	err = db.View(t.Context(), func(r store.Reader) error {
		if _, err := r.Get(store.Settings, "run2"); err != nil {
			return err
		}
		if n, err := r.Count(store.Settings); n != 1 || err != nil {
			t.Errorf("records: got %d, %v, want 1", n, err)
		}
		terminate(t, db)
		_, err := r.Count(store.Settings)
		if !heal.Is(err, heal.Transient) {
			t.Errorf("count in a view on a lost connection: got %v, want kind transient", err)
		}
		return err
	})
	if !heal.Is(err, heal.Transient) {
		t.Errorf("view on a lost connection: got %v, want kind transient", err)
	}
	if got := count(t, db); got != 1 {
		t.Errorf("records seen by the next view: got %d, want 1", got)
	}
	if got := db.Stats().Retries; got == 0 {
		t.Errorf("retries: got %d, want at least 1", got)
	}
}

// terminate ends every connection to the store's database.
func terminate(t *testing.T, db *DB) {
	t.Helper()
	err := shared.Exec(t.Context(), "postgres", fmt.Sprintf("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '%s'", db.writing.Database))
	if err != nil {
		t.Fatal(err)
	}
}

// TestWaitOutlivesItsConnection: who waits is told, also of what happened while
// the connection was away.
func TestWaitOutlivesItsConnection(t *testing.T) {
	o := Options{DSN: newDatabase(t, shared)}
	db, other := mustOpen(t, o), mustOpen(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	heard := make(chan error)
	go func() {
		for after := store.Revision(0); after < 3; {
			got, err := db.Wait(ctx, after)
			if err != nil {
				heard <- err
				return
			}
			after = got
			heard <- nil
		}
	}()
	for i := range 3 {
		terminate(t, db)
		put(t, other, fmt.Sprint(i))
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
	}
}

// TestFrozenServer stops a server in the middle of an update, as a virtual
// machine may be: the database gives its transaction up and another goes on,
// and the first is told the truth when it wakes.
func TestFrozenServer(t *testing.T) {
	dsn := newDatabase(t, shared)
	frozen := mustOpen(t, Options{DSN: dsn + "&idle_in_transaction_session_timeout=300"})
	other := mustOpen(t, Options{DSN: dsn})
	runs := 0
	err := frozen.Update(t.Context(), func(tx store.Tx) error {
		runs++
		if runs == 1 {
			put(t, other, "theirs") // waits for the database to give up
		}
		n, err := tx.Count(store.Settings)
		if err == nil && n != 1 {
			t.Errorf("records in run %d: got %d, want the other's", runs, n)
		}
		_, putting := tx.Put(store.Settings, store.Record{Key: "ours"})
		return errors.Join(err, putting)
	})
	if err != nil || runs != 2 {
		t.Errorf("update: got %v after %d runs, want success after 2", err, runs)
	}
	if got := count(t, other); got != 2 {
		t.Errorf("records: got %d, want 2", got)
	}
}

// TestForeignLock: another program that holds the writers' lock, or a table,
// delays an update and then fails it in plain words.
func TestForeignLock(t *testing.T) {
	db := mustOpen(t, Options{Lock: 200 * time.Millisecond})
	put(t, db, "a")
	slow := mustOpen(t, Options{DSN: db.opts.DSN, Statement: 200 * time.Millisecond})
	tests := []struct {
		name, lock string
		ask        func() error
	}{
		{"held by another", "SELECT FROM store_state FOR UPDATE", func() error { return db.Update(t.Context(), func(store.Tx) error { return nil }) }},
		{"longer than it may", "LOCK TABLE setting IN ACCESS EXCLUSIVE MODE", func() error {
			return slow.View(t.Context(), func(r store.Reader) error { _, err := r.Count(store.Settings); return err })
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			foreign, err := connect(t.Context(), db.reading, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer foreign.close()
			if err := foreign.do(t.Context(), &call{text: begin}, &call{text: test.lock}); err != nil {
				t.Fatal(err)
			}
			if err := test.ask(); !heal.Is(err, heal.Transient) {
				t.Errorf("got %v, want kind transient", err)
			}
			if err := foreign.do(t.Context(), &call{text: giveUp}); err != nil {
				t.Fatal(err)
			}
			if err := test.ask(); err != nil {
				t.Errorf("after it was let go: got %v", err)
			}
		})
	}
}

// TestRestarts stops the server as in a crash, and in order, again and again
// while many write through two stores. What was acknowledged is there, once;
// what was refused is not.
func TestRestarts(t *testing.T) {
	server := newServer(t)
	o := Options{DSN: newDatabase(t, server), Patience: 30 * time.Second}
	stores := []*DB{mustOpen(t, o), mustOpen(t, o)}
	w := &writers{stores: stores, stop: make(chan struct{})}
	w.start(t, 8)
	for round := range 4 {
		w.until(t, int64(100*(round+1)))
		if err := server.Stop([]pgtest.Mode{pgtest.Immediate, pgtest.Fast}[round%2]); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	w.until(t, 600)
	close(w.stop)
	w.wg.Wait()
	w.check(t)
	for _, db := range stores {
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if stores[0].Stats().Retries == 0 {
		t.Error("retries: got 0; the restarts were not felt")
	}
}

// writers count in one record and add one of their own with each update.
type writers struct {
	stores []*DB
	stop   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	acked  []string
	failed []string
}

func (w *writers) start(t *testing.T, n int) {
	for i := range n {
		w.wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-w.stop:
					return
				default:
				}
				w.one(t, w.stores[i%len(w.stores)], fmt.Sprintf("%d-%d", i, k))
			}
		})
	}
}

func (w *writers) one(t *testing.T, db *DB, key string) {
	err := db.Update(t.Context(), func(tx store.Tx) error {
		n := 0
		r, err := tx.Get(store.Switches, "sum")
		switch {
		case err == nil:
			if _, err := fmt.Sscan(string(r.Body), &n); err != nil {
				return err
			}
		case !heal.Is(err, heal.NotFound):
			return err
		}
		if _, err := tx.Put(store.Switches, store.Record{Key: "sum", Body: fmt.Append(nil, n+1)}); err != nil {
			return err
		}
		_, err = tx.Put(store.Settings, store.Record{Key: key, Revision: store.Absent})
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.acked = append(w.acked, key)
	case heal.Is(err, heal.Transient):
		w.failed = append(w.failed, key)
	default:
		t.Errorf("update %s: got %v, want success or kind transient", key, err)
	}
}

// until waits for so many acknowledged updates.
func (w *writers) until(t *testing.T, n int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		w.mu.Lock()
		got := int64(len(w.acked))
		w.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("acknowledged: got %d after a minute, want %d", got, n)
		}
	}
}

func (w *writers) check(t *testing.T) {
	t.Helper()
	err := w.stores[0].View(t.Context(), func(r store.Reader) error {
		for _, key := range w.acked {
			if _, err := r.Get(store.Settings, key); err != nil {
				t.Errorf("acknowledged: %v", err)
			}
		}
		for _, key := range w.failed {
			if _, err := r.Get(store.Settings, key); !heal.Is(err, heal.NotFound) {
				t.Errorf("refused update %s: got %v, want not found", key, err)
			}
		}
		sum, err := r.Get(store.Switches, "sum")
		if string(sum.Body) != fmt.Sprint(len(w.acked)) {
			t.Errorf("sum: got %s, want the %d acknowledged updates", sum.Body, len(w.acked))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLeases: by the database's clock, one of two servers at a time holds a
// lease, and epochs only rise.
func TestLeases(t *testing.T) {
	o := Options{DSN: newDatabase(t, shared)}
	stores := []*DB{mustOpen(t, o), mustOpen(t, o)}
	var mu sync.Mutex
	holders := map[int64]int{} // by epoch
	var wg sync.WaitGroup
	for i, db := range stores {
		wg.Go(func() {
			for range 40 {
				now, err := db.Now(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				var got lease.Lease
				err = db.Update(t.Context(), func(tx store.Tx) (err error) {
					got, err = lease.Acquire(tx, "r", fmt.Sprint(i), time.Millisecond, now)
					return err
				})
				if heal.Is(err, heal.Conflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if other, ok := holders[got.Epoch]; ok && other != i {
					t.Errorf("epoch %d: held by both", got.Epoch)
				}
				holders[got.Epoch] = i
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(holders) < 2 {
		t.Errorf("epochs: got %v, want more than one", holders)
	}
}
