package sqlite

import (
	"strings"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// table is a table of the schema with the statements that do not vary.
type table struct {
	query.Table
	watched bool

	get, put, insert, remove string
	fields                   string   // what every read selects
	replace                  sync.Map // statement by the columns it sets, as changed gives them
}

func compileTables(schema map[store.Table]store.TableSchema) map[store.Table]*table {
	out := make(map[store.Table]*table, len(schema))
	for name, s := range schema {
		out[name] = compileTable(name, s)
	}
	return out
}

func compileTable(name store.Table, s store.TableSchema) *table {
	fields := []string{"key", "revision"}
	for _, c := range s.Columns {
		fields = append(fields, c.Name)
	}
	fields = append(fields, "body")
	var marks, takes []string
	for i, f := range fields {
		fields[i] = quote(f)
		marks = append(marks, "?")
		if i > 0 {
			takes = append(takes, fields[i]+" = excluded."+fields[i])
		}
	}
	t := &table{Table: query.Table{Name: name, Columns: s.Columns}, watched: s.Watched, fields: strings.Join(fields, ", ")}
	q := quote(string(name))
	t.get = "SELECT " + t.fields + " FROM " + q + " WHERE key = ?"
	t.insert = "INSERT INTO " + q + " (" + t.fields + ") VALUES (" + strings.Join(marks, ", ") + ")"
	t.put = t.insert + " ON CONFLICT (key) DO UPDATE SET " + strings.Join(takes, ", ")
	t.remove = "DELETE FROM " + q + " WHERE key = ?"
	return t
}

func (db *DB) table(op string, name store.Table) (*table, error) {
	if t := db.tables[name]; t != nil {
		return t, nil
	}
	return nil, heal.Errorf(heal.Invalid, op, "there is no table %q", string(name))
}

// changed gives a bit for each column that a put may change: SQLite writes an
// index anew if a column of it is set, even to what it was.
func (t *table) changed(r store.Record) (bits uint64) {
	for i := range r.Columns {
		if len(r.Was) != len(r.Columns) || r.Was[i] != r.Columns[i] {
			bits |= 1 << i
		}
	}
	return bits
}

// replacing is the statement that replaces a record and sets those columns.
func (t *table) replacing(changed uint64) string {
	if text, ok := t.replace.Load(changed); ok {
		return text.(string)
	}
	sets := []string{"revision = ?"}
	for i, c := range t.Columns {
		if changed&(1<<i) != 0 {
			sets = append(sets, quote(c.Name)+" = ?")
		}
	}
	sets = append(sets, "body = ?")
	text := "UPDATE " + quote(string(t.Name)) + " SET " + strings.Join(sets, ", ") + " WHERE key = ? AND revision = ?"
	t.replace.Store(changed, text)
	return text
}

// scan reads one record of the selected fields.
func (t *table) scan(scan func(...any) error) (store.Record, error) {
	r := store.Record{}
	into := make([]any, 0, len(t.Columns)+3)
	into = append(into, &r.Key, (*int64)(&r.Revision))
	if len(t.Columns) > 0 {
		r.Columns = make([]any, len(t.Columns))
	}
	for i := range r.Columns {
		into = append(into, &r.Columns[i])
	}
	err := scan(append(into, &r.Body)...)
	if r.Body == nil {
		r.Body = []byte{} // nil means deleted
	}
	return r, err
}

// quote makes an identifier of the schema safe for SQL; "open" and "action"
// are words of SQL.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
