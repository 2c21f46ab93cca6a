package loop

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/store"
)

// instruments is the instrumentation scope of what the loop says about itself.
const instruments = "github.com/homeostat/homeostat/internal/loop"

// Counters are what a loop counts, once it is durable. A nil *Counters counts
// nothing.
type Counters struct {
	accepted  metric.Int64Counter     // alerts, by source
	refused   metric.Int64Counter     // alerts, by source and kind of error
	batches   metric.Float64Histogram // items, by stage
	failures  metric.Int64Counter     // by stage
	diagnoses metric.Float64Histogram // by found
	decisions metric.Int64Counter     // by verb
	held      metric.Int64Counter     // by rule
	verdicts  metric.Int64Counter     // by verdict
	attempts  metric.Int64Counter     // by result
	worth     metric.Float64Histogram // by action_type and result
	ended     metric.Int64Counter     // by outcome
	escalated metric.Int64Counter
	changes   metric.Int64Counter // by source
	forgotten metric.Int64Counter // changes
	ties      metric.Int64Counter // by tie
	unlearnt  metric.Int64Counter // kinds of alert

	detect, act, heal metric.Float64Histogram
}

// NewCounters makes the instruments of a loop.
func NewCounters(provider metric.MeterProvider) (*Counters, error) {
	meter := provider.Meter(instruments)
	var errs []error
	counter := func(name, unit, about string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		errs = append(errs, err)
		return c
	}
	histogram := func(name, unit, about string, bounds ...float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(about), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return h
	}
	minutes := []float64{1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400}
	c := &Counters{
		accepted:  counter("homeostat.alerts.accepted", "{alert}", "Alerts made durable, by the source that sent them."),
		refused:   counter("homeostat.alerts.refused", "{alert}", "Alerts that were not taken, by source and kind of error; transient: the sender was asked to try again."),
		batches:   histogram("homeostat.stage.batch", "{item}", "Items a stage took in one transaction: alerts, or faults for incidents.", 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
		failures:  counter("homeostat.stage.failures", "{failure}", "Times a stage could not work and tried again a second later."),
		diagnoses: histogram("homeostat.diagnosis.duration", "s", "From asking for evidence to ranked causes, by whether a cause was found.", .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30),
		decisions: counter("homeostat.decisions", "{decision}", "Decisions, by verb."),
		held:      counter("homeostat.cases.held", "{hold}", "Times a guard held back the plan of a case, by rule."),
		verdicts:  counter("homeostat.verdicts", "{verdict}", "Verifications that came to an end, by verdict."),
		attempts:  counter("homeostat.attempts", "{attempt}", "Attempts to heal that ended, by result."),
		worth: histogram("healing.action.effectiveness", "", "Effectiveness of attempts whose end is known: success 1, partial 0.5, failure 0; sum / count is the mean. "+
			"The action type is the playbook that was run.", 0, .5, 1),
		ended:     counter("homeostat.cases.ended", "{case}", "Cases that ended, by outcome; merged: into another case with the same cause."),
		escalated: counter("homeostat.cases.escalated", "{case}", "Times a case was handed to a person."),
		changes:   counter("homeostat.changes", "{change}", "Deploys, settings and the like that were written down, by who told: a caller of the API, or telemetry."),
		forgotten: counter("homeostat.changes.dropped", "{change}", "Changes that gave way to newer ones before their time was over."),
		ties:      counter("homeostat.cases.joined", "{fault}", "Faults that joined a case they were not part of, or opened one, by what ties them to it; own_case: nothing, began_together: what was learnt."),
		unlearnt:  counter("homeostat.onsets.dropped", "{kind}", "Kinds of alert whose beginnings were forgotten before their time, because there were too many kinds."),
		detect:    histogram("homeostat.case.time_to_detect", "s", "From the first sign of a fault, by its source's clock, to its detection.", minutes...),
		act:       histogram("homeostat.case.time_to_act", "s", "From the detection of a case to the start of its first run.", minutes...),
		heal:      histogram("homeostat.case.time_to_heal", "s", "From the detection of a case to its verified end, healed cases only.", minutes...),
	}
	return c, heal.Wrap("metrics of the loop", errors.Join(errs...))
}

func label(name, value string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(name, value))
}

// taken counts alerts at the door.
func (c *Counters) taken(ctx context.Context, source string, alerts int, err error) {
	switch {
	case c == nil:
	case err != nil:
		c.refused.Add(ctx, int64(alerts), label("source", source), label("kind", heal.KindOf(err).String()))
	default:
		c.accepted.Add(ctx, int64(alerts), label("source", source))
	}
}

func (c *Counters) batch(ctx context.Context, stage string, items int) {
	if c != nil {
		c.batches.Record(ctx, float64(items), label("stage", stage))
	}
}

func (c *Counters) failed(ctx context.Context, stage string) {
	if c != nil {
		c.failures.Add(ctx, 1, label("stage", stage))
	}
}

func (c *Counters) diagnosed(ctx context.Context, took time.Duration, d *heal.Diagnosis) {
	if c != nil {
		c.diagnoses.Record(ctx, max(took, 0).Seconds(), metric.WithAttributes(attribute.Bool("found", d.Top() != nil)))
	}
}

// changed counts what a durable change of a case brought.
func (c *Counters) changed(ctx context.Context, before, after *heal.Incident) {
	if c == nil {
		return
	}
	if d := after.Decision; d != nil && (before.Decision == nil || before.Decision.ID != d.ID) {
		c.decisions.Add(ctx, 1, label("verb", string(d.Verb)))
	}
	if after.Held != "" && after.Held != before.Held {
		c.held.Add(ctx, 1, label("rule", after.Held))
	}
	if v := after.Verification; v != nil && v.Verdict != heal.Pending && (before.Verification == nil || !before.Verification.At.Equal(v.At)) {
		c.verdicts.Add(ctx, 1, label("verdict", string(v.Verdict)))
	}
	for i := range after.Attempts {
		if running(after.Attempts, i) || i < len(before.Attempts) && !running(before.Attempts, i) {
			continue
		}
		c.attempt(ctx, &after.Attempts[i])
	}
	if after.State == heal.CaseEscalated && before.State != heal.CaseEscalated {
		c.escalated.Add(ctx, 1)
	}
	ended := after.State.Ended() && !before.State.Ended()
	if before.Diagnosis == nil && (after.Diagnosis != nil || ended) { // once in a case's life
		c.detect.Record(ctx, max(after.DetectedAt.Sub(after.BeganAt), 0).Seconds())
	}
	if before.ActedAt.IsZero() && !after.ActedAt.IsZero() {
		c.act.Record(ctx, max(after.ActedAt.Sub(after.DetectedAt), 0).Seconds())
	}
	if ended && after.State == heal.CaseHealed {
		c.heal.Record(ctx, max(after.EndedAt.Sub(after.DetectedAt), 0).Seconds())
	}
	if ended {
		c.ended.Add(ctx, 1, label("outcome", string(after.State)))
	}
}

// noted counts a change that was written down, and what gave way to it.
func (c *Counters) noted(ctx context.Context, seen, wrote bool, dropped int) {
	if c == nil || !wrote {
		return
	}
	source := "api"
	if seen {
		source = heal.FromTelemetry
	}
	c.changes.Add(ctx, 1, label("source", source))
	c.forgotten.Add(ctx, int64(dropped))
}

// tied counts faults that are new to their cases.
func (c *Counters) tied(ctx context.Context, arrivals []*arrival) {
	if c == nil {
		return
	}
	for _, a := range arrivals {
		if why := a.to.Reasons; len(why) > 0 && why[0].Code != incident.SameFault {
			c.ties.Add(ctx, 1, label("tie", why[0].Code))
		}
	}
}

// gaveWay counts kinds of alert that were forgotten to make room.
func (c *Counters) gaveWay(ctx context.Context, kinds int64) {
	if c != nil && kinds > 0 {
		c.unlearnt.Add(ctx, kinds)
	}
}

// merged counts a case that ended by becoming part of another.
func (c *Counters) merged(ctx context.Context) {
	if c != nil {
		c.ended.Add(ctx, 1, label("outcome", "merged"))
	}
}

func running(attempts []heal.Attempt, i int) bool { return attempts[i].Result == heal.AttemptRunning }

func (c *Counters) attempt(ctx context.Context, a *heal.Attempt) {
	c.attempts.Add(ctx, 1, label("result", string(a.Result)))
	worth, known := learn.Effectiveness(a.Result)
	if !known {
		return
	}
	result := "partial"
	switch worth {
	case 1:
		result = "success"
	case 0:
		result = "failure"
	}
	c.worth.Record(ctx, worth, label("action_type", a.Playbook), label("result", result))
}

// traced runs one step of a case within a span. That a case changed meanwhile
// or is held back is no error of the step.
func (l *Loop) traced(ctx context.Context, step string, inc store.Stored[heal.Incident], run func(context.Context, store.Stored[heal.Incident]) error) error {
	ctx, span := l.tracer.Start(ctx, "case "+step, trace.WithAttributes(
		attribute.String("homeostat.incident.id", string(inc.Value.ID)), attribute.String("homeostat.cause", string(inc.Value.Cause)),
		attribute.Int("homeostat.attempts", len(inc.Value.Attempts))))
	defer span.End()
	err := run(ctx, inc)
	if err != nil && !errors.Is(err, errAgain) && !errors.Is(err, errHeld) && !heal.Is(err, heal.Conflict) {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// tracerOf is the tracer of a provider, one that does nothing if there is none.
func tracerOf(provider trace.TracerProvider) trace.Tracer {
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	return provider.Tracer(instruments)
}
