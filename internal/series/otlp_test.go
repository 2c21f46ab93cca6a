package series

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/homeostat/homeostat/internal/heal"
)

// stamp is a time as OTLP has it.
func stamp(at time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(at) }

// oneMetric makes a request of one metric of service cart.
func oneMetric(name, unit string) (pmetric.Metrics, pmetric.Metric) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	for key, value := range map[string]string{
		"service.name": "cart", "service.namespace": "shop", "service.instance.id": "cart-1",
		"host.name": "h1", "deployment.environment.name": "prod", "not.promoted": "x",
	} {
		rm.Resource().Attributes().PutStr(key, value)
	}
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	return md, m
}

func oneGauge(name string, at time.Time, value float64) pmetric.Metrics {
	md, m := oneMetric(name, "")
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(stamp(at))
	p.SetDoubleValue(value)
	return md
}

func TestOTLPNamesAndLabels(t *testing.T) {
	db := open(t, Options{})
	now := time.Now().Truncate(time.Second)

	md, m := oneMetric("system.memory.utilization", "1")
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(stamp(now))
	p.SetDoubleValue(0.5)
	p.Attributes().PutStr("system.memory.state", "used")

	_, m = oneMetric("http.client.requests", "{request}")
	m.MoveTo(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty())
	m = md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(1)
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p = m.Sum().DataPoints().AppendEmpty()
	p.SetTimestamp(stamp(now))
	p.SetIntValue(7)

	m = md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
	m.SetName("http.server.request.duration")
	m.SetUnit("s")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	h := m.Histogram().DataPoints().AppendEmpty()
	h.SetTimestamp(stamp(now))
	h.ExplicitBounds().FromRaw([]float64{0.5, 1})
	h.BucketCounts().FromRaw([]uint64{1, 2, 3})
	h.SetCount(6)
	h.SetSum(9)

	m = md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
	m.SetName("latency")
	m.SetUnit("ms")
	m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	e := m.ExponentialHistogram().DataPoints().AppendEmpty()
	e.SetTimestamp(stamp(now))
	e.SetScale(20) // finer than the TSDB keeps
	e.SetCount(4)
	e.Positive().BucketCounts().FromRaw([]uint64{4})

	if err := db.AppendOTLP(t.Context(), md); err != nil {
		t.Fatal(err)
	}
	const promotedLabels = "deployment_environment_name:prod host_name:h1 instance:cart-1 job:shop/cart service_instance_id:cart-1 service_name:cart service_namespace:shop"
	tests := map[string][]string{
		`system_memory_utilization_ratio`:                           {"[__name__:system_memory_utilization_ratio " + promotedLabels + " system_memory_state:used] 0.5"},
		`http_client_requests_total`:                                {"[__name__:http_client_requests_total " + promotedLabels + "] 7"},
		`sum by (le) (http_server_request_duration_seconds_bucket)`: {"[le:0.5] 1", "[le:1] 3", "[le:+Inf] 6"},
		`sum(http_server_request_duration_seconds_sum)`:             {"[] 9"},
		`histogram_count(sum(latency_milliseconds))`:                {"[] 4"},
		`count(target_info{not_promoted="x"})`:                      {"[] 1"},
	}
	for expr, want := range tests {
		got := values(t, db, expr, now)
		if diff := cmp.Diff(sorted(got), sorted(want)); diff != "" {
			t.Errorf("%s (-got +want):\n%s", expr, diff)
		}
	}
	if _, err := db.Instant(t.Context(), "latency_milliseconds", now); !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "histogram_quantile") {
		t.Errorf("a raw native histogram: got %v, want what to wrap it in", err)
	}
}

func sorted(lines []string) map[string]bool {
	out := map[string]bool{}
	for _, line := range lines {
		out[line] = true
	}
	return out
}

func TestDeltaIsAddedUp(t *testing.T) {
	db := open(t, Options{})
	now := time.Now().Truncate(time.Second)
	batch := func(i int) pmetric.Metrics {
		start, end := now.Add(time.Duration(i-4)*10*time.Second), now.Add(time.Duration(i-3)*10*time.Second)
		md, m := oneMetric("calls", "")
		m.SetEmptySum().SetIsMonotonic(true)
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := m.Sum().DataPoints().AppendEmpty()
		p.SetStartTimestamp(stamp(start))
		p.SetTimestamp(stamp(end))
		p.SetIntValue(10)

		m = md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
		m.SetName("duration")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		h := m.Histogram().DataPoints().AppendEmpty()
		h.SetStartTimestamp(stamp(start))
		h.SetTimestamp(stamp(end))
		h.ExplicitBounds().FromRaw([]float64{1})
		h.BucketCounts().FromRaw([]uint64{1, 2})
		h.SetCount(3)

		m = md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
		m.SetName("native")
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		e := m.ExponentialHistogram().DataPoints().AppendEmpty()
		e.SetStartTimestamp(stamp(start))
		e.SetTimestamp(stamp(end))
		e.SetCount(5)
		e.Positive().SetOffset(int32(i))
		e.Positive().BucketCounts().FromRaw([]uint64{2, 3})

		m = md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
		m.SetName("temperature") // a gauge beside them stays as it is
		g := m.SetEmptyGauge().DataPoints().AppendEmpty()
		g.SetTimestamp(stamp(end))
		g.SetDoubleValue(20)
		return md
	}
	for i := range 4 {
		if err := db.AppendOTLP(t.Context(), batch(i)); err != nil {
			t.Fatal(err)
		}
	}
	at := now
	for expr, want := range map[string]string{
		`sum(calls_total)`:                                  "[] 40",
		`sum(increase(calls_total[40s]))`:                   "[] 40",
		`sum(duration_bucket{le="1"})`:                      "[] 4",
		`sum(duration_bucket{le="+Inf"})`:                   "[] 12",
		`histogram_count(sum(native))`:                      "[] 20",
		`histogram_count(sum(increase(native[30s]))) > 9.9`: "[] 15",
		`sum(temperature)`:                                  "[] 20",
		`sum(target_info)`:                                  "[] 1",
	} {
		if diff := cmp.Diff(values(t, db, expr, at), []string{want}); diff != "" {
			t.Errorf("%s (-got +want):\n%s", expr, diff)
		}
	}

	err := db.AppendOTLP(t.Context(), batch(1)) // again: an old batch delivered twice
	if rejected, ok := errors.AsType[*heal.Rejected](err); !ok || rejected.Count != 3 || !strings.Contains(rejected.Reason, "not newer") {
		t.Errorf("an old delta: got %v, want 3 data points rejected", err)
	}
	if diff := cmp.Diff(values(t, db, `sum(calls_total)`, at), []string{"[] 40"}); diff != "" {
		t.Errorf("after it (-got +want):\n%s", diff)
	}
}

func TestOTLPDataPointsThatCannotBeKept(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	tests := []struct {
		name string
		bad  func() pmetric.Metrics
		want int
		says string
	}{
		{"no timestamp", func() pmetric.Metrics { return oneGauge("m", time.Unix(0, 0), 1) }, 1, "no timestamp"},
		{"too old", func() pmetric.Metrics { return oneGauge("m", now.Add(-5*time.Hour), 1) }, 1, "m: "},
		{"ahead", func() pmetric.Metrics { return oneGauge("m", now.Add(time.Hour), 1) }, 1, "future"},
		{"a histogram counts once", func() pmetric.Metrics {
			md, m := oneMetric("h", "s")
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			h := m.Histogram().DataPoints().AppendEmpty()
			h.SetTimestamp(stamp(now.Add(time.Hour)))
			h.ExplicitBounds().FromRaw([]float64{1, 2, 3})
			h.BucketCounts().FromRaw([]uint64{1, 1, 1, 1})
			return md
		}, 1, "future"},
		{"no temporality", func() pmetric.Metrics {
			md, m := oneMetric("s", "")
			p := m.SetEmptySum().DataPoints().AppendEmpty()
			p.SetTimestamp(stamp(now))
			return md
		}, 1, "temporality"},
		{"no temporality among good ones", func() pmetric.Metrics {
			md := oneGauge("also_good", now, 1)
			m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
			m.SetName("s")
			m.SetEmptySum().DataPoints().AppendEmpty().SetTimestamp(stamp(now))
			return md
		}, 1, "temporality"},
		{"invalid UTF-8", func() pmetric.Metrics {
			md := oneGauge("m", now, 1)
			md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes().PutStr("a", "\xff")
			return md
		}, 1, "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t, Options{})
			appendAll(t, db, sample("seed", now, 1))
			md := tt.bad()
			oneGauge("good", now, 7).ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
			err := db.AppendOTLP(t.Context(), md)
			if rejected, ok := errors.AsType[*heal.Rejected](err); !ok || rejected.Count != tt.want || !strings.Contains(rejected.Reason, tt.says) {
				t.Errorf("got %v, want %d rejected saying %q", err, tt.want, tt.says)
			}
			if diff := cmp.Diff(values(t, db, "sum(good)", now), []string{"[] 7"}); diff != "" {
				t.Errorf("the good one (-got +want):\n%s", diff)
			}
		})
	}
}
