package series

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/homeostat/homeostat/internal/heal"
)

// promoted are the resource attributes that become labels of every series;
// the others are on target_info.
var promoted = []string{
	"service.name", "service.namespace", "service.instance.id", "host.name", "deployment.environment.name",
}

// AppendOTLP writes OTLP metrics under the names Prometheus gives them
// (underscores, with suffixes of unit and type). Delta values are added up to
// cumulative ones. Data points that cannot be kept are left out and reported
// by a *heal.Rejected; the rest is written all the same. When the series end is
// noticed by MarkStale.
func (db *DB) AppendOTLP(ctx context.Context, md pmetric.Metrics) error {
	cumulative, delta := split(md)
	err := db.appendCumulative(ctx, cumulative)
	rejected, partial := errors.AsType[*heal.Rejected](err)
	if (err != nil && !partial) || delta.DataPointCount() == 0 {
		return err
	}
	err = db.appendDelta(ctx, delta)
	more, partial := errors.AsType[*heal.Rejected](err)
	switch {
	case err != nil && !partial:
		return err
	case rejected == nil:
		return err
	case more != nil:
		rejected.Count += more.Count
	}
	return rejected
}

func (db *DB) appendCumulative(ctx context.Context, md pmetric.Metrics) error {
	const op = "append OTLP metrics"
	app := db.appender(ctx)
	app.pushed, app.sighted = true, make([]sighting, 0, md.DataPointCount()+md.ResourceMetrics().Len())
	if err := db.translate(ctx, md, app, app, false); err != nil {
		return db.abort(op, app, err)
	}
	return db.commit(op, app)
}

// translate writes md to app. What cannot be translated is a malformed metric
// and refused on the gate.
func (db *DB) translate(ctx context.Context, md pmetric.Metrics, app storage.AppenderV2, g *gate, delta bool) error {
	before := g.written + g.refused
	_, err := prometheusremotewrite.NewPrometheusConverter(app).FromMetrics(ctx, md, prometheusremotewrite.Settings{
		AddMetricSuffixes:         true,
		PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{PromoteResourceAttributes: promoted}),
		AllowDeltaTemporality:     delta,
		DisableTargetInfo:         delta, // written with the cumulative part
		LookbackDelta:             db.opts.Lookback,
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return heal.Errorf(heal.Transient, "translate OTLP metrics", "%w", ctx.Err())
	case g.failed != nil:
		return g.failed
	}
	// The translator gives no count, so what is missing is counted.
	missing := md.DataPointCount()
	if written := g.written + g.refused - before; written > 0 && md.DataPointCount() > 1 {
		missing = max(1, countUntranslated(err))
	}
	for i := range missing {
		g.points[point{family: "untranslated", labels: uint64(i)}] = struct{}{}
	}
	g.refused += missing
	if g.reason == "" {
		g.reason = err.Error()
	}
	return nil
}

// countUntranslated is how many metrics an error of the translator speaks of.
func countUntranslated(err error) int {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return 1
	}
	n := 0
	for _, e := range joined.Unwrap() {
		n += countUntranslated(e)
	}
	return n
}

// split parts cumulative metrics from delta ones. The usual md has none of the
// latter and is given back as it is.
func split(md pmetric.Metrics) (cumulative, delta pmetric.Metrics) {
	delta = pmetric.NewMetrics()
	if !hasDelta(md) {
		return md, delta
	}
	cumulative = pmetric.NewMetrics()
	md.CopyTo(cumulative)
	md.CopyTo(delta)
	keep(cumulative, func(m pmetric.Metric) bool { return !isDelta(m) })
	keep(delta, isDelta)
	return cumulative, delta
}

func keep(md pmetric.Metrics, wanted func(pmetric.Metric) bool) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return !wanted(m) })
		}
	}
}

func hasDelta(md pmetric.Metrics) bool {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if isDelta(m) {
					return true
				}
			}
		}
	}
	return false
}

func isDelta(m pmetric.Metric) bool {
	temporality := pmetric.AggregationTemporalityUnspecified
	switch m.Type() {
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		temporality = m.ExponentialHistogram().AggregationTemporality()
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSummary:
	}
	return temporality == pmetric.AggregationTemporalityDelta
}
