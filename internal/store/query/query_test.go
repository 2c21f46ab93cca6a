package query

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

var incidents = Table{Name: store.Incidents, Columns: []store.Column{{Name: "state"}, {Name: "due", Int: true}}}

func record(key string, due any) store.Record {
	return store.Record{Key: key, Revision: 7, Columns: []any{nil, due}}
}

// TestRuns: a page is read as nulls and values, in the order of the query, from
// the place where the page before ended.
func TestRuns(t *testing.T) {
	tests := []struct {
		name  string
		query store.Query
		after *store.Record // the last on the page before
		want  []Run
	}{
		{"by key", store.Query{}, nil, []Run{{}}},
		{"by key, next page", store.Query{}, &store.Record{Key: "k"}, []Run{{Begun: true, Key: "k"}}},
		{"up", store.Query{Order: "due"}, nil, []Run{{Nulls: Only}, {Nulls: None}}},
		{"down", store.Query{Order: "due", Desc: true}, nil, []Run{{Nulls: None}, {Nulls: Only}}},
		{"up, behind a null", store.Query{Order: "due"}, new(record("k", nil)), []Run{{Nulls: Only, Begun: true, Key: "k"}, {Nulls: None}}},
		{"down, behind a null", store.Query{Order: "due", Desc: true}, new(record("k", nil)), []Run{{Nulls: Only, Begun: true, Key: "k"}}},
		{"up, behind a value", store.Query{Order: "due"}, new(record("k", int64(5))), []Run{{Nulls: None, Begun: true, Value: int64(5), Key: "k"}}},
		{"down, behind a value", store.Query{Order: "due", Desc: true}, new(record("k", int64(5))), []Run{{Nulls: None, Begun: true, Value: int64(5), Key: "k"}, {Nulls: Only}}},
		{"a condition leaves no nulls", store.Query{Order: "due", Where: []store.Cond{{Column: "due", Op: store.Gt, Value: int64(1)}}}, nil, []Run{{}}},
		{"by revision", store.Query{Order: "revision"}, new(record("k", nil)), []Run{{Begun: true, Value: int64(7), Key: "k"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := test.query
			q.Table, q.Limit = store.Incidents, 1
			l, err := incidents.Prepare("list", q)
			if err != nil {
				t.Fatal(err)
			}
			if test.after != nil {
				page := l.Page([]store.Record{*test.after, record("z", nil)})
				if len(page.Records) != 1 || page.Cursor == "" {
					t.Fatalf("page of two records at limit 1: got %+v, want one and a cursor", page)
				}
				q.Cursor = page.Cursor
				if l, err = incidents.Prepare("list", q); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, l.Runs); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLastPage(t *testing.T) {
	l, err := incidents.Prepare("list", store.Query{Table: store.Incidents, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if page := l.Page([]store.Record{{Key: "a"}, {Key: "b"}}); len(page.Records) != 2 || page.Cursor != "" {
		t.Errorf("page: got %+v, want two records and no cursor", page)
	}
}

// FuzzCursor: whatever a caller gives back as a cursor is refused, or names a
// place that the query can go on from.
func FuzzCursor(f *testing.F) {
	l, err := incidents.Prepare("list", store.Query{Table: store.Incidents, Order: "due"})
	if err != nil {
		f.Fatal(err)
	}
	for _, due := range []any{nil, int64(5)} {
		f.Add(after(l.query, "k", due).String())
	}
	f.Add("")
	f.Add("eyJxIjoxfQ")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := incidents.Prepare("list", store.Query{Table: store.Incidents, Order: "due", Cursor: text})
		if err != nil {
			if !heal.Is(err, heal.Invalid) {
				t.Errorf("got %v, want kind invalid", err)
			}
			return
		}
		for _, run := range l.Runs {
			if _, number := run.Value.(int64); run.Begun && (run.Key == "" || run.Value != nil && !number) {
				t.Errorf("run from %q: got %+v", text, run)
			}
		}
	})
}

func TestClip(t *testing.T) {
	long := fmt.Sprintf("%0500d", 0)
	if got := Clip(long); len(got) > 130 {
		t.Errorf("clip: got %d bytes", len(got))
	}
	if got := Clip("short"); got != "short" {
		t.Errorf("clip: got %q, want it whole", got)
	}
}
