package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Observed is what a source said about one alert. Callers inside Homeostat
// (rules, probes) fill it directly; adapters fill it from a body.
type Observed struct {
	Source      string // source system, for example rules or probe
	Name        string
	Labels      map[string]string // with the name, the identity of the alert
	Annotations map[string]string
	Value       *float64
	Threshold   *float64
	Severity    heal.Severity    // default warning
	Starts      time.Time        // zero: the source does not say
	Ends        time.Time        // zero: the source does not say, or it still fires
	Status      heal.AlertStatus // default firing
	Condition   heal.Condition

	Fingerprint    string        // of the source; default computed from Source, Name and Labels
	Entity         heal.EntityID // default by EntityRules
	EntityRules    []EntityRule  // default DefaultEntityRules
	Scope          heal.Scope    // default heal.DefaultScope
	Service        string        // default by the entity and EntityRules
	HostIP         string        // default by the labels
	Metric         string
	RuleID         string
	Description    string // default the annotation description, summary or message
	AcknowledgedBy string // for the status acknowledged
	Raw            json.RawMessage
}

// New normalises what was observed. The alert has no id, no receipt time and no
// counts yet; Apply gives them. It shares Labels and Annotations with o.
func New(o Observed) heal.Alert {
	rules := o.EntityRules
	if rules == nil {
		rules = DefaultEntityRules()
	}
	a := heal.Alert{
		Fingerprint:    o.Source + ":" + bounded(o.Fingerprint),
		SourceSystem:   o.Source,
		Name:           o.Name,
		MetricName:     o.Metric,
		Severity:       o.Severity,
		Status:         o.Status,
		ServiceName:    o.Service,
		HostIP:         o.HostIP,
		Entity:         o.Entity,
		Scope:          o.Scope,
		MetricValue:    o.Value,
		Threshold:      o.Threshold,
		RuleID:         o.RuleID,
		Timestamp:      o.Starts.UTC(),
		Labels:         o.Labels,
		Description:    o.Description,
		Context:        o.Annotations,
		AcknowledgedBy: o.AcknowledgedBy,
		Condition:      o.Condition,
		Raw:            o.Raw,
	}
	if o.Fingerprint == "" {
		a.Fingerprint = Fingerprint(o.Source, o.Name, o.Labels)
	}
	if a.Status == "" {
		a.Status = heal.Firing
	}
	if a.Severity == "" {
		a.Severity = heal.Warning
	}
	if a.Status == heal.Resolved && !o.Ends.IsZero() {
		a.ResolvedAt = o.Ends.UTC()
	}
	if a.Entity == "" {
		a.Entity = EntityOf(rules, o.Labels, o.Source)
	}
	if a.ServiceName == "" {
		a.ServiceName = serviceOf(a.Entity, rules, o.Labels)
	}
	if a.HostIP == "" {
		a.HostIP = hostIPOf(a.Entity, rules, o.Labels)
	}
	if a.Scope == (heal.Scope{}) {
		a.Scope = heal.DefaultScope
	}
	if a.Scope.Service == "" {
		a.Scope.Service = a.ServiceName
	}
	if a.Description == "" {
		a.Description = firstOf(o.Annotations, "description", "summary", "message")
	}
	return a
}

// Fingerprint identifies an alert by its source, name and labels. A label with
// an empty value counts as missing, as in Prometheus.
func Fingerprint(source, name string, labels map[string]string) string {
	h := sha256.New()
	var buf []byte
	add := func(text string) {
		buf = binary.AppendUvarint(buf[:0], uint64(len(text)))
		h.Write(append(buf, text...))
	}
	add(source)
	add(name)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if labels[k] != "" {
			add(k)
			add(labels[k])
		}
	}
	return source + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// bounded keeps a short fingerprint as it is and hashes a long one.
func bounded(fingerprint string) string {
	if len(fingerprint) <= 128 {
		return fingerprint
	}
	sum := sha256.Sum256([]byte(fingerprint))
	return hex.EncodeToString(sum[:16])
}

func firstOf(from map[string]string, names ...string) string {
	for _, name := range names {
		if v := from[name]; v != "" {
			return v
		}
	}
	return ""
}

// number reads a finite number from text, nil if it is none.
func number(text string) *float64 {
	if text == "" {
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f-f != 0 {
		return nil
	}
	return &f
}
