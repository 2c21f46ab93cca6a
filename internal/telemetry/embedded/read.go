package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// found is a record with the id it is found under.
type found[R any] struct {
	id     int64
	record R
}

// each visits the partitions that can hold rows of the window, newest first,
// until f says there is no need for more. An unreadable one is set aside and
// passed over.
func (s *Store) each(ctx context.Context, from, to time.Time, f func(context.Context, *partition) (more bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.QueryTimeout)
	defer cancel()
	s.mu.Lock()
	parts, closed := slices.Clone(s.parts), s.closed
	s.mu.Unlock()
	if closed {
		return errStopped
	}
	for _, p := range slices.Backward(parts) {
		if !from.IsZero() && p.key.day < dayOf(from) || !to.IsZero() && p.key.day > dayOf(to) {
			continue
		}
		more := true
		err := p.use(ctx, func() (err error) {
			more, err = f(ctx, p)
			return err
		})
		switch {
		case errors.Is(err, errGone):
		case unreadable(err):
			s.giveUp(p, err)
		case err != nil && ctx.Err() != nil: // whatever the engine calls it
			return heal.Errorf(heal.Transient, "", "stopped before it was done: %w", ctx.Err())
		case err != nil:
			return err
		case !more:
			return nil
		}
	}
	return nil
}

// newest gathers the limit newest rows of a query that sorts newest first. The
// partitions of one day may overlap in time, those of two days do not.
func newest[R any](ctx context.Context, s *Store, from, to time.Time, limit int, query sqlText, scan func(*sql.Rows) (found[R], error)) ([]R, error) {
	var all []found[R]
	var last day
	err := s.each(ctx, from, to, func(ctx context.Context, p *partition) (bool, error) {
		if len(all) >= limit && p.key.day != last {
			return false, nil
		}
		last = p.key.day
		rows, err := collect(ctx, p, query, scan)
		all = append(all, rows...)
		return true, err
	})
	slices.SortStableFunc(all, func(a, b found[R]) int { return cmp.Compare(b.id, a.id) })
	return records(all, limit), err
}

// collect runs the query on one partition.
func collect[R any](ctx context.Context, p *partition, query sqlText, scan func(*sql.Rows) (found[R], error)) (all []found[R], err error) {
	rows, err := p.readers.QueryContext(ctx, query.text(), query.args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func records[R any](all []found[R], limit int) []R {
	out := make([]R, 0, min(len(all), limit))
	for _, f := range all[:min(len(all), limit)] {
		out = append(out, f.record)
	}
	return out
}

// sqlText is a query in the making. Values only ever travel as arguments.
type sqlText struct {
	selects string
	where   []string
	order   string
	limit   int
	args    []any
}

func (q *sqlText) and(condition string, args ...any) {
	q.where = append(q.where, condition)
	q.args = append(q.args, args...)
}

// within limits the column that holds the id to the window.
func (q *sqlText) within(column string, from, to time.Time) {
	if !from.IsZero() {
		q.and(column+" >= ?", nanos(from))
	}
	if !to.IsZero() {
		q.and(column+" < ?", nanos(to))
	}
}

func (q *sqlText) text() string {
	text := q.selects
	if len(q.where) > 0 {
		text += " WHERE " + strings.Join(q.where, " AND ")
	}
	return fmt.Sprintf("%s ORDER BY %s LIMIT %d", text, q.order, q.limit)
}

// nanos is t in nanoseconds, held within what they can say.
func nanos(t time.Time) int64 {
	switch year := t.Year(); {
	case year < 1679:
		return -1 << 63
	case year > 2261:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

func timeOf(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }

// Newest implements telemetry.Store.
func (s *Store) Newest(ctx context.Context, service string) (telemetry.Newest, error) {
	const query = `SELECT
		(SELECT id + min(shift, 0) FROM span WHERE service = ?1 ORDER BY id DESC LIMIT 1),
		(SELECT id + min(shift, 0) FROM log WHERE service = ?1 ORDER BY id DESC LIMIT 1)`
	var n telemetry.Newest
	var last day
	err := s.each(ctx, time.Time{}, time.Time{}, func(ctx context.Context, p *partition) (bool, error) {
		if !n.Span.IsZero() && !n.Log.IsZero() && p.key.day != last {
			return false, nil
		}
		last = p.key.day
		var span, log sql.NullInt64
		if err := p.readers.QueryRowContext(ctx, query, service).Scan(&span, &log); err != nil {
			return true, err
		}
		if span.Valid && timeOf(span.Int64).After(n.Span) {
			n.Span = timeOf(span.Int64)
		}
		if log.Valid && timeOf(log.Int64).After(n.Log) {
			n.Log = timeOf(log.Int64)
		}
		return true, nil
	})
	return n, heal.Wrap("newest telemetry of "+service, err)
}
