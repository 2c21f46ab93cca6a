package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

func testRecords(_ *testing.T, s *suite) {
	want := row(store.Incidents, "a", map[string]any{"state": "open", "service": "cart", "updated": int64(-7)})
	want.Body = []byte("{\"v\":1,\"d\":\"\x00\xff\"}") // bodies are bytes
	want.Revision = s.put(store.Incidents, want)
	if want.Revision < 1 {
		s.Errorf("first revision: got %d, want at least 1", want.Revision)
	}
	got, err := s.get(store.Incidents, "a")
	if err != nil {
		s.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("record read back (-want +got):\n%s", diff)
	}

	was := want.Columns
	want = row(store.Incidents, "a", map[string]any{"state": "closed", "updated": int64(8)}) // and no service any more
	want.Revision, want.Was, want.Body = got.Revision, was, []byte(`{"v":1}`)
	revision := s.put(store.Incidents, want)
	want.Revision, want.Was = revision, nil
	got, err = s.get(store.Incidents, "a")
	if err != nil {
		s.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("record put in the place of one that is known (-want +got):\n%s", diff)
	}
	s.view(func(r store.Reader) error {
		page, err := r.List(store.Query{Table: store.Incidents, Order: "updated", Where: []store.Cond{{Column: "state", Op: store.Eq, Value: "closed"}}})
		if len(page.Records) != 1 {
			s.Errorf("listed by what changed: got %d records, want 1", len(page.Records))
		}
		return err
	})

	empty := s.put(store.Settings, store.Record{Key: "empty"})
	got, err = s.get(store.Settings, "empty")
	if err != nil || got.Body == nil || len(got.Body) != 0 || got.Revision != empty {
		s.Errorf("record without a body: got %+v, %v, want an empty body that is not nil", got, err)
	}

	s.delete(store.Incidents, "a")
	_, err = s.get(store.Incidents, "a")
	s.kind(err, heal.NotFound, "get what was deleted")
	err = s.s.Update(s.Context(), func(tx store.Tx) error { return tx.Delete(store.Incidents, "a") })
	s.kind(err, heal.NotFound, "delete what was deleted")
}

// testEveryTable: each table of the schema takes records with all columns and
// with none, and is listed by each column.
func testEveryTable(_ *testing.T, s *suite) {
	for name, schema := range store.Schema {
		full := map[string]any{}
		for i, c := range schema.Columns {
			full[c.Name] = fmt.Sprintf("text %d", i)
			if c.Int {
				full[c.Name] = int64(i)
			}
		}
		want := []store.Record{row(name, "a", nil), row(name, "b", full)}
		last := s.put(name, want...)
		want[0].Revision, want[1].Revision = last-1, last
		for _, order := range append([]store.Column{{Name: "key"}, {Name: "revision"}}, schema.Columns...) {
			s.view(func(v store.Reader) error {
				page, err := v.List(store.Query{Table: name, Order: order.Name})
				if diff := cmp.Diff(want, page.Records); diff != "" {
					s.Errorf("%s by %s (-want +got):\n%s", name, order.Name, diff)
				}
				return err
			})
		}
		s.delete(name, "a")
		if got := s.keys(store.Query{Table: name}); !cmp.Equal(got, [][]string{{"b"}}) {
			s.Errorf("%s after a deletion: got %v, want b", name, got)
		}
	}
}

func testPreconditions(_ *testing.T, s *suite) {
	first := s.put(store.Settings, setting("there", "1"))
	second := s.put(store.Settings, setting("there", "2"))
	tests := []struct {
		name   string
		key    string
		expect store.Revision
		ok     bool
	}{
		{"any over nothing", "new", store.Any, true},
		{"any over something", "there", store.Any, true},
		{"absent over nothing", "new", store.Absent, true},
		{"absent over something", "there", store.Absent, false},
		{"fresh over nothing", "new", store.Fresh, true},
		{"fresh over something", "there", store.Fresh, false},
		{"the revision read", "there", second, true},
		{"an older revision", "there", first, false},
		{"a revision of nothing", "new", first, false},
		{"a revision to come", "there", second + 1000, false},
	}
	for _, test := range tests {
		s.Run(test.name, func(t *testing.T) {
			undo := heal.Errorf(heal.Denied, "", "take it back")
			err := s.s.Update(t.Context(), func(tx store.Tx) error {
				r := setting(test.key, "3")
				r.Revision = test.expect
				revision, err := tx.Put(store.Settings, r)
				if err != nil {
					return err
				}
				if revision <= second {
					t.Errorf("revision: got %d, want more than %d", revision, second)
				}
				return undo
			})
			want := heal.Conflict
			if test.ok {
				want = heal.Denied
			}
			if heal.KindOf(err) != want {
				t.Errorf("put: got %v, want an error of kind %v", err, want)
			}
		})
	}
	if got, _ := s.get(store.Settings, "there"); string(got.Body) != "2" {
		s.Errorf("record after refused and taken back puts: got %s, want 2", got.Body)
	}
}

// testNotFresh puts keys as fresh that are there already, together with updates
// that are not to blame.
func testNotFresh(_ *testing.T, s *suite) {
	fresh := func(key string) store.Record {
		r := setting(key, "2")
		r.Revision = store.Fresh
		return r
	}
	guilty := map[string]func(tx store.Tx, key string) error{
		"put": func(store.Tx, string) error { return nil },
		"put and put again": func(tx store.Tx, key string) error {
			_, err := tx.Put(store.Settings, setting(key, "3"))
			return err
		},
		"put and delete": func(tx store.Tx, key string) error { return tx.Delete(store.Settings, key) },
	}
	for name := range guilty {
		s.put(store.Settings, setting(name, "1"))
	}
	s.s = s.reopen() // which knows nothing of what is there
	for name, then := range guilty {
		s.Run(name, func(t *testing.T) {
			var together sync.WaitGroup
			for i := range 20 {
				together.Go(func() {
					if err := s.s.Update(t.Context(), func(tx store.Tx) error {
						_, err := tx.Put(store.Settings, fresh(fmt.Sprintf("%s %d", name, i)))
						return err
					}); err != nil {
						t.Errorf("an update with a fresh key: %v", err)
					}
				})
			}
			err := s.s.Update(t.Context(), func(tx store.Tx) error {
				if _, err := tx.Put(store.Settings, fresh(name)); err != nil {
					return err
				}
				return then(tx, name)
			})
			if !heal.Is(err, heal.Conflict) {
				t.Errorf("an update with a key that is there: got %v, want a conflict", err)
			}
			together.Wait()
		})
		if got, err := s.get(store.Settings, name); err != nil || string(got.Body) != "1" {
			s.Errorf("what was there: got %q, %v, want it untouched", got.Body, err)
		}
	}
	if got, want := len(slices.Concat(s.keys(store.Query{Table: store.Settings})...)), 21*len(guilty); got != want {
		s.Errorf("records in the end: got %d, want %d", got, want)
	}
}

func testUnique(_ *testing.T, s *suite) {
	alert := func(key string, fingerprint any) store.Record {
		return row(store.Alerts, key, map[string]any{"fingerprint": fingerprint})
	}
	s.put(store.Alerts, alert("a", "f1"), alert("b", "f2"))
	for _, expect := range []store.Revision{store.Any, store.Absent} {
		err := s.s.Update(s.Context(), func(tx store.Tx) error {
			r := alert("c", "f1")
			r.Revision = expect
			_, err := tx.Put(store.Alerts, r)
			return err
		})
		s.kind(err, heal.Conflict, "put a second record with the same unique column")
	}
	s.update(func(tx store.Tx) error {
		_, err := tx.Put(store.Alerts, alert("b", "f1"))
		s.kind(err, heal.Conflict, "change a unique column to another's value")
		_, err = tx.Put(store.Alerts, alert("d", "f4"))
		return err // a refused put does not spoil the transaction
	})
	s.put(store.Alerts, alert("n1", nil), alert("n2", nil)) // nil does not collide
	s.delete(store.Alerts, "a")
	s.put(store.Alerts, alert("e", "f1")) // free again
	if diff := cmp.Diff([][]string{{"b", "d", "e", "n1", "n2"}}, s.keys(store.Query{Table: store.Alerts})); diff != "" {
		s.Errorf("records in the end (-want +got):\n%s", diff)
	}
}

func testRefusedRecords(_ *testing.T, s *suite) {
	columns := func(v ...any) store.Record { return store.Record{Key: "k", Columns: v} }
	tests := []struct {
		name   string
		table  store.Table
		record store.Record
	}{
		{"unknown table", "nonsense", setting("k", "")},
		{"table that is SQL", `setting"; DROP TABLE setting; --`, setting("k", "")},
		{"empty key", store.Settings, setting("", "")},
		{"long key", store.Settings, setting(strings.Repeat("k", 1<<20), "")},
		{"key that is not UTF-8", store.Settings, setting("\xff", "")},
		{"key with a zero byte", store.Settings, setting("a\x00b", "")},
		{"revision below fresh", store.Settings, store.Record{Key: "k", Revision: -3}},
		{"too few columns", store.Timeline, columns("a")},
		{"too many columns", store.Settings, columns("a")},
		{"int for text", store.Timeline, columns(int64(1), int64(1))},
		{"text for int", store.Timeline, columns("a", "1")},
		{"int that is not int64", store.Timeline, columns("a", 1)},
		{"named string", store.Timeline, columns(heal.CaseOpen, int64(1))},
		{"column that is not UTF-8", store.Timeline, columns("\xff", int64(1))},
	}
	for _, test := range tests {
		s.Run(test.name, func(t *testing.T) {
			err := s.s.Update(t.Context(), func(tx store.Tx) error {
				_, err := tx.Put(test.table, test.record)
				return err
			})
			if !heal.Is(err, heal.Invalid) {
				t.Errorf("put: got %v, want an error of kind invalid", err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
	s.view(func(v store.Reader) error {
		_, err := v.Get("nonsense", "k")
		s.kind(err, heal.Invalid, "get from an unknown table")
		return nil
	})
}

func testReadYourWrites(_ *testing.T, s *suite) {
	before := s.put(store.Settings, setting("old", "1"))
	s.update(func(tx store.Tx) error {
		revision, err := tx.Put(store.Settings, setting("new", "1"))
		if err != nil {
			return err
		}
		if got, err := tx.Get(store.Settings, "new"); err != nil || got.Revision != revision {
			s.Errorf("get in the transaction: got %+v, %v, want revision %d", got, err, revision)
		}
		if tx.Revision() != revision {
			s.Errorf("revision in the transaction: got %d, want %d", tx.Revision(), revision)
		}
		if err := tx.Delete(store.Settings, "old"); err != nil {
			return err
		}
		if n, err := tx.Count(store.Settings); err != nil || n != 1 {
			s.Errorf("count in the transaction: got %d, %v, want 1", n, err)
		}
		page, err := tx.List(store.Query{Table: store.Settings})
		if err != nil || len(page.Records) != 1 || page.Records[0].Key != "new" {
			s.Errorf("list in the transaction: got %+v, %v, want the new record", page, err)
		}
		changes, err := tx.Changes(store.Settings, before, 0)
		if err != nil || len(changes) != 2 || changes[0].Deleted || !changes[1].Deleted {
			s.Errorf("changes in the transaction: got %+v, %v, want a put and a deletion", changes, err)
		}
		return nil
	})
}

func testErrorLeavesNothing(_ *testing.T, s *suite) {
	before := s.put(store.Settings, setting("a", "1"))
	want := heal.Errorf(heal.Denied, "test", "no")
	err := s.s.Update(s.Context(), func(tx store.Tx) error {
		if _, err := tx.Put(store.Settings, setting("a", "2")); err != nil {
			return err
		}
		if _, err := tx.Put(store.Settings, setting("b", "2")); err != nil {
			return err
		}
		if err := tx.Delete(store.Settings, "a"); err != nil {
			return err
		}
		return want
	})
	if err != want { //nolint:errorlint // it must be the same error
		s.Errorf("error of the update: got %v, want %v itself", err, want)
	}
	s.unchanged(before)
}

func testPanicLeavesNothing(_ *testing.T, s *suite) {
	before := s.put(store.Settings, setting("a", "1"))
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				s.Errorf("recovered: got %v, want boom", got)
			}
		}()
		_ = s.s.Update(s.Context(), func(tx store.Tx) error {
			if _, err := tx.Put(store.Settings, setting("a", "2")); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	s.unchanged(before)
}

// unchanged checks that there is just a=1, and that the store goes on.
func (s *suite) unchanged(revision store.Revision) {
	s.Helper()
	s.view(func(v store.Reader) error {
		if v.Revision() != revision {
			s.Errorf("revision: got %d, want %d", v.Revision(), revision)
		}
		changes, err := v.Changes(store.Settings, 0, 0)
		if err != nil || len(changes) != 1 || string(changes[0].Record.Body) != "1" {
			s.Errorf("changes: got %+v, %v, want only a=1", changes, err)
		}
		return nil
	})
	if next := s.put(store.Settings, setting("z", "1")); next <= revision {
		s.Errorf("next revision: got %d, want more than %d", next, revision)
	}
}
