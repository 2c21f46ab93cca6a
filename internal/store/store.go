// Package store is the contract for everything Homeostat must not forget:
// records in named tables, written in durable transactions, read in snapshots,
// watched by revision.
//
// Its one invariant: when Update returns nil, what it wrote survives a crash of
// the process and of the machine; when it returns an error, nothing was
// written. The contract is small so that several engines can keep it
// (store/sqlite, store/postgres); store/storetest is the suite they all pass. It is not for
// telemetry (see telemetry and series) and knows no domain rules.
package store

import (
	"context"
	"time"
)

// Store keeps records.
type Store interface {
	// View runs f on one consistent snapshot.
	View(ctx context.Context, f func(Reader) error) error

	// Update runs f in a transaction and makes it durable. f may run more than
	// once and must have no effects outside tx. Concurrent updates may share
	// one durable commit; an error of one does not touch the others.
	Update(ctx context.Context, f func(Tx) error) error

	// Wait blocks until a revision newer than after is committed and gives the
	// newest one, or returns ctx's error.
	Wait(ctx context.Context, after Revision) (Revision, error)

	// Now is the time of the store: the database's own where several servers
	// share one, so that leases agree.
	Now(ctx context.Context) (time.Time, error)

	Close() error
}

// Stats counts what an engine did since it was opened.
type Stats struct {
	Updates uint64 // updates made durable
	Commits uint64 // commits that made them so
	Retries uint64 // tries of updates and views begun again because the database was away
	Refused uint64 // updates refused because the queue was full
	Waiting int    // updates in the queue now
}

// Reader reads one snapshot.
type Reader interface {
	// Get gives the record; kind NotFound if there is none.
	Get(table Table, key string) (Record, error)

	// List gives one page in the query's order.
	List(q Query) (Page, error)

	// Count counts the records that meet all conditions.
	Count(table Table, where ...Cond) (int64, error)

	// Changes gives what was put or deleted after the revision in a watched
	// table, oldest first, at most limit (0: MaxPage). It fails with ErrCompacted when deletions
	// after that revision are no longer known.
	Changes(table Table, after Revision, limit int) ([]Change, error)

	// Revision is the newest revision of the snapshot.
	Revision() Revision
}

// Tx reads and writes in one transaction; it reads its own writes.
type Tx interface {
	Reader

	// Put writes the record and gives its new revision. Record.Revision says
	// what must be there: Any, Absent, Fresh, or the revision that was read; else
	// the kind is Conflict.
	Put(table Table, r Record) (Revision, error)

	// Delete removes the record; kind NotFound if there is none.
	Delete(table Table, key string) error
}

// Revision orders commits: a transaction that committed later wrote higher
// revisions. Within the store every put has its own.
type Revision int64

// What may be expected in Record.Revision when putting.
const (
	Any    Revision = 0
	Absent Revision = -1

	// Fresh is Absent for a key that was just made of random bits. A store that
	// is far away does not ask first; should the key be there after all, it makes
	// the whole update again, and asks.
	Fresh Revision = -2
)

// MaxPage is the most records one page holds.
const MaxPage = 500

// Record is one stored thing.
type Record struct {
	Key      string
	Revision Revision
	Columns  []any  // string, int64 or nil, in the order of the table's schema
	Was      []any  // in a put that expects a revision, what Columns were then, if known: an engine may leave alone what is the same
	Body     []byte // versioned JSON, see Kind
}

// Change is one entry of a watch. Record.Body is nil if it was deleted.
type Change struct {
	Record  Record
	Deleted bool
}

// ErrCompacted is the answer to a watch from before the store's memory.
// Its kind is Conflict; the API answers 410.
var ErrCompacted error = compacted{}

type compacted struct{}

func (compacted) Error() string { return "changes since that revision are no longer known; list again" }

// Op compares a column with a value.
type Op string

// The comparisons. In takes a []string or []int64 of at most 500.
const (
	Eq Op = "="
	Ne Op = "!="
	Lt Op = "<"
	Le Op = "<="
	Gt Op = ">"
	Ge Op = ">="
	In Op = "in"
)

// Cond is one condition on a column. The columns "key" and "revision" exist in
// every table.
type Cond struct {
	Column string
	Op     Op
	Value  any // string or int64; times are int64 UTC nanoseconds
}

// Query asks for one page of a table.
type Query struct {
	Table  Table
	Where  []Cond // all must hold
	Order  string // a column, "key" if empty; ties by key
	Desc   bool
	Cursor string // from the page before; "" for the first
	Limit  int    // 0: MaxPage; more is cut to MaxPage
}

// Page is one page of records. Cursor is empty on the last.
type Page struct {
	Records []Record
	Cursor  string
}

// Nanos is t as stored: UTC nanoseconds, 0 for the zero time.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
