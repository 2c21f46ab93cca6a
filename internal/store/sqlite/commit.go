package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// A group is handed on at most this often and for this long before it commits,
// so that the first in it does not wait without bound for the sync.
const (
	groupSize = 128
	groupTime = 5 * time.Millisecond
)

// group is one SQLite transaction that several updates share.
type group struct {
	began time.Time
	base  store.Revision // newest revision before it
	size  int            // updates in it that succeeded
	err   error          // set before done is closed
	done  chan struct{}
}

// Update runs f in a transaction and makes it durable. f runs once, in the
// caller's goroutine. The context is heeded until f has returned; after that
// the answer of the commit is waited for, since only it says what is true.
func (db *DB) Update(ctx context.Context, f func(store.Tx) error) error {
	return db.update(ctx, func(tx *tx) error { return f(tx) })
}

func (db *DB) update(ctx context.Context, f func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return heal.Errorf(heal.Transient, "update", "%w", err)
	}
	if err := db.turn.Take(ctx); err != nil {
		return heal.Wrap("update", err)
	}
	g, err := db.join(ctx, f)
	if err != nil {
		return err
	}
	<-g.done
	if g.err != nil {
		return heal.Wrap("update", g.err)
	}
	db.updates.Add(1)
	return nil
}

// join runs f in the open transaction, so that it alone can be undone, then
// passes the turn on or commits. The caller holds the turn, and join lets go of
// it whatever f does.
func (db *DB) join(ctx context.Context, f func(*tx) error) (*group, error) {
	defer db.handOver()
	if err := ctx.Err(); err != nil {
		return nil, heal.Errorf(heal.Transient, "update", "%w", err)
	}
	if err := db.begin(); err != nil {
		return nil, heal.Wrap("update", err)
	}
	g, before := db.group, db.last
	t := &tx{reader: reader{ctx: ctx, db: db, s: db.writer, revision: before, writes: true}}
	kept := false
	defer func() {
		t.ended = true
		if !kept {
			db.undo(before)
		}
	}()
	if err := f(t); err != nil {
		return nil, err
	}
	if t.broken != nil {
		return nil, heal.Wrap("update", t.broken)
	}
	if g.size > 0 {
		if err := db.writer.exec(context.Background(), "RELEASE one"); err != nil {
			return nil, heal.Wrap("update", explain(db.path, err))
		}
	}
	kept = true
	db.last = t.revision
	g.size++
	return g, nil
}

// begin opens the shared transaction if none is open, and a savepoint in it if
// others have already written there: SQLite copies every page that is changed
// under one.
func (db *DB) begin() error {
	if db.group == nil {
		if err := db.writer.exec(context.Background(), "BEGIN IMMEDIATE"); err != nil {
			return explain(db.path, err)
		}
		db.group = &group{began: time.Now(), base: db.last, done: make(chan struct{})}
	}
	if db.group.size == 0 {
		return nil
	}
	if err := db.writer.exec(context.Background(), "SAVEPOINT one"); err != nil {
		err = explain(db.path, err)
		db.abandon(err)
		return err
	}
	return nil
}

// undo takes back one update. SQLite answers some errors, a full disk among
// them, by rolling the whole transaction back; then the others in the group
// are told so.
func (db *DB) undo(before store.Revision) {
	db.last = before
	if db.group.size == 0 { // nobody else has written: the next begins afresh
		db.abandon(heal.Errorf(heal.Transient, "commit", "the only update in the transaction was undone"))
		return
	}
	err := db.writer.exec(context.Background(), "ROLLBACK TO one")
	if err == nil {
		err = db.writer.exec(context.Background(), "RELEASE one")
	}
	if err != nil {
		db.abandon(heal.Errorf(heal.Transient, "commit", "an update that shared the transaction broke it; try again"))
	}
}

// handOver gives the open transaction to the next in line, or commits it.
func (db *DB) handOver() {
	if g := db.group; g != nil && g.size < groupSize && time.Since(g.began) < groupTime && db.turn.Pass() {
		return
	}
	db.commit()
	db.turn.Free()
}

// commit makes the open transaction durable and answers all that share it.
func (db *DB) commit() {
	g := db.group
	if g == nil {
		return
	}
	if err := db.sync(g); err != nil {
		db.abandon(explain(db.path, err))
		return
	}
	db.group = nil
	if g.size > 0 {
		db.commits.Add(1)
	}
	if db.last > g.base {
		db.announce(db.last)
	}
	close(g.done)
}

func (db *DB) sync(g *group) error {
	if db.last > g.base {
		if err := db.writer.exec(context.Background(), "UPDATE store_state SET revision = ?", int64(db.last)); err != nil {
			return err
		}
	}
	return db.writer.exec(context.Background(), "COMMIT")
}

// abandon rolls the open transaction back and gives err to all that share it.
func (db *DB) abandon(err error) {
	g := db.group
	if rollback := db.writer.exec(context.Background(), "ROLLBACK"); rollback != nil && !noTransaction(rollback) {
		err = errors.Join(err, rollback)
	}
	db.group, db.last = nil, g.base
	g.err = err
	close(g.done)
}

// announce wakes those who Wait.
func (db *DB) announce(r store.Revision) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.committed = r
	close(db.changed)
	db.changed = make(chan struct{})
}
