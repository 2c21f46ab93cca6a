package postgres

import (
	"fmt"
	"testing"

	"github.com/homeostat/homeostat/internal/store"
)

func noted(key string, revision store.Revision, body int) entry {
	return entry{record: store.Record{Key: key, Revision: revision, Body: make([]byte, body)}}
}

func TestMemoryIsBounded(t *testing.T) {
	tables := compileTables(store.Schema)
	settings, cases := tables[store.Settings], tables[store.Incidents]
	tests := []struct {
		name       string
		body, most int // bytes of a body; entries kept
	}{
		{"by number", 1, 2*maxRemembered + 1},
		{"by size", maxPageBytes, 2*(maxRememberedBytes/maxPageBytes+1) + 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m memory
			for i := range 3 * maxRemembered {
				m.note(settings, noted(fmt.Sprint(i), store.Revision(i+1), test.body))
				if _, ok := m.find(settings, "0"); !ok {
					t.Fatalf("after %d: what is used all the time was forgotten", i)
				}
				if n := len(m.young) + len(m.old); n > test.most {
					t.Fatalf("entries: got %d, want at most %d", n, test.most)
				}
			}
		})
	}
	var m memory
	m.note(settings, noted("large", 1, maxPageBytes+1))
	if e, ok := m.find(settings, "large"); !ok || !e.partial || e.record.Body != nil {
		t.Errorf("a large record: got %v, %v, want its revision alone", e.partial, ok)
	}
	for i := range 3 * maxPages {
		m.notePage(cases, store.Query{Cursor: fmt.Sprint(i)}, store.Page{})
		if len(m.pages) > maxPages {
			t.Fatalf("pages: got %d, want at most %d", len(m.pages), maxPages)
		}
	}
	m.clear()
	if _, ok := m.find(settings, "large"); ok || len(m.pages) > 0 {
		t.Error("something is left after it was cleared")
	}
}

func TestMemoryOfPages(t *testing.T) {
	tables := compileTables(store.Schema)
	settings, cases := tables[store.Settings], tables[store.Incidents]
	q := store.Query{Table: store.Settings, Where: []store.Cond{{Column: "key", Op: store.Eq, Value: "a"}}}
	page := store.Page{Records: []store.Record{{Key: "a", Body: []byte("1")}}}
	var m memory
	m.notePage(settings, q, page)
	page.Records[0].Body[0] = '2' // the caller's own
	got, ok := m.page(settings, q)
	if !ok || string(got.Records[0].Body) != "1" {
		t.Errorf("page: got %+v, %v, want it as it was noted", got, ok)
	}
	other := q
	other.Where = []store.Cond{{Column: "key", Op: store.Eq, Value: "b"}}
	if _, ok := m.page(settings, other); ok {
		t.Error("page of another query: got one")
	}
	m.changed(cases)
	if _, ok := m.page(settings, q); !ok {
		t.Error("page after a change of another table: got none")
	}
	m.changed(settings)
	if _, ok := m.page(settings, q); ok {
		t.Error("page after a change of its table: got one")
	}
	many := store.Page{Records: make([]store.Record, maxPageRecords+1)}
	m.notePage(settings, q, many)
	if _, ok := m.page(settings, q); ok {
		t.Error("a large page: got it back, want it not remembered")
	}
}

// TestMemoryKeepsTheWhole: a revision read from a page does not push out the
// record that is known with it.
func TestMemoryKeepsTheWhole(t *testing.T) {
	settings := compileTables(store.Schema)[store.Settings]
	var m memory
	m.note(settings, noted("a", 5, 10))
	revision := entry{record: store.Record{Key: "a", Revision: 5}, partial: true}
	m.note(settings, revision)
	if e, _ := m.find(settings, "a"); e.partial {
		t.Error("the same revision: got it alone, want the record")
	}
	revision.record.Revision = 6
	m.note(settings, revision)
	if e, _ := m.find(settings, "a"); !e.partial || e.record.Revision != 6 {
		t.Errorf("a newer revision: got %+v, want it alone", e)
	}
}

func TestNamesTellQueriesApart(t *testing.T) {
	where := func(values ...any) (q store.Query) {
		for _, v := range values {
			q.Where = append(q.Where, store.Cond{Column: "a", Op: store.Eq, Value: v})
		}
		return q
	}
	queries := []store.Query{
		{},
		{Table: "a"},
		{Order: "a"},
		{Cursor: "a"},
		{Limit: 1},
		{Desc: true},
		{Table: "ab"},
		{Table: "a", Order: "b"},
		where("1"), where(int64(1)), where("1", "2"), where("12"), where([]string{"1"}), where([]string{"1", "2"}), where([]int64{1}),
		where([]int64{1 << 40}), where([]int64{1 << 41}),
		{Where: []store.Cond{{Column: "a", Op: store.Ne, Value: "1"}}},
	}
	seen := map[string]store.Query{}
	for _, q := range queries {
		if other, twice := seen[nameOf(q)]; twice {
			t.Errorf("%#v and %#v have one name", q, other)
		}
		seen[nameOf(q)] = q
	}
}
