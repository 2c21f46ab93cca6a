package app

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/wire"
)

// intakeMetrics are of telemetry coming in. Those named otlp are names that
// every part of the pipeline uses (SPEC T10).
func intakeMetrics() []observed {
	signals := func(name, unit, about string, of func(otlp.SignalStats) uint64) observed {
		return observed{name, unit, about, true, func(r *reading, to put) {
			to(float64(of(r.otlp.Traces)), attribute.String("signal", "traces"))
			to(float64(of(r.otlp.Metrics)), attribute.String("signal", "metrics"))
			to(float64(of(r.otlp.Logs)), attribute.String("signal", "logs"))
		}}
	}
	return []observed{
		{"otlp.spans", "{span}", "Spans taken in.", true, func(r *reading, to put) { to(float64(r.otlp.Traces.Items)) }},
		{"otlp.spans.sampled", "{span}", "Spans kept by sampling.", true, func(r *reading, to put) {
			var kept uint64
			for why, n := range r.sampled {
				if wire.Reason(why) != wire.ReasonDropped {
					kept += n
				}
			}
			to(float64(kept))
		}},
		{"sampling.reason", "{span}", "Spans by why they were kept, or dropped.", true, func(r *reading, to put) {
			for why, n := range r.sampled {
				to(float64(n), attribute.String("reason", wire.Reason(why).String()))
			}
		}},
		{"otlp.queue.length", "{record}", "Spans and log records taken in and not yet readable.", false, func(r *reading, to put) {
			if r.slow != nil {
				to(float64(r.slow.usage.Queued))
			}
		}},
		signals("homeostat.otlp.requests", "{request}", "Export requests, refused ones too, by signal.", func(s otlp.SignalStats) uint64 { return s.Requests }),
		signals("homeostat.otlp.requests.refused", "{request}", "Export requests answered with an error, by signal.", func(s otlp.SignalStats) uint64 { return s.Refused }),
		signals("homeostat.otlp.received", "By", "Bytes of export requests, after decompression, by signal.", func(s otlp.SignalStats) uint64 { return s.Bytes }),
		signals("homeostat.otlp.items", "{item}", "Spans, data points or log records taken in, by signal.", func(s otlp.SignalStats) uint64 { return s.Items }),
		signals("homeostat.otlp.items.rejected", "{item}", "Items refused for good in requests that were taken in part, by signal.", func(s otlp.SignalStats) uint64 { return s.Rejected }),
	}
}

// keptMetrics are of what is made of telemetry and kept.
func keptMetrics() []observed {
	return []observed{
		{"homeostat.span_metrics.spans", "{span}", "Spans counted into metrics and edges.", true, func(r *reading, to put) { to(float64(r.wire.Spans)) }},
		{"homeostat.span_metrics.folded", "{span}", "Spans counted under _other, by what there were too many of: operation or service.", true, func(r *reading, to put) {
			to(float64(r.wire.OperationsFolded), attribute.String("of", "operation"))
			to(float64(r.wire.ServicesFolded), attribute.String("of", "service"))
		}},
		{"homeostat.span_metrics.dropped", "{call}", "Calls that gave no edge as there were too many: of edges, of halves waiting for the other (pending), of peers.", true, func(r *reading, to put) {
			to(float64(r.wire.EdgesDropped), attribute.String("of", "edge"))
			to(float64(r.wire.PendingDropped), attribute.String("of", "pending"))
			to(float64(r.wire.PeersDropped), attribute.String("of", "peer"))
		}},
		{"homeostat.span_metrics.unmatched", "{call}", "Halves of calls whose other half never came.", true, func(r *reading, to put) { to(float64(r.wire.Unmatched)) }},
		{"homeostat.series.samples", "{sample}", "Samples written to the metric store.", true, func(r *reading, to put) { to(float64(r.series.Appended)) }},
		{"homeostat.series.samples.rejected", "{sample}", "Samples refused: too old, too far ahead, malformed, over the limit of series.", true, func(r *reading, to put) { to(float64(r.series.Rejected)) }},
		{"homeostat.series.active", "{series}", "Series in memory.", false, func(r *reading, to put) { to(float64(r.series.Series)) }},
		{"homeostat.series.sources", "{source}", "Sources that name themselves and pushed metrics lately.", false, func(r *reading, to put) { to(float64(r.series.Sources)) }},
		{"homeostat.series.ended", "{series}", "Pushed series marked as ended, their source having fallen silent.", true, func(r *reading, to put) { to(float64(r.series.Ended)) }},
		{"homeostat.series.samples.untracked", "{sample}", "Pushed samples over the limit of series whose end is watched for: the end of those goes unnoticed.", true, func(r *reading, to put) { to(float64(r.series.Untracked)) }},
		{"homeostat.telemetry.stored", "By", "Size of the store of logs and spans on disk.", false, ofUsage(func(u *telemetry.Usage, to put) { to(float64(u.Bytes)) })},
		{"homeostat.telemetry.records", "{record}", "Records the store of logs and spans holds, by signal.", false, ofUsage(func(u *telemetry.Usage, to put) {
			to(float64(u.Spans), attribute.String("signal", string(telemetry.Spans)))
			to(float64(u.Logs), attribute.String("signal", string(telemetry.Logs)))
		})},
		{"homeostat.telemetry.dropped", "{record}", "Spans and log records that were not kept, by signal and reason.", true, ofUsage(func(u *telemetry.Usage, to put) {
			for _, d := range u.Dropped {
				to(float64(d.Records), attribute.String("signal", string(d.Signal)), attribute.String("reason", string(d.Reason)))
			}
		})},
		{"homeostat.telemetry.cut", "{record}", "Log bodies that were cut to their limit.", true, ofUsage(func(u *telemetry.Usage, to put) { to(float64(u.Cut)) })},
		{"homeostat.telemetry.set_aside", "{file}", "Files of logs and spans that could not be read and were set aside.", false, ofUsage(func(u *telemetry.Usage, to put) { to(float64(len(u.SetAside))) })},
	}
}

// ofUsage reads what the telemetry store says, when it could be asked.
func ofUsage(read func(*telemetry.Usage, put)) func(*reading, put) {
	return func(r *reading, to put) {
		if r.slow != nil {
			read(&r.slow.usage, to)
		}
	}
}
