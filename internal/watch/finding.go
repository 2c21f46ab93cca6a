package watch

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Finding is a service that suffers, or does no more.
type Finding struct {
	Entity   heal.EntityID
	Golden   Golden
	Over     bool // it has ended
	Since    time.Time
	At       time.Time
	Value    float64
	Usual    float64
	Limit    float64
	Unit     string
	Severity heal.Severity
	Type     heal.FaultType
	Text     string // for people
	Also     string // other signals of the service that went off of late; empty: none
	Features string // what sets all its signals together apart; empty: not known

	// Condition holds while the finding does. It is empty where the signal
	// cannot be asked for by an expression.
	Condition heal.Condition
}

// Alert is the finding as an alert, one for each entity and signal.
func (f *Finding) Alert(scope heal.Scope) heal.Alert {
	a := heal.Alert{
		Fingerprint: "watch:" + string(f.Entity) + ":" + string(f.Golden), SourceSystem: "watch", Severity: f.Severity, Status: heal.Firing,
		Name:        map[Golden]string{Errors: "UnusualErrors", Latency: "UnusualLatency"}[f.Golden],
		ServiceName: f.Entity.Name(), Entity: f.Entity, Scope: scope.WithService(f.Entity.Name()), Timestamp: f.Since.UTC(),
		Labels:      map[string]string{"service_name": f.Entity.Name(), "fault_type": string(f.Type)},
		Description: f.Text, Context: map[string]string{}, Condition: f.Condition,
	}
	if f.Also != "" {
		a.Context["out_of_the_ordinary_too"] = f.Also
	}
	if f.Features != "" {
		a.Context["set_apart_by"] = f.Features
	}
	if f.Over {
		a.Status, a.ResolvedAt, a.Timestamp = heal.Resolved, f.At.UTC(), time.Time{}
		return a
	}
	value, limit := f.Value, f.Limit
	a.MetricValue, a.Threshold = &value, &limit
	return a
}

// Anomaly is a series that is, or was, out of the ordinary.
type Anomaly struct {
	Entity   heal.EntityID `json:"entity"`
	Signal   string        `json:"signal"`         // name of the signal or metric
	Part     string        `json:"part,omitempty"` // which of its series, as in span_name=GET /
	Expr     string        `json:"expr,omitempty"` // PromQL that shows it
	Unit     string        `json:"unit,omitempty"`
	Since    time.Time     `json:"since"`
	Last     time.Time     `json:"last"` // when it was seen off last
	Value    float64       `json:"value"`
	Usual    float64       `json:"usual"`
	Surprise float64       `json:"surprise"` // natural logarithm of once in how many points
	Said     []heal.Reason `json:"said"`     // by each detector that spoke, the loudest first
}

// OnceIn is once in how many points such a point comes.
func (a *Anomaly) OnceIn() float64 { return math.Exp(min(a.Surprise, math.Log(1e9))) }

// keptAnomalies bounds what is remembered of a service; the oldest makes way.
const keptAnomalies = 16

// remember keeps an anomaly, and gives where it is kept.
func (e *entity) remember(a Anomaly) *Anomaly {
	if len(e.anomalies) == keptAnomalies {
		e.anomalies = slices.Delete(e.anomalies, 0, 1)
	}
	kept := &a
	e.anomalies = append(e.anomalies, kept)
	return kept
}

// Anomalies gives the series of an entity that were out of the ordinary at some
// time since, the newest first.
func (w *Watcher) Anomalies(id heal.EntityID, since time.Time) []Anomaly {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entities[id]
	if e == nil {
		return nil
	}
	var out []Anomaly
	for _, a := range slices.Backward(e.anomalies) {
		if !a.Last.Before(since) {
			out = append(out, *a)
		}
	}
	return out
}

// kinds are what a golden signal amounts to.
var kinds = map[Golden]struct {
	is       heal.FaultType
	severity heal.Severity
}{
	Errors:  {heal.ErrorsRaised, heal.Critical},
	Latency: {heal.PerformanceDegradation, heal.Warning},
}

// words say how a golden signal of a service stands.
func words(s Signal, service string, value, usual float64) string {
	switch s.Golden {
	case Errors:
		return fmt.Sprintf("%s of the requests %s serves fail, usually %s", show(value, s.Unit), service, show(usual, s.Unit))
	case Latency:
		return fmt.Sprintf("%s of %s is %s, usually %s", s.Name, service, show(value, s.Unit), show(usual, s.Unit))
	case NotGolden:
	}
	return fmt.Sprintf("%s of %s is %s, usually %s", s.Name, service, show(value, s.Unit), show(usual, s.Unit))
}

// finding is what to tell of a judge.
func (e *entity) finding(s Signal, j *judge, at time.Time, over bool, interval time.Duration) Finding {
	kind := kinds[s.Golden]
	f := Finding{
		Entity: e.id, Golden: s.Golden, Over: over, Since: j.Since, At: at, Value: j.Value, Usual: j.Usual, Limit: j.Limit, Unit: s.Unit,
		Severity: kind.severity, Type: kind.is,
	}
	if s.Expr != "" && !over {
		f.Condition = heal.Condition{
			Kind: heal.ConditionPromQL, Expr: fmt.Sprintf("(%s) > %s", s.Expr, strconv.FormatFloat(j.Limit, 'g', -1, 64)),
			Labels: map[string]string{s.Entity: e.id.Name()}, Interval: interval,
		}
	}
	f.Text = words(s, e.id.Name(), j.Value, j.Usual)
	if !over {
		f.Also = strings.Join(e.others(s.Name), ", ")
		f.Features = e.joint.explain()
	}
	return f
}

// show writes a number with its unit as people read it.
func show(v float64, unit string) string {
	switch unit {
	case "1":
		return strconv.FormatFloat(100*v, 'g', 3, 64) + " %"
	case "s":
		if v < 1 {
			return strconv.FormatFloat(1000*v, 'g', 3, 64) + " ms"
		}
	}
	return strings.TrimSpace(strconv.FormatFloat(v, 'g', 3, 64) + " " + unit)
}
