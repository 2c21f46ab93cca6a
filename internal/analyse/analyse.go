package analyse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logmine"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/watch"
)

// Options say what of the data is looked at.
type Options struct {
	Since time.Time // when the trouble began; zero: it is to be found
	Until time.Time // what is after it is not looked at; zero: the end
}

// Report is what was found.
type Report struct {
	From     time.Time     `json:"from"`
	Until    time.Time     `json:"until"`
	Interval time.Duration `json:"interval"` // between two looks
	Services int           `json:"services"`
	Samples  int           `json:"samples"`
	Spans    int           `json:"spans"`
	Logs     int           `json:"logs"`
	Edges    int           `json:"edges"`
	Cases    []Case        `json:"cases"` // empty: nothing is wrong
}

// Case is one thing that went wrong.
type Case struct {
	Began     time.Time      `json:"began"`
	Until     time.Time      `json:"until"` // end of what the judgement rests on
	Over      bool           `json:"over"`  // it ended by then
	Members   []heal.Member  `json:"members"`
	Diagnosis heal.Diagnosis `json:"diagnosis"`
	Logs      []LogSummary   `json:"logs,omitempty"`
}

// LogSummary is what the logs of one service say that they did not before.
type LogSummary struct {
	Service string `json:"service"`
	logmine.Summary
}

// leastBefore is how much time before a case is needed to say what is usual.
const leastBefore = 10 * time.Second

// Run makes the judgements.
func Run(ctx context.Context, d *Data, o Options) (Report, error) {
	const op = "analyse"
	d.kinds()
	s := newStage(d)
	if s.until.IsZero() {
		return Report{}, heal.Errorf(heal.Invalid, op, "the files hold nothing, expected metrics, spans or logs with a time")
	}
	end := s.until
	if !o.Until.IsZero() && o.Until.Before(end) {
		end = o.Until
	}
	if !o.Since.IsZero() && (o.Since.Sub(s.from) < leastBefore || !o.Since.Before(end)) {
		return Report{}, heal.Errorf(heal.Invalid, op, "--since is %s, expected a time at least %s after the first of the data, %s, and before the last, %s",
			o.Since.UTC().Format(time.RFC3339), leastBefore, s.from.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	r := Report{From: s.from, Until: end, Interval: s.interval, Services: len(d.services()), Spans: len(d.Spans), Logs: len(d.Logs), Edges: len(d.Edges), Cases: []Case{}}
	for _, c := range d.Columns {
		r.Samples += len(c.Samples)
	}
	p := &post{data: d, stage: s, graph: d.graph(end), set: incident.NewSet(incident.Options{Window: max(5*time.Minute, 10*s.interval)}), cases: map[heal.IncidentID]*open{}}
	if err := p.replay(ctx, end); err != nil {
		return Report{}, err
	}
	p.named(o.Since, end)
	for _, c := range p.order {
		if o.Since.IsZero() || !c.inc.BeganAt.Before(o.Since) {
			r.Cases = append(r.Cases, p.diagnose(c))
		}
	}
	// A time that was named, where nothing is out of order, is no case.
	r.Cases = slices.DeleteFunc(r.Cases, func(c Case) bool { return len(c.Members) == 0 && len(c.Diagnosis.Causes) == 0 })
	return r, ctx.Err()
}

// services are the names in the data.
func (d *Data) services() []string {
	seen := map[string]bool{}
	var list []string
	add := func(name string) {
		if !seen[name] && heal.ServiceID(name).Validate() == nil {
			seen[name] = true
			list = append(list, name)
		}
	}
	for _, c := range d.Columns {
		add(c.Service)
	}
	for i := range d.Spans {
		add(d.Spans[i].Service)
	}
	for i := range d.Logs {
		add(d.Logs[i].Service)
	}
	slices.Sort(list)
	return list
}

// post is one post-mortem.
type post struct {
	data  *Data
	stage *stage
	graph *topology.Graph
	watch *watch.Watcher
	set   *incident.Set
	cases map[heal.IncidentID]*open
	order []*open
	now   time.Time
}

// open is a case as the replay goes on.
type open struct {
	inc   heal.Incident
	until time.Time
	odd   map[heal.EntityID][]cause.Anomaly
}

// replay lets the watch look as it would have, and groups what it finds.
func (p *post) replay(ctx context.Context, end time.Time) error {
	p.watch = watch.New(p.stage, p.take, watch.Options{
		Interval: p.stage.interval, Window: p.stage.interval, Signals: p.stage.signals, Clock: func() time.Time { return p.now },
	})
	for look := 0; ctx.Err() == nil; look++ {
		if p.now = p.stage.at(look); p.now.After(end.Add(p.stage.interval)) {
			break
		}
		p.watch.Look(ctx, p.now)
	}
	for _, c := range p.cases {
		p.close(c, false)
	}
	return ctx.Err()
}

// take brings findings into cases, as the loop does with alerts.
func (p *post) take(_ context.Context, findings []watch.Finding) error {
	for i := range findings {
		a := findings[i].Alert(heal.DefaultScope)
		a.ReceivedAt = p.now
		if !findings[i].Over {
			a.Timestamp = a.Timestamp.Add(-p.stage.interval) // a look tells of what was before it
		}
		f := detect.FromAlert(a, p.now)
		f.AlertID = heal.AlertID(a.Fingerprint)
		if findings[i].Over {
			p.clear(f)
			continue
		}
		to := p.set.Assign(f, p.graph, p.now)
		c := p.cases[to.Join]
		if c == nil {
			to.Join = heal.IncidentID(fmt.Sprintf("case-%06d", len(p.order)+1)) // in the order they began
			c = &open{inc: incident.New(to.Join, f, p.now)}
			p.cases[to.Join], p.order = c, append(p.order, c)
		} else {
			c.inc = incident.Join(c.inc, f, to, p.now)
		}
		c.until = p.now
		p.set.Put(c.inc)
	}
	return nil
}

// clear notes that a fault is over; a case in which none holds is closed.
func (p *post) clear(f heal.Fault) {
	id, ok := p.set.Find(f.Scope, f.Key)
	if !ok {
		return
	}
	c := p.cases[id]
	inc, changed := incident.Clear(c.inc, f.Key, f.AlertID, p.now)
	if !changed {
		return
	}
	c.inc = inc
	if p.set.Put(inc); len(incident.Holding(inc)) == 0 {
		p.close(c, true)
	}
}

// close keeps what the watch saw until then.
func (p *post) close(c *open, over bool) {
	p.set.Remove(c.inc.ID)
	delete(p.cases, c.inc.ID)
	if over {
		c.inc.EndedAt = p.now
	} else {
		c.until = p.now
	}
	c.odd = p.anomalies(c.inc.BeganAt)
}

func (p *post) anomalies(began time.Time) map[heal.EntityID][]cause.Anomaly {
	found := map[heal.EntityID][]cause.Anomaly{}
	for _, name := range p.data.services() {
		id := heal.ServiceID(name)
		for _, a := range p.watch.Anomalies(id, began.Add(-5*time.Minute)) {
			one := cause.Anomaly{Name: a.Signal, Unit: a.Unit, Since: a.Since, At: a.Last, Value: a.Value, Usual: a.Usual, Surprise: a.Surprise}
			for _, r := range a.Said {
				one.Said = append(one.Said, r.Text)
			}
			found[id] = append(found[id], one)
		}
	}
	return found
}

// named makes a case of a time that somebody named, if none was found in it.
func (p *post) named(since, end time.Time) {
	if since.IsZero() || slices.ContainsFunc(p.order, func(c *open) bool { return !c.inc.BeganAt.Before(since) }) {
		return
	}
	p.order = append(p.order, &open{inc: heal.Incident{ID: "case-named", BeganAt: since, DetectedAt: since, Scope: heal.DefaultScope}, until: end, odd: p.anomalies(since)})
}

// diagnose ranks the causes of a case by everything of its time against what
// was before.
func (p *post) diagnose(c *open) Case {
	inc := c.inc
	for i := range inc.Members { // what is over held then
		inc.Members[i].Fault.ClearedAt = time.Time{}
	}
	in := cause.Input{Incident: inc, Graph: p.graph, Signals: map[heal.EntityID]cause.Signals{}, Now: c.until}
	out := Case{Began: inc.BeganAt, Until: c.until, Over: !c.inc.EndedAt.IsZero(), Members: c.inc.Members}
	spansNow, spansBefore := split(p.data.Spans, func(s *heal.Span) time.Time { return s.Start }, inc.BeganAt, c.until)
	logsNow, logsBefore := split(p.data.Logs, func(l *heal.LogRecord) time.Time { return l.Time }, inc.BeganAt, c.until)
	departs := cause.DepartsOf(logmine.Work{Spans: spansNow, Logs: logsNow}, logmine.Work{Spans: spansBefore, Logs: logsBefore})
	byService := func(list []heal.LogRecord) map[string][]heal.LogRecord {
		m := map[string][]heal.LogRecord{}
		for _, l := range list {
			m[l.Service] = append(m[l.Service], l)
		}
		return m
	}
	said, saidBefore := byService(logsNow), byService(logsBefore)
	for _, name := range p.data.services() {
		id := heal.ServiceID(name)
		s := cause.Signals{Anomalies: c.odd[id], Departs: departs[id], Spans: cause.Operations(name, spansNow, spansBefore, nil)}
		s.Series = p.series(name, inc.BeganAt, c.until)
		s.Changes = p.data.changesOf(id)
		if slowest, ok := telemetry.Slowest(tracesWith(name, spansNow)); ok {
			s.Slowest = &slowest
		}
		if len(said[name]) > 0 {
			sum := logmine.Summarise(said[name], saidBefore[name])
			s.Logs, s.Texts = cause.LogsOf(sum), sum.Changes
			if len(sum.Changes) > 0 || len(s.Logs) > 0 {
				sum.Templates = nil // the changes among them are what matters
				out.Logs = append(out.Logs, LogSummary{name, sum})
			}
		} else {
			s.Fallen = int(float64(len(saidBefore[name])) * min(1, c.until.Sub(inc.BeganAt).Seconds()/leastSpan.Seconds()))
		}
		in.Signals[id] = s
	}
	for _, change := range p.data.Changes { // also of what sends nothing itself, as a database
		if _, known := in.Signals[change.Entity]; !known && len(p.graph.Upstream(change.Entity)) > 0 {
			in.Signals[change.Entity] = cause.Signals{Changes: p.data.changesOf(change.Entity)}
		}
	}
	out.Diagnosis = cause.Rank(in)
	return out
}

// tracesWith gives the spans of the traces that a service took part in.
func tracesWith(service string, spans []heal.Span) []heal.Span {
	with := map[string]bool{}
	for i := range spans {
		if spans[i].Service == service {
			with[spans[i].TraceID] = true
		}
	}
	var list []heal.Span
	for i := range spans {
		if with[spans[i].TraceID] {
			list = append(list, spans[i])
		}
	}
	return list
}

// leastSpan is how much time before a case is compared with it at least.
const leastSpan = 10 * time.Minute

// split gives the records of the case and those of as much time before it.
func split[T any](list []T, when func(*T) time.Time, began, until time.Time) (now, before []T) {
	from := began.Add(-max(until.Sub(began), leastSpan))
	for i := range list {
		switch at := when(&list[i]); {
		case at.Before(from) || at.After(until):
		case at.Before(began):
			before = append(before, list[i])
		default:
			now = append(now, list[i])
		}
	}
	return now, before
}

// series are the metrics of a service, and what its spans amount to.
func (p *post) series(service string, began, until time.Time) []cause.Series {
	var list []cause.Series
	add := func(s cause.Series, samples []cause.Sample) {
		for _, sample := range samples {
			switch {
			case sample.At.Before(began):
				s.Normal = append(s.Normal, sample)
			case !sample.At.After(until):
				s.Window = append(s.Window, sample)
			}
		}
		list = append(list, s)
	}
	for _, c := range p.data.Columns {
		if c.Service == service {
			s := cause.Series{Name: c.Name, Measure: c.Measure, Unit: c.Unit}
			for word, q := range map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99} {
				if strings.Contains(strings.ToLower(c.Name), word) {
					s.Quantile = q
				}
			}
			add(s, c.Samples)
		}
	}
	for _, of := range []cause.Series{
		{Name: "latency", Measure: cause.MeasureLatency, Unit: "s", Quantile: 0.95},
		{Name: "errors", Measure: cause.MeasureErrors, Unit: "1"},
		{Name: "requests", Measure: cause.MeasureTraffic, Unit: "1/s"},
	} {
		add(of, p.stage.fromSpans(of.Name, service))
	}
	return slices.DeleteFunc(list, func(s cause.Series) bool { return len(s.Window) == 0 })
}
