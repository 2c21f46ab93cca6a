package series

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/homeostat/homeostat/internal/heal"
)

// The bounds of one series' labels.
const (
	maxLabels     = 64
	maxLabelValue = 4 << 10 // bytes
)

// Append writes samples. Those that cannot be kept are left out and reported
// by a *heal.Rejected; the rest is written all the same.
func (db *DB) Append(ctx context.Context, samples []heal.Sample) error {
	const op = "append samples"
	app := db.appender(ctx)
	builder := labels.NewScratchBuilder(8)
	for _, s := range samples {
		builder.Reset()
		builder.Add(model.MetricNameLabel, s.Metric)
		for _, l := range s.Labels {
			builder.Add(l.Name, l.Value)
		}
		builder.Sort()
		if _, err := app.Append(0, builder.Labels(), 0, s.At.UnixMilli(), s.Value, nil, nil, storage.AOptions{MetricFamilyName: s.Metric}); err != nil {
			return db.abort(op, app, err)
		}
	}
	return db.commit(op, app)
}

func (db *DB) appender(ctx context.Context) *gate {
	return &gate{
		AppenderV2: db.tsdb.AppenderV2(ctx),
		maxTime:    time.Now().Add(db.opts.MaxAhead).UnixMilli(),
		full:       db.tsdb.Head().NumSeries() >= uint64(db.opts.MaxSeries),
		points:     map[point]struct{}{},
	}
}

func (db *DB) abort(op string, app storage.AppenderV2, err error) error {
	return heal.Wrap(op, errors.Join(err, app.Rollback()))
}

func (db *DB) commit(op string, app *gate) error {
	if err := app.Commit(); err != nil {
		return heal.Errorf(heal.Transient, op, "%w", err)
	}
	db.appended.Add(uint64(app.written))
	db.rejected.Add(uint64(app.refused))
	if len(app.sighted) > 0 {
		db.tracker.observe(db.clock(time.Now()), app.sighted)
	}
	if len(app.points) > 0 {
		return &heal.Rejected{Count: len(app.points), Reason: app.reason}
	}
	return nil
}

// gate is an appender that leaves out what cannot be kept and counts it, where
// the TSDB's own would fail and take the rest of a batch with it.
type gate struct {
	storage.AppenderV2

	maxTime int64
	full    bool // no new series

	written, refused int
	points           map[point]struct{} // data points with a refused sample
	reason           string             // of the first refusal
	failed           error              // the error that ends the batch

	pushed  bool       // what is written is sighted
	sparse  bool       // as deltas
	sighted []sighting // for the tracker, once committed
}

// targetInfo is the metric the translator makes of a resource's attributes.
const targetInfo = "target_info"

// point is a data point as the sender counts them: a histogram is one, though
// it has a sample a bucket.
type point struct {
	family string
	labels uint64
	at     int64
}

func (g *gate) Append(ref storage.SeriesRef, ls labels.Labels, start, at int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if reason := g.check(ls, at); reason != "" {
		g.refuse(ls, at, opts, reason)
		return 0, nil
	}
	if err := fit(h, fh); err != nil {
		g.refuse(ls, at, opts, err.Error())
		return 0, nil
	}
	ref, err := g.AppenderV2.Append(ref, ls, start, at, v, h, fh, opts)
	if err != nil {
		var partial *storage.AppendPartialError
		if _, hard := partial.Handle(err); hard == nil { // only exemplars, which are not kept
			err = nil
		}
	}
	switch {
	case err == nil:
		g.written++
		if g.pushed {
			g.sighted = append(g.sighted, sighting{ref: ref, labels: ls, at: at, sparse: g.sparse, last: isMark(v, h, fh)})
		}
		return ref, nil
	case isSoft(err):
		g.refuse(ls, at, opts, err.Error())
		return 0, nil
	}
	g.failed = err
	return 0, err
}

// check gives the reason why a sample cannot be kept, "" if it can.
func (g *gate) check(ls labels.Labels, at int64) string {
	switch {
	case at == 0:
		return "the data point has no timestamp"
	case at > g.maxTime:
		return "the timestamp is too far in the future"
	case ls.Len() > maxLabels:
		return fmt.Sprintf("series has %d labels, at most %d are kept", ls.Len(), maxLabels)
	}
	reason := ""
	ls.Range(func(l labels.Label) {
		switch {
		case l.Name == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
			reason = fmt.Sprintf("label %q is empty or not valid UTF-8", l.Name)
		case len(l.Name) > maxLabelValue || len(l.Value) > maxLabelValue:
			reason = fmt.Sprintf("label %.64q is longer than %d bytes", l.Name, maxLabelValue)
		}
	})
	if ls.Get(model.MetricNameLabel) == "" {
		reason = "the metric has no name"
	}
	if reason == "" && g.full {
		if known, ok := g.AppenderV2.(storage.GetRef); ok {
			if ref, _ := known.GetRef(ls, ls.Hash()); ref == 0 {
				reason = "the limit of series is reached"
			}
		}
	}
	return reason
}

func (g *gate) refuse(ls labels.Labels, at int64, opts storage.AOptions, reason string) {
	g.refused++
	if g.reason == "" {
		g.reason = fmt.Sprintf("%s: %s", ls.Get(model.MetricNameLabel), reason)
	}
	if opts.MetricFamilyName == targetInfo {
		return // made by the translator, no data point of the sender
	}
	hash, _ := ls.HashWithoutLabels(nil, "le", "quantile")
	g.points[point{opts.MetricFamilyName, hash, at}] = struct{}{}
}

// fit lowers the resolution of a histogram to what the TSDB keeps.
func fit(h *histogram.Histogram, fh *histogram.FloatHistogram) error {
	switch {
	case h != nil && histogram.IsExponentialSchemaReserved(h.Schema) && h.Schema > histogram.ExponentialSchemaMax:
		return h.ReduceResolution(histogram.ExponentialSchemaMax)
	case fh != nil && histogram.IsExponentialSchemaReserved(fh.Schema) && fh.Schema > histogram.ExponentialSchemaMax:
		return fh.ReduceResolution(histogram.ExponentialSchemaMax)
	}
	return nil
}

// isSoft reports whether err refuses one sample, not the batch.
func isSoft(err error) bool {
	_, malformed := errors.AsType[histogram.Error](err)
	return malformed ||
		errors.Is(err, storage.ErrOutOfOrderSample) ||
		errors.Is(err, storage.ErrOutOfBounds) ||
		errors.Is(err, storage.ErrTooOldSample) ||
		errors.Is(err, storage.ErrDuplicateSampleForTimestamp)
}
