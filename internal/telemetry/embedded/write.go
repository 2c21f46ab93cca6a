package embedded

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// spanRow and logRow are records with the time they will be found under.
type (
	spanRow struct {
		heal.Span
		at time.Time
	}
	logRow struct {
		heal.LogRecord
		at time.Time
	}
	rows struct {
		spans []spanRow
		logs  []logRow
	}
)

// write puts queued batches into their partitions. What cannot be written is
// counted and logged; the next batch is tried all the same.
func (s *Store) write(ctx context.Context, items []item) {
	if len(items) == 0 {
		return
	}
	byDay := s.sortByDay(items)
	for d, r := range byDay {
		if err := s.writeDay(ctx, d, r); err != nil {
			s.opts.Log.ErrorContext(ctx, "telemetry lost in writing",
				slog.Time("day", d.start()), slog.Int("spans", len(r.spans)), slog.Int("logs", len(r.logs)), slog.Any("error", err))
			s.tally.drop(telemetry.Spans, telemetry.DropWrite, len(r.spans))
			s.tally.drop(telemetry.Logs, telemetry.DropWrite, len(r.logs))
		}
	}
	for _, it := range items {
		if it.done != nil {
			close(it.done)
		}
	}
}

// sortByDay finds the day each record belongs to, leaves out what is older
// than all that is kept, and sorts each day by time.
func (s *Store) sortByDay(items []item) map[day]*rows {
	now := s.opts.Now()
	oldest := s.oldestKept(now)
	byDay := make(map[day]*rows)
	of := func(at time.Time) *rows {
		d := dayOf(at)
		if byDay[d] == nil {
			byDay[d] = &rows{}
		}
		return byDay[d]
	}
	for _, it := range items {
		for _, span := range it.spans {
			at, skewed := foundAt(&span.Start, now)
			if dayOf(at) < oldest {
				s.tally.drop(telemetry.Spans, telemetry.DropTooOld, 1)
				continue
			}
			if skewed {
				span.Attributes = withAttribute(span.Attributes, telemetry.AttrSkewed, "true")
			}
			r := of(at)
			r.spans = append(r.spans, spanRow{span, at})
		}
		for _, log := range it.logs {
			if log.Time.IsZero() {
				log.Time = log.Observed
			}
			if log.Observed.IsZero() {
				log.Observed = now
			}
			at, skewed := foundAt(&log.Time, now)
			if dayOf(at) < oldest {
				s.tally.drop(telemetry.Logs, telemetry.DropTooOld, 1)
				continue
			}
			if skewed {
				log.Attributes = withAttribute(log.Attributes, telemetry.AttrSkewed, "true")
			}
			r := of(at)
			r.logs = append(r.logs, logRow{log, at})
		}
	}
	for _, r := range byDay {
		slices.SortStableFunc(r.spans, func(a, b spanRow) int { return a.at.Compare(b.at) })
		slices.SortStableFunc(r.logs, func(a, b logRow) int { return a.at.Compare(b.at) })
	}
	return byDay
}

// foundAt is the time a record is found under: its event time, or now where
// that is missing or still to come. It fills a missing event time in, and
// reports one so far ahead that the source's clock must be wrong.
func foundAt(event *time.Time, now time.Time) (at time.Time, skewed bool) {
	switch year := event.Year(); {
	case event.IsZero():
		*event = now
		return now, false
	case year > 2261 || year < 1679: // beyond what nanoseconds can hold
		*event = now
		return now, true
	case event.After(now):
		return now, event.Sub(now) > heal.ClockSkewLimit
	}
	return *event, false
}

// writeDay writes the rows of one day. Where the partition turns out to be
// unreadable or was just given up, the next one takes them.
func (s *Store) writeDay(ctx context.Context, d day, r *rows) error {
	for try := 1; ; try++ {
		p, err := s.pickPartition(d)
		if err != nil {
			return err
		}
		err = p.use(ctx, func() error { return p.insert(ctx, r) })
		if unreadable(err) {
			s.giveUp(p, err)
		} else if !errors.Is(err, errGone) {
			return err
		}
		if try == 3 {
			return err
		}
	}
}
