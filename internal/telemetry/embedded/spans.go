package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

const selectSpans = `SELECT id, shift, duration, error, kind, service, instance, operation,
	trace, span, parent, message, attributes, exceptions FROM span`

// Spans implements telemetry.Store.
func (s *Store) Spans(ctx context.Context, q telemetry.SpanQuery) ([]heal.Span, error) {
	q, err := q.Normalise()
	if err != nil {
		return nil, err
	}
	var spans []heal.Span
	if q.Order == telemetry.SlowestFirst {
		spans, err = s.slowest(ctx, q)
	} else {
		spans, err = newest(ctx, s, q.From, q.To, q.Limit, spanText(q), scanSpan)
	}
	return spans, heal.Wrap("query spans", err)
}

// slowest looks at every partition of the window.
func (s *Store) slowest(ctx context.Context, q telemetry.SpanQuery) ([]heal.Span, error) {
	query := spanText(q)
	query.order = "duration DESC, id DESC"
	var all []found[heal.Span]
	err := s.each(ctx, q.From, q.To, func(ctx context.Context, p *partition) (bool, error) {
		rows, err := collect(ctx, p, query, scanSpan)
		all = append(all, rows...)
		slices.SortStableFunc(all, func(a, b found[heal.Span]) int {
			return cmp.Or(cmp.Compare(b.record.Duration, a.record.Duration), cmp.Compare(b.id, a.id))
		})
		all = all[:min(len(all), q.Limit)]
		return true, err
	})
	return records(all, q.Limit), err
}

func spanText(q telemetry.SpanQuery) sqlText {
	t := sqlText{selects: selectSpans, order: "id DESC", limit: q.Limit}
	t.within("id", q.From, q.To)
	for _, c := range []struct{ column, value string }{
		{"service", q.Service}, {"operation", q.Operation}, {"kind", string(q.Kind)},
	} {
		if c.value != "" {
			t.and(c.column+" = ?", c.value)
		}
	}
	if q.OnlyErrors {
		t.and("error = 1")
	}
	if q.MinDuration > 0 {
		t.and("duration >= ?", int64(q.MinDuration))
	}
	return t
}

// Trace implements telemetry.Store.
func (s *Store) Trace(ctx context.Context, id string) ([]heal.Span, error) {
	query := sqlText{selects: selectSpans, order: "id", limit: telemetry.MaxTrace}
	query.and("trace = ?", packID(id))
	var all []found[heal.Span]
	err := s.each(ctx, time.Time{}, time.Time{}, func(ctx context.Context, p *partition) (bool, error) {
		rows, err := collect(ctx, p, query, scanSpan)
		all = append(all, rows...)
		return len(all) < telemetry.MaxTrace, err
	})
	if err != nil {
		return nil, heal.Wrap("get trace "+id, err)
	}
	if len(all) == 0 {
		return nil, heal.Errorf(heal.NotFound, "get trace", "no span of %q is kept", id)
	}
	slices.SortStableFunc(all, func(a, b found[heal.Span]) int {
		return cmp.Or(a.record.Start.Compare(b.record.Start), cmp.Compare(a.id, b.id))
	})
	return records(all, telemetry.MaxTrace), nil
}

func scanSpan(rows *sql.Rows) (found[heal.Span], error) {
	var f found[heal.Span]
	var shift, duration int64
	var trace, span, parent any
	var instance, message, attributes, exceptions sql.NullString
	s := &f.record
	err := rows.Scan(&f.id, &shift, &duration, &s.Error, &s.Kind, &s.Service, &instance, &s.Operation,
		&trace, &span, &parent, &message, &attributes, &exceptions)
	if err != nil {
		return f, err
	}
	s.Start, s.Duration = timeOf(f.id+shift), time.Duration(duration)
	s.Instance, s.StatusMessage = instance.String, message.String
	s.TraceID, s.SpanID, s.ParentID = unpackID(trace), unpackID(span), unpackID(parent)
	if err := unpackJSON(attributes, &s.Attributes); err != nil {
		return f, err
	}
	return f, unpackJSON(exceptions, &s.Exceptions)
}
