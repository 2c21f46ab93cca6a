package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

func openIn(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "state.db")})
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

// contents lists everything in a store, table by table in the order of
// revisions, without the revisions themselves.
func contents(t *testing.T, s store.Store) (all []string) {
	t.Helper()
	err := s.View(t.Context(), func(r store.Reader) error {
		all = nil
		for table := range store.Schema {
			q := store.Query{Table: table, Order: "revision"}
			for more := true; more; more = q.Cursor != "" {
				page, err := r.List(q)
				if err != nil {
					return err
				}
				for _, rec := range page.Records {
					all = append(all, fmt.Sprintf("%s %s %v %s", table, rec.Key, rec.Columns, rec.Body))
				}
				q.Cursor = page.Cursor
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCopy(t *testing.T) {
	from, to := openIn(t, t.TempDir()), openIn(t, t.TempDir())
	const n = 1234 // several batches
	err := from.Update(t.Context(), func(tx store.Tx) error {
		for i := range n {
			// Keys fall while revisions rise.
			d := store.Record{Key: fmt.Sprintf("d%04d", n-i), Columns: []any{"test", int64(i)}, Body: fmt.Appendf(nil, `{"i":%d}`, i)}
			if _, err := tx.Put(store.Deliveries, d); err != nil {
				return err
			}
		}
		_, err := tx.Put(store.Switches, store.Record{Key: "all", Body: []byte(`{"on":true}`)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int64{}
	if err := store.Copy(t.Context(), from, to, func(table string, copied int64) { told[table] = copied }); err != nil {
		t.Fatal(err)
	}
	if told["delivery"] != n || told["switch"] != 1 {
		t.Errorf("progress: got %v, want %d deliveries and 1 switch", told, n)
	}
	want, got := contents(t, from), contents(t, to)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("copy (-got +want):\n%s", diff)
	}
	var first string // what is taken in the order of revisions still is
	err = to.View(t.Context(), func(r store.Reader) error {
		page, err := r.List(store.Query{Table: store.Deliveries, Order: "revision", Limit: 1})
		if err == nil {
			first = page.Records[0].Key
		}
		return err
	})
	if err != nil || first != fmt.Sprintf("d%04d", n) {
		t.Errorf("oldest delivery: got %s, %v, want d%04d", first, err, n)
	}
	if err := store.Copy(t.Context(), from, to, nil); !heal.Is(err, heal.Conflict) {
		t.Errorf("into a store that is not empty: got %v, want a conflict", err)
	}
}
