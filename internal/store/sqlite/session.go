package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/homeostat/homeostat/internal/store"
)

// maxStatements bounds the prepared statements of one connection. Their texts
// depend on the shape of a query only, so that few exist.
const maxStatements = 256

// session is one connection with its prepared statements. One goroutine uses
// it at a time.
type session struct {
	pool   *sql.DB // holds just this connection
	conn   *sql.Conn
	cached map[string]statement
	broken bool // not to be used again
}

// writeDSN names a connection that writes: every commit synced, a lock held by a
// foreign tool waited for, the log copied by copyLog and cut to 64 MiB after a burst.
// What savepoints need to undo an update stays in memory instead of a file.
func writeDSN(path string, busy time.Duration) string {
	return dsn(path, url.Values{"_pragma": {
		"busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")",
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"journal_size_limit(67108864)", "wal_autocheckpoint(0)", "cache_size(-8000)", "temp_store(MEMORY)",
	}})
}

// readDSN names a connection that cannot write.
func readDSN(path string) string {
	return dsn(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "cache_size(-4000)"}})
}

func dsn(path string, query url.Values) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}
	return u.String()
}

func openSession(ctx context.Context, dsn string) (*session, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &session{pool: pool, conn: conn, cached: map[string]statement{}}, nil
}

func (s *session) close() error {
	err := s.forget()
	return errors.Join(err, s.conn.Close(), s.pool.Close())
}

func (s *session) forget() error {
	var errs []error
	for _, stmt := range s.cached {
		errs = append(errs, stmt.Close())
	}
	clear(s.cached)
	return errors.Join(errs...)
}

// statement is a prepared statement that belongs to its session: who gets one
// does not close it.
type statement struct{ *sql.Stmt }

// stmt gives the prepared statement of the text.
func (s *session) stmt(ctx context.Context, text string) (statement, error) {
	if known, ok := s.cached[text]; ok {
		return known, nil
	}
	if len(s.cached) >= maxStatements {
		if err := s.forget(); err != nil {
			return statement{}, err
		}
	}
	stmt, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return statement{}, err
	}
	s.cached[text] = statement{stmt}
	return statement{stmt}, nil
}

// exec runs a statement whose rows are of no interest.
func (s *session) exec(ctx context.Context, text string, args ...any) error {
	_, err := s.affect(ctx, text, args...)
	return err
}

// affect runs a statement and tells how many rows it changed.
func (s *session) affect(ctx context.Context, text string, args ...any) (int64, error) {
	stmt, err := s.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// one reads a single row; sql.ErrNoRows if there is none.
func (s *session) one(ctx context.Context, text string, args, into []any) error {
	stmt, err := s.stmt(ctx, text)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(ctx, args...).Scan(into...)
}

// each calls f for every row, with a function that scans it.
func (s *session) each(ctx context.Context, text string, args []any, f func(scan func(into ...any) error) error) error {
	stmt, err := s.stmt(ctx, text)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func readRevision(ctx context.Context, s *session) (store.Revision, error) {
	var r int64
	err := s.one(ctx, "SELECT revision FROM store_state", nil, []any{&r})
	return store.Revision(r), err
}
