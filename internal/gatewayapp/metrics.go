package gatewayapp

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/gateway"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// reading is what the parts say at one moment.
type reading struct {
	gateway gateway.Stats
	otlp    otlp.Stats
	usage   usage
	refused uint64 // requests, for want of memory
	red     []heal.Sample
}

// serveMetrics answers /metrics.
func (a *App) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	r := reading{gateway: a.gateway.Stats(), otlp: a.server.Stats(), usage: a.gauge.load(), refused: a.gauge.refused.Load()}
	if a.cfg.Metrics.RED {
		r.red = a.gateway.RED(time.Now())
	}
	var e exposition
	e.write(&r)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(e.out.Bytes()) // who has gone asks again
}

// write writes all metrics. Those named otlp and sampling are names that every
// part of the pipeline uses (SPEC T3, T10).
func (e *exposition) write(r *reading) {
	g := &r.gateway
	traces := &g.Pipelines[otlp.SignalTraces]
	e.one("otlp_spans_total", "counter", "Spans taken in, before sampling.", float64(traces.Taken))
	e.one("otlp_spans_per_second", "gauge", "Spans taken in a second, over the last five seconds.", r.usage.spans)
	e.one("otlp_spans_sampled_total", "counter", "Spans kept by sampling.", float64(kept(g)))
	e.family("sampling_reason", "counter", "Spans by why they were kept, or dropped.")
	for why, n := range g.Reasons {
		e.sample("sampling_reason", float64(n), "reason", wire.Reason(why).String())
	}
	e.one("homeostat_gateway_sampling_rate", "gauge", "Share of ordinary traces that is kept now.", g.Rate)
	e.one("otlp_spans_exported_total", "counter", "Spans that a backend took.", float64(traces.Exported))
	e.one("otlp_memory_usage_bytes", "gauge", "Memory the Go runtime has from the system.", float64(r.usage.memory))
	e.one("otlp_cpu_usage_percent", "gauge", "Of one core, over the last five seconds.", r.usage.cpu)
	e.exports(g)
	e.pipelines(g)
	e.intake(r)
	if t := g.Tail; t != nil {
		e.one("homeostat_gateway_undecided_spans", "gauge", "Spans held until their trace can be decided on; lost if the process is killed.", float64(t.Spans))
		e.one("homeostat_gateway_undecided_bytes", "gauge", "Size of the requests they came in, as they are held.", float64(t.Bytes))
		e.one("homeostat_gateway_decided_early_total", "counter", "Spans decided on before their window was over, for want of memory or at the end.", float64(t.EarlySpans))
		e.one("homeostat_gateway_bad_traces", "gauge", "Traces with an error or a slow span that are remembered.", float64(t.Traces))
		e.one("homeostat_gateway_bad_traces_dropped_total", "counter", "Such traces beyond max_known_traces: only their bad spans were kept.", float64(t.TracesDropped))
	}
	e.one("homeostat_gateway_undecidable_total", "counter", "Requests held that could not be decided on or cleaned; not 0 means a bug.", float64(g.Undecidable))
	e.red(r.red)
}

func kept(g *gateway.Stats) (n uint64) {
	for why, count := range g.Reasons {
		if wire.Reason(why) != wire.ReasonDropped {
			n += count
		}
	}
	return n
}

func (e *exposition) exports(g *gateway.Stats) {
	e.family("otlp_export_duration_seconds", "histogram", "Time of exports that a backend took.")
	for _, b := range g.Backends {
		var below uint64
		for i, bound := range b.Calls.Bounds() {
			below += b.Calls.Counts[i]
			e.sample("otlp_export_duration_seconds_bucket", float64(below), "backend", b.Name, "le", strconv.FormatFloat(bound.Seconds(), 'g', -1, 64))
		}
		e.sample("otlp_export_duration_seconds_bucket", float64(b.Calls.Count), "backend", b.Name, "le", "+Inf")
		e.sample("otlp_export_duration_seconds_sum", b.Calls.Sum.Seconds(), "backend", b.Name)
		e.sample("otlp_export_duration_seconds_count", float64(b.Calls.Count), "backend", b.Name)
	}
	e.family("otlp_export_latency_ms", "gauge", "Time of the last export that the backend took.")
	for _, b := range g.Backends {
		e.sample("otlp_export_latency_ms", float64(b.Calls.Last)/float64(time.Millisecond), "backend", b.Name)
	}
	e.family("otlp_export_errors_total", "counter", "Exports that failed, each try counted.")
	for _, b := range g.Backends {
		for sig, n := range b.Errors {
			e.sample("otlp_export_errors_total", float64(n), "backend", b.Name, "signal", otlp.Signal(sig).String())
		}
	}
	e.family("homeostat_gateway_breaker_state", "gauge", "1 for the state the backend's breaker is in.")
	for _, b := range g.Backends {
		for _, state := range []gateway.BreakerState{gateway.BreakerClosed, gateway.BreakerHalfOpen, gateway.BreakerOpen} {
			e.sample("homeostat_gateway_breaker_state", oneIf(b.Breaker == state), "backend", b.Name, "state", state.String())
		}
	}
	e.family("homeostat_gateway_breaker_opened_total", "counter", "Times the backend's breaker opened.")
	for _, b := range g.Backends {
		e.sample("homeostat_gateway_breaker_opened_total", float64(b.Opened), "backend", b.Name)
	}
}

func (e *exposition) pipelines(g *gateway.Stats) {
	each := func(name, kind, help string, of func(*gateway.PipelineStats) (float64, bool)) {
		e.family(name, kind, help)
		for i := range g.Pipelines {
			if value, ok := of(&g.Pipelines[i]); ok {
				e.sample(name, value, "signal", g.Pipelines[i].Signal.String())
			}
		}
	}
	all := func(of func(*gateway.PipelineStats) float64) func(*gateway.PipelineStats) (float64, bool) {
		return func(p *gateway.PipelineStats) (float64, bool) { return of(p), true }
	}
	each("otlp_queue_length", "gauge", "Items in memory that wait for export or are being exported.", all(func(p *gateway.PipelineStats) float64 { return float64(p.QueueItems) }))
	each("homeostat_gateway_queue_bytes", "gauge", "Their size.", all(func(p *gateway.PipelineStats) float64 { return float64(p.QueueBytes) }))
	each("homeostat_gateway_items_total", "counter", "Items taken in, before sampling.", all(func(p *gateway.PipelineStats) float64 { return float64(p.Taken) }))
	each("homeostat_gateway_cleaned_total", "counter", "Items that went through statements.", all(func(p *gateway.PipelineStats) float64 { return float64(p.Cleaned) }))
	each("homeostat_gateway_statement_errors_total", "counter", "Times a statement failed for an item, which stays as the statements before left it.", all(func(p *gateway.PipelineStats) float64 { return float64(p.Failed) }))
	each("homeostat_gateway_mended_total", "counter", "Texts that statements cut into pieces that are not UTF-8; wrong bytes became question marks.", all(func(p *gateway.PipelineStats) float64 { return float64(p.Mended) }))
	each("homeostat_gateway_items_exported_total", "counter", "Items that a backend took.", all(func(p *gateway.PipelineStats) float64 { return float64(p.Exported) }))
	each("homeostat_gateway_items_refused_total", "counter", "Items that backends refused for good; they are lost.", all(func(p *gateway.PipelineStats) float64 { return float64(p.Lost) }))
	each("homeostat_gateway_tried_again_total", "counter", "Batches that no backend took at first.", all(func(p *gateway.PipelineStats) float64 { return float64(p.TriedAgain) }))
	each("homeostat_gateway_batch_items", "gauge", "Items of a batch, as it adapts.", all(func(p *gateway.PipelineStats) float64 { return float64(p.BatchItems) }))
	spooled := func(of func(*gateway.PipelineStats) float64) func(*gateway.PipelineStats) (float64, bool) {
		return func(p *gateway.PipelineStats) (float64, bool) {
			if p.Spool == nil {
				return 0, false
			}
			return of(p), true
		}
	}
	each("homeostat_gateway_spool_bytes", "gauge", "Size of the spool on disk.", spooled(func(p *gateway.PipelineStats) float64 { return float64(p.Spool.Bytes) }))
	each("homeostat_gateway_spool_waiting_bytes", "gauge", "Of that, what no backend has yet.", spooled(func(p *gateway.PipelineStats) float64 { return float64(p.Spool.Waiting) }))
	each("homeostat_gateway_spool_syncs_total", "counter", "Times the spool was made durable.", spooled(func(p *gateway.PipelineStats) float64 { return float64(p.Spool.Syncs) }))
	each("homeostat_gateway_spool_full_total", "counter", "Requests refused because the spool was full.", spooled(func(p *gateway.PipelineStats) float64 { return float64(p.Spool.Full) }))
	each("homeostat_gateway_spool_write_errors_total", "counter", "Requests refused because the disk did not take them.", spooled(func(p *gateway.PipelineStats) float64 { return float64(p.Spool.WriteErrors) }))
	each("homeostat_gateway_spool_damaged_total", "counter", "Places of the spool with a wrong checksum; what was there is lost.", spooled(func(p *gateway.PipelineStats) float64 { return float64(p.Spool.Damaged) }))
}

func (e *exposition) intake(r *reading) {
	signals := []struct {
		name  string
		stats otlp.SignalStats
	}{{"traces", r.otlp.Traces}, {"metrics", r.otlp.Metrics}, {"logs", r.otlp.Logs}}
	each := func(name, help string, of func(otlp.SignalStats) uint64) {
		e.family(name, "counter", help)
		for _, s := range signals {
			e.sample(name, float64(of(s.stats)), "signal", s.name)
		}
	}
	each("homeostat_gateway_requests_total", "Export requests, refused ones too.", func(s otlp.SignalStats) uint64 { return s.Requests })
	each("homeostat_gateway_requests_refused_total", "Export requests answered with an error.", func(s otlp.SignalStats) uint64 { return s.Refused })
	each("homeostat_gateway_received_bytes_total", "Size of export requests, after decompression.", func(s otlp.SignalStats) uint64 { return s.Bytes })
	e.one("homeostat_gateway_memory_refused_total", "counter", "Export requests refused because limits.memory_bytes was reached.", float64(r.refused))
	w := r.gateway.RED
	e.family("homeostat_gateway_red_dropped_total", "counter", "Spans and calls that the RED metrics could not keep apart, by what there were too many of.")
	for _, of := range []struct {
		name string
		n    uint64
	}{{"operation", w.OperationsFolded}, {"service", w.ServicesFolded}, {"edge", w.EdgesDropped}, {"pending", w.PendingDropped}, {"peer", w.PeersDropped}} {
		e.sample("homeostat_gateway_red_dropped_total", float64(of.n), "of", of.name)
	}
}

// red writes the metrics derived from spans, family by family.
func (e *exposition) red(samples []heal.Sample) {
	slices.SortStableFunc(samples, func(a, b heal.Sample) int { return cmp.Compare(familyOf(a.Metric), familyOf(b.Metric)) })
	last := ""
	for i := range samples {
		if family := familyOf(samples[i].Metric); family != last {
			kind, help := "counter", "Derived from all spans before sampling."
			if family != samples[i].Metric {
				kind = "histogram"
			}
			e.family(family, kind, help)
			last = family
		}
		e.derived(&samples[i])
	}
}

// familyOf is the name of the histogram that a series is a part of, or its own.
func familyOf(metric string) string {
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(metric, part); ok {
			return name
		}
	}
	return metric
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
