package postgres

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// A group is handed on at most this often and for this long before it commits,
// so that neither the first in it nor another server waits without bound.
const (
	groupSize = 128
	groupTime = 5 * time.Millisecond
)

// The statements around a group. The first locks the one row that holds the
// newest revision: who has it is the only one that writes, over all servers.
const (
	begin  = "BEGIN"
	lock   = "SELECT revision FROM store_state FOR NO KEY UPDATE"
	commit = "COMMIT"
	giveUp = "ROLLBACK"

	savepoint = "SAVEPOINT one"
	undo      = "ROLLBACK TO SAVEPOINT one"
	release   = "RELEASE SAVEPOINT one"

	// finish notes the newest revision, that it was this opening of the store
	// which wrote it, and tells those who wait.
	finish = `WITH state AS (UPDATE store_state SET revision = $1::bigint), writer AS (
		INSERT INTO store_writer (id, revision, seen) VALUES ($2::text, $1::bigint, now())
		ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, seen = excluded.seen)
		SELECT pg_notify($3::text, $1::bigint::text)`
)

// group is one transaction that several updates share.
type group struct {
	began time.Time
	base  store.Revision // newest revision before it
	size  int            // updates in it that succeeded
	held  buffer         // what they wrote and is not sent yet
	wrote bool           // it has to be committed although it gave out no revision
	spare bool           // a savepoint of an update that succeeded stands and can go
	err   error          // the database failed; set before done is closed
	again bool           // with err: nothing was written, and another try may succeed
	done  chan struct{}
}

// Update runs f in a transaction and makes it durable. f runs in the caller's
// goroutine, and again if the connection was lost before the commit. The
// context is heeded until f has returned; after that the answer of the commit
// is waited for, since only it says what is true.
func (db *DB) Update(ctx context.Context, f func(store.Tx) error) error {
	return db.update(ctx, func(tx *tx) error { return f(tx) })
}

func (db *DB) update(ctx context.Context, f func(*tx) error) error {
	p := db.patience()
	for careful := false; ; careful = true {
		err, again := db.once(ctx, careful, f)
		if !again || !p.wait(ctx, db.done) {
			return err
		}
		db.retries.Add(1)
	}
}

// once tries to make one update, carefully if an earlier try failed for what it
// had not asked; again if nothing was written and another try may succeed.
func (db *DB) once(ctx context.Context, careful bool, f func(*tx) error) (err error, again bool) { //nolint:revive // the error is what is mostly looked at
	if err := ctx.Err(); err != nil {
		return heal.Errorf(heal.Transient, "update", "%w", err), false
	}
	// Each before it in line may wait for the lock as long as it may itself.
	inLine, cancel := context.WithTimeout(ctx, db.opts.Lock)
	err = db.turn.Take(inLine)
	cancel()
	if err != nil {
		return heal.Wrap("update", err), false
	}
	g, again, err := db.join(ctx, careful, f)
	if err != nil {
		return err, again
	}
	<-g.done
	if g.err != nil {
		return heal.Wrap("update", g.err), g.again
	}
	db.updates.Add(1)
	return nil, false
}

// join runs f in the open transaction, so that it alone can be undone, then
// passes the turn on or commits. The caller holds the turn, and join lets go of
// it whatever f does. With an error it says whether another try may succeed.
func (db *DB) join(ctx context.Context, careful bool, f func(*tx) error) (g *group, again bool, err error) {
	defer db.handOver()
	if err := ctx.Err(); err != nil {
		return nil, false, heal.Errorf(heal.Transient, "update", "%w", err)
	}
	if err := db.begin(ctx); err != nil {
		return nil, passing(err), heal.Wrap("update", explain(db.name, err))
	}
	g, before := db.group, db.last
	t := &tx{reader: reader{ctx: ctx, db: db, revision: before}, group: g, careful: careful}
	t.ask = t.see
	kept := false
	defer func() {
		t.ended = true
		if !kept {
			db.undo(t, before)
		}
	}()
	if err := f(t); err != nil && g.err == nil {
		return nil, false, err
	}
	if g.err != nil {
		return nil, g.again, heal.Wrap("update", g.err)
	}
	kept = true
	db.last = t.revision
	g.held.add(&t.held)
	g.spare = g.spare || t.saved
	g.size++
	return g, false, nil
}

// begin opens the shared transaction if none is open.
func (db *DB) begin(ctx context.Context) error {
	if db.group != nil {
		return nil
	}
	if err := db.openWriter(ctx); err != nil {
		return err
	}
	var revision int64
	if err := db.writer.do(context.Background(), &call{text: begin}, &call{text: lock, row: intInto(&revision)}); err != nil {
		if passing(err) {
			db.dropWriter() // the next may find another server behind the name
		}
		db.rollback()
		return err
	}
	if store.Revision(revision) != db.last {
		db.memory.clear() // another server wrote
		db.last = store.Revision(revision)
	}
	db.group = &group{began: time.Now(), base: db.last, done: make(chan struct{})}
	return nil
}

// send carries out statements in the group's transaction. After an error
// nothing more is sent: all that share the transaction are lost with it.
func (db *DB) send(calls ...*call) error {
	g := db.group
	if g.err != nil {
		return g.err
	}
	if g.spare {
		g.spare = false
		calls = append([]*call{{text: release}}, calls...)
	}
	if err := db.writer.do(context.Background(), calls...); err != nil {
		g.err, g.again = explain(db.name, err), passing(err) || duplicate(err)
		return g.err
	}
	return nil
}

// undo takes back one update that failed.
func (db *DB) undo(t *tx, before store.Revision) {
	db.last = before
	g := t.group
	if g.err == nil && t.saved {
		db.memory.clear()
		_ = db.send(&call{text: undo}, &call{text: release}) // an error is the group's
	} else if g.err == nil && t.sent {
		db.abandon(heal.Errorf(heal.Transient, "commit", "the only update in the transaction was undone"), false)
		return
	}
	if g.err != nil {
		db.abandon(g.err, true) // the others are not to blame
	}
}

// handOver gives the open transaction to the next in line, or commits it.
func (db *DB) handOver() {
	if g := db.group; g != nil && g.size < groupSize && time.Since(g.began) < db.groupTime && db.turn.Pass() {
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
	if db.last == g.base && !g.wrote {
		db.rollback()
		db.end(g)
		return
	}
	calls := g.held.take(nil, db.memory.note)
	calls = append(calls,
		&call{text: finish, args: [][]byte{int8Value(int64(db.last)), textValue(db.id), textValue(db.channel)}},
		&call{text: commit})
	if err := db.send(calls...); err != nil {
		if !db.writer.lost() {
			db.abandon(err, g.again)
			return
		}
		// The connection went before the answer came.
		switch stood, known := db.resolve(db.last); {
		case !known:
			db.abandon(heal.Errorf(heal.Unknown, "commit", "the connection was lost while it was made and %s has not come back to say how it ended: %w", db.name, err), false)
			return
		case !stood:
			db.abandon(err, true)
			return
		}
		g.err = nil
	}
	db.end(g)
}

// end answers all that share a transaction which stands.
func (db *DB) end(g *group) {
	db.group = nil
	if db.last > g.base {
		db.commits.Add(1)
		db.announce(db.last)
	}
	close(g.done)
}

// abandon rolls the open transaction back and gives err to all that share it.
func (db *DB) abandon(err error, again bool) {
	g := db.group
	db.rollback()
	db.memory.clear()
	db.group, db.last = nil, g.base
	g.err, g.again = err, again
	close(g.done)
}

// rollback frees the writer from its transaction, or drops the connection.
func (db *DB) rollback() {
	if db.writer != nil && (db.writer.lost() || db.writer.do(context.Background(), &call{text: giveUp}) != nil) {
		db.dropWriter()
	}
}

// resolve asks after a lost connection whether the commit that was to write
// the revision stood. The lock says that the old transaction is over.
func (db *DB) resolve(revision store.Revision) (stood, known bool) {
	db.dropWriter()
	p := db.patience()
	for {
		var got int64
		err := db.openWriter(context.Background())
		if err == nil {
			err = db.writer.do(context.Background(), &call{text: begin}, &call{text: lock}, &call{
				text: "SELECT revision FROM store_writer WHERE id = $1", args: [][]byte{textValue(db.id)}, row: intInto(&got),
			}, &call{text: giveUp})
		}
		if err == nil {
			return got == int64(revision), true
		}
		db.dropWriter()
		if !p.wait(context.Background(), nil) {
			return false, false
		}
	}
}
