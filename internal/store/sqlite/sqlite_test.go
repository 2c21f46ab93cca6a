package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childVar); path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		o := Options{Path: filepath.Join(t.TempDir(), "state.db")}
		db := mustOpen(t, o)
		return db, func() store.Store {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return mustOpen(t, o)
		}
	})
}

func mustOpen(t testing.TB, o Options) *DB {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "state.db")
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
