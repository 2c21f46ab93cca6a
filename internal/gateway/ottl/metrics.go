package ottl

import (
	"context"

	lang "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlmetric"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var metricContexts = []string{ottlresource.ContextName, ottlscope.ContextName, ottlmetric.ContextName, ottldatapoint.ContextName}

// metricParsers read statements on metrics.
func metricParsers() []lang.ParserCollectionOption[step[pmetric.Metrics]] {
	return []lang.ParserCollectionOption[step[pmetric.Metrics]]{
		reader(ottlresource.ContextName, ottlresource.NewParser, ottlresource.EnablePathContextNames(), func(s resourceStatement) step[pmetric.Metrics] {
			return func(ctx context.Context, md pmetric.Metrics, fail func(error)) {
				for _, rm := range md.ResourceMetrics().All() {
					tell(ctx, s, ottlresource.NewTransformContextPtr(rm.Resource(), rm), fail)
				}
			}
		}),
		reader(ottlscope.ContextName, ottlscope.NewParser, ottlscope.EnablePathContextNames(), func(s scopeStatement) step[pmetric.Metrics] {
			return func(ctx context.Context, md pmetric.Metrics, fail func(error)) {
				for _, rm := range md.ResourceMetrics().All() {
					for _, sm := range rm.ScopeMetrics().All() {
						tell(ctx, s, ottlscope.NewTransformContextPtr(sm.Scope(), rm.Resource(), sm, rm), fail)
					}
				}
			}
		}),
		reader(ottlmetric.ContextName, ottlmetric.NewParser, ottlmetric.EnablePathContextNames(), func(s *lang.Statement[*ottlmetric.TransformContext]) step[pmetric.Metrics] {
			return func(ctx context.Context, md pmetric.Metrics, fail func(error)) {
				eachMetric(md, func(rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric) {
					tell(ctx, s, ottlmetric.NewTransformContextPtr(rm, sm, m), fail)
				})
			}
		}),
		reader(ottldatapoint.ContextName, ottldatapoint.NewParser, ottldatapoint.EnablePathContextNames(), func(s *lang.Statement[*ottldatapoint.TransformContext]) step[pmetric.Metrics] {
			return func(ctx context.Context, md pmetric.Metrics, fail func(error)) {
				eachMetric(md, func(rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric) {
					eachPoint(m, func(point any) { tell(ctx, s, ottldatapoint.NewTransformContextPtr(rm, sm, m, point), fail) })
				})
			}
		}),
	}
}

func eachMetric(md pmetric.Metrics, do func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				do(rm, sm, m)
			}
		}
	}
}

func eachPoint(m pmetric.Metric, do func(point any)) {
	switch m.Type() {
	case pmetric.MetricTypeEmpty:
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			do(p)
		}
	}
}
