//go:build postgres

package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// TestSchema compares what the migrations made with what the store declares.
// The difference shows the SQL that a new migration must bring.
func TestSchema(t *testing.T) {
	db := mustOpen(t, Options{})
	got := describeTables(t, db)
	var want []string
	for name, s := range store.Schema {
		want = append(want, declared(string(name), s)...)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-declared in store.Schema +made by the migrations):\n%s", diff)
	}
}

// declared gives a table as describeTables does.
func declared(name string, s store.TableSchema) []string {
	columns := []string{"key text C NOT NULL", "revision bigint NOT NULL"}
	for _, c := range s.Columns {
		kind := " text C"
		if c.Int {
			kind = " bigint"
		}
		columns = append(columns, c.Name+kind)
	}
	out := []string{
		fmt.Sprintf("TABLE %s (%s)", name, strings.Join(append(columns, "body bytea NOT NULL"), ", ")),
		fmt.Sprintf("UNIQUE INDEX %s (key)", name),
	}
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

func describeTables(t *testing.T, db *DB) []string {
	const ours = `n.nspname = current_schema() AND c.relname NOT LIKE 'store\_%' AND c.relname NOT LIKE 'schema\_%'`
	tables := texts(t, db.writer, `SELECT 'TABLE ' || c.relname || ' (' || string_agg(
			a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN l.collname = 'C' THEN ' C' ELSE '' END || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
			', ' ORDER BY a.attnum) || ')'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		LEFT JOIN pg_collation l ON l.oid = a.attcollation
		WHERE c.relkind = 'r' AND `+ours+` GROUP BY c.relname`)
	indexes := texts(t, db.writer, `SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || c.relname || ' (' || (
			SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid) || ')'
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE i.indisvalid AND `+ours)
	return append(tables, indexes...)
}

// texts gives the first column of a query.
func texts(t *testing.T, s *session, text string, args ...[]byte) (out []string) {
	t.Helper()
	err := s.do(t.Context(), &call{text: text, args: args, row: func(row [][]byte) error {
		out = append(out, string(row[0]))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPlans: at a size where it matters, with and without statistics, the pages
// people look at and the questions the loop asks follow an index in order,
// without a sort and without reading the table.
func TestPlans(t *testing.T) {
	db := mustOpen(t, Options{})
	fillIncidents(t, db, 20_000)
	open := store.Cond{Column: "open", Op: store.Eq, Value: int64(1)}
	due := store.Cond{Column: "due", Op: store.Le, Value: int64(9)}
	tests := []struct {
		name  string
		query store.Query
	}{
		{"newest cases", store.Query{Table: store.Incidents, Order: "updated", Desc: true, Limit: 50}},
		{"newest open cases", store.Query{Table: store.Incidents, Order: "updated", Desc: true, Limit: 50, Where: []store.Cond{open}}},
		{"a full page", store.Query{Table: store.Incidents, Order: "updated", Desc: true}},
		{"due cases", store.Query{Table: store.Incidents, Order: "due", Where: []store.Cond{open, due}, Limit: 100}},
		{"cases of a service", store.Query{Table: store.Incidents, Order: "updated", Desc: true, Limit: 20, Where: []store.Cond{{Column: "service", Op: store.Eq, Value: "cart"}}}},
		{"by key", store.Query{Table: store.Incidents, Limit: 10}},
		{"due steps", store.Query{Table: store.Steps, Order: "due", Where: []store.Cond{{Column: "state", Op: store.Eq, Value: "due"}, due}, Limit: 10}},
		{"story of a case", store.Query{Table: store.Timeline, Order: "seq", Where: []store.Cond{{Column: "incident", Op: store.Eq, Value: "i"}}, Limit: 10}},
	}
	for _, statistics := range []bool{false, true} {
		if statistics {
			texts(t, db.writer, "ANALYZE")
		}
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s/%v", test.name, statistics), func(t *testing.T) { explainQuery(t, db, test.query) })
		}
	}
}

func explainQuery(t *testing.T, db *DB, q store.Query) {
	table := db.tables[q.Table]
	l, err := table.Prepare("list", q)
	if err != nil {
		t.Fatal(err)
	}
	for i, run := range append(l.Runs, query.Run{Nulls: l.Runs[len(l.Runs)-1].Nulls, Begun: true, Value: int64(5), Key: "k"}) {
		if i == len(l.Runs) && !l.Order.Int {
			continue // the place is a number
		}
		text, args := table.statement(l, run)
		name := fmt.Sprintf("p%d", i)
		texts(t, db.writer, "DEALLOCATE ALL")
		clear(db.writer.known)
		if _, err := db.writer.conn.Prepare(t.Context(), name, text, nil); err != nil {
			t.Fatal(err)
		}
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(args)), ", ")
		if nulls != "" {
			nulls = "(" + nulls + ")"
		}
		results, err := db.writer.conn.Exec(t.Context(), "EXPLAIN EXECUTE "+name+nulls).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range results[0].Rows {
			if line := string(row[0]); strings.Contains(line, "Seq Scan") || strings.Contains(line, "Sort") {
				t.Errorf("%s: %s", text, line)
			}
		}
	}
}

// fillIncidents puts cases of which one in 50 is open.
func fillIncidents(t testing.TB, db *DB, n int) {
	t.Helper()
	for from := 0; from < n; from += 1000 {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			for i := range 1000 {
				at := int64(from + i)
				open := int64(0)
				if at%50 == 0 {
					open = 1
				}
				r := store.Record{
					Key: fmt.Sprintf("k%08d", at), Body: make([]byte, 1000),
					Columns: []any{"open", "critical", fmt.Sprintf("service-%d", at%200), "cause", open, at, at},
				}
				if _, err := tx.Put(store.Incidents, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
