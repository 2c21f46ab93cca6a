package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/query"
)

// reader reads one snapshot through one connection. It holds the context of
// the call that it lives in.
type reader struct {
	ctx      context.Context
	db       *DB
	s        *session
	revision store.Revision
	writes   bool  // it is the reader of a tx
	broken   error // the engine failed; nothing more is done in a tx
	ended    bool  // the call is over
}

// ready says why nothing can be read any more.
func (r *reader) ready(op string) error {
	switch {
	case r.ended:
		return heal.Errorf(heal.Internal, op, "used after the function it was given to returned")
	case r.broken != nil:
		return heal.Wrap(op, r.broken)
	case r.ctx.Err() != nil:
		return heal.Errorf(heal.Transient, op, "%w", r.ctx.Err())
	}
	return nil
}

// fail explains an error of the engine and remembers it: SQLite may have
// rolled back by itself, and what f wrote after that would stand alone.
func (r *reader) fail(err error) error {
	err = explain(r.db.path, err)
	r.broken = err
	return err
}

// statementContext interrupts a long read of a snapshot. The writer is not
// interrupted, for that would undo the updates that share its transaction.
func (r *reader) statementContext() context.Context {
	if r.writes {
		return context.Background()
	}
	return r.ctx
}

// Get gives the record.
func (r *reader) Get(name store.Table, key string) (store.Record, error) {
	op := "get " + string(name) + " " + query.Clip(key)
	if err := r.ready(op); err != nil {
		return store.Record{}, err
	}
	t, err := r.db.table(op, name)
	if err != nil {
		return store.Record{}, err
	}
	if err := query.CheckKey(op, key); err != nil {
		return store.Record{}, err
	}
	var record store.Record
	stmt, err := r.s.stmt(r.statementContext(), t.get)
	if err == nil {
		record, err = t.scan(stmt.QueryRowContext(r.statementContext(), key).Scan)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, heal.Errorf(heal.NotFound, op, "there is none")
	}
	if err != nil {
		return store.Record{}, heal.Wrap(op, r.fail(err))
	}
	return record, nil
}

// Count counts the records that meet all conditions.
func (r *reader) Count(name store.Table, where ...store.Cond) (int64, error) {
	op := "count " + string(name)
	if err := r.ready(op); err != nil {
		return 0, err
	}
	t, err := r.db.table(op, name)
	if err != nil {
		return 0, err
	}
	if err := t.CheckConds(op, where); err != nil {
		return 0, err
	}
	f := filterOf(where)
	var n int64
	err = r.s.one(r.statementContext(), "SELECT COUNT(*) FROM "+quote(string(name))+f.String(), f.args, []any{&n})
	if err != nil {
		return 0, heal.Wrap(op, r.fail(err))
	}
	return n, nil
}

// Changes gives what was put or deleted after the revision. A revision newer
// than the snapshot is answered with ErrCompacted too: it is from a time that
// a restored backup does not know.
func (r *reader) Changes(name store.Table, after store.Revision, limit int) ([]store.Change, error) {
	op := "changes of " + string(name)
	if err := r.ready(op); err != nil {
		return nil, err
	}
	t, err := r.db.table(op, name)
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
	err = r.s.one(r.statementContext(), "SELECT COALESCE(MAX(revision), 0) FROM store_compacted WHERE tbl = ?", []any{string(name)}, []any{&compacted})
	if err != nil {
		return nil, heal.Wrap(op, r.fail(err))
	}
	if int64(after) < compacted || after > r.revision {
		return nil, &heal.Error{Op: op, Kind: heal.Conflict, Err: store.ErrCompacted}
	}
	changes, err := r.changes(t, after, limit)
	if err != nil {
		return nil, heal.Wrap(op, r.fail(err))
	}
	return changes, nil
}

// changes merges the oldest puts and the oldest deletions.
func (r *reader) changes(t *table, after store.Revision, limit int) ([]store.Change, error) {
	var out []store.Change
	puts := "SELECT " + t.fields + " FROM " + quote(string(t.Name)) + " WHERE revision > ? ORDER BY revision" + limitTo
	err := r.s.each(r.statementContext(), puts, []any{int64(after), limit}, func(scan func(...any) error) error {
		record, err := t.scan(scan)
		out = append(out, store.Change{Record: record})
		return err
	})
	if err != nil {
		return nil, err
	}
	const deletions = "SELECT key, revision FROM store_tombstone WHERE tbl = ? AND revision > ? ORDER BY revision" + limitTo
	err = r.s.each(r.statementContext(), deletions, []any{string(t.Name), int64(after), limit}, func(scan func(...any) error) error {
		c := store.Change{Deleted: true}
		err := scan(&c.Record.Key, (*int64)(&c.Record.Revision))
		out = append(out, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b store.Change) int { return cmp.Compare(a.Record.Revision, b.Record.Revision) })
	return out[:min(len(out), limit)], nil
}

// Revision is the newest revision of the snapshot.
func (r *reader) Revision() store.Revision { return r.revision }
