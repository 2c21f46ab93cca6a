package series

import (
	"context"
	"maps"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/homeostat/homeostat/internal/heal"
)

// idleDelta is how long the sum of a delta series is kept without news. After
// that it begins again at zero, which PromQL reads as a restart.
const idleDelta = time.Hour

// total is the sum of one delta series so far.
type total struct {
	at        int64 // of the newest delta, ms
	value     float64
	histogram *histogram.FloatHistogram
}

// accumulated are the totals, by the series' labels.
type accumulated map[string]total

// appendDelta adds deltas up. One batch at a time: a total must not be read
// between the sum and its commit.
func (db *DB) appendDelta(ctx context.Context, md pmetric.Metrics) error {
	const op = "append OTLP delta metrics"
	db.deltaMu.Lock()
	defer db.deltaMu.Unlock()
	g := db.appender(ctx)
	g.pushed, g.sparse = true, true
	adder := &adder{gate: g, totals: db.delta, staged: accumulated{}, limit: db.opts.MaxSeries}
	if err := db.translate(ctx, md, adder, g, true); err != nil {
		return db.abort(op, g, err)
	}
	err := db.commit(op, g)
	if err == nil || heal.Is(err, heal.Invalid) { // a part was refused, the rest is written
		db.delta.merge(adder.staged, time.Now())
	}
	return err
}

// merge takes over the staged totals; when many are kept, those long quiet go.
func (a accumulated) merge(staged accumulated, now time.Time) {
	maps.Copy(a, staged)
	if len(a) < 1_000 {
		return
	}
	before := now.Add(-idleDelta).UnixMilli()
	for key, t := range a {
		if t.at < before {
			delete(a, key)
		}
	}
}

// adder turns the deltas it gets into totals for the gate. It works on what
// the translator makes of data points, so that counters, the buckets of a
// histogram and native histograms are all simple sums.
type adder struct {
	*gate

	totals accumulated
	staged accumulated // to be merged once committed
	limit  int
	key    []byte
}

func (a *adder) Append(ref storage.SeriesRef, ls labels.Labels, start, at int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if value.IsStaleNaN(v) && h == nil && fh == nil {
		return a.gate.Append(ref, ls, 0, at, v, nil, nil, opts)
	}
	a.key = ls.Bytes(a.key[:0])
	t, known := a.staged[string(a.key)]
	if !known {
		t, known = a.totals[string(a.key)]
	}
	switch {
	case known && at <= t.at:
		a.refuse(ls, at, opts, "the delta is not newer than the one before")
		return 0, nil
	case !known && len(a.totals)+len(a.staged) >= a.limit:
		a.refuse(ls, at, opts, "the limit of delta series is reached")
		return 0, nil
	}
	if h != nil {
		fh = h.ToFloat(nil)
	}
	if err := t.add(v, fh); err != nil {
		a.refuse(ls, at, opts, err.Error())
		return 0, nil
	}
	t.at = at
	if !known && fh == nil && start > 0 && start < at {
		// The value from which the first delta grew, so that a rate sees it.
		if _, err := a.AppenderV2.Append(0, ls, 0, start, 0, nil, nil, opts); err != nil && !isSoft(err) {
			return 0, err
		}
	}
	refused := a.refused
	ref, err := a.gate.Append(ref, ls, 0, at, t.value, nil, t.copyHistogram(), opts)
	if err == nil && a.refused == refused {
		a.staged[string(a.key)] = t
	}
	return ref, err
}

func (t *total) add(v float64, fh *histogram.FloatHistogram) error {
	if fh == nil {
		if !math.IsNaN(v) {
			t.value += v
		}
		return nil
	}
	fh.CounterResetHint = histogram.UnknownCounterReset
	if t.histogram == nil {
		t.histogram = fh.Copy()
		return nil
	}
	sum, _, _, err := t.histogram.Copy().Add(fh)
	if err != nil {
		return err
	}
	sum.CounterResetHint = histogram.UnknownCounterReset
	t.histogram = sum
	return nil
}

func (t *total) copyHistogram() *histogram.FloatHistogram {
	if t.histogram == nil {
		return nil
	}
	return t.histogram.Copy()
}
