package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// listenFor is the longest that a notification is relied on: after that the
// newest revision is asked for, so that a connection which is dead without
// saying so delays a change and does not hide it.
const listenFor = time.Second

// ear is the connection that hears of other servers' commits. One of those who
// wait listens for all; it has put a token into turn.
type ear struct {
	turn    chan struct{}
	session *session
	heard   store.Revision // newest in a notification
}

// Wait blocks until a revision newer than after is committed, by whichever
// server.
func (db *DB) Wait(ctx context.Context, after store.Revision) (store.Revision, error) {
	const op = "wait for a change"
	p := db.patience()
	for {
		now, changed := db.newest()
		if now > after {
			return now, nil
		}
		select {
		case <-db.done:
			return 0, errClosed(op)
		case <-ctx.Done():
			return 0, heal.Errorf(heal.Transient, op, "%w", ctx.Err())
		case <-changed:
			continue
		case db.ear.turn <- struct{}{}:
		}
		err := db.listen(ctx, after)
		<-db.ear.turn
		switch {
		case err == nil:
			p = db.patience()
		case !passing(err) || !p.wait(ctx, db.done):
			return 0, heal.Wrap(op, explain(db.name, err))
		}
	}
}

func (db *DB) newest() (store.Revision, chan struct{}) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.committed, db.changed
}

// announce wakes those who Wait, if the revision is news.
func (db *DB) announce(r store.Revision) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if r <= db.committed {
		return
	}
	db.committed = r
	close(db.changed)
	db.changed = make(chan struct{})
	if db.nudge != nil {
		db.nudge()
	}
}

// listen waits for one notification, or for another reason to look again.
func (db *DB) listen(ctx context.Context, after store.Revision) error {
	if db.ear.session == nil && !db.closed() {
		return db.openEar(ctx)
	}
	hearing, cancel := context.WithTimeout(ctx, listenFor)
	defer cancel()
	db.mu.Lock()
	db.nudge = cancel
	known := db.committed > after
	db.mu.Unlock()
	defer func() {
		db.mu.Lock()
		db.nudge = nil
		db.mu.Unlock()
	}()
	if known || db.closed() {
		return nil
	}
	s := db.ear.session
	_ = s.conn.Conn().SetDeadline(time.Time{}) // hearing ends it
	err := s.conn.WaitForNotification(hearing)
	switch {
	case err == nil:
		db.announce(db.ear.heard)
		return nil
	case hearing.Err() == nil || s.lost():
		db.dropEar()
		return err
	case ctx.Err() != nil || hearing.Err() == context.Canceled:
		return nil
	}
	return db.look(context.WithoutCancel(ctx), s)
}

func (db *DB) closed() bool {
	select {
	case <-db.done:
		return true
	default:
		return false
	}
}

// look asks for the newest revision.
func (db *DB) look(ctx context.Context, s *session) error {
	var revision int64
	err := s.do(ctx, &call{text: "SELECT revision FROM store_state", row: intInto(&revision)})
	if err != nil {
		db.dropEar()
		return err
	}
	db.announce(max(store.Revision(revision), db.ear.heard))
	return nil
}

// openEar connects and listens, and looks at what was missed.
func (db *DB) openEar(ctx context.Context) error {
	config := db.reading.Copy()
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		if r, err := strconv.ParseInt(n.Payload, 10, 64); err == nil && n.Channel == db.channel {
			db.ear.heard = max(db.ear.heard, store.Revision(r))
		}
	}
	s, err := connect(ctx, config, db.longest())
	if err != nil {
		return err
	}
	db.ear.session = s
	if err := s.do(ctx, &call{text: "LISTEN " + db.channel}); err != nil {
		db.dropEar()
		return err
	}
	return db.look(ctx, s)
}

func (db *DB) dropEar() {
	if db.ear.session != nil {
		db.drop(db.ear.session)
		db.ear.session = nil
	}
}

// closeEar ends the listening of whoever does, for good; done is closed.
func (db *DB) closeEar() {
	db.mu.Lock()
	if db.nudge != nil {
		db.nudge()
	}
	db.mu.Unlock()
	db.ear.turn <- struct{}{}
	db.dropEar()
}
