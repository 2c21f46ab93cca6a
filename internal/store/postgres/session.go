package postgres

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxStatements bounds the prepared statements of one connection. Their texts
// depend on the shape of a query only, so that few exist.
const maxStatements = 256

// binaryFormat asks for every value in the binary format.
var binaryFormat = []int16{1}

// call is one statement of a round trip and what came of it.
type call struct {
	text string
	args [][]byte                 // in binary format
	row  func(row [][]byte) error // called for each row, whose bytes are valid until it returns; nil: none are of interest
	n    int64                    // rows affected
}

// session is one connection with its prepared statements. One goroutine uses
// it at a time.
type session struct {
	conn    *pgconn.PgConn
	longest time.Duration // of one round trip; the server's own limit is shorter
	known   map[string]*pgconn.StatementDescription
	named   int // statements named so far
}

func connect(ctx context.Context, c *pgconn.Config, longest time.Duration) (*session, error) {
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		if refused, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			err = refused.Unwrap() // the error itself carries the whole configuration
		}
		return nil, &unreachable{err}
	}
	return &session{conn: conn, longest: longest, known: map[string]*pgconn.StatementDescription{}}, nil
}

// unreachable is an error of connecting: nothing was asked of the database.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// lost tells that the connection is gone.
func (s *session) lost() bool { return s.conn.IsClosed() }

// close ends the session, which the server does either way. What the library
// still does in the background for a connection that was lost is over when
// closed is, at most 15 s later.
func (s *session) close() (closed <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
	return s.conn.CleanupDone()
}

// do carries out all calls in one round trip and gives the first error; the
// calls after it are not carried out. A ctx that ends closes the connection.
func (s *session) do(ctx context.Context, calls ...*call) error {
	if s.lost() {
		return pgconn.ErrConnClosed
	}
	_ = s.conn.Conn().SetDeadline(time.Now().Add(s.longest)) // a closed socket says so at the next write
	if err := s.prepare(ctx, calls); err != nil {
		return err
	}
	p := s.conn.StartPipeline(ctx)
	for _, c := range calls {
		p.SendQueryStatement(s.known[c.text], c.args, binaryFormat, binaryFormat)
	}
	err := p.Sync()
	for _, c := range calls {
		if err != nil {
			break
		}
		err = c.receive(p)
	}
	if closed := p.Close(); err == nil {
		err = closed
	}
	return err
}

func (c *call) receive(p *pgconn.Pipeline) error {
	got, err := p.GetResults()
	if err != nil {
		return err
	}
	rows, ok := got.(*pgconn.ResultReader)
	if !ok {
		return errors.New("the database ended its answer too early")
	}
	for rows.NextRow() {
		if c.row == nil || err != nil {
			continue
		}
		err = c.row(rows.Values())
	}
	tag, closed := rows.Close()
	c.n = tag.RowsAffected()
	return cmp.Or(closed, err)
}

// prepare makes the statements that the connection does not know yet.
func (s *session) prepare(ctx context.Context, calls []*call) error {
	if len(s.known)+len(calls) > maxStatements {
		if err := s.conn.Exec(ctx, "DEALLOCATE ALL").Close(); err != nil {
			return err
		}
		clear(s.known)
	}
	for _, c := range calls {
		if s.known[c.text] != nil {
			continue
		}
		s.named++
		description, err := s.conn.Prepare(ctx, "s"+strconv.Itoa(s.named), c.text, nil)
		if err != nil {
			return err
		}
		s.known[c.text] = description
	}
	return nil
}
