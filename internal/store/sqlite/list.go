package sqlite

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// List gives one page.
func (r *reader) List(q store.Query) (store.Page, error) {
	op := "list " + string(q.Table)
	if err := r.ready(op); err != nil {
		return store.Page{}, err
	}
	t, err := r.db.table(op, q.Table)
	if err != nil {
		return store.Page{}, err
	}
	l, err := t.Prepare(op, q)
	if err != nil {
		return store.Page{}, err
	}
	where := filterOf(l.Where)
	var records []store.Record
	for _, run := range l.Runs {
		text, args := t.statement(l, run, where, l.Limit+1-len(records))
		err := r.s.each(r.statementContext(), text, args, func(scan func(...any) error) error {
			record, err := t.scan(scan)
			records = append(records, record)
			return err
		})
		if err != nil {
			return store.Page{}, heal.Wrap(op, r.fail(err))
		}
		if len(records) > l.Limit {
			break
		}
	}
	return l.Page(records), nil
}

// limitTo ends a statement that reads one page. SQLite plans a statement anew
// each time a value is bound to a bare LIMIT; to a sum it does not.
const limitTo = " LIMIT ? + 0"

// statement gives the SQL that reads up to limit records of one run.
func (t *table) statement(l query.Listing, run query.Run, where filter, limit int) (string, []any) {
	column, sign, direction := quote(l.Order.Name), ">", " ASC"
	if l.Desc {
		sign, direction = "<", " DESC"
	}
	f := filter{slices.Clip(where.terms), slices.Clip(where.args)} // other runs share it
	switch run.Nulls {
	case query.Only:
		f.add(column + " IS NULL")
	case query.None:
		f.add(column + " IS NOT NULL")
	case query.Ignored:
	}
	switch {
	case run.Begun && run.Value != nil:
		f.add("("+column+", key) "+sign+" (?, ?)", run.Value, run.Key)
	case run.Begun:
		f.add("key "+sign+" ?", run.Key)
	}
	order := " ORDER BY key" + direction
	if l.Order.Name != "key" {
		order = " ORDER BY " + column + direction + ", key" + direction
	}
	text := "SELECT " + t.fields + " FROM " + quote(string(t.Name)) + f.String() + order + limitTo
	return text, append(f.args, limit)
}

// filter is a WHERE clause being written.
type filter struct {
	terms []string
	args  []any
}

// filterOf writes checked conditions. As in SQL, a null column meets none.
func filterOf(conds []store.Cond) filter {
	var f filter
	for _, c := range conds {
		column := quote(c.Column)
		switch c.Op {
		case store.Eq, store.Lt, store.Le, store.Gt, store.Ge:
			f.add(column+" "+string(c.Op)+" ?", c.Value)
		case store.Ne:
			f.add(column+" <> ?", c.Value)
		case store.In:
			f.add(column+" IN (SELECT value FROM json_each(?))", inList(c.Value))
		}
	}
	return f
}

func (f *filter) add(term string, args ...any) {
	f.terms = append(f.terms, term)
	f.args = append(f.args, args...)
}

func (f filter) String() string {
	if len(f.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.terms, " AND ")
}

// inList gives the list as one JSON argument: the statement's text, and so its
// plan, does not depend on the list's length.
func inList(v any) string {
	list, err := json.Marshal(v)
	if err != nil {
		panic("sqlite: encode a list: " + err.Error()) // of numbers or strings only
	}
	if string(list) == "null" { // a nil slice
		return "[]"
	}
	return string(list)
}
