package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// partition is one file, opened when it is first used.
type partition struct {
	key  key
	path string

	mu   sync.RWMutex // held for reading while in use, for writing to end it
	gone bool         // closed for good: skip it

	openMu  sync.Mutex // held while opening
	readers *sql.DB    // nil: not open yet
	writer  *sql.DB
	inserts inserts
	held    struct{ spans, logs atomic.Int64 }
}

// use runs f with the partition open. It fails with errGone once the
// partition has ended.
func (p *partition) use(ctx context.Context, f func() error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone {
		return errGone
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	return f()
}

var errGone = errors.New("the partition was given up")

// suffixes are the files a partition consists of.
var suffixes = []string{"", "-wal", "-shm"}

// dsn is how modernc.org/sqlite is told the file and its settings.
func (p *partition) dsn(pragmas ...string) string {
	q := url.Values{"_pragma": append(pragmas, "busy_timeout(5000)", "cache_size(-8000)")}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: p.path, RawQuery: q.Encode()}).String()
}

// open makes the connections, and the file where it is missing.
func (p *partition) open(ctx context.Context) error {
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if p.readers != nil {
		return nil
	}
	writer, err := sql.Open("sqlite", p.dsn("journal_mode(wal)", "synchronous(normal)"))
	if err != nil {
		return err
	}
	writer.SetMaxOpenConns(1)
	if err := p.prepare(ctx, writer); err != nil {
		return errors.Join(err, writer.Close())
	}
	readers, err := sql.Open("sqlite", p.dsn("query_only(1)"))
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	readers.SetMaxOpenConns(4)
	p.writer, p.readers = writer, readers
	return nil
}

func (p *partition) prepare(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case schemaVersion:
	case 0:
		if _, err := db.ExecContext(ctx, schema); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s has layout %d, this program reads %d: %w", p.path, version, schemaVersion, errForeign)
	}
	var spans, logs int64
	if err := db.QueryRowContext(ctx, "SELECT spans, logs FROM total").Scan(&spans, &logs); err != nil {
		return err
	}
	p.held.spans.Store(spans)
	p.held.logs.Store(logs)
	return p.inserts.prepare(ctx, db)
}

// errForeign marks a file of another version of this program.
var errForeign = errors.New("another version wrote it")

// size is the bytes on disk.
func (p *partition) size() int64 {
	var n int64
	for _, suffix := range suffixes {
		if info, err := os.Stat(p.path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// close ends the partition and keeps its files.
func (p *partition) close() error { return p.end(func(string) error { return nil }) }

// remove ends the partition and deletes its files.
func (p *partition) remove() error {
	return p.end(func(suffix string) error { return os.Remove(p.path + suffix) })
}

// setAside ends the partition and keeps its files under another name.
func (p *partition) setAside() error {
	return p.end(func(suffix string) error { return os.Rename(p.path+suffix, p.path+asideSuffix+suffix) })
}

const asideSuffix = ".corrupt"

// end waits for who uses the partition, lets go of its files and does
// something to each.
func (p *partition) end(each func(suffix string) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	p.gone = true
	var errs []error
	if p.readers != nil {
		errs = append(errs, p.readers.Close(), p.inserts.close(), p.writer.Close())
	}
	for _, suffix := range suffixes {
		if err := each(suffix); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// unreadable reports whether err says that the file is no sound database.
func unreadable(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		code := e.Code() & 0xff
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
	}
	return errors.Is(err, errForeign)
}
