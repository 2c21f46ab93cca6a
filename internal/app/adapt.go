package app

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/notify"
	"github.com/homeostat/homeostat/internal/probe"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/verify"
)

// metrics answers the loop from the embedded metric store.
type metrics struct{ db *series.DB }

func (m metrics) Value(ctx context.Context, expr string, at time.Time) (value float64, ok bool, err error) {
	found, err := m.db.Instant(ctx, expr, at)
	if err != nil || len(found) == 0 || len(found[0].Points) == 0 {
		return 0, false, err
	}
	return found[0].Points[0].Value, true, nil
}

func (m metrics) Samples(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]cause.Sample, error) {
	found, err := m.db.Range(ctx, expr, from, to, step)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	samples := make([]cause.Sample, 0, len(found[0].Points))
	for _, p := range found[0].Points {
		samples = append(samples, cause.Sample{At: p.At, Value: p.Value})
	}
	return samples, nil
}

func (m metrics) Holds(ctx context.Context, expr string, labels map[string]string, at time.Time) (bool, error) {
	return m.db.Holds(ctx, expr, labels, at)
}

// freshMemory is how long before the window a selector is looked at to tell one
// that fell silent from one that never spoke.
const freshMemory = time.Hour

func (m metrics) Fresh(ctx context.Context, expr string, labels map[string]string, from, to time.Time) ([]verify.Freshness, error) {
	found, err := m.db.Newest(ctx, expr, labels, from, to)
	if err != nil {
		return nil, err
	}
	before, err := m.db.Newest(ctx, expr, labels, from.Add(-freshMemory), from)
	if err != nil {
		return nil, err
	}
	spoke := map[string]bool{}
	for _, f := range before {
		if !f.Newest.IsZero() {
			spoke[metricOf(f.Selector)] = true
		}
	}
	speaks := map[string]bool{}
	for _, f := range found {
		if !f.Newest.IsZero() {
			speaks[metricOf(f.Selector)] = true
		}
	}
	fresh := make([]verify.Freshness, len(found))
	for i, f := range found {
		// A metric nobody ever sent is one of several names a rule allows for. When
		// other parts of a metric are fresh, one such as the errors of all requests
		// is silent because there is nothing to count.
		metric := metricOf(f.Selector)
		fresh[i] = verify.Freshness{Selector: f.Selector, Newest: f.Newest, Optional: !spoke[metric] || speaks[metric]}
	}
	return fresh, nil
}

// metricOf is the name of the metric a selector asks for.
func metricOf(selector string) string {
	name, _, _ := strings.Cut(selector, "{")
	return name
}

func (m metrics) Lookback(expr string) (time.Duration, error) { return m.db.Lookback(expr) }

func (m metrics) Knows(ctx context.Context, entity heal.EntityID) (bool, error) {
	for _, label := range labelsOf(entity.Kind()) {
		found, err := m.db.Instant(ctx, "group({"+label+"="+cause.Quote(entity.Name())+"})", time.Now())
		if err != nil || len(found) > 0 {
			return len(found) > 0, err
		}
	}
	return false, nil
}

// labelsOf are the labels by which series speak of an entity.
func labelsOf(kind heal.EntityKind) []string {
	switch kind {
	case heal.KindService, heal.KindProcess:
		return []string{"service_name", "server"}
	case heal.KindHost:
		return []string{"host_name", "instance"}
	case heal.KindPod:
		return []string{"k8s_pod_name"}
	case heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
		return []string{"server_address", "server"}
	}
	return nil
}

// now answers conditions and checks of playbooks.
type now struct{ metrics }

func (n now) Value(ctx context.Context, expr string) (value float64, ok bool, err error) {
	return n.metrics.Value(ctx, expr, time.Now())
}

// logs answers the loop from the telemetry store.
type logs struct{ store telemetry.Store }

func (l logs) Records(ctx context.Context, entity heal.EntityID, from, to time.Time) ([]heal.LogRecord, error) {
	q := telemetry.LogQuery{From: from, To: to}
	switch entity.Kind() {
	case heal.KindService, heal.KindProcess:
		q.Service = entity.Name()
	case heal.KindHost:
		q.Host = entity.Name()
	case heal.KindPod, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
		return nil, nil
	}
	return l.store.Logs(ctx, q)
}

// traceSample bounds the traces read whole for one entity.
const traceSample = 40

// Spans gives whole traces the service took part in: the slowest, the failed
// and the newest.
func (l logs) Spans(ctx context.Context, entity heal.EntityID, from, to time.Time) ([]heal.Span, error) {
	base := telemetry.SpanQuery{Service: entity.Name(), From: from, To: to, Limit: traceSample}
	failed, slow := base, base
	failed.OnlyErrors, slow.Order = true, telemetry.SlowestFirst
	seen := map[string]bool{}
	var spans []heal.Span
	for _, q := range []telemetry.SpanQuery{slow, failed, base} {
		found, err := l.store.Spans(ctx, q)
		if err != nil {
			return spans, err
		}
		for _, s := range found {
			if seen[s.TraceID] || len(seen) >= 2*traceSample {
				continue
			}
			seen[s.TraceID] = true
			trace, err := l.store.Trace(ctx, s.TraceID)
			if err != nil && !heal.Is(err, heal.NotFound) {
				return spans, err
			}
			spans = append(spans, trace...)
		}
	}
	return spans, nil
}

// probes answers the loop from the health monitors.
type probes struct{ set *probe.Set }

func (p probes) Of(entity heal.EntityID) []verify.Probe {
	var list []verify.Probe
	for _, s := range p.set.StatesOf(entity) {
		if s.Status != probe.Unknown {
			list = append(list, probed(s))
		}
	}
	return list
}

func (p probes) Named(name string) (verify.Probe, bool) {
	s, ok := p.set.State(name)
	return probed(s), ok && s.Status != probe.Unknown
}

func probed(s probe.State) verify.Probe {
	return verify.Probe{
		Name: s.Name, Healthy: s.Status == probe.Up && s.OK(), CheckedAt: s.CheckedAt, Since: s.Since, LastFailure: s.LastFailure, Error: s.LastError,
	}
}

// transitionAlert is a monitor's transition as an alert.
func transitionAlert(t probe.Transition, scope heal.Scope, interval time.Duration) heal.Alert {
	s := t.State
	labels := map[string]string{"monitor": s.Name, "kind": s.Kind, "entity": string(s.Entity), "fault_type": string(heal.Unavailable)}
	maps.Copy(labels, s.Labels)
	o := alert.Observed{
		Source: "monitor", Name: "MonitorFailed", Labels: labels, Severity: s.Severity, Starts: s.Since, Scope: scope, Entity: s.Entity,
		Condition:   heal.Condition{Kind: heal.ConditionProbe, Probe: s.Name, Interval: interval},
		Annotations: map[string]string{"summary": s.Kind + " monitor " + s.Name + " of " + s.Target + " fails: " + s.LastError},
	}
	if s.Status == probe.Up {
		o.Status, o.Ends, o.Starts = heal.Resolved, s.Since, time.Time{}
	}
	return alert.New(o)
}

// instanceLabels name one instance of a service, not the service.
var instanceLabels = []string{"service_instance_id", "instance", "k8s_pod_name", "k8s_pod_uid", "container_id", "process_pid"}

// ruleAlert is a rule's alert as an alert of Homeostat's.
func ruleAlert(r series.RuleAlert, scope heal.Scope) heal.Alert {
	labels := map[string]string{}
	condition := map[string]string{}
	for name, value := range r.Labels {
		if name == "alertname" {
			continue
		}
		labels[name] = value
		if name != "severity" && name != "fault_type" {
			condition[name] = value // labels of the rule itself are not on the series
		}
	}
	value := r.Value
	if alert.EntityOf(alert.DefaultEntityRules(), labels, "rules").Kind() == heal.KindService {
		// A restart gives a service new instances: whether it is well again is
		// asked of whatever instances it has by then.
		for _, name := range instanceLabels {
			delete(condition, name)
		}
	}
	o := alert.Observed{
		Source: "rules", Name: r.Name, Labels: labels, Annotations: r.Annotations, Value: &value, Severity: alert.Severity(r.Labels["severity"]),
		Starts: r.ActiveAt, Scope: scope, RuleID: r.Group + "/" + r.Name,
		Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: r.Expr, Labels: condition, Interval: r.Interval},
	}
	if r.State == series.RuleResolved {
		o.Status, o.Ends = heal.Resolved, r.ResolvedAt
	}
	return alert.New(o)
}

// told hands the messages of cases to the notification channel.
type told struct{ outbox *notify.Outbox }

func (t told) Tell(_ context.Context, id heal.IncidentID, m heal.Message) error {
	if t.outbox == nil {
		return nil
	}
	message := notify.Message{
		ID: string(id) + "/" + m.At.UTC().Format(time.RFC3339Nano), Phase: notify.Note, Severity: m.Severity, Title: m.Text, Text: m.Text, At: m.At, IncidentID: id,
	}
	if !t.outbox.Offer(message) {
		return heal.Errorf(heal.Transient, "notify", "too many messages wait")
	}
	return nil
}

var (
	_ loop.Metrics  = metrics{}
	_ loop.Logs     = logs{}
	_ loop.Probes   = probes{}
	_ loop.Notifier = told{}
)
