package wire

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// red is the calls and durations of one operation, kind and status.
type red struct {
	durations histogram
	former    histogram // as given by the last flush
	emitted   time.Time // the last flush that gave it
	calls     string
	family    *family
}

func newRED(service string, op operationKey, status Status) *red {
	labels := sortedLabels(
		heal.Label{Name: "service_name", Value: service},
		heal.Label{Name: "span_name", Value: op.name},
		heal.Label{Name: "span_kind", Value: op.kind.label()},
		heal.Label{Name: "status_code", Value: status.label()},
	)
	return &red{
		calls:  "traces_span_metrics_calls_total",
		family: newFamily("traces_span_metrics_duration_seconds", labels),
	}
}

// flush appends the samples at now, before them those at prev if prev did not
// give the series: a rate needs the value from which it grew.
func (r *red) flush(prev, now time.Time, out []heal.Sample) []heal.Sample {
	if !r.emitted.Equal(prev) && prev.Before(now) {
		out = r.samples(&r.former, prev, out)
	}
	out = r.samples(&r.durations, now, out)
	r.former, r.emitted = r.durations, now
	return out
}

func (r *red) samples(h *histogram, at time.Time, out []heal.Sample) []heal.Sample {
	out = append(out, heal.Sample{Metric: r.calls, Labels: r.family.labels, At: at, Value: float64(h.count)})
	return h.samples(r.family, at, out)
}
