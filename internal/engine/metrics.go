package engine

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
)

// scope is the instrumentation scope of what the engine says about itself.
const scope = "github.com/homeostat/homeostat/internal/engine"

// Metrics are what an engine counts once it is durable. A nil *Metrics counts
// nothing.
type Metrics struct {
	runs      metric.Int64Counter     // by state
	steps     metric.Int64Counter     // by action and result
	took      metric.Float64Histogram // by action
	waited    metric.Float64Histogram
	refusals  metric.Int64Counter // by rule
	takeovers metric.Int64Counter
}

// NewMetrics makes the instruments of an engine.
func NewMetrics(provider metric.MeterProvider) (*Metrics, error) {
	meter := provider.Meter(scope)
	m := &Metrics{}
	var errs [6]error
	m.runs, errs[0] = meter.Int64Counter("homeostat.runs.ended", metric.WithUnit("{run}"),
		metric.WithDescription("Runs that ended, by the state they ended in. A run undone after its end counts once more."))
	m.steps, errs[1] = meter.Int64Counter("homeostat.steps", metric.WithUnit("{step}"),
		metric.WithDescription("Tries of steps that ended, by action and result."))
	m.took, errs[2] = meter.Float64Histogram("homeostat.step.duration", metric.WithUnit("s"),
		metric.WithDescription("From the call of a driver until its result is durable, by action."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900))
	m.waited, errs[3] = meter.Float64Histogram("homeostat.step.wait", metric.WithUnit("s"),
		metric.WithDescription("From when a step is due until its start is durable."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30))
	m.refusals, errs[4] = meter.Int64Counter("homeostat.guard.refusals", metric.WithUnit("{refusal}"),
		metric.WithDescription("Steps a guard did not let start, by rule. A step that is asked about again counts again."))
	m.takeovers, errs[5] = meter.Int64Counter("homeostat.step.takeovers", metric.WithUnit("{step}"),
		metric.WithDescription("Steps taken over from a claim that was left behind."))
	return m, heal.Wrap("metrics of the engine", errors.Join(errs[:]...))
}

func (m *Metrics) ended(ctx context.Context, before, after heal.RunState) {
	if m == nil || before.Ended() || !after.Ended() {
		return
	}
	m.runs.Add(ctx, 1, metric.WithAttributes(attribute.String("state", string(after))))
}

func (m *Metrics) step(ctx context.Context, action string, ev Event) {
	if m == nil {
		return
	}
	m.steps.Add(ctx, 1, metric.WithAttributes(attribute.String("action", action), attribute.String("result", resultOf(ev))))
}

func (m *Metrics) called(ctx context.Context, action string, took time.Duration) {
	if m == nil {
		return
	}
	m.took.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("action", action)))
}

func (m *Metrics) started(ctx context.Context, waited time.Duration) {
	if m == nil {
		return
	}
	m.waited.Record(ctx, max(waited, 0).Seconds())
}

func (m *Metrics) refused(ctx context.Context, rule guard.Rule) {
	if m == nil {
		return
	}
	m.refusals.Add(ctx, 1, metric.WithAttributes(attribute.String("rule", string(rule))))
}

func (m *Metrics) tookOver(ctx context.Context) {
	if m == nil {
		return
	}
	m.takeovers.Add(ctx, 1)
}

// resultOf is the result of a try as metrics and traces name it.
func resultOf(ev Event) string {
	switch ev := ev.(type) {
	case Finished:
		return "succeeded"
	case Failed:
		if ev.TimedOut {
			return "timed_out"
		}
		return "failed"
	case Uncertain:
		return "unknown"
	case Skipped:
		return "skipped"
	case Entered:
		return "entered"
	default:
		return "other"
	}
}

// actionOf is the action a step of the run stands for.
func actionOf(run *heal.Run, step string) string {
	key, err := heal.ParseStepKey(step)
	t := run.Task(key.Task)
	switch {
	case err != nil || t == nil:
		return ""
	case key.Undo && t.Undo != nil:
		return t.Undo.Action
	}
	return t.Action
}

// span begins the trace of one call of a driver; end closes it with the result.
func (e *Engine) span(ctx context.Context, t *try) (_ context.Context, end func(Event, error)) {
	ctx, span := e.tracer.Start(ctx, "step "+t.work.Action, trace.WithAttributes(
		attribute.String("homeostat.run.id", string(t.key.Run)), attribute.String("homeostat.task.id", t.key.Task),
		attribute.Int("homeostat.attempt", t.key.Attempt), attribute.Bool("homeostat.undo", t.key.Undo),
		attribute.String("homeostat.action", t.work.Action), attribute.String("homeostat.target", string(t.work.Target))))
	return ctx, func(ev Event, err error) {
		if ev != nil {
			result := resultOf(ev)
			span.SetAttributes(attribute.String("homeostat.result", result))
			if result != "succeeded" {
				span.SetStatus(codes.Error, wording(ev))
			}
		}
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// tracerOf is the tracer of a provider, one that does nothing if there is none.
func tracerOf(provider trace.TracerProvider) trace.Tracer {
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	return provider.Tracer(scope)
}
