package detect

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// FaultTypeLabel is the label by which a rule or a person names the fault type
// of an alert. It goes before any guess.
const FaultTypeLabel = "fault_type"

// maxValues bounds the numbers a fault takes from the labels of its alert.
const maxValues = 64

// FromAlert gives the fault an alert speaks of. now is when Homeostat learnt
// of it. A resolved alert gives a fault that has cleared.
func FromAlert(a heal.Alert, now time.Time) heal.Fault {
	received := a.ReceivedAt
	if received.IsZero() || received.After(now) {
		received = now
	}
	began := a.Timestamp
	if began.IsZero() || began.After(received) {
		began = received // a clock ahead of ours must not make a fault begin after it was seen
	}
	f := heal.Fault{
		Key:       heal.FaultKey{Type: typeOf(a), Entity: entityOf(a)},
		Source:    cmp.Or(a.SourceSystem, "alert"),
		Severity:  a.Severity,
		Message:   cmp.Or(a.Description, a.Name, a.MetricName, "alert without a name"),
		Component: cmp.Or(a.Labels["component"], a.Labels["container"]),
		Scope:     a.Scope,
		AlertID:   a.ID,
		AlertName: a.Name,
		Values:    valuesOf(a),
		Condition: a.Condition,
		Began:     began,
		Detected:  now,
		LastSeen:  received,
		Evidence:  []heal.Evidence{evidenceOf(a, received)},
	}
	if f.Severity == "" {
		f.Severity = heal.Warning
	}
	if a.Status == heal.Resolved {
		f.ClearedAt = received
		if !a.ResolvedAt.IsZero() && !a.ResolvedAt.After(received) {
			f.ClearedAt = a.ResolvedAt
		}
	}
	return f
}

// entityOf is the entity of an alert, or the best that can be made of an alert
// whose intake named none.
func entityOf(a heal.Alert) heal.EntityID {
	candidates := []heal.EntityID{
		a.Entity,
		heal.ServiceID(a.ServiceName),
		heal.NewEntityID(heal.KindHost, a.HostIP),
		heal.NewEntityID(heal.KindExternal, a.SourceSystem),
	}
	for _, id := range candidates {
		if id.Validate() == nil {
			return id
		}
	}
	return heal.NewEntityID(heal.KindExternal, "unknown")
}

// valuesOf collects what a condition can be written over: value, threshold and
// the labels that hold finite numbers.
func valuesOf(a heal.Alert) heal.Values {
	values := heal.Values{}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if len(values) >= maxValues {
			break
		}
		if number, err := strconv.ParseFloat(strings.TrimSpace(a.Labels[name]), 64); err == nil && finite(number) {
			values[name] = number
		}
	}
	if a.MetricValue != nil && finite(*a.MetricValue) {
		values["value"] = *a.MetricValue
	}
	if a.Threshold != nil && finite(*a.Threshold) {
		values["threshold"] = *a.Threshold
	}
	if len(values) == 0 {
		return nil
	}
	return values
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// evidenceOf is the alert itself as a piece of evidence.
func evidenceOf(a heal.Alert, at time.Time) heal.Evidence {
	e := heal.Evidence{
		Kind:    heal.EvidenceAlert,
		Entity:  entityOf(a),
		Summary: cmp.Or(a.SourceSystem, "a source") + " raised " + cmp.Or(a.Name, "an alert without a name"),
		Query:   a.Condition.Expr,
		At:      at,
	}
	if a.Description != "" {
		e.Summary += ": " + a.Description
	}
	if a.MetricValue != nil && finite(*a.MetricValue) {
		value := *a.MetricValue
		e.Value = &value
	}
	return e
}
