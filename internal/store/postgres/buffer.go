package postgres

import (
	"github.com/homeostat/homeostat/internal/store"
)

// maxHeld bounds what is kept back in one transaction, in bytes of bodies.
const maxHeld = 4 << 20

// entry is what is known of one key within a transaction.
type entry struct {
	record store.Record
	absent bool
	// partial entries hold the revision only.
	partial bool
	// fresh entries are inserted: whether the key is there already was not asked.
	fresh bool
}

// place is a key of a table.
type place struct {
	table *table
	key   string
}

// buffer is what was put and deleted and is not sent to the database yet.
type buffer struct {
	tables []*pending // in the order of first use
	size   int        // bytes of bodies
}

// pending is the part of a buffer for one table.
type pending struct {
	table *table
	at    map[string]int // key to its place in rows
	rows  []entry        // one a key, the newest
	gone  []store.Record // deletions to be told, key and revision
}

func (b *buffer) of(t *table) *pending {
	for _, p := range b.tables {
		if p.table == t {
			return p
		}
	}
	return nil
}

func (b *buffer) empty() bool { return len(b.tables) == 0 }

func (b *buffer) find(t *table, key string) (entry, bool) {
	if p := b.of(t); p != nil {
		if i, ok := p.at[key]; ok {
			return p.rows[i], true
		}
	}
	return entry{}, false
}

// set notes the newest state of a key.
func (b *buffer) set(t *table, e entry) {
	p := b.of(t)
	if p == nil {
		p = &pending{table: t, at: map[string]int{}}
		b.tables = append(b.tables, p)
	}
	b.size += len(e.record.Body)
	if i, ok := p.at[e.record.Key]; ok {
		b.size -= len(p.rows[i].record.Body)
		e.fresh = e.fresh || p.rows[i].fresh
		p.rows[i] = e
		return
	}
	p.at[e.record.Key] = len(p.rows)
	p.rows = append(p.rows, e)
}

// forget notes a deletion to be told.
func (b *buffer) forget(t *table, key string, r store.Revision) {
	p := b.of(t) // set was called for the same key
	p.gone = append(p.gone, store.Record{Key: key, Revision: r})
}

// add puts what another buffer holds after what this one does.
func (b *buffer) add(more *buffer) {
	if b.empty() {
		*b = *more
		return
	}
	for _, p := range more.tables {
		for _, e := range p.rows {
			b.set(p.table, e)
		}
		mine := b.of(p.table)
		mine.gone = append(mine.gone, p.gone...)
	}
}

// take removes what is held for the table, or for all if t is nil, and gives
// the statements that send it.
func (b *buffer) take(t *table, sent func(*table, entry)) (calls []*call) {
	kept := b.tables[:0]
	for _, p := range b.tables {
		if t != nil && p.table != t {
			kept = append(kept, p)
			continue
		}
		calls = append(calls, p.calls()...)
		for _, e := range p.rows {
			b.size -= len(e.record.Body)
			e.fresh = false
			sent(p.table, e)
		}
	}
	b.tables = kept
	return calls
}

// calls gives the statements that write a table's part: deletions first, so
// that what they leave free can be taken.
func (p *pending) calls() (calls []*call) {
	var puts, inserts []store.Record
	var removed []string
	for _, e := range p.rows {
		switch {
		case e.absent:
			removed = append(removed, e.record.Key)
		case e.fresh:
			inserts = append(inserts, e.record)
		default:
			puts = append(puts, e.record)
		}
	}
	if len(removed) > 0 {
		calls = append(calls, &call{text: p.table.remove, args: [][]byte{value(removed)}})
	}
	if len(puts) > 0 {
		calls = append(calls, &call{text: p.table.put, args: p.table.lists(puts)})
	}
	if len(inserts) > 0 {
		calls = append(calls, &call{text: p.table.insert, args: p.table.lists(inserts)})
	}
	if len(p.gone) > 0 {
		calls = append(calls, &call{text: remember, args: [][]byte{
			textValue(string(p.table.Name)),
			listOf(oidInt8, len(p.gone), func(b []byte, i int) []byte { return appendInt8(b, int64(p.gone[i].Revision)) }),
			listOf(oidText, len(p.gone), func(b []byte, i int) []byte { return appendText(b, p.gone[i].Key) }),
		}})
	}
	return calls
}

// remember notes deletions for those who watch.
const remember = "INSERT INTO store_tombstone (revision, tbl, key) SELECT r, $1, k FROM unnest($2::bigint[], $3::text[]) AS gone (r, k)"

// lists gives one array for each field of the records.
func (t *table) lists(records []store.Record) [][]byte {
	n := len(records)
	args := make([][]byte, 0, len(t.Columns)+3)
	args = append(args,
		listOf(oidText, n, func(b []byte, i int) []byte { return appendText(b, records[i].Key) }),
		listOf(oidInt8, n, func(b []byte, i int) []byte { return appendInt8(b, int64(records[i].Revision)) }))
	for c, column := range t.Columns {
		oid := uint32(oidText)
		if column.Int {
			oid = oidInt8
		}
		args = append(args, listOf(oid, n, func(b []byte, i int) []byte {
			switch v := records[i].Columns[c].(type) {
			case int64:
				return appendInt8(b, v)
			case string:
				return appendText(b, v)
			}
			return appendNull(b)
		}))
	}
	return append(args, listOf(oidBytea, n, func(b []byte, i int) []byte { return appendText(b, records[i].Body) }))
}
