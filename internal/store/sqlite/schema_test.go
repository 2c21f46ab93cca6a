package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/store"
)

// TestSchema compares what the migrations made with what the store declares.
// The difference shows the SQL that a new migration must bring.
func TestSchema(t *testing.T) {
	db := mustOpen(t, Options{})
	var got []string
	const made = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'store_*' AND name NOT GLOB 'schema_*' ORDER BY name"
	for _, name := range texts(t, db.writer, made) {
		got = append(got, describe(t, db.writer, name)...)
	}
	var want []string
	for name, s := range store.Schema {
		want = append(want, declared(string(name), s)...)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-declared in store.Schema +made by the migrations):\n%s", diff)
	}
}

// declared gives the SQL of a table as migrations write it.
func declared(name string, s store.TableSchema) []string {
	columns := []string{"key TEXT NOT NULL PRIMARY KEY", "revision INTEGER NOT NULL"}
	for _, c := range s.Columns {
		kind := "TEXT"
		if c.Int {
			kind = "INTEGER"
		}
		columns = append(columns, c.Name+" "+kind)
	}
	out := []string{fmt.Sprintf("TABLE %s (%s)", name, strings.Join(append(columns, "body BLOB NOT NULL"), ", "))}
	if s.Watched {
		out = append(out, fmt.Sprintf("UNIQUE INDEX %s (revision)", name))
	}
	for _, i := range s.Indexes {
		if i.Unique {
			out = append(out, fmt.Sprintf("UNIQUE INDEX %s (%s)", name, strings.Join(i.Columns, ", ")))
			continue
		}
		out = append(out, fmt.Sprintf("INDEX %s (%s)", name, strings.Join(append(slices.Clone(i.Columns), "key"), ", ")))
	}
	return out
}

// describe gives the same of a table that is there.
func describe(t *testing.T, s *session, name string) []string {
	columns := texts(t, s, `SELECT name || ' ' || type || CASE WHEN "notnull" THEN ' NOT NULL' ELSE '' END || CASE WHEN pk THEN ' PRIMARY KEY' ELSE '' END
		FROM pragma_table_info(?) ORDER BY cid`, name)
	out := []string{fmt.Sprintf("TABLE %s (%s)", name, strings.Join(columns, ", "))}
	for _, index := range texts(t, s, "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'", name) {
		unique := texts(t, s, `SELECT CASE WHEN "unique" THEN 'UNIQUE INDEX' ELSE 'INDEX' END FROM pragma_index_list(?) WHERE name = ?`, name, index)
		columns := texts(t, s, "SELECT name FROM pragma_index_info(?) ORDER BY seqno", index)
		out = append(out, fmt.Sprintf("%s %s (%s)", unique[0], name, strings.Join(columns, ", ")))
	}
	return out
}

func texts(t *testing.T, s *session, query string, args ...any) (out []string) {
	t.Helper()
	err := s.each(t.Context(), query, args, func(scan func(...any) error) error {
		var text string
		err := scan(&text)
		out = append(out, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPlans: the pages people look at follow an index, in order, without a
// sort.
func TestPlans(t *testing.T) {
	db := mustOpen(t, Options{})
	open := store.Cond{Column: "open", Op: store.Eq, Value: int64(1)}
	tests := []struct {
		name  string
		query store.Query
	}{
		{"newest cases", store.Query{Table: store.Incidents, Order: "updated", Desc: true}},
		{"newest open cases", store.Query{Table: store.Incidents, Order: "updated", Desc: true, Where: []store.Cond{open}}},
		{"due cases", store.Query{Table: store.Incidents, Order: "due", Where: []store.Cond{open, {Column: "due", Op: store.Le, Value: int64(9)}}}},
		{"alerts of a service", store.Query{Table: store.Alerts, Order: "updated", Desc: true, Where: []store.Cond{{Column: "service", Op: store.Eq, Value: "cart"}}}},
		{"deliveries as they came", store.Query{Table: store.Deliveries, Order: "revision"}},
		{"signals after those that were read", store.Query{Table: store.Faults, Order: "revision", Where: []store.Cond{
			{Column: "revision", Op: store.Gt, Value: int64(9)}, {Column: "key", Op: store.Ne, Value: "progress"},
		}}},
		{"story of a case", store.Query{Table: store.Timeline, Order: "seq", Where: []store.Cond{{Column: "incident", Op: store.Eq, Value: "i"}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := db.tables[test.query.Table]
			for _, from := range []string{"", cursorFor(t, table, test.query)} {
				test.query.Cursor = from
				l, err := table.Prepare("list", test.query)
				if err != nil {
					t.Fatal(err)
				}
				for _, run := range l.Runs {
					text, args := table.statement(l, run, filterOf(l.Where), 1)
					for _, step := range plan(t, db.writer, text, args) {
						if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "USING INDEX") || strings.Contains(step, "TEMP B-TREE") {
							t.Errorf("cursor %q: %s: %s", from, text, step)
						}
					}
				}
			}
		})
	}
}

// cursorFor is what a page of the query says whose last record has a value in
// every column.
func cursorFor(t *testing.T, table *table, q store.Query) string {
	t.Helper()
	q.Limit = 1
	l, err := table.Prepare("list", q)
	if err != nil {
		t.Fatal(err)
	}
	last := store.Record{Key: "k", Revision: 5}
	for _, c := range table.Columns {
		if c.Int {
			last.Columns = append(last.Columns, int64(5))
		} else {
			last.Columns = append(last.Columns, "v")
		}
	}
	return l.Page([]store.Record{last, {}}).Cursor
}

func plan(t *testing.T, s *session, text string, args []any) (steps []string) {
	t.Helper()
	err := s.each(t.Context(), "EXPLAIN QUERY PLAN "+text, args, func(scan func(...any) error) error {
		var id, parent, unused int
		var step string
		err := scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
