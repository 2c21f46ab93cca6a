package postgres

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// reader reads one snapshot, or within one transaction. It holds the context of
// the call that it lives in.
type reader struct {
	ctx      context.Context
	db       *DB
	ask      func(*table, ...*call) error // carries out calls that read the table; errors have a kind
	revision store.Revision
	broken   error // the database failed; nothing more can be read
	ended    bool  // the call is over
}

// begin says why nothing can be read any more, and finds the table.
func (r *reader) begin(op string, name store.Table) (*table, error) {
	switch {
	case r.ended:
		return nil, heal.Errorf(heal.Internal, op, "used after the function it was given to returned")
	case r.broken != nil:
		return nil, heal.Wrap(op, r.broken)
	case r.ctx.Err() != nil:
		return nil, heal.Errorf(heal.Transient, op, "%w", r.ctx.Err())
	}
	if t := r.db.tables[name]; t != nil {
		return t, nil
	}
	return nil, heal.Errorf(heal.Invalid, op, "there is no table %q", string(name))
}

// Get gives the record.
func (r *reader) Get(name store.Table, key string) (store.Record, error) {
	op := "get " + string(name) + " " + query.Clip(key)
	t, err := r.begin(op, name)
	if err != nil {
		return store.Record{}, err
	}
	return r.get(op, t, key, func(calls ...*call) error { return r.ask(t, calls...) })
}

func (r *reader) get(op string, t *table, key string, ask func(...*call) error) (store.Record, error) {
	if err := query.CheckKey(op, key); err != nil {
		return store.Record{}, err
	}
	var record store.Record
	found := false
	err := ask(&call{text: t.get, args: [][]byte{textValue(key)}, row: func(row [][]byte) (err error) {
		found = true
		record, err = t.scan(row)
		return err
	}})
	if err != nil {
		return store.Record{}, heal.Wrap(op, err)
	}
	if !found {
		return store.Record{}, heal.Errorf(heal.NotFound, op, "there is none")
	}
	return record, nil
}

// Count counts the records that meet all conditions.
func (r *reader) Count(name store.Table, where ...store.Cond) (int64, error) {
	op := "count " + string(name)
	t, err := r.begin(op, name)
	if err != nil {
		return 0, err
	}
	if err := t.CheckConds(op, where); err != nil {
		return 0, err
	}
	var n int64
	f := filterOf(where)
	if err := r.ask(t, &call{text: t.count + f.String(), args: f.args, row: intInto(&n)}); err != nil {
		return 0, heal.Wrap(op, err)
	}
	return n, nil
}

// List gives one page.
func (r *reader) List(q store.Query) (store.Page, error) {
	op := "list " + string(q.Table)
	t, err := r.begin(op, q.Table)
	if err != nil {
		return store.Page{}, err
	}
	calls, page, err := r.listing(op, t, q)
	if err != nil {
		return store.Page{}, err
	}
	if err := r.ask(t, calls...); err != nil {
		return store.Page{}, heal.Wrap(op, err)
	}
	return page(), nil
}

// listing gives the calls that read a page, and the page once they are carried
// out.
func (r *reader) listing(op string, t *table, q store.Query) (calls []*call, page func() store.Page, err error) {
	l, err := t.Prepare(op, q)
	if err != nil {
		return nil, nil, err
	}
	var records []store.Record
	calls = make([]*call, len(l.Runs))
	for i, run := range l.Runs {
		text, args := t.statement(l, run)
		calls[i] = &call{text: text, args: args, row: func(row [][]byte) error {
			if len(records) > l.Limit {
				return nil
			}
			record, err := t.scan(row)
			records = append(records, record)
			return err
		}}
	}
	return calls, func() store.Page { return l.Page(records) }, nil
}

// statement gives the SQL of one run. How many rows it wants is part of its
// text, rounded up so that few texts exist: a plan made for an unknown number
// expects a tenth of the table and would rather sort all of it.
func (t *table) statement(l query.Listing, run query.Run) (string, [][]byte) {
	column, sign, direction := quote(l.Order.Name), ">", ""
	if l.Desc {
		sign, direction = "<", " DESC"
	}
	f := filterOf(l.Where)
	order := " ORDER BY " + column + direction + ", key" + direction
	switch run.Nulls {
	case query.Only:
		f.add(column + " IS NULL") // the order names it all the same: the planner then follows the index
	case query.None:
		f.add(column + " IS NOT NULL")
	case query.Ignored:
		if l.Order.Name == "key" {
			order = " ORDER BY key" + direction
		}
	}
	switch {
	case run.Begun && run.Value != nil:
		f.add("(" + column + ", key) " + sign + " (" + f.mark(value(run.Value)) + ", " + f.mark(textValue(run.Key)) + ")")
	case run.Begun:
		f.add("key " + sign + " " + f.mark(textValue(run.Key)))
	}
	return "SELECT " + t.fields + " FROM " + quote(string(t.Name)) + f.String() + order + limitTo(l.Limit+1), f.args
}

// limitTo ends a statement that reads n rows or some more.
func limitTo(n int) string {
	for _, size := range []int{2, 6, 11, 21, 51, 101, 201} {
		if n <= size {
			return " LIMIT " + strconv.Itoa(size)
		}
	}
	return " LIMIT " + strconv.Itoa(store.MaxPage+1)
}

// filter is a WHERE clause being written.
type filter struct {
	terms []string
	args  [][]byte
}

// filterOf writes checked conditions. As in SQL, a null column meets none.
func filterOf(conds []store.Cond) *filter {
	f := &filter{}
	for _, c := range conds {
		switch c.Op {
		case store.In:
			f.add(quote(c.Column) + " = ANY (" + f.mark(value(c.Value)) + ")")
		case store.Ne:
			f.add(quote(c.Column) + " <> " + f.mark(value(c.Value)))
		case store.Eq, store.Lt, store.Le, store.Gt, store.Ge:
			f.add(quote(c.Column) + " " + string(c.Op) + " " + f.mark(value(c.Value)))
		}
	}
	return f
}

func (f *filter) add(term string) { f.terms = append(f.terms, term) }

// mark adds an argument and gives its name in the text.
func (f *filter) mark(arg []byte) string {
	f.args = append(f.args, arg)
	return "$" + strconv.Itoa(len(f.args))
}

func (f *filter) String() string {
	if len(f.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.terms, " AND ")
}

// Changes gives what was put or deleted after the revision. A revision newer
// than the snapshot is answered with ErrCompacted too: it is from a time that
// a restored backup does not know.
func (r *reader) Changes(name store.Table, after store.Revision, limit int) ([]store.Change, error) {
	op := "changes of " + string(name)
	t, err := r.begin(op, name)
	if err != nil {
		return nil, err
	}
	if !t.watched {
		return nil, heal.Errorf(heal.Invalid, op, "the table is not watched")
	}
	if limit, err = query.PageSize(op, limit); err != nil {
		return nil, err
	}
	if after < 0 {
		return nil, heal.Errorf(heal.Invalid, op, "revision %d was never given out", after)
	}
	var compacted int64
	var out []store.Change
	since := int8Value(int64(after))
	err = r.ask(t, &call{
		text: "SELECT revision FROM store_compacted WHERE tbl = $1", args: [][]byte{textValue(string(name))}, row: intInto(&compacted),
	}, &call{text: t.puts + limitTo(limit), args: [][]byte{since}, row: func(row [][]byte) error {
		record, err := t.scan(row)
		out = append(out, store.Change{Record: record})
		return err
	}}, &call{text: t.deletions + limitTo(limit), args: [][]byte{textValue(string(name)), since}, row: func(row [][]byte) error {
		revision, err := readInt8(row[1])
		out = append(out, store.Change{Record: store.Record{Key: string(row[0]), Revision: store.Revision(revision)}, Deleted: true})
		return err
	}})
	if err != nil {
		return nil, heal.Wrap(op, err)
	}
	if int64(after) < compacted || after > r.revision {
		return nil, &heal.Error{Op: op, Kind: heal.Conflict, Err: store.ErrCompacted}
	}
	slices.SortFunc(out, func(a, b store.Change) int { return cmp.Compare(a.Record.Revision, b.Record.Revision) })
	return out[:min(len(out), limit)], nil
}

// Revision is the newest revision of the snapshot.
func (r *reader) Revision() store.Revision { return r.revision }
