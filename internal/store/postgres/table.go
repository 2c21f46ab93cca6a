package postgres

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// maxIndexed bounds the bytes of text in one entry of an index. PostgreSQL
// takes 2,704 bytes for a whole entry.
const maxIndexed = 2600

// table is a table of the schema with the statements that do not vary.
type table struct {
	query.Table
	watched bool
	indexes []index
	unique  []index // of indexes; nearly always none

	fields                            string // what every read selects
	get, revision, put, remove, count string
	insert                            string // like put, for keys that must not be there
	puts, deletions                   string // after a revision, oldest first
}

// index is an index of the schema by the positions of its columns.
type index struct {
	columns []int
	unique  bool
	other   string // of a unique index: finds another record with the same values
}

func compileTables(schema map[store.Table]store.TableSchema) map[store.Table]*table {
	out := make(map[store.Table]*table, len(schema))
	for name, s := range schema {
		out[name] = compileTable(name, s)
	}
	return out
}

func compileTable(name store.Table, s store.TableSchema) *table {
	fields, kinds := []string{"key", "revision"}, []string{"text", "bigint"}
	for _, c := range s.Columns {
		fields, kinds = append(fields, quote(c.Name)), append(kinds, kind(c))
	}
	fields, kinds = append(fields, "body"), append(kinds, "bytea")
	var lists, takes []string
	for i, f := range fields {
		lists = append(lists, fmt.Sprintf("$%d::%s[]", i+1, kinds[i]))
		if i > 0 {
			takes = append(takes, f+" = excluded."+f)
		}
	}
	t := &table{Table: query.Table{Name: name, Columns: s.Columns}, watched: s.Watched, fields: strings.Join(fields, ", ")}
	q := quote(string(name))
	t.get = "SELECT " + t.fields + " FROM " + q + " WHERE key = $1"
	t.revision = "SELECT revision FROM " + q + " WHERE key = $1"
	t.insert = "INSERT INTO " + q + " (" + t.fields + ") SELECT * FROM unnest(" + strings.Join(lists, ", ") + ")"
	t.put = t.insert + " ON CONFLICT (key) DO UPDATE SET " + strings.Join(takes, ", ")
	t.remove = "DELETE FROM " + q + " WHERE key = ANY ($1::text[])"
	t.count = "SELECT count(*) FROM " + q
	t.puts = "SELECT " + t.fields + " FROM " + q + " WHERE revision > $1 ORDER BY revision"
	t.deletions = "SELECT key, revision FROM store_tombstone WHERE tbl = $1 AND revision > $2 ORDER BY revision"
	for _, i := range s.Indexes {
		t.addIndex(q, i)
	}
	return t
}

func (t *table) addIndex(q string, i store.Index) {
	in := index{unique: i.Unique}
	var same []string
	for n, name := range i.Columns {
		at := slices.IndexFunc(t.Columns, func(c store.Column) bool { return c.Name == name })
		if at < 0 {
			continue // the key or the revision, which take no text of their own
		}
		in.columns = append(in.columns, at)
		same = append(same, fmt.Sprintf("%s = $%d", quote(name), n+2))
	}
	if i.Unique {
		in.other = "SELECT key FROM " + q + " WHERE key <> $1 AND " + strings.Join(same, " AND ")
		t.unique = append(t.unique, in)
	}
	t.indexes = append(t.indexes, in)
}

func kind(c store.Column) string {
	if c.Int {
		return "bigint"
	}
	return "text"
}

// checkIndexed says which index would not take the record.
func (t *table) checkIndexed(op string, r store.Record) error {
	for _, i := range t.indexes {
		size := 0
		if !i.unique {
			size = len(r.Key)
		}
		for _, at := range i.columns {
			if text, ok := r.Columns[at].(string); ok {
				size += len(text)
			}
		}
		if size > maxIndexed {
			return heal.Errorf(heal.Invalid, op, "the text of %s and the key that are indexed together is %d bytes long, at most %d are taken", t.names(i.columns), size, maxIndexed)
		}
	}
	return nil
}

func (t *table) names(columns []int) string {
	var out []string
	for _, at := range columns {
		out = append(out, t.Columns[at].Name)
	}
	return strings.Join(out, ", ")
}

// values gives the record's values for the index; false if one is null, which
// equals nothing.
func (i index) values(columns []any) ([]any, bool) {
	var out []any
	for _, at := range i.columns {
		if columns[at] == nil {
			return nil, false
		}
		out = append(out, columns[at])
	}
	return out, true
}

// scan reads one record of the selected fields.
func (t *table) scan(row [][]byte) (store.Record, error) {
	if len(row) != len(t.Columns)+3 {
		return store.Record{}, fmt.Errorf("the database sent %d fields of table %s, expected %d", len(row), t.Name, len(t.Columns)+3)
	}
	r := store.Record{Key: string(row[0])}
	revision, err := readInt8(row[1])
	if err != nil {
		return r, err
	}
	r.Revision = store.Revision(revision)
	if len(t.Columns) > 0 {
		r.Columns = make([]any, len(t.Columns))
	}
	for i, c := range t.Columns {
		switch v := row[i+2]; {
		case v == nil:
		case c.Int:
			n, err := readInt8(v)
			if err != nil {
				return r, err
			}
			r.Columns[i] = n
		default:
			r.Columns[i] = string(v)
		}
	}
	r.Body = append(make([]byte, 0, len(row[len(row)-1])), row[len(row)-1]...) // never nil, which would mean deleted
	return r, nil
}

// copyOf is a record that shares nothing a caller could change.
func copyOf(r store.Record) store.Record {
	r.Columns = slices.Clone(r.Columns)
	if r.Body = bytes.Clone(r.Body); r.Body == nil {
		r.Body = []byte{}
	}
	return r
}

// quote makes an identifier of the schema safe for SQL; "open" and "action"
// are words of SQL.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
