package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/migration"
	"github.com/homeostat/homeostat/internal/store/turn"
)

// DB is a store in one PostgreSQL database. The function given to Update must
// not call Update, and the function given to View must not call View: there is
// one writer, and the connections that read are counted, so they could wait
// for themselves.
type DB struct {
	opts    Options
	name    string // of the database, for people; without secrets
	id      string // of this opening, new each time
	channel string // of notifications
	tables  map[store.Table]*table
	turn    turn.Turn

	writing, reading *pgconn.Config // of the connections
	groupTime        time.Duration

	// Owned by whoever holds the turn.
	writer  *session
	group   *group         // the open transaction, nil between commits
	last    store.Revision // newest revision given out, committed or not
	memory  memory
	away    error     // why there is no writer
	notTill time.Time // no try to connect before

	readers chan *session // a nil session is a slot not opened yet
	done    chan struct{} // closed by Close
	ear     ear

	mu        sync.Mutex
	committed store.Revision
	changed   chan struct{} // closed and replaced when a newer revision is known
	nudge     func()        // wakes who listens

	ending []<-chan struct{} // connections that are being closed

	updates, commits, retries atomic.Uint64
}

// Options says where the database is and how much may wait.
type Options struct {
	DSN       DSN           // of a database in the encoding UTF8; its user may create tables in the first schema of the search path
	Readers   int           // snapshots read at once, a connection each; 0: 4. Two more write and listen
	Queue     int           // updates that may wait for the writer, more are refused as Transient; 0: 1024
	Statement time.Duration // longest that one statement may take; 0: 30 s
	Lock      time.Duration // longest wait for the other servers' updates, and before that for those of this one; 0: 10 s
	Patience  time.Duration // how long a call waits for a database that is away; 0: 15 s
	BackupDir string        // where a copy goes before an upgrade of the schema; "": an upgrade of a database with data is refused
	Dump      string        // path of pg_dump; "": found in PATH
}

// writerIdle is how long the transaction of a server that has stopped in the
// middle keeps the others waiting; readerIdle bounds how long a snapshot is
// kept open.
const (
	writerIdle = 5 * time.Second
	readerIdle = time.Minute
)

var _ store.Store = (*DB)(nil)

// Open connects to the database and brings its schema up to date, after
// writing a copy if there is data. The error is Invalid if the DSN or the
// database is not fit, or its schema was written by a newer version, Denied if
// the login is refused, and Transient if the database cannot be reached.
func Open(ctx context.Context, o Options) (*DB, error) {
	return open(ctx, o, shipped())
}

func open(ctx context.Context, o Options, migrations []migration.Migration) (*DB, error) {
	op := "open store"
	if o.Readers < 0 || o.Queue < 0 || o.Statement < 0 || o.Lock < 0 || o.Patience < 0 {
		return nil, heal.Errorf(heal.Invalid, op, "readers is %d, queue %d, statement %v, lock %v, patience %v; none may be negative", o.Readers, o.Queue, o.Statement, o.Lock, o.Patience)
	}
	o.Statement = cmp.Or(o.Statement, 30*time.Second)
	o.Lock = cmp.Or(o.Lock, 10*time.Second)
	o.Patience = cmp.Or(o.Patience, 15*time.Second)
	config, err := o.DSN.parse()
	if err != nil {
		return nil, &heal.Error{Op: op, Kind: heal.Invalid, Err: err}
	}
	db := &DB{
		opts:    o,
		name:    describe(config),
		id:      heal.NewID(time.Now(), rand.Reader),
		tables:  compileTables(store.Schema),
		turn:    turn.Turn{Limit: cmp.Or(o.Queue, 1024)},
		writing: settings(config, o, writerIdle),
		reading: settings(config, o, readerIdle),
		readers: make(chan *session, cmp.Or(o.Readers, 4)),

		groupTime: groupTime,
		done:      make(chan struct{}),
		ear:       ear{turn: make(chan struct{}, 1)},
		changed:   make(chan struct{}),
	}
	op += " in " + db.name
	if err := db.openWriter(ctx); err != nil {
		return nil, heal.Wrap(op, explain(db.name, err))
	}
	if err := db.prepare(ctx, migrations); err != nil {
		db.dropWriter()
		return nil, heal.Wrap(op, explain(db.name, err))
	}
	for range cap(db.readers) {
		db.readers <- nil
	}
	return db, nil
}

// prepare checks the server, brings the schema up to date and reads where the
// store stands.
func (db *DB) prepare(ctx context.Context, migrations []migration.Migration) error {
	if err := db.checkServer(ctx); err != nil {
		return err
	}
	if err := db.migrate(ctx, migrations); err != nil {
		return err
	}
	var revision, table int64
	err := db.writer.do(ctx,
		&call{text: "SELECT revision FROM store_state", row: intInto(&revision)},
		&call{text: "SELECT 'store_state'::regclass::oid::bigint", row: intInto(&table)},
		&call{text: "DELETE FROM store_writer WHERE seen < now() - interval '7 days'"})
	db.last, db.committed = store.Revision(revision), store.Revision(revision)
	db.channel = fmt.Sprintf("homeostat_%d", table)
	return err
}

// oldestServer is the oldest PostgreSQL that the tests are run on, as its
// server_version_num.
const oldestServer = 150000

func (db *DB) checkServer(ctx context.Context) error {
	var version int64
	var encoding, fsync, pages string
	err := db.writer.do(ctx, &call{
		text: "SELECT current_setting('server_version_num')::bigint", row: intInto(&version),
	}, &call{
		text: "SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes')",
		row: func(row [][]byte) error {
			encoding, fsync, pages = string(row[0]), string(row[1]), string(row[2])
			return nil
		},
	})
	switch {
	case err != nil:
		return err
	case version < oldestServer:
		return heal.Errorf(heal.Invalid, "", "its PostgreSQL is too old (%d), expected %d or newer", version/10000, oldestServer/10000)
	case encoding != "UTF8":
		return heal.Errorf(heal.Invalid, "", "its encoding is %s, expected UTF8; create it with ENCODING 'UTF8' TEMPLATE template0", encoding)
	case fsync != "on" || pages != "on":
		return heal.Errorf(heal.Invalid, "", "fsync is %s and full_page_writes %s, expected on: what is acknowledged has to survive a crash of the machine", fsync, pages)
	}
	return nil
}

// openWriter connects the writer if there is none. The caller holds the turn.
func (db *DB) openWriter(ctx context.Context) error {
	if db.writer != nil {
		return nil
	}
	if time.Now().Before(db.notTill) {
		return db.away // one try at a time says it for all who wait in line
	}
	s, err := connect(ctx, db.writing, db.longest())
	if err != nil {
		if ctx.Err() == nil {
			db.away, db.notTill = err, time.Now().Add(100*time.Millisecond)
		}
		return err
	}
	db.writer = s
	return nil
}

// longest is when a round trip is given up from this side: the server's own
// limits come first unless the connection is dead.
func (db *DB) longest() time.Duration { return max(db.opts.Statement, db.opts.Lock) + 5*time.Second }

func (db *DB) dropWriter() {
	if db.writer != nil {
		db.drop(db.writer)
		db.writer = nil
	}
}

// drop closes a connection without waiting: one that was lost must not keep
// from making another.
func (db *DB) drop(s *session) {
	closed := s.close()
	db.mu.Lock()
	defer db.mu.Unlock()
	db.ending = slices.DeleteFunc(append(db.ending, closed), func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	})
}

// dropped waits until the connections are closed, but not for ever.
func (db *DB) dropped() {
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	for _, closed := range db.ending {
		select {
		case <-closed:
		case <-limit.C:
			return
		}
	}
}

// Close waits for the updates and views already begun, then lets go of the
// connections. Later calls of any method but Close are refused as Transient.
func (db *DB) Close() error {
	if !db.turn.Close() {
		return nil
	}
	db.commit() // what the last update in line left open
	close(db.done)
	for range cap(db.readers) {
		if s := <-db.readers; s != nil {
			db.drop(s)
		}
	}
	db.closeEar()
	if db.writer != nil {
		// Only tidiness: forgotten rows go when the store is opened next week.
		_ = db.writer.do(context.Background(), &call{text: "DELETE FROM store_writer WHERE id = $1", args: [][]byte{textValue(db.id)}})
	}
	db.dropWriter()
	db.dropped()
	return nil
}

// View runs f on one consistent snapshot.
func (db *DB) View(ctx context.Context, f func(store.Reader) error) error {
	var revision int64
	return db.read(ctx, "view", []*call{
		{text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
		{text: "SELECT revision FROM store_state", row: intInto(&revision)},
	}, func(s *session) error {
		r := &reader{ctx: ctx, db: db, revision: store.Revision(revision)}
		r.ask = func(_ *table, calls ...*call) error {
			if err := s.do(ctx, calls...); err != nil {
				r.broken = explain(db.name, err)
				return r.broken
			}
			return nil
		}
		defer func() {
			r.ended = true
			if !s.lost() && s.do(context.Background(), &call{text: giveUp}) != nil {
				db.drop(s) // nothing was written through it
			}
		}()
		return f(r)
	})
}

// read lends f a connection on which the calls were carried out. While nothing
// was given to f, a connection that is lost is replaced.
func (db *DB) read(ctx context.Context, op string, calls []*call, f func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return heal.Errorf(heal.Transient, op, "%w", err)
	}
	var s *session
	select {
	case s = <-db.readers:
	case <-db.done:
		return errClosed(op)
	case <-ctx.Done():
		return heal.Errorf(heal.Transient, op, "%w", ctx.Err())
	}
	defer func() {
		if s != nil && s.lost() {
			db.drop(s)
			s = nil
		}
		db.readers <- s
	}()
	p := db.patience()
	for {
		var err error
		if s == nil {
			s, err = connect(ctx, db.reading, db.longest())
		}
		if err == nil {
			err = s.do(ctx, calls...)
		}
		if err == nil {
			return f(s)
		}
		if s != nil {
			db.drop(s)
			s = nil
		}
		if !passing(err) || !p.wait(ctx, db.done) {
			return heal.Wrap(op, explain(db.name, err))
		}
		db.retries.Add(1)
	}
}

// Now is the database's clock, which all servers share.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var micros int64 // since epoch
	err := db.read(ctx, "ask the database for the time", []*call{{text: "SELECT clock_timestamp()", row: intInto(&micros)}},
		func(*session) error { return nil })
	return epoch.Add(time.Duration(micros) * time.Microsecond), err
}

// Stats gives the counts so far.
func (db *DB) Stats() store.Stats {
	waiting, refused := db.turn.Stats()
	return store.Stats{Updates: db.updates.Load(), Commits: db.commits.Load(), Retries: db.retries.Load(), Refused: refused, Waiting: waiting}
}
