//go:build postgres

package postgres

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/pgtest"
	"github.com/homeostat/homeostat/internal/store/storetest"
)

// shared is the server of the tests that do not stop it.
var shared *pgtest.Server

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childVar); dsn != "" {
		os.Exit(child(dsn))
	}
	before := goleak.IgnoreCurrent()
	code := func() int {
		var err error
		if shared, err = pgtest.New(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := shared.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}()
	if code == 0 {
		if err := goleak.Find(before); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		o := Options{DSN: newDatabase(t, shared)}
		db := mustOpen(t, o)
		return db, func() store.Store {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return mustOpen(t, o)
		}
	})
}

// newServer gives a server of the test's own.
func newServer(t *testing.T, settings ...string) *pgtest.Server {
	t.Helper()
	server, err := pgtest.New(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func newDatabase(t testing.TB, s *pgtest.Server) DSN {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name, err := s.Database(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return DSN(s.DSN(name))
}

func mustOpen(t testing.TB, o Options) *DB {
	t.Helper()
	if o.DSN == "" {
		o.DSN = newDatabase(t, shared)
	}
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func put(t testing.TB, db *DB, keys ...string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for _, key := range keys {
			if _, err := tx.Put(store.Settings, store.Record{Key: key, Body: []byte(key)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, db *DB) (n int64) {
	t.Helper()
	err := db.View(t.Context(), func(r store.Reader) (err error) {
		n, err = r.Count(store.Settings)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSharedStore(t *testing.T) {
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		o := Options{DSN: newDatabase(t, shared)}
		return mustOpen(t, o), mustOpen(t, o)
	})
}
