package query

import (
	"cmp"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Listing is a checked query for one page. Nulls come first, as the smallest
// values. An order over a nullable column is read as two runs, the nulls and
// the values, because SQL compares a null with nothing and each run alone can
// follow an index.
type Listing struct {
	Where []store.Cond
	Order store.Column
	Desc  bool
	Limit int   // records on the page; one more tells that there is a next one
	Runs  []Run // what is still to be read, in order

	table Table
	query uint64
}

// Run is a part of a listing.
type Run struct {
	Nulls Nulls
	Begun bool   // it goes on behind Key, or behind Value and Key
	Value any    // nil if the run is ordered by the key alone
	Key   string // of the last record on the page before
}

// Nulls says which records belong to a run.
type Nulls int

// The parts of a listing.
const (
	Ignored Nulls = iota // the ordering column has no nulls
	Only                 // those where it is null, ordered by key
	None                 // those where it is not
)

// Prepare checks a query and says how its page is read.
func (t Table) Prepare(op string, q store.Query) (Listing, error) {
	l := Listing{table: t, Where: q.Where, Desc: q.Desc}
	var err error
	if l.Limit, err = PageSize(op, q.Limit); err != nil {
		return l, err
	}
	if err := t.CheckConds(op, q.Where); err != nil {
		return l, err
	}
	q.Order = cmp.Or(q.Order, "key")
	order, nullable, ok := t.Column(q.Order)
	if !ok {
		return l, heal.Errorf(heal.Invalid, op, "table %s has no column %q to order by", q.Table, q.Order)
	}
	l.Order = order
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
	l.Runs = l.split(nullable, from)
	return l, nil
}

// split gives the runs from a place on.
func (l *Listing) split(nullable bool, from *cursor) []Run {
	nulls, values := Run{Nulls: Only}, Run{}
	if nullable {
		values.Nulls = None
	}
	inNulls := from != nil && from.value() == nil
	switch {
	case from == nil:
	case inNulls:
		nulls.Begun, nulls.Key = true, from.Key
	case l.Order.Name == "key":
		values.Begun, values.Key = true, from.Key
	default:
		values.Begun, values.Value, values.Key = true, from.value(), from.Key
	}
	switch {
	case !nullable:
		return []Run{values}
	case l.Desc && inNulls:
		return []Run{nulls}
	case l.Desc:
		return []Run{values, nulls}
	case from == nil || inNulls:
		return []Run{nulls, values}
	}
	return []Run{values}
}

// Page cuts what was read of the runs, in order, to one page.
func (l *Listing) Page(records []store.Record) store.Page {
	if len(records) <= l.Limit {
		return store.Page{Records: records}
	}
	records = records[:l.Limit]
	last := records[l.Limit-1]
	return store.Page{Records: records, Cursor: after(l.query, last.Key, l.valueOf(last)).String()}
}

func (l *Listing) valueOf(r store.Record) any {
	switch l.Order.Name {
	case "key":
		return r.Key
	case "revision":
		return int64(r.Revision)
	}
	at := slices.IndexFunc(l.table.Columns, func(c store.Column) bool { return c.Name == l.Order.Name })
	return r.Columns[at]
}
