package loop

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/verify"
)

// Engine carries plans out.
type Engine interface {
	Start(tx store.Tx, o engine.Order) (heal.Run, error)
	RollbackIn(tx store.Tx, id heal.RunID, by, why string) (heal.Run, error)
	DryRun(ctx context.Context, o engine.Order) (heal.Run, error)
	Nudge()
}

// Topology knows what depends on what.
type Topology interface {
	Snapshot() *topology.Graph
}

// Metrics answers PromQL.
type Metrics interface {
	// Value gives the first sample of an instant query; ok is false if there is
	// none.
	Value(ctx context.Context, expr string, at time.Time) (value float64, ok bool, err error)

	// Samples gives the values of the first series of a query over a time, a step
	// apart, oldest first; none if there is no series.
	Samples(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]cause.Sample, error)

	// Holds reports whether an instant query has an element with the labels.
	Holds(ctx context.Context, expr string, labels map[string]string, at time.Time) (bool, error)

	// Fresh gives the newest sample within the window for each selector of the
	// expression, narrowed by the labels that apply.
	Fresh(ctx context.Context, expr string, labels map[string]string, from, to time.Time) ([]verify.Freshness, error)

	// Lookback is how far into the past an evaluation of expr reaches.
	Lookback(expr string) (time.Duration, error)

	// Knows reports whether any series speaks of the entity.
	Knows(ctx context.Context, entity heal.EntityID) (bool, error)
}

// Logs answers from logs and spans.
type Logs interface {
	Records(ctx context.Context, entity heal.EntityID, from, to time.Time) ([]heal.LogRecord, error)
	Spans(ctx context.Context, entity heal.EntityID, from, to time.Time) ([]heal.Span, error)
}

// Watched knows which series are out of the ordinary.
type Watched interface {
	// Anomalies gives the series of an entity that were so at some time since.
	Anomalies(entity heal.EntityID, since time.Time) []cause.Anomaly
}

// Probes knows the health monitors.
type Probes interface {
	Of(entity heal.EntityID) []verify.Probe
	Named(name string) (verify.Probe, bool)
}

// Notifier tells people. When Tell returns nil the message is its own concern.
type Notifier interface {
	Tell(ctx context.Context, id heal.IncidentID, m heal.Message) error
}
