//go:build postgres

package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// TestWaitWithoutNotification: a change that nobody was notified of is found
// by looking.
func TestWaitWithoutNotification(t *testing.T) {
	db := mustOpen(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	heard := make(chan store.Revision)
	go func() {
		got, err := db.Wait(ctx, 0)
		if err != nil {
			t.Error(err)
		}
		heard <- got
	}()
	listening(t, db)
	if err := shared.Exec(ctx, db.writing.Database, "UPDATE store_state SET revision = 7"); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != 7 {
		t.Errorf("revision: got %d, want 7", got)
	}
}

// listening waits until the database knows a connection that listens.
func listening(t *testing.T, db *DB) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		var n int64
		err := db.read(t.Context(), "test", []*call{{
			text: "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query IN ('SELECT revision FROM store_state', 'LISTEN " + db.channel + "') AND state = 'idle'", row: intInto(&n),
		}}, func(*session) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		<-tick.C
	}
	t.Fatal("nobody listens")
}

// TestAway: while the database cannot be reached, calls wait as long as they
// may, and then say so; when it is back, they go on.
func TestAway(t *testing.T) {
	database := role(t, shared, "distant", "secret")
	p := newProxy(t, shared)
	db := mustOpen(t, Options{DSN: p.dsn("distant", "secret", database), Patience: 300 * time.Millisecond})
	put(t, db, "a")
	calls := map[string]func() error{
		"update": func() error {
			return db.Update(t.Context(), func(tx store.Tx) error {
				_, err := tx.Put(store.Settings, store.Record{Key: "b"})
				return err
			})
		},
		"view": func() error {
			return db.View(t.Context(), func(r store.Reader) error { _, err := r.Count(store.Settings); return err })
		},
		"now":   func() error { _, err := db.Now(t.Context()); return err },
		"check": func() error { return db.Check(t.Context()) },
		"wait":  func() error { _, err := db.Wait(t.Context(), 1_000_000); return err },
	}
	p.arm(never, true)
	p.drop()
	for name, ask := range calls {
		if err := ask(); !heal.Is(err, heal.Transient) {
			t.Errorf("%s while it is away: got %v, want kind transient", name, err)
		}
	}
	delete(calls, "wait") // nothing will change
	p.arm(never, false)
	for name, ask := range calls {
		if err := ask(); err != nil {
			t.Errorf("%s when it is back: got %v", name, err)
		}
	}
}

// TestOpenTogether: servers that start at once on an empty database make its
// schema once.
func TestOpenTogether(t *testing.T) {
	dsn := newDatabase(t, shared)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := Open(t.Context(), Options{DSN: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			put(t, db, "a")
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	db := mustOpen(t, Options{DSN: dsn})
	if got := texts(t, db.writer, "SELECT version::text FROM schema_version"); len(got) != len(shipped()) {
		t.Errorf("migrations made: got %v, want each once", got)
	}
}
