package app

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/watch"
	"github.com/homeostat/homeostat/internal/wire"
)

// keeper takes what the gateway's intake keeps to where it belongs: spans and logs
// are kept, metrics go to the metric store. Only here are they decoded.
type keeper struct {
	decoder  *otlp.Decoder
	series   *series.DB
	kept     telemetry.Store
	versions *watch.Versions
}

func (k keeper) keep(ctx context.Context, sig otlp.Signal, request []byte, _ int) error {
	switch sig {
	case otlp.SignalTraces:
		td, err := k.decoder.Traces(request)
		if err != nil {
			return err
		}
		spans := otlp.Spans(td)
		k.releasesOfSpans(spans)
		return k.kept.AppendSpans(ctx, spans)
	case otlp.SignalMetrics:
		md, err := k.decoder.Metrics(request)
		if err != nil {
			return err
		}
		k.releasesOfMetrics(md)
		return k.series.AppendOTLP(ctx, md)
	case otlp.SignalLogs:
		ld, err := k.decoder.Logs(request)
		if err != nil {
			return err
		}
		records := otlp.Logs(ld, time.Now())
		k.releasesOfLogs(records)
		return k.kept.AppendLogs(ctx, records)
	}
	return heal.Errorf(heal.Internal, "keep telemetry", "no signal %d", sig)
}

// flusher writes what was counted from spans to the metric store and the
// topology.
type flusher struct {
	red      *wire.Aggregator
	series   *series.DB
	topology *topology.Map
	every    time.Duration
	report   func(error)
}

// edgeSource is how edges from spans are marked in the topology.
const edgeSource = "spans"

// edgeAge is how long an edge without calls is remembered.
const edgeAge = 24 * time.Hour

func (f flusher) run(ctx context.Context) error {
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-ticker.C:
			samples, edges := f.red.Flush(at)
			if err := f.series.Append(ctx, samples); err != nil && ctx.Err() == nil {
				f.report(err)
			}
			f.topology.Observe(observations(edges), at)
			f.topology.Prune(at, edgeAge)
		}
	}
}

func observations(edges []wire.Edge) []topology.Observation {
	list := make([]topology.Observation, len(edges))
	for i, e := range edges {
		list[i] = topology.Observation{From: e.Client, To: e.Server, Source: edgeSource, Calls: int64(e.Requests), Errors: int64(e.Failed), At: e.At}
	}
	return list
}
