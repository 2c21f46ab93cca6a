package postgres

import (
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// tx is one update: a reader that also writes. Its revision counts up with
// each write. Since nobody else can write meanwhile, what it has read still
// holds, and a write whose condition is known to hold need not be sent at once.
type tx struct {
	reader
	group *group
	held  buffer
	sent  bool // something of this update is on the server
	saved bool // there is a savepoint before it

	careful bool // ask whether a fresh key is there
}

// see carries out calls that read the table, after what is held back for it.
// What the update itself wrote is sent under a savepoint if others share the
// transaction, so that it can be undone alone.
func (t *tx) see(of *table, calls ...*call) error {
	return t.db.send(append(t.flush(of), calls...)...)
}

// flush gives the calls that send what is held back for the table, or for all
// if it is nil.
func (t *tx) flush(of *table) []*call {
	note := t.db.memory.note
	calls := t.group.held.take(of, note)
	mine := t.held.take(of, note)
	if len(mine) == 0 {
		return calls
	}
	if !t.saved && t.group.size > 0 {
		calls = append(t.group.held.take(nil, note), calls...)
		calls = append(calls, &call{text: savepoint})
		t.saved = true
	}
	t.sent = true
	return append(calls, mine...)
}

// known is what the transaction knows of a key without asking.
func (t *tx) known(table *table, key string) (entry, bool) {
	if e, ok := t.held.find(table, key); ok {
		return e, true
	}
	if e, ok := t.group.held.find(table, key); ok {
		return e, true
	}
	return t.db.memory.find(table, key)
}

// Get gives the record.
func (t *tx) Get(name store.Table, key string) (store.Record, error) {
	op := "get " + string(name) + " " + query.Clip(key)
	table, err := t.begin(op, name)
	if err != nil {
		return store.Record{}, err
	}
	if e, ok := t.known(table, key); ok && !e.partial {
		if e.absent {
			return store.Record{}, heal.Errorf(heal.NotFound, op, "there is none")
		}
		return copyOf(e.record), nil
	}
	r, err := t.get(op, table, key, t.db.send)
	switch {
	case err == nil:
		t.db.memory.note(table, entry{record: copyOf(r)})
	case heal.Is(err, heal.NotFound):
		t.db.memory.note(table, entry{record: store.Record{Key: key}, absent: true})
	}
	return r, err
}

// List gives one page, and remembers it.
func (t *tx) List(q store.Query) (store.Page, error) {
	table, err := t.begin("list "+string(q.Table), q.Table)
	if err != nil {
		return store.Page{}, err
	}
	if page, ok := t.db.memory.page(table, q); ok {
		return page, nil
	}
	page, err := t.reader.List(q)
	if err != nil {
		return store.Page{}, err
	}
	t.notePage(table, q, page)
	return page, nil
}

func (t *tx) notePage(table *table, q store.Query, page store.Page) {
	for _, r := range page.Records {
		t.db.memory.note(table, entry{record: store.Record{Key: r.Key, Revision: r.Revision}, partial: true})
	}
	t.db.memory.notePage(table, q, page)
}

// Put writes the record and gives its new revision.
func (t *tx) Put(name store.Table, r store.Record) (store.Revision, error) {
	op := "put " + string(name) + " " + query.Clip(r.Key)
	table, err := t.begin(op, name)
	if err != nil {
		return 0, err
	}
	if err := table.CheckRecord(op, r); err != nil {
		return 0, err
	}
	if err := table.checkIndexed(op, r); err != nil {
		return 0, err
	}
	fresh := r.Revision == store.Fresh && !t.careful && len(table.unique) == 0
	if _, known := t.known(table, r.Key); known {
		fresh = false
	}
	if !fresh {
		if err := t.expect(op, table, r); err != nil {
			return 0, err
		}
	}
	if err := t.checkUnique(op, table, r); err != nil {
		return 0, err
	}
	t.revision++
	r = copyOf(r)
	r.Revision = t.revision
	t.db.memory.changed(table)
	t.held.set(table, entry{record: r, fresh: fresh})
	if t.held.size > maxHeld {
		if err := t.see(nil); err != nil {
			return 0, heal.Wrap(op, err)
		}
	}
	return t.revision, nil
}

// expect says whether what the record expects to be there is there.
func (t *tx) expect(op string, table *table, r store.Record) error {
	if r.Revision == store.Any {
		return nil
	}
	e, err := t.find(op, table, r.Key)
	switch {
	case err != nil:
		return err
	case r.Revision < 0 && !e.absent: // Absent or Fresh
		return heal.Errorf(heal.Conflict, op, "it exists already")
	case r.Revision > 0 && (e.absent || e.record.Revision != r.Revision):
		return heal.Errorf(heal.Conflict, op, "it is not at revision %d any more", r.Revision)
	}
	return nil
}

// find gives what is there for a key, at least its revision.
func (t *tx) find(op string, table *table, key string) (entry, error) {
	if e, ok := t.known(table, key); ok {
		return e, nil
	}
	var revision int64
	err := t.db.send(&call{text: table.revision, args: [][]byte{textValue(key)}, row: intInto(&revision)})
	if err != nil {
		return entry{}, heal.Wrap(op, err)
	}
	e := entry{record: store.Record{Key: key, Revision: store.Revision(revision)}, absent: revision == 0, partial: revision != 0}
	t.db.memory.note(table, e)
	return e, nil
}

// checkUnique refuses a record that would have the same unique columns as
// another. It need not ask if the record had them before.
func (t *tx) checkUnique(op string, table *table, r store.Record) error {
	if len(table.unique) == 0 {
		return nil
	}
	before, ok := t.known(table, r.Key)
	ok = ok && !before.partial && !before.absent
	for _, i := range table.unique {
		values, some := i.values(r.Columns)
		if !some || ok && same(values, i, before.record.Columns) {
			continue
		}
		var other string
		c := &call{text: i.other, args: [][]byte{textValue(r.Key)}, row: textInto(&other)}
		for _, v := range values {
			c.args = append(c.args, value(v))
		}
		if err := t.see(table, c); err != nil {
			return heal.Wrap(op, err)
		}
		if other != "" {
			return heal.Errorf(heal.Conflict, op, "%s has the same unique columns", query.Clip(other))
		}
	}
	return nil
}

func same(values []any, i index, columns []any) bool {
	for n, at := range i.columns {
		if columns[at] != values[n] {
			return false
		}
	}
	return true
}

// Delete removes the record and remembers for those who watch that it did.
func (t *tx) Delete(name store.Table, key string) error {
	op := "delete " + string(name) + " " + query.Clip(key)
	table, err := t.begin(op, name)
	if err != nil {
		return err
	}
	if err := query.CheckKey(op, key); err != nil {
		return err
	}
	e, err := t.find(op, table, key)
	if err != nil {
		return err
	}
	if e.fresh { // who put it there is known once it is sent
		if err := t.see(table); err != nil {
			return heal.Wrap(op, err)
		}
	}
	if e.absent {
		return heal.Errorf(heal.NotFound, op, "there is none")
	}
	t.revision++
	t.db.memory.changed(table)
	t.held.set(table, entry{record: store.Record{Key: key}, absent: true})
	if table.watched {
		t.held.forget(table, key, t.revision)
	}
	return nil
}
