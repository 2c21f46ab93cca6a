package app

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/wire"
)

// intake takes telemetry to where it belongs: spans are counted for RED and
// edges and kept, metrics go to the metric store, logs are kept.
type intake struct {
	red    *wire.Aggregator
	series *series.DB
	kept   telemetry.Store
}

func (in intake) Traces(ctx context.Context, td ptrace.Traces) error {
	if err := in.kept.AppendSpans(ctx, otlp.Spans(td)); err != nil {
		return err // none was taken; counted when it comes again
	}
	in.red.Observe(otlp.Observations(td, nil)...)
	return nil
}

func (in intake) Metrics(ctx context.Context, md pmetric.Metrics) error {
	return in.series.AppendOTLP(ctx, md)
}

func (in intake) Logs(ctx context.Context, ld plog.Logs) error {
	return in.kept.AppendLogs(ctx, otlp.Logs(ld, time.Now()))
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
