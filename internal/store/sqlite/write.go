package sqlite

import (
	"context"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// tx is one update: a reader that also writes. Its revision counts up with
// each write.
type tx struct{ reader }

// Put writes the record and gives its new revision.
func (t *tx) Put(name store.Table, r store.Record) (store.Revision, error) {
	op := "put " + string(name) + " " + query.Clip(r.Key)
	if err := t.ready(op); err != nil {
		return 0, err
	}
	table, err := t.db.table(op, name)
	if err != nil {
		return 0, err
	}
	if err := table.CheckRecord(op, r); err != nil {
		return 0, err
	}
	if r.Revision == store.Fresh {
		r.Revision = store.Absent // to insert it is to ask
	}
	n, err := t.write(table, r)
	switch {
	case duplicate(err) && r.Revision == store.Absent:
		return 0, heal.Errorf(heal.Conflict, op, "it, or one with the same unique columns, exists already")
	case duplicate(err):
		return 0, heal.Errorf(heal.Conflict, op, "another one has the same unique columns")
	case err != nil:
		return 0, heal.Wrap(op, t.fail(err))
	case n == 0:
		return 0, heal.Errorf(heal.Conflict, op, "it is not at revision %d any more", r.Revision)
	}
	t.revision++
	return t.revision, nil
}

// write carries out a put with the next revision and tells how many records
// met the expectation.
func (t *tx) write(table *table, r store.Record) (int64, error) {
	body := r.Body
	if body == nil {
		body = []byte{}
	}
	next := int64(t.revision + 1)
	args := make([]any, 0, len(r.Columns)+4)
	if r.Revision > 0 {
		args = append(args, next)
		changed := table.changed(r)
		for i, v := range r.Columns {
			if changed&(1<<i) != 0 {
				args = append(args, v)
			}
		}
		args = append(args, body, r.Key, int64(r.Revision))
		return t.s.affect(context.Background(), table.replacing(changed), args...)
	}
	args = append(append(append(args, r.Key, next), r.Columns...), body)
	if r.Revision == store.Absent {
		return t.s.affect(context.Background(), table.insert, args...)
	}
	return t.s.affect(context.Background(), table.put, args...)
}

// Delete removes the record and remembers for those who watch that it did.
func (t *tx) Delete(name store.Table, key string) error {
	op := "delete " + string(name) + " " + query.Clip(key)
	if err := t.ready(op); err != nil {
		return err
	}
	table, err := t.db.table(op, name)
	if err != nil {
		return err
	}
	if err := query.CheckKey(op, key); err != nil {
		return err
	}
	n, err := t.s.affect(context.Background(), table.remove, key)
	if err != nil {
		return heal.Wrap(op, t.fail(err))
	}
	if n == 0 {
		return heal.Errorf(heal.NotFound, op, "there is none")
	}
	if table.watched {
		err = t.s.exec(context.Background(), "INSERT INTO store_tombstone (revision, tbl, key) VALUES (?, ?, ?)", int64(t.revision+1), string(name), key)
	}
	if err != nil {
		return heal.Wrap(op, t.fail(err))
	}
	t.revision++
	return nil
}
