package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// Signals gives the telemetry around a case.
type Signals interface {
	// Chart evaluates what a PromQL expression measures over a time. Of an
	// expression that compares, that is what is compared, and with what limit.
	Chart(ctx context.Context, expr string, from, to time.Time, step time.Duration) (form.Chart, error)
	// Logs gives records of an entity, the most severe and newest first.
	Logs(ctx context.Context, entity heal.EntityID, from, to time.Time, limit int) ([]form.LogLine, error)
	// Spans gives failed and slow spans of an entity, the slowest first.
	Spans(ctx context.Context, entity heal.EntityID, from, to time.Time, limit int) ([]form.SpanLine, error)
	// Slowest gives the critical path of the slowest request that an entity took
	// part in; nil if none is known whole.
	Slowest(ctx context.Context, entity heal.EntityID, from, to time.Time) (*form.Critical, error)
}

// Bounds of what is shown around a case.
const (
	before     = 3 * time.Minute  // shown before the first signal
	after      = 90 * time.Second // shown after the end
	longest    = 6 * time.Hour    // of a case that does not end
	maxCharts  = 4
	maxCurves  = 6
	chartSteps = 240
	maxLines   = 40
)

func (s *server) signals() {
	wrong := []int{http.StatusNotFound}
	handle(s, route{
		method: http.MethodGet, path: "/incidents/{id}/signals", id: "get-incident-signals", tag: "incidents", errors: wrong,
		summary: "The telemetry around a case", about: "What the evidence of the case measured, before, during and after it, with the moments that matter; log records and spans of the entity it is about.",
	}, s.around)
}

func (s *server) around(ctx context.Context, in *ByID) (*body[form.Signals], error) {
	got, err := incidentShelf.get(ctx, s, in.ID, auth.Read)
	if err != nil {
		return nil, err
	}
	c := &got.Value
	out := form.Signals{Charts: []form.Chart{}, Logs: []form.LogLine{}, Spans: []form.SpanLine{}, Marks: marksOf(c), Problems: []string{}}
	out.From, out.Until = frame(c, s.Clock())
	if s.Signals == nil {
		return answer(out), nil
	}
	step := max(time.Second, out.Until.Sub(out.From)/chartSteps).Round(time.Second)
	for _, m := range measuresOf(c) {
		if len(out.Charts) == maxCharts {
			break
		}
		chart, err := s.Signals.Chart(ctx, m.expr, out.From, out.Until, step)
		if err != nil {
			out.Problems = append(out.Problems, clip(err.Error(), 300))
			continue
		}
		chart.Title, chart.Entity, chart.Unit = m.title, string(m.entity), cmp.Or(chart.Unit, m.unit)
		chart.Curves = slices.DeleteFunc(chart.Curves, func(v form.Curve) bool { return ofAnother(v.Labels, m.entity) })
		chart.Curves = chart.Curves[:min(len(chart.Curves), maxCurves)]
		drawn := slices.ContainsFunc(out.Charts, func(o form.Chart) bool { return o.Query == chart.Query })
		if len(chart.Curves) > 0 && !drawn {
			out.Charts = append(out.Charts, chart)
		}
	}
	about := aboutOf(c)
	if out.Logs, err = s.Signals.Logs(ctx, about, out.From, out.Until, maxLines); err != nil {
		out.Logs, out.Problems = []form.LogLine{}, append(out.Problems, clip(err.Error(), 300))
	}
	if out.Spans, err = s.Signals.Spans(ctx, about, out.From, out.Until, maxLines); err != nil {
		out.Spans, out.Problems = []form.SpanLine{}, append(out.Problems, clip(err.Error(), 300))
	}
	// Of the case itself: a request that was slow before it says nothing of it.
	if out.Slowest, err = s.Signals.Slowest(ctx, about, latest(out.From, c.BeganAt), out.Until); err != nil {
		out.Problems = append(out.Problems, clip(err.Error(), 300))
	}
	return answer(out), nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// frame is the time shown: from somewhat before the case to somewhat after.
func frame(c *heal.Incident, now time.Time) (from, until time.Time) {
	from, until = c.BeganAt.Add(-before), now
	if !c.EndedAt.IsZero() && c.EndedAt.Add(after).Before(now) {
		until = c.EndedAt.Add(after)
	}
	if until.Sub(from) > longest {
		from = until.Add(-longest)
	}
	return from.UTC().Truncate(time.Second), until.UTC().Truncate(time.Second).Add(time.Second)
}

// marksOf are the moments of a case.
func marksOf(c *heal.Incident) []form.Mark {
	marks := []form.Mark{}
	add := func(what string, at time.Time) {
		if !at.IsZero() {
			marks = append(marks, form.Mark{What: what, At: at.UTC()})
		}
	}
	add("began", c.BeganAt)
	add("detected", c.DetectedAt)
	for _, a := range c.Attempts {
		add("acted", a.ActedAt)
	}
	if c.State == heal.CaseHealed {
		add("healed", c.EndedAt)
	}
	return marks
}

// aboutOf is the entity whose telemetry explains the case: the cause, or else
// where it showed.
func aboutOf(c *heal.Incident) heal.EntityID {
	if c.Cause != "" || len(c.Members) == 0 {
		return c.Cause
	}
	return c.Members[0].Fault.Key.Entity
}

// measure is something that was measured.
type measure struct {
	expr, title, unit string
	entity            heal.EntityID
}

// measuresOf lists the expressions behind the evidence: the conditions of the
// faults first, then what speaks for the best candidate.
func measuresOf(c *heal.Incident) []measure {
	var list []measure
	add := func(e heal.Evidence) {
		known := slices.ContainsFunc(list, func(m measure) bool { return m.expr == e.Query })
		if e.Query != "" && !known && (e.Kind == heal.EvidenceMetric || e.Kind == heal.EvidenceAlert) {
			list = append(list, measure{e.Query, e.Summary, e.Unit, e.Entity})
		}
	}
	for _, m := range c.Members {
		for _, e := range m.Fault.Evidence {
			add(e)
		}
	}
	if top := c.Diagnosis.Top(); top != nil {
		for _, r := range top.For {
			for _, e := range r.Evidence {
				add(e)
			}
		}
	}
	return list
}

// ofAnother reports labels that name another entity than the one meant.
func ofAnother(labels map[string]string, entity heal.EntityID) bool {
	for _, name := range []string{"service_name", "server", "host_name", "server_address"} {
		if value, ok := labels[name]; ok {
			return entity != "" && value != entity.Name()
		}
	}
	return false
}
