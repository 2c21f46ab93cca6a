package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/notify"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/probe"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/watch"
	"github.com/homeostat/homeostat/internal/wire"
)

// put gives one value of a metric.
type put func(value float64, labels ...attribute.KeyValue)

// observed is a metric that is read when somebody asks, from counts that the
// parts keep anyway.
type observed struct {
	name, unit, about string
	total             bool // only grows; else it is a gauge
	read              func(r *reading, to put)
}

// reading is what the parts say at one moment.
type reading struct {
	at       time.Time
	backlog  int64
	otlp     otlp.Stats
	sampled  [wire.ReasonTrace + 1]uint64 // spans, by why they were kept or not
	wire     wire.Stats
	series   series.Stats
	probes   probe.Stats
	rules    []series.RuleStatus
	delivery series.DeliveryStats
	outbox   *notify.Stats          // nil: no channel is configured
	beats    *notify.HeartbeatStats // nil: none is configured
	store    store.Stats
	watch    *watch.Stats // nil: it is off
	versions watch.VersionStats
	moved    time.Duration // of the store's clock
	slow     *slowReading  // nil: the stores could not be asked
}

// slowReading is what has to be asked of stores.
type slowReading struct {
	cases, runs map[string]int64 // open ones, by state
	usage       telemetry.Usage
}

// slowEvery bounds how often the stores are asked, however often metrics are
// read; slowTimeout bounds how long.
const (
	slowEvery   = 10 * time.Second
	slowTimeout = 2 * time.Second
)

// slowReader asks the stores and remembers the answer.
type slowReader struct {
	server *Server

	mu   sync.Mutex
	at   time.Time
	last *slowReading
}

// openMetrics makes the metrics of the parts; they are gone before the parts
// are closed.
func (s *Server) openMetrics(context.Context) error {
	slow := &slowReader{server: s}
	registration, err := observe(s.obs.Meter, metricsOfParts(), func(ctx context.Context) *reading {
		r := &reading{
			at: time.Now(), backlog: s.loop.Backlog(), otlp: s.otlp.Stats(), sampled: s.intake.Reasons(), wire: s.red.Stats(), series: s.series.Stats(),
			probes: s.probes.Stats(), rules: s.rules.Status(), delivery: s.rules.DeliveryStats(), store: s.store.Stats(), versions: s.versions.Stats(), slow: slow.read(ctx),
		}
		r.moved, _ = s.clock.Moved()
		if s.outbox != nil {
			stats := s.outbox.Stats()
			r.outbox = &stats
		}
		if s.watch != nil {
			stats := s.watch.Stats()
			r.watch = &stats
		}
		if s.heartbeat != nil {
			stats := s.heartbeat.Stats()
			r.beats = &stats
		}
		return r
	})
	if err != nil {
		return err
	}
	s.onClose(registration.Unregister)
	return nil
}

// metricsOfParts lists every metric that is read from the parts.
func metricsOfParts() []observed {
	var all []observed
	for _, list := range [][]observed{intakeMetrics(), keptMetrics(), workMetrics(), sensorMetrics(), watchMetrics(), releaseMetrics()} {
		all = append(all, list...)
	}
	return all
}

// observe registers metrics that are read together, once for each time somebody
// asks.
func observe(provider metric.MeterProvider, list []observed, read func(context.Context) *reading) (metric.Registration, error) {
	const op = "metrics of the server"
	meter := provider.Meter("github.com/homeostat/homeostat/internal/app")
	instruments := make([]metric.Float64Observable, len(list))
	asked := make([]metric.Observable, len(list))
	var errs []error
	for i, m := range list {
		var err error
		if m.total {
			instruments[i], err = meter.Float64ObservableCounter(m.name, metric.WithUnit(m.unit), metric.WithDescription(m.about))
		} else {
			instruments[i], err = meter.Float64ObservableGauge(m.name, metric.WithUnit(m.unit), metric.WithDescription(m.about))
		}
		asked[i] = instruments[i]
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, heal.Wrap(op, err)
	}
	registration, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		r := read(ctx)
		for i, m := range list {
			m.read(r, func(value float64, labels ...attribute.KeyValue) {
				o.ObserveFloat64(instruments[i], value, metric.WithAttributes(labels...))
			})
		}
		return nil
	}, asked...)
	return registration, heal.Wrap(op, err)
}

// read asks the stores, or gives the answer of less than slowEvery ago. What
// cannot be asked now is left out; readiness says why.
func (s *slowReader) read(ctx context.Context) *slowReading {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < slowEvery {
		return s.last
	}
	ctx, cancel := context.WithTimeout(ctx, slowTimeout)
	defer cancel()
	found, err := s.ask(ctx)
	s.last, s.at = found, time.Now()
	if err != nil {
		s.last = nil
		s.server.log.Warn("metrics of the stores are left out", slog.Any("error", err))
	}
	return s.last
}

func (s *slowReader) ask(ctx context.Context) (_ *slowReading, err error) {
	found := &slowReading{cases: map[string]int64{}, runs: map[string]int64{}}
	err = s.server.store.View(ctx, func(r store.Reader) error {
		for _, state := range openCases {
			if found.cases[string(state)], err = countState(r, store.Incidents, string(state)); err != nil {
				return err
			}
		}
		for _, state := range openRuns {
			if found.runs[string(state)], err = countState(r, store.Runs, string(state)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found.usage, err = s.server.telemetry.Usage(ctx)
	return found, err
}

// The states of what is not over.
var (
	openCases = [...]heal.CaseState{
		heal.CaseOpen, heal.CaseDiagnosing, heal.CaseDeciding, heal.CaseWaiting, heal.CaseActing, heal.CaseVerifying, heal.CaseEscalated,
	}
	openRuns = [...]heal.RunState{heal.RunPending, heal.RunWaiting, heal.RunRunning, heal.RunPaused, heal.RunUnknown}
)

func countState(r store.Reader, table store.Table, state string) (int64, error) {
	return r.Count(table, store.Cond{Column: "state", Op: store.Eq, Value: state})
}
