package analyse

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/watch"
)

// stage answers the watch from files: at each look it holds the values of one
// interval.
type stage struct {
	from, until time.Time
	interval    time.Duration
	signals     []watch.Signal
	values      map[string]map[int][]heal.Sample // by signal and look
	made        map[string][]cause.Sample        // from spans, by signal and service
}

// The signals of the files, as the watch asks for them.
var signals = []watch.Signal{
	{Name: watch.Requests, Expr: "requests", Entity: "service", Unit: "1/s"},
	{Name: "error ratio", Expr: "errors", Entity: "service", Unit: "1", Golden: watch.Errors},
	{Name: "latency", Expr: "latency", Entity: "service", Unit: "s", Golden: watch.Latency},
	{Name: "metrics", Expr: "metrics", Entity: "service", Raw: true},
}

// Looks are as far apart as the samples of most metrics. With spans alone there
// are so many, fewer where a look would hold too few requests to prove anything.
const (
	looksOfSpans = 120
	leastLooks   = 40
	callsOfLook  = 12
	maxLooks     = 200_000
)

// newStage lays the data out by looks.
func newStage(d *Data) *stage {
	s := &stage{values: map[string]map[int][]heal.Sample{}, made: map[string][]cause.Sample{}, signals: signals}
	var gaps []time.Duration
	for _, c := range d.Columns {
		s.spread(c.Samples[0].At, c.Samples[len(c.Samples)-1].At)
		for i := 1; i < len(c.Samples); i++ {
			if gap := c.Samples[i].At.Sub(c.Samples[i-1].At); gap > 0 {
				gaps = append(gaps, gap)
			}
		}
	}
	if len(d.Spans) > 0 {
		s.spread(d.Spans[0].Start, d.Spans[len(d.Spans)-1].Start)
	}
	if len(d.Logs) > 0 {
		s.spread(d.Logs[0].Time, d.Logs[len(d.Logs)-1].Time)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		s.interval = max(gaps[len(gaps)/2], time.Second)
	} else {
		whole := s.until.Sub(s.from)
		s.interval = max(whole/looksOfSpans, min(d.between()*callsOfLook, whole/leastLooks), time.Second)
	}
	s.interval = max(s.interval, s.until.Sub(s.from)/maxLooks)
	taken := s.spans(d)
	for _, c := range ranked(d.Columns) {
		s.column(c, taken)
	}
	return s
}

// between is the mean time between two requests of a service.
func (d *Data) between() time.Duration {
	services, served := map[string]bool{}, 0
	for i := range d.Spans {
		if s := &d.Spans[i]; s.Kind == heal.SpanServer || s.Kind == heal.SpanConsumer {
			services[s.Service] = true
			served++
		}
	}
	if served == 0 {
		return 0
	}
	return d.Spans[len(d.Spans)-1].Start.Sub(d.Spans[0].Start) * time.Duration(len(services)) / time.Duration(served)
}

func (s *stage) spread(from, until time.Time) {
	if s.from.IsZero() || from.Before(s.from) {
		s.from = from
	}
	if until.After(s.until) {
		s.until = until
	}
}

func (s *stage) look(at time.Time) int { return int(at.Sub(s.from) / s.interval) }

// at is when a look is: at the end of its interval.
func (s *stage) at(look int) time.Time { return s.from.Add(time.Duration(look+1) * s.interval) }

func (s *stage) put(expr string, look int, service, metric string, v float64) {
	by := s.values[expr]
	if by == nil {
		by = map[int][]heal.Sample{}
		s.values[expr] = by
	}
	by[look] = append(by[look], heal.Sample{Metric: metric, Labels: []heal.Label{{Name: "service", Value: service}}, At: s.at(look), Value: v})
}

// measured is what of a service is known by signals of users: a second series of
// the same is a metric like others.
type measured map[string]bool

// spans makes rate, errors and duration of each service from its spans.
func (s *stage) spans(d *Data) measured {
	type key struct {
		service string
		look    int
	}
	served := map[key][]*heal.Span{}
	var order []key
	for i := range d.Spans {
		span := &d.Spans[i]
		if span.Kind != heal.SpanServer && span.Kind != heal.SpanConsumer {
			continue
		}
		k := key{span.Service, s.look(span.Start)}
		if served[k] == nil {
			order = append(order, k)
		}
		served[k] = append(served[k], span)
	}
	taken := measured{}
	for _, k := range order {
		list, failed := served[k], 0
		took := make([]float64, len(list))
		for i, span := range list {
			took[i] = span.Duration.Seconds()
			if span.Error {
				failed++
			}
		}
		slices.Sort(took)
		for signal, v := range map[string]float64{
			"requests": float64(len(list)) / s.interval.Seconds(), "errors": float64(failed) / float64(len(list)), "latency": took[(len(took)*95)/100],
		} {
			s.put(signal, k.look, k.service, "", v)
			of := signal + " " + k.service
			s.made[of] = append(s.made[of], cause.Sample{At: s.at(k.look).Add(-s.interval), Value: v})
		}
		for _, golden := range []string{"errors ", "latency "} {
			taken[golden+k.service] = true
		}
	}
	return taken
}

// fromSpans gives what the spans of a service amount to.
func (s *stage) fromSpans(signal, service string) []cause.Sample { return s.made[signal+" "+service] }

// column lays out one metric. The first of latency and of failures of a service
// stands for what its users notice, if no spans do.
func (s *stage) column(c *Column, taken measured) {
	expr := "metrics"
	switch c.Measure {
	case cause.MeasureLatency:
		expr = "latency"
	case cause.MeasureErrors:
		expr = "errors"
	case cause.MeasureTraffic, cause.MeasureCPU, cause.MeasureMemory, cause.MeasureNetwork, cause.MeasureDisk, cause.MeasureOther:
	}
	if taken[expr+" "+c.Service] {
		expr = "metrics"
	}
	taken[expr+" "+c.Service] = expr != "metrics"
	for _, sample := range c.Samples {
		s.put(expr, s.look(sample.At), c.Service, c.Name, sample.Value)
	}
}

// Vector implements watch.Metrics.
func (s *stage) Vector(_ context.Context, expr string, at time.Time) ([]heal.Sample, error) {
	return s.values[expr][s.look(at)-1], nil
}

// ranked is the order in which columns may stand for a service: tails before
// means, so that what one in twenty users sees counts.
func ranked(columns []*Column) []*Column {
	list := slices.Clone(columns)
	rank := func(c *Column) int {
		name := strings.ToLower(c.Name)
		for i, word := range []string{"95", "99", "90"} {
			if strings.Contains(name, word) {
				return i
			}
		}
		return 3
	}
	slices.SortStableFunc(list, func(a, b *Column) int { return rank(a) - rank(b) })
	return list
}
