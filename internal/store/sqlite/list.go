package sqlite

import (
	"cmp"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// List gives one page. Nulls come first, as the smallest values. An order over
// a nullable column is read as two runs, the nulls and the values, because SQL
// compares a null with nothing and each run alone can follow an index.
func (r *reader) List(q store.Query) (store.Page, error) {
	op := "list " + string(q.Table)
	if err := r.ready(op); err != nil {
		return store.Page{}, err
	}
	l, err := r.prepare(op, q)
	if err != nil {
		return store.Page{}, err
	}
	var page store.Page
	for _, run := range l.runs {
		page.Records, err = r.fetch(l, run, page.Records)
		if err != nil {
			return store.Page{}, heal.Wrap(op, r.fail(err))
		}
		if len(page.Records) > l.limit {
			page.Records = page.Records[:l.limit]
			last := page.Records[l.limit-1]
			page.Cursor = after(l.query, last.Key, l.valueOf(last)).String()
			break
		}
	}
	return page, nil
}

// listing is a checked query.
type listing struct {
	table *table
	order store.Column
	desc  bool
	limit int
	query uint64
	runs  []filter
}

func (r *reader) prepare(op string, q store.Query) (listing, error) {
	l := listing{desc: q.Desc}
	var err error
	if l.table, err = r.db.table(op, q.Table); err != nil {
		return l, err
	}
	if l.limit, err = pageSize(op, q.Limit); err != nil {
		return l, err
	}
	base, err := l.table.where(op, q.Where)
	if err != nil {
		return l, err
	}
	q.Order = cmp.Or(q.Order, "key")
	order, nullable, ok := l.table.column(q.Order)
	if !ok {
		return l, heal.Errorf(heal.Invalid, op, "table %s has no column %q to order by", q.Table, q.Order)
	}
	l.order = order
	if l.query, err = fingerprint(q); err != nil {
		return l, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	var from *cursor
	if q.Cursor != "" {
		c, err := parseCursor(op, q.Cursor, l.query, order, nullable)
		if err != nil {
			return l, err
		}
		from = &c
	}
	// A condition on the ordering column leaves no nulls to read.
	nullable = nullable && !slices.ContainsFunc(q.Where, func(c store.Cond) bool { return c.Column == q.Order })
	l.runs = l.split(base, nullable, from)
	return l, nil
}

// split gives what is still to be read, in order.
func (l *listing) split(base filter, nullable bool, from *cursor) []filter {
	column, sign := quote(l.order.Name), ">"
	if l.desc {
		sign = "<"
	}
	nulls, values := base.with(column+" IS NULL"), base
	if nullable {
		values = base.with(column + " IS NOT NULL")
	}
	inNulls := false
	switch {
	case from == nil:
	case from.value() == nil:
		inNulls = true
		nulls = nulls.with("key "+sign+" ?", from.Key)
	case l.order.Name == "key":
		values = values.with("key "+sign+" ?", from.Key)
	default:
		values = values.with("("+column+", key) "+sign+" (?, ?)", from.value(), from.Key)
	}
	switch {
	case !nullable:
		return []filter{values}
	case l.desc && inNulls:
		return []filter{nulls}
	case l.desc:
		return []filter{values, nulls}
	case from == nil || inNulls:
		return []filter{nulls, values}
	}
	return []filter{values}
}

// fetch appends the records of one run, up to one more than the page holds:
// it tells that there is a next page.
func (r *reader) fetch(l listing, run filter, to []store.Record) ([]store.Record, error) {
	text, args := l.statement(run, l.limit+1-len(to))
	err := r.s.each(r.statementContext(), text, args, func(scan func(...any) error) error {
		record, err := l.table.scan(scan)
		to = append(to, record)
		return err
	})
	return to, err
}

// limitTo ends a statement that reads one page. SQLite plans a statement anew
// each time a value is bound to a bare LIMIT; to a sum it does not.
const limitTo = " LIMIT ? + 0"

func (l *listing) statement(run filter, limit int) (string, []any) {
	direction := " ASC"
	if l.desc {
		direction = " DESC"
	}
	order := " ORDER BY key" + direction
	if l.order.Name != "key" {
		order = " ORDER BY " + quote(l.order.Name) + direction + ", key" + direction
	}
	text := "SELECT " + l.table.fields + " FROM " + quote(string(l.table.name)) + run.String() + order + limitTo
	return text, append(slices.Clip(run.args), limit)
}

func (l *listing) valueOf(r store.Record) any {
	switch l.order.Name {
	case "key":
		return r.Key
	case "revision":
		return int64(r.Revision)
	}
	at := slices.IndexFunc(l.table.columns, func(c store.Column) bool { return c.Name == l.order.Name })
	return r.Columns[at]
}

func pageSize(op string, limit int) (int, error) {
	if limit < 0 {
		return 0, heal.Errorf(heal.Invalid, op, "the limit is %d, expected 0 to %d", limit, store.MaxPage)
	}
	return min(cmp.Or(limit, store.MaxPage), store.MaxPage), nil
}
