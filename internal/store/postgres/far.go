package postgres

import (
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

var _ store.Far = (*tx)(nil)

// Knows reports whether a record can be read without asking.
func (t *tx) Knows(name store.Table, key string) bool {
	table := t.db.tables[name]
	if table == nil {
		return false
	}
	e, ok := t.known(table, key)
	return ok && !e.partial
}

// Ahead asks for all that is not known yet, in one round trip, and remembers it.
func (t *tx) Ahead(reads ...store.Read) error {
	const op = "read ahead"
	var flushed, calls []*call
	var notes []func()
	for i := range reads {
		read := &reads[i]
		name := read.Table
		if read.Page != nil {
			name = read.Page.Table
		}
		table, err := t.begin(op, name)
		if err != nil {
			return err
		}
		if read.Page == nil {
			if !t.Knows(name, read.Key) {
				c, note := t.aheadOf(table, read.Key)
				calls, notes = append(calls, c), append(notes, note)
			}
			continue
		}
		if _, known := t.db.memory.page(table, *read.Page); known || read.Page.Limit > maxPageRecords {
			continue
		}
		p, page, err := t.listing(op, table, *read.Page)
		if err != nil {
			return err
		}
		flushed = append(flushed, t.flush(table)...)
		calls = append(calls, p...)
		notes = append(notes, func() { t.notePage(table, *read.Page, page()) })
	}
	if len(calls) == 0 {
		return nil
	}
	if err := t.db.send(append(flushed, calls...)...); err != nil {
		return heal.Wrap(op, err)
	}
	for _, note := range notes {
		note()
	}
	return nil
}

// aheadOf asks for one record; note remembers it, or that there is none.
func (t *tx) aheadOf(table *table, key string) (c *call, note func()) {
	found := entry{record: store.Record{Key: key}, absent: true}
	c = &call{text: table.get, args: [][]byte{textValue(key)}, row: func(row [][]byte) (err error) {
		found.absent = false
		found.record, err = table.scan(row)
		return err
	}}
	return c, func() { t.db.memory.note(table, found) }
}
