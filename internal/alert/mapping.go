package alert

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/expr"
	"github.com/homeostat/homeostat/internal/heal"
)

// Mapping reads any JSON as alerts by a mapping file a user wrote: CEL
// expressions over body (the whole JSON) and item (one element of each), one
// per field of an alert.
//
//	source: stackdriver                 # what the alerts are marked with
//	each: body.incidents                # the list of alerts; absent: the body is one alert
//	fields:
//	  name: item.policy_name
//	  status: item.state
//	  starts: item.started_at           # RFC 3339, or seconds to nanoseconds since 1970
//	labels:                             # or one expression that gives a map
//	  host: item.resource_name
//	annotations:
//	  url: item.url
//	constants:
//	  severity: critical
//	statuses: {open: firing, closed: resolved}
//	severities: {P1: critical}
//
// A field whose expression fails is left out and the reason kept in the
// annotation mapping_error; for name, status, severity and fingerprint, on
// which the life of the alert hangs, the alert is skipped instead.
type Mapping struct {
	file string
	opts Options

	source      string
	each        *program
	eachPath    []string // keys below body, if each is no more than a path
	fields      []program
	labels      []program
	allLabels   *program // gives a map
	annotations []program
	constants   map[string]string
	fixedLabels map[string]string
	severities  map[string]string
	statuses    map[string]string
}

// program is one compiled expression of the file.
type program struct {
	key  string
	line int
	code *expr.Program
}

// The fields of an alert a mapping may fill, as they stand in the file.
const (
	fieldName           = "name"
	fieldStatus         = "status"
	fieldSeverity       = "severity"
	fieldFingerprint    = "fingerprint"
	fieldStarts         = "starts"
	fieldEnds           = "ends"
	fieldDescription    = "description"
	fieldEntity         = "entity"
	fieldService        = "service"
	fieldHostIP         = "host_ip"
	fieldMetric         = "metric"
	fieldValue          = "value"
	fieldThreshold      = "threshold"
	fieldRuleID         = "rule_id"
	fieldCondition      = "condition"
	fieldAcknowledgedBy = "acknowledged_by"
)

func mappingFields() []string {
	return []string{
		fieldName, fieldStatus, fieldSeverity, fieldFingerprint, fieldStarts, fieldEnds, fieldDescription,
		fieldEntity, fieldService, fieldHostIP, fieldMetric, fieldValue, fieldThreshold, fieldRuleID,
		fieldCondition, fieldAcknowledgedBy,
	}
}

// mappingError is the annotation with the reasons for what was left out.
const mappingError = "mapping_error"

var plainPath = regexp.MustCompile(`^body(\.[A-Za-z_][A-Za-z0-9_]*)+$`)

// Name is the source system.
func (m *Mapping) Name() string { return m.opts.Source }

// Parse reads one body.
func (m *Mapping) Parse(body []byte, _ time.Time) ([]heal.Alert, []Skipped, error) {
	op := "read body of " + m.opts.Source
	if err := m.opts.Limits.checkBody(op, body); err != nil {
		return nil, nil, err
	}
	whole, err := decode(body)
	if err != nil {
		return nil, nil, heal.Errorf(heal.Invalid, op, "body %s", jsonReason(err))
	}
	items, raws, err := m.items(whole, body)
	if err != nil {
		return nil, nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	if len(items) > m.opts.Limits.Alerts {
		return nil, nil, heal.Errorf(heal.Invalid, op, "body has %d alerts, at most %d are taken", len(items), m.opts.Limits.Alerts)
	}
	alerts := make([]heal.Alert, 0, len(items))
	var skipped []Skipped
	for i := range items {
		a, err := m.parseOne(map[string]any{"body": whole, "item": items[i]}, raws[i])
		if err != nil {
			skipped = append(skipped, Skipped{Index: i, Count: 1, Reason: err.Error(), Raw: raws[i]})
			continue
		}
		alerts = append(alerts, a)
	}
	return finish(op, alerts, skipped)
}

// items gives the elements of the body and the JSON of each: byte for byte
// where each is a path, written anew where it computes.
func (m *Mapping) items(whole any, body []byte) ([]any, []json.RawMessage, error) {
	if m.each == nil {
		return []any{whole}, []json.RawMessage{body}, nil
	}
	var list []any
	var raws []json.RawMessage
	if m.eachPath != nil {
		value, raw, err := descend(whole, body, m.eachPath)
		if err != nil {
			return nil, nil, m.at(m.each, err)
		}
		list, _ = value.([]any)
		if list == nil || json.Unmarshal(raw, &raws) != nil {
			return nil, nil, m.at(m.each, fmt.Errorf("%s is not a list in this body", m.each.code.Source()))
		}
		return list, raws, nil
	}
	value, err := m.each.code.Eval(map[string]any{"body": whole})
	if err != nil {
		return nil, nil, m.at(m.each, err)
	}
	list, ok := value.([]any)
	if !ok {
		return nil, nil, m.at(m.each, fmt.Errorf("%s does not give a list for this body", m.each.code.Source()))
	}
	for _, item := range list {
		raw, err := json.Marshal(item)
		if err != nil {
			return nil, nil, m.at(m.each, err)
		}
		raws = append(raws, raw)
	}
	return list, raws, nil
}

// descend follows keys into a decoded body and its bytes alike.
func descend(value any, raw json.RawMessage, path []string) (any, json.RawMessage, error) {
	for i, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, nil, fmt.Errorf("body has no %s: what is above it is not an object", strings.Join(path[:i+1], "."))
		}
		if value, ok = object[key]; !ok {
			return nil, nil, fmt.Errorf("body has no %s", strings.Join(path[:i+1], "."))
		}
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil {
			return nil, nil, err
		}
		raw = parts[key]
	}
	return value, raw, nil
}

// at says which line of the mapping an error comes from.
func (m *Mapping) at(p *program, err error) error {
	return fmt.Errorf("%s:%d: %s: %w", m.file, p.line, p.key, err)
}

func (m *Mapping) parseOne(vars map[string]any, raw json.RawMessage) (heal.Alert, error) {
	f := filler{mapping: m, o: Observed{Raw: raw, Labels: map[string]string{}, Annotations: map[string]string{}}}
	maps.Copy(f.o.Labels, m.fixedLabels)
	for key, value := range m.constants {
		if err := f.set(key, value); err != nil {
			return heal.Alert{}, fmt.Errorf("%s: constant %s: %w", m.file, key, err)
		}
	}
	for i := range m.fields {
		if err := f.field(&m.fields[i], vars); err != nil {
			return heal.Alert{}, err
		}
	}
	if m.allLabels != nil {
		f.merge(m.allLabels, vars)
	}
	for i := range m.labels {
		f.text(&m.labels[i], vars, f.o.Labels)
	}
	for i := range m.annotations {
		f.text(&m.annotations[i], vars, f.o.Annotations)
	}
	if f.o.Name == "" {
		return heal.Alert{}, fmt.Errorf("%s: name: is empty, expected text", m.file)
	}
	if f.o.Fingerprint == "" && len(f.o.Labels) == 0 {
		return heal.Alert{}, fmt.Errorf("%s: neither fingerprint nor any label has a value: nothing tells the alert from others of its name", m.file)
	}
	if len(f.failed) > 0 {
		f.o.Annotations[mappingError] = strings.Join(f.failed, "; ")
	}
	return m.opts.normalise(f.o)
}
