package loop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// Windows of logs and spans that are read for a diagnosis (SPEC A8, A9).
const (
	logWindow  = 10 * time.Minute
	spanWindow = 2 * time.Minute
)

// gatherers bounds the entities asked about at once within one diagnosis.
const gatherers = 4

// gather asks everything the diagnosis wants to know about the entities. What
// cannot be answered in time is a gap, named as such, never an error: a
// diagnosis from less evidence is better than none.
func (l *Loop) gather(ctx context.Context, inc *heal.Incident, entities []heal.EntityID) map[heal.EntityID]cause.Signals {
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	signals := make(map[heal.EntityID]cause.Signals, len(entities))
	var work requests
	troubled := sync.OnceValue(func() []spell { return l.troubled(ctx, inc, entities) }) // few questions need it
	slots := make(chan struct{}, gatherers)
	for _, id := range entities {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s, of := l.signals(ctx, inc, id, troubled)
			mu.Lock()
			defer mu.Unlock()
			signals[id] = s
			work.add(of)
		})
	}
	wg.Wait()
	for id, departs := range work.departures() {
		if s, asked := signals[id]; asked {
			s.Departs = departs
			signals[id] = s
		}
	}
	return signals
}

func (l *Loop) signals(ctx context.Context, inc *heal.Incident, id heal.EntityID, troubled func() []spell) (cause.Signals, requests) {
	var work requests
	now := l.now()
	s := cause.Signals{Metrics: map[string]cause.Metric{}}
	for _, m := range inc.Members {
		if m.Fault.Key.Entity == id && m.Fault.ClearedAt.IsZero() {
			s.Faults = append(s.Faults, m.Fault)
		}
	}
	for _, p := range l.parts.Probes.Of(id) {
		s.Probes = append(s.Probes, cause.Probe{Name: p.Name, Healthy: p.Healthy, Since: p.Since, At: p.CheckedAt, Error: p.Error})
	}
	if l.parts.Watched != nil {
		s.Anomalies = l.parts.Watched.Anomalies(id, inc.BeganAt.Add(-l.opts.Window))
	}
	gap := func(what string, err error) {
		if err != nil {
			s.Gaps = append(s.Gaps, fmt.Sprintf("%s: %v", what, err))
		}
	}
	known, err := l.parts.Metrics.Knows(ctx, id)
	gap("metrics", err)
	if known {
		l.measure(ctx, &s, inc, id, now, troubled)
	}
	gap("changes", l.readChanges(ctx, &s, inc, id, now))
	gap("logs", l.readLogs(ctx, &s, &work, inc, id, now))
	gap("spans", l.readSpans(ctx, &s, &work, inc, id, now))
	return s, work
}

// measure asks the metrics. A question without an answer is not a gap: most
// systems answer only some of them.
func (l *Loop) measure(ctx context.Context, s *cause.Signals, inc *heal.Incident, id heal.EntityID, now time.Time, troubled func() []spell) {
	for _, q := range cause.Questions(id) {
		value, ok, err := l.parts.Metrics.Value(ctx, q.Expr, now)
		if err != nil {
			s.Gaps = append(s.Gaps, fmt.Sprintf("%s: %v", q.ID, err))
			if ctx.Err() != nil {
				return
			}
			continue
		}
		if !ok {
			continue
		}
		m := cause.Metric{Value: value, At: now, Expr: q.Expr, Unit: q.Unit}
		if q.Baseline {
			m.Baseline, m.Usual = l.baseline(ctx, q, inc.BeganAt, troubled())
		}
		s.Metrics[q.ID] = m
	}
}

// readLogs mines the newest logs against a window of the same length from
// before the case.
func (l *Loop) readLogs(ctx context.Context, s *cause.Signals, work *requests, inc *heal.Incident, id heal.EntityID, now time.Time) error {
	began := inc.BeganAt.Add(-time.Second)
	from := latest(now.Add(-logWindow), began)
	records, err := l.parts.Logs.Records(ctx, id, from, now)
	if err != nil {
		return err
	}
	span := max(now.Sub(from), time.Second)
	before, err := l.parts.Logs.Records(ctx, id, began.Add(-span), began)
	if err != nil || len(records) == 0 {
		s.Fallen = len(before)
		return err
	}
	work.now.Logs, work.before.Logs = records, before
	sum := logmine.Summarise(records, before)
	s.Newest = latest(s.Newest, sum.Last)
	s.Logs, s.Texts = append(s.Logs, cause.LogsOf(sum)...), sum.Changes
	return nil
}

func (l *Loop) readSpans(ctx context.Context, s *cause.Signals, work *requests, inc *heal.Incident, id heal.EntityID, now time.Time) error {
	if id.Kind() != heal.KindService {
		return nil
	}
	spans, err := l.parts.Logs.Spans(ctx, id, latest(now.Add(-spanWindow), inc.BeganAt), now)
	if err != nil {
		return err
	}
	before, err := l.parts.Logs.Spans(ctx, id, inc.BeganAt.Add(-spanWindow), inc.BeganAt)
	if err != nil {
		return err
	}
	work.now.Spans, work.before.Spans = spans, before
	for _, span := range slices.Concat(before, spans) {
		if span.Service == id.Name() {
			s.Newest = latest(s.Newest, span.Start.Add(span.Duration))
		}
	}
	s.Spans = cause.Operations(id.Name(), spans, before, nil)
	if slowest, ok := telemetry.Slowest(spans); ok {
		s.Slowest = &slowest
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
