package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// incident is a record to query: state, updated.
func incident(key string, state, updated any) store.Record {
	return row(store.Incidents, key, map[string]any{"state": state, "updated": updated})
}

func testPaging(_ *testing.T, s *suite) {
	var keys []string
	for i := range 23 {
		key := fmt.Sprintf("k%02d", i)
		keys = append(keys, key)
		s.put(store.Incidents, incident(key, "open", int64(i/10))) // ties of ten
	}
	backward := slices.Clone(keys)
	slices.Reverse(backward)
	for _, order := range []string{"", "key", "updated", "revision", "state"} {
		for _, limit := range []int{1, 2, 5, 10, 22, 23, 24, 0} {
			for _, desc := range []bool{false, true} {
				want := keys
				if desc {
					want = backward
				}
				pages := s.keys(store.Query{Table: store.Incidents, Order: order, Desc: desc, Limit: limit})
				if diff := cmp.Diff(want, slices.Concat(pages...)); diff != "" {
					s.Errorf("order %q desc %v limit %d (-want +got):\n%s", order, desc, limit, diff)
				}
				if limit > 0 && len(pages) != (len(keys)+limit-1)/limit {
					s.Errorf("order %q desc %v limit %d: got %d pages, the last must have no cursor", order, desc, limit, len(pages))
				}
			}
		}
	}
}

func testPagingNulls(_ *testing.T, s *suite) {
	for i := range 6 {
		s.put(store.Incidents, incident(fmt.Sprintf("n%d", i), nil, nil), incident(fmt.Sprintf("v%d", i), "open", int64(i/2)))
	}
	up := []string{"n0", "n1", "n2", "n3", "n4", "n5", "v0", "v1", "v2", "v3", "v4", "v5"}
	down := slices.Clone(up)
	slices.Reverse(down)
	for limit := 1; limit <= 13; limit++ {
		got := slices.Concat(s.keys(store.Query{Table: store.Incidents, Order: "updated", Limit: limit})...)
		if diff := cmp.Diff(up, got); diff != "" {
			s.Errorf("nulls come first, limit %d (-want +got):\n%s", limit, diff)
		}
		got = slices.Concat(s.keys(store.Query{Table: store.Incidents, Order: "updated", Desc: true, Limit: limit})...)
		if diff := cmp.Diff(down, got); diff != "" {
			s.Errorf("nulls come last when descending, limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

func testPagingMoves(_ *testing.T, s *suite) {
	for i := range 10 {
		s.put(store.Incidents, incident(fmt.Sprintf("k%d", i), "open", int64(i)))
	}
	q := store.Query{Table: store.Incidents, Order: "updated", Limit: 4}
	var got []string
	for round := 0; ; round++ {
		var page store.Page
		s.view(func(v store.Reader) (err error) {
			page, err = v.List(q)
			return err
		})
		for _, r := range page.Records {
			got = append(got, r.Key)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
		// Behind the cursor, before it, and the record it stands on.
		s.put(store.Incidents, incident(fmt.Sprintf("before%d", round), "open", int64(-1)))
		if round == 0 {
			s.delete(store.Incidents, "k3")
			s.put(store.Incidents, incident("k4b", "open", int64(4)))
		}
	}
	want := []string{"k0", "k1", "k2", "k3", "k4", "k4b", "k5", "k6", "k7", "k8", "k9"}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("each record once (-want +got):\n%s", diff)
	}
}

func testConditions(_ *testing.T, s *suite) {
	r := s.put(store.Incidents,
		incident("a", "open", int64(1)), incident("b", "acting", int64(2)),
		incident("c", "open", int64(math.MaxInt64)), incident("d", nil, nil), incident("e", "it's", int64(-5)))
	cond := func(c string, op store.Op, v any) store.Cond { return store.Cond{Column: c, Op: op, Value: v} }
	tests := []struct {
		name  string
		where []store.Cond
		want  string
	}{
		{"none", nil, "abcde"},
		{"eq text", []store.Cond{cond("state", store.Eq, "open")}, "ac"},
		{"eq text with a quote", []store.Cond{cond("state", store.Eq, "it's")}, "e"},
		{"eq int", []store.Cond{cond("updated", store.Eq, int64(math.MaxInt64))}, "c"},
		{"ne, a nil meets nothing", []store.Cond{cond("state", store.Ne, "open")}, "be"},
		{"lt", []store.Cond{cond("updated", store.Lt, int64(2))}, "ae"},
		{"le", []store.Cond{cond("updated", store.Le, int64(2))}, "abe"},
		{"gt", []store.Cond{cond("updated", store.Gt, int64(1))}, "bc"},
		{"ge", []store.Cond{cond("updated", store.Ge, int64(1))}, "abc"},
		{"in text", []store.Cond{cond("state", store.In, []string{"acting", "it's", "none", "<&>"})}, "be"},
		{"in int", []store.Cond{cond("updated", store.In, []int64{-5, math.MaxInt64})}, "ce"},
		{"in nothing", []store.Cond{cond("state", store.In, []string{})}, ""},
		{"in nil slice", []store.Cond{cond("updated", store.In, []int64(nil))}, ""},
		{"in one twice", []store.Cond{cond("state", store.In, []string{"open", "open"})}, "ac"},
		{"key", []store.Cond{cond("key", store.Ge, "d")}, "de"},
		{"key in", []store.Cond{cond("key", store.In, []string{"a", "e"})}, "ae"},
		{"revision", []store.Cond{cond("revision", store.Ge, int64(r))}, "e"},
		{"both must hold", []store.Cond{cond("state", store.Eq, "open"), cond("updated", store.Gt, int64(1))}, "c"},
		{"a range", []store.Cond{cond("updated", store.Ge, int64(1)), cond("updated", store.Lt, int64(3))}, "ab"},
	}
	for _, test := range tests {
		s.Run(test.name, func(t *testing.T) {
			err := s.s.View(t.Context(), func(v store.Reader) error {
				n, err := v.Count(store.Incidents, test.where...)
				if err != nil || int(n) != len(test.want) {
					t.Errorf("count: got %d, %v, want %d", n, err, len(test.want))
				}
				for _, order := range []string{"key", "updated", "state"} {
					page, err := v.List(store.Query{Table: store.Incidents, Where: test.where, Order: order})
					if err != nil {
						return err
					}
					var keys []string
					for _, r := range page.Records {
						keys = append(keys, r.Key)
					}
					slices.Sort(keys)
					if got := strings.Join(keys, ""); got != test.want {
						t.Errorf("list by %s: got %q, want %q", order, got, test.want)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func testRefusedQueries(_ *testing.T, s *suite) {
	where := func(c string, op store.Op, v any) store.Query {
		return store.Query{Table: store.Incidents, Where: []store.Cond{{Column: c, Op: op, Value: v}}}
	}
	tests := []struct {
		name  string
		query store.Query
	}{
		{"unknown table", store.Query{Table: "nonsense"}},
		{"unknown column", where("nonsense", store.Eq, "x")},
		{"column that is SQL", where(`state" = '' OR "state`, store.Eq, "x")},
		{"body is no column", where("body", store.Eq, "x")},
		{"unknown comparison", where("state", "like", "x")},
		{"no comparison", where("state", "", "x")},
		{"int for text", where("state", store.Eq, int64(1))},
		{"text for int", where("updated", store.Eq, "1")},
		{"int that is not int64", where("updated", store.Eq, 1)},
		{"named string", where("state", store.Eq, heal.CaseOpen)},
		{"nil", where("state", store.Eq, nil)},
		{"text that is not UTF-8", where("state", store.Eq, "\xff")},
		{"one value for in", where("state", store.In, "x")},
		{"list of ints for text", where("state", store.In, []int64{1})},
		{"list of texts for int", where("updated", store.In, []string{"1"})},
		{"list for eq", where("state", store.Eq, []string{"x"})},
		{"in of 501", where("updated", store.In, make([]int64, 501))},
		{"unknown order", store.Query{Table: store.Incidents, Order: "nonsense"}},
		{"order that is SQL", store.Query{Table: store.Incidents, Order: "key; DROP TABLE incident"}},
		{"negative limit", store.Query{Table: store.Incidents, Limit: -1}},
		{"a thousand conditions", store.Query{Table: store.Incidents, Where: slices.Repeat([]store.Cond{{Column: "key", Op: store.Eq, Value: "x"}}, 1000)}},
	}
	for _, test := range tests {
		s.Run(test.name, func(t *testing.T) {
			err := s.s.View(t.Context(), func(v store.Reader) error {
				_, err := v.List(test.query)
				if !heal.Is(err, heal.Invalid) {
					t.Errorf("list: got %v, want an error of kind invalid", err)
				}
				if test.query.Where == nil && test.query.Table == store.Incidents {
					return nil
				}
				_, err = v.Count(test.query.Table, test.query.Where...)
				if !heal.Is(err, heal.Invalid) {
					t.Errorf("count: got %v, want an error of kind invalid", err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	s.view(func(v store.Reader) error {
		_, err := v.Changes("nonsense", 0, 0)
		s.kind(err, heal.Invalid, "changes of an unknown table")
		_, err = v.Changes(store.Steps, 0, 0)
		s.kind(err, heal.Invalid, "changes of a table that is not watched")
		_, err = v.Changes(store.Incidents, -1, 0)
		s.kind(err, heal.Invalid, "changes after a negative revision")
		_, err = v.Changes(store.Incidents, 0, -1)
		s.kind(err, heal.Invalid, "changes with a negative limit")
		return nil
	})
}

func testCursors(_ *testing.T, s *suite) {
	for i := range 5 {
		s.put(store.Incidents, incident(fmt.Sprintf("k%d", i), "open", int64(i)))
	}
	base := store.Query{Table: store.Incidents, Order: "updated", Limit: 2, Where: []store.Cond{{Column: "state", Op: store.Eq, Value: "open"}}}
	var good string
	s.view(func(v store.Reader) error {
		page, err := v.List(base)
		good = page.Cursor
		return err
	})
	change := func(f func(*store.Query)) store.Query {
		q := base
		q.Cursor = good
		f(&q)
		return q
	}
	tests := []struct {
		name  string
		query store.Query
		ok    bool
	}{
		{"the same query", change(func(*store.Query) {}), true},
		{"another limit", change(func(q *store.Query) { q.Limit = 1 }), true},
		{"another order", change(func(q *store.Query) { q.Order = "key" }), false},
		{"another direction", change(func(q *store.Query) { q.Desc = true }), false},
		{"another condition", change(func(q *store.Query) { q.Where = nil }), false},
		{"another value", change(func(q *store.Query) { q.Where = []store.Cond{{Column: "state", Op: store.Eq, Value: "acting"}} }), false},
		{"another table", change(func(q *store.Query) { *q = store.Query{Table: store.Alerts, Order: "updated", Cursor: good} }), false},
		{"nonsense", change(func(q *store.Query) { q.Cursor = "nonsense" }), false},
		{"not text", change(func(q *store.Query) { q.Cursor = "\xff\x00" }), false},
		{"cut", change(func(q *store.Query) { q.Cursor = good[:len(good)-2] }), false},
		{"a megabyte", change(func(q *store.Query) { q.Cursor = strings.Repeat("A", 1<<20) }), false},
	}
	for _, test := range tests {
		s.Run(test.name, func(t *testing.T) {
			err := s.s.View(t.Context(), func(v store.Reader) error {
				_, err := v.List(test.query)
				return err
			})
			if test.ok && err != nil {
				t.Errorf("list: got %v, want no error", err)
			}
			if !test.ok && !heal.Is(err, heal.Invalid) {
				t.Errorf("list: got %v, want an error of kind invalid", err)
			}
		})
	}
}

func testLimits(_ *testing.T, s *suite) {
	var records []store.Record
	for i := range store.MaxPage + 1 {
		records = append(records, setting(fmt.Sprintf("k%04d", i), "1"))
	}
	s.put(store.Settings, records...)
	s.view(func(v store.Reader) error {
		for _, limit := range []int{0, store.MaxPage, store.MaxPage + 1, math.MaxInt} {
			page, err := v.List(store.Query{Table: store.Settings, Limit: limit})
			if err != nil || len(page.Records) != store.MaxPage || page.Cursor == "" {
				s.Errorf("list with limit %d: got %d records, cursor %q, %v, want %d and a cursor", limit, len(page.Records), page.Cursor, err, store.MaxPage)
			}
			changes, err := v.Changes(store.Settings, 0, limit)
			if err != nil || len(changes) != store.MaxPage {
				s.Errorf("changes with limit %d: got %d, %v, want %d", limit, len(changes), err, store.MaxPage)
			}
		}
		full := make([]string, 500)
		for i := range full {
			full[i] = records[i].Key
		}
		n, err := v.Count(store.Settings, store.Cond{Column: "key", Op: store.In, Value: full})
		if err != nil || n != 500 {
			s.Errorf("in of 500: got %d, %v, want 500", n, err)
		}
		return nil
	})
}

// testTextOrder: text is ordered by its bytes, whatever the locale.
func testTextOrder(_ *testing.T, s *suite) {
	want := []string{"A", "Z", "_", "a", "a b", "a-b", "ab", "ä", "世", "😀"}
	for i := range want {
		s.put(store.Settings, setting(want[len(want)-1-i], "1"))
	}
	if diff := cmp.Diff([][]string{want}, s.keys(store.Query{Table: store.Settings})); diff != "" {
		s.Errorf("keys in order (-want +got):\n%s", diff)
	}
}
