package sqlite

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/migration"
	"github.com/homeostat/homeostat/internal/store/turn"
)

// DB is a store in one SQLite file. The function given to Update must not call
// Update, and the function given to View must not call View: there is one
// writer, and the connections that read are counted, so they could wait for
// themselves.
type DB struct {
	path   string
	tables map[store.Table]*table
	lock   *os.File
	file   *os.File // the database's, for syncs; closed before SQLite is done with it, it would undo SQLite's locks
	turn   turn.Turn

	// Owned by whoever holds the turn.
	writer *session
	group  *group         // the open transaction, nil between commits
	last   store.Revision // newest revision given out, committed or not

	readers chan *session // a nil session is a slot not opened yet
	copier  *session      // of copyLog
	copying sync.WaitGroup
	done    chan struct{} // closed by Close

	mu        sync.Mutex
	committed store.Revision
	changed   chan struct{} // closed and replaced at each commit that wrote

	updates, commits atomic.Uint64
}

// Options says where the file is and how much may wait.
type Options struct {
	Path    string        // of the database file; its directory is made if missing
	Readers int           // snapshots read at once; 0: 4
	Queue   int           // updates that may wait for the writer, more are refused as Transient; 0: 1024
	Busy    time.Duration // patience with a lock held by a foreign tool; 0: 5 s
}

var _ store.Store = (*DB)(nil)

// Open opens or creates the database and brings its schema up to date, after
// copying an existing file of an older schema to a file beside it. The error is
// Conflict if another process has it open, Invalid if the file is not ours or
// was written by a newer version.
func Open(ctx context.Context, o Options) (*DB, error) {
	return open(ctx, o, shipped())
}

func open(ctx context.Context, o Options, migrations []migration.Migration) (_ *DB, err error) {
	op := "open store " + o.Path
	if o.Readers < 0 || o.Queue < 0 || o.Busy < 0 {
		return nil, heal.Errorf(heal.Invalid, op, "readers is %d, queue %d, busy %v; none may be negative", o.Readers, o.Queue, o.Busy)
	}
	path, err := prepareFile(o.Path)
	if err != nil {
		return nil, &heal.Error{Op: op, Kind: heal.Invalid, Err: err}
	}
	db := &DB{
		path:    path,
		tables:  compileTables(store.Schema),
		turn:    turn.Turn{Limit: cmp.Or(o.Queue, 1024)},
		readers: make(chan *session, cmp.Or(o.Readers, 4)),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	if db.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, heal.Wrap(op, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.closeFiles())
		}
	}()
	if db.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, &heal.Error{Op: op, Kind: heal.Invalid, Err: err}
	}
	busy := cmp.Or(o.Busy, 5*time.Second)
	if db.writer, err = openSession(ctx, writeDSN(path, busy)); err != nil {
		return nil, heal.Wrap(op, explain(path, err))
	}
	if err := migrate(ctx, db.writer, path, migrations); err != nil {
		return nil, heal.Wrap(op, err)
	}
	if db.last, err = readRevision(ctx, db.writer); err != nil {
		return nil, heal.Wrap(op, explain(path, err))
	}
	db.committed = db.last
	for range cap(db.readers) {
		db.readers <- nil
	}
	if db.copier, err = openSession(ctx, writeDSN(path, 0)); err != nil {
		return nil, heal.Wrap(op, explain(path, err))
	}
	db.copying.Go(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		db.copying.Go(func() {
			<-db.done
			cancel()
		})
		db.copyLog(ctx, db.copier)
	})
	return db, nil
}

// prepareFile makes the directory and an empty file that only its owner can
// read, and gives the file's true path.
func prepareFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("no path given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	if err := syncDir(dir); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// Close waits for the updates and views already begun, then lets go of the
// file. Later calls of any method but Close are refused as Transient.
func (db *DB) Close() error {
	if !db.turn.Close() {
		return nil
	}
	db.commit() // what the last update in line left open
	close(db.done)
	db.copying.Wait()
	var errs []error
	for range cap(db.readers) {
		if s := <-db.readers; s != nil {
			errs = append(errs, s.close())
		}
	}
	return heal.Wrap("close store "+db.path, errors.Join(append(errs, db.closeFiles())...))
}

func (db *DB) closeFiles() error {
	var errs []error
	for _, s := range []*session{db.copier, db.writer} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if db.file != nil {
		errs = append(errs, db.file.Close())
	}
	return errors.Join(append(errs, db.lock.Close())...)
}

// View runs f on one consistent snapshot.
func (db *DB) View(ctx context.Context, f func(store.Reader) error) error {
	return db.read(ctx, "view", func(s *session) error {
		r := &reader{ctx: ctx, db: db, s: s}
		if err := s.exec(ctx, "BEGIN"); err != nil {
			return explain(db.path, err)
		}
		defer func() {
			r.ended = true
			if err := s.exec(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
				s.broken = true
			}
		}()
		var err error
		if r.revision, err = readRevision(ctx, s); err != nil {
			return explain(db.path, err)
		}
		return f(r)
	})
}

// read lends f a read-only connection.
func (db *DB) read(ctx context.Context, op string, f func(*session) error) error {
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
	defer func() { db.readers <- s }()
	if s == nil {
		var err error
		if s, err = openSession(ctx, readDSN(db.path)); err != nil {
			return heal.Wrap(op, explain(db.path, err))
		}
	}
	defer func() {
		// A statement may have been interrupted; start afresh rather than
		// reason about what state that left.
		if s.broken || ctx.Err() != nil {
			_ = s.close() // nothing was written through it
			s = nil
		}
	}()
	return f(s)
}

// Wait blocks until a revision newer than after is committed.
func (db *DB) Wait(ctx context.Context, after store.Revision) (store.Revision, error) {
	for {
		db.mu.Lock()
		now, changed := db.committed, db.changed
		db.mu.Unlock()
		if now > after {
			return now, nil
		}
		select {
		case <-changed:
		case <-db.done:
			return 0, errClosed("wait for a change")
		case <-ctx.Done():
			return 0, heal.Errorf(heal.Transient, "wait for a change", "%w", ctx.Err())
		}
	}
}

// Now is the clock of this process: it is the only one on the file.
func (db *DB) Now(context.Context) (time.Time, error) { return time.Now().UTC(), nil }

// Stats gives the counts so far.
func (db *DB) Stats() store.Stats {
	waiting, refused := db.turn.Stats()
	return store.Stats{Updates: db.updates.Load(), Commits: db.commits.Load(), Refused: refused, Waiting: waiting}
}
