package postgres

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/homeostat/homeostat/internal/store"
)

// Bounds of what is remembered: of one of two generations, and of one page.
const (
	maxRemembered      = 8192
	maxRememberedBytes = 16 << 20
	maxPages           = 256
	maxPageRecords     = 50
	maxPageBytes       = 64 << 10
)

// memory is what the writer knows of the database without asking. It holds as
// long as nobody else writes, which the newest revision tells: it is read, and
// locked, at the beginning of each transaction. Whoever holds the turn owns it.
type memory struct {
	young, old map[place]entry // what is used moves to the young
	size       int             // bytes of bodies in the young
	pages      map[string]rememberedPage
	changes    map[*table]uint64 // counts what changes a table's pages
}

type rememberedPage struct {
	page    store.Page
	changes uint64
}

func (m *memory) clear() {
	clear(m.young)
	clear(m.old)
	clear(m.pages)
	m.size = 0
}

// note remembers a key; the entry is not changed any more by anybody.
func (m *memory) note(t *table, e entry) {
	if e.partial {
		if have, ok := m.find(t, e.record.Key); ok && have.record.Revision == e.record.Revision {
			return
		}
	}
	if len(e.record.Body) > maxPageBytes {
		e = entry{record: store.Record{Key: e.record.Key, Revision: e.record.Revision}, partial: true}
	}
	if len(m.young) >= maxRemembered || m.size > maxRememberedBytes {
		m.young, m.old, m.size = m.old, m.young, 0
		clear(m.young)
	}
	if m.young == nil {
		m.young = map[place]entry{}
	}
	m.young[place{t, e.record.Key}] = e
	m.size += len(e.record.Body) // what it replaces still counts: a bound, not a measure
}

func (m *memory) find(t *table, key string) (entry, bool) {
	at := place{t, key}
	if e, ok := m.young[at]; ok {
		return e, true
	}
	e, ok := m.old[at]
	if ok {
		delete(m.old, at)
		m.note(t, e)
	}
	return e, ok
}

// changed makes what is remembered of the table's pages untrue.
func (m *memory) changed(t *table) {
	if m.changes == nil {
		m.changes = map[*table]uint64{}
	}
	m.changes[t]++
}

// page gives a page that was read since the table was last changed.
func (m *memory) page(t *table, q store.Query) (store.Page, bool) {
	got, ok := m.pages[nameOf(q)]
	if !ok || got.changes != m.changes[t] {
		return store.Page{}, false
	}
	return copyOfPage(got.page), true
}

// notePage remembers a small page.
func (m *memory) notePage(t *table, q store.Query, page store.Page) {
	size := 0
	for _, r := range page.Records {
		size += len(r.Body)
	}
	if len(page.Records) > maxPageRecords || size > maxPageBytes {
		return
	}
	if m.pages == nil || len(m.pages) >= maxPages {
		m.pages = map[string]rememberedPage{}
	}
	m.pages[nameOf(q)] = rememberedPage{copyOfPage(page), m.changes[t]}
}

func copyOfPage(p store.Page) store.Page {
	out := store.Page{Cursor: p.Cursor}
	for _, r := range p.Records {
		out.Records = append(out.Records, copyOf(r))
	}
	return out
}

// nameOf tells queries apart.
func nameOf(q store.Query) string {
	b := make([]byte, 0, 128)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.AppendVarint(b, n) }
	text(string(q.Table))
	text(q.Order)
	text(q.Cursor)
	number(int64(q.Limit))
	number(int64(len(q.Where)))
	b = strconv.AppendBool(b, q.Desc)
	for _, c := range q.Where {
		text(c.Column)
		text(string(c.Op))
		switch v := c.Value.(type) {
		case string:
			b = append(b, 's')
			text(v)
		case int64:
			b = append(b, 'i')
			number(v)
		default: // lists
			text(fmt.Sprintf("%#v", v))
		}
	}
	return string(b)
}
