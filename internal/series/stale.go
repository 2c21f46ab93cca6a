package series

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/homeostat/homeostat/internal/heal"
)

// How often Run looks for series that have ended, and how late it may be
// before it concludes that this process stood still and heard nobody.
const (
	markEvery = time.Second
	markLate  = 5 * markEvery
)

// marksAtOnce is how many series are marked in one commit.
const marksAtOnce = 10_000

// Run marks pushed series that have ended, until ctx ends.
func (db *DB) Run(ctx context.Context) error {
	ticker := time.NewTicker(markEvery)
	defer ticker.Stop()
	before := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		if now.Sub(before) > markLate {
			db.tracker.listenFrom(db.clock(now))
		}
		before = now
		if _, err := db.MarkStale(ctx, now); err != nil && ctx.Err() == nil {
			db.opts.Logger.WarnContext(ctx, "series that ended not marked, it is tried again", slog.Any("error", err))
		}
	}
}

// MarkStale ends the pushed series that fell silent by now, as Prometheus does
// when a target or a series is gone from a scrape: a mark after the newest
// sample, from which on queries find nothing.
//
// A series falls silent when it is not heard of for three of its usual
// intervals, or nothing of its source (service, instance and host) for three of
// the source's; for 10 s at least, and longer for who paused longer of late. An
// interval is known from the second push on. A series without one, one last
// pushed before the store was opened, and one pushed more seldom than a third
// of Options.Lookback end by Options.Lookback. A series that comes again goes
// on. Those of Append and of recording rules are not looked at.
func (db *DB) MarkStale(ctx context.Context, now time.Time) (marked int, err error) {
	ended := db.tracker.overdue(db.clock(now))
	for batch := range slices.Chunk(ended, marksAtOnce) {
		n, err := db.mark(ctx, batch)
		if err != nil {
			db.tracker.retry(ended) // marking twice changes nothing
			return marked, err
		}
		marked += n
		db.ended.Add(uint64(n))
	}
	return marked, nil
}

func (db *DB) mark(ctx context.Context, ended []ending) (marked int, err error) {
	const op = "mark series that ended"
	app := db.tsdb.AppenderV2(ctx)
	stale := math.Float64frombits(value.StaleNaN) // for a histogram the TSDB makes it one
	opts := storage.AOptions{RejectOutOfOrder: true}
	for _, e := range ended {
		_, err := app.Append(e.ref, labels.EmptyLabels(), 0, e.at+1, stale, nil, nil, opts)
		switch {
		case err == nil:
			marked++
		case isSoft(err): // there is a newer sample
		case errors.Is(err, tsdb.ErrInvalidSample): // the series is gone from memory
		default:
			return 0, heal.Wrap(op, errors.Join(err, app.Rollback()))
		}
	}
	if err := app.Commit(); err != nil {
		return 0, heal.Errorf(heal.Transient, op, "%w", err)
	}
	return marked, nil
}

// clock gives a time in ms since the store was opened: the tracker's clock,
// which no correction of the wall clock moves.
func (db *DB) clock(at time.Time) int64 { return at.Sub(db.opened).Milliseconds() }

// isMark reports whether a sample is the mark that ends a series.
func isMark(v float64, h *histogram.Histogram, fh *histogram.FloatHistogram) bool {
	switch {
	case h != nil:
		return value.IsStaleNaN(h.Sum)
	case fh != nil:
		return value.IsStaleNaN(fh.Sum)
	}
	return value.IsStaleNaN(v)
}
