package app

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// signals shows people the telemetry around a case.
type signals struct {
	series    *series.DB
	telemetry telemetry.Store
}

func (s signals) Chart(ctx context.Context, expr string, from, to time.Time, step time.Duration) (form.Chart, error) {
	m, err := s.series.Measure(expr)
	if err != nil {
		return form.Chart{}, err
	}
	found, err := s.series.Range(ctx, m.Expr, from, to, step)
	if err != nil {
		return form.Chart{}, err
	}
	chart := form.Chart{Query: m.Expr, Limit: m.Limit, Above: m.Above, Times: []float64{}, Curves: []form.Curve{}}
	place := map[int64]int{}
	for at := from; !at.After(to); at = at.Add(step) {
		place[at.UnixMilli()] = len(chart.Times)
		chart.Times = append(chart.Times, float64(at.UnixMilli())/1000)
	}
	for _, f := range found {
		c := form.Curve{Labels: f.Labels, Values: make([]*float64, len(chart.Times))}
		for _, p := range f.Points {
			if k, ok := place[p.At.UnixMilli()]; ok && !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
				c.Values[k] = &p.Value
			}
		}
		chart.Curves = append(chart.Curves, c)
	}
	return chart, nil
}

// logLevelNames are the ranges of severity of OpenTelemetry, four numbers each.
var logLevelNames = []string{"trace", "debug", "info", "warn", "error", "fatal"}

const warning = 13 // SeverityNumber of OpenTelemetry

func (s signals) Logs(ctx context.Context, entity heal.EntityID, from, to time.Time, limit int) ([]form.LogLine, error) {
	out := []form.LogLine{}
	q := telemetry.LogQuery{From: from, To: to, Limit: limit, MinSeverity: warning}
	switch entity.Kind() {
	case heal.KindService, heal.KindProcess:
		q.Service = entity.Name()
	case heal.KindHost:
		q.Host = entity.Name()
	case heal.KindPod, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
		return out, nil
	}
	found, err := s.telemetry.Logs(ctx, q)
	if err != nil {
		return out, err
	}
	slices.SortStableFunc(found, func(a, b heal.LogRecord) int { return cmp.Compare(b.Severity, a.Severity) })
	for _, r := range found {
		level := logLevelNames[min(max(r.Severity-1, 0)/4, len(logLevelNames)-1)]
		out = append(out, form.LogLine{At: r.Time.UTC(), Service: r.Service, Severity: level, Text: clipped(r.Body), TraceID: r.TraceID})
	}
	return out, nil
}

func (s signals) Spans(ctx context.Context, entity heal.EntityID, from, to time.Time, limit int) ([]form.SpanLine, error) {
	out := []form.SpanLine{}
	if entity.Kind() != heal.KindService && entity.Kind() != heal.KindProcess {
		return out, nil
	}
	seen := map[string]bool{}
	for _, errors := range []bool{true, false} {
		found, err := s.telemetry.Spans(ctx, telemetry.SpanQuery{Service: entity.Name(), From: from, To: to, OnlyErrors: errors, Order: telemetry.SlowestFirst, Limit: limit / 2})
		if err != nil {
			return out, err
		}
		for _, sp := range found {
			if !seen[sp.SpanID] {
				seen[sp.SpanID] = true
				out = append(out, form.SpanLine{
					At: sp.Start.UTC(), Service: sp.Service, Operation: sp.Operation, Seconds: sp.Duration.Seconds(), Error: sp.Error, Text: clipped(sp.StatusMessage), TraceID: sp.TraceID,
				})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b form.SpanLine) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return out, nil
}

// slowestOf is how many of the slowest spans are looked at for a whole trace: of
// some the root is not there.
const slowestOf = 5

// mostHolds bounds the operations shown of a path.
const mostHolds = 12

func (s signals) Slowest(ctx context.Context, entity heal.EntityID, from, to time.Time) (*form.Critical, error) {
	if entity.Kind() != heal.KindService && entity.Kind() != heal.KindProcess {
		return nil, nil
	}
	found, err := s.telemetry.Spans(ctx, telemetry.SpanQuery{Service: entity.Name(), From: from, To: to, Order: telemetry.SlowestFirst, Limit: slowestOf})
	if err != nil {
		return nil, err
	}
	var all []heal.Span
	seen := map[string]bool{}
	for _, sp := range found {
		if seen[sp.TraceID] {
			continue
		}
		seen[sp.TraceID] = true
		trace, err := s.telemetry.Trace(ctx, sp.TraceID)
		if err != nil && !heal.Is(err, heal.NotFound) {
			return nil, err
		}
		all = append(all, trace...)
	}
	c, ok := telemetry.Slowest(all)
	if !ok || c.Total() <= 0 {
		return nil, nil
	}
	return criticalOf(&c), nil
}

func criticalOf(c *telemetry.Critical) *form.Critical {
	out := &form.Critical{TraceID: c.Root.TraceID, Service: c.Root.Service, Operation: clipped(c.Root.Operation), At: c.Root.Start.UTC(), Seconds: c.Total().Seconds(), Held: []form.Hold{}}
	held := c.Held()
	for _, h := range held[:min(len(held), mostHolds)] {
		out.Held = append(out.Held, form.Hold{Service: h.Service, Operation: clipped(h.Operation), Spans: h.Spans, Seconds: h.Took.Seconds(), Share: h.Took.Seconds() / c.Total().Seconds()})
	}
	out.More = len(held) - len(out.Held)
	if f := c.Own; f != nil {
		out.Failed = &form.SpanLine{
			At: f.Start.UTC(), Service: f.Service, Operation: clipped(f.Operation), Seconds: f.Duration.Seconds(), Error: true, Text: clipped(f.StatusMessage), TraceID: f.TraceID,
		}
	}
	return out
}

// clipped keeps a text to what a person reads in a line or two.
func clipped(text string) string {
	const most = 600
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
