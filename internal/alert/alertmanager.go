package alert

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Alertmanager reads the webhook of Prometheus Alertmanager, form 4
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
// The version is not checked: what decides is the list of alerts, whose
// elements have not changed since form 3.
type Alertmanager struct{ opts Options }

// NewAlertmanager makes the adapter, named alertmanager by default.
func NewAlertmanager(opts Options) *Alertmanager {
	return &Alertmanager{opts: opts.withDefaults("alertmanager")}
}

// Name is the source system.
func (am *Alertmanager) Name() string { return am.opts.Source }

type amGroup struct {
	Alerts    []json.RawMessage `json:"alerts"`
	Truncated json.RawMessage   `json:"truncatedAlerts"`
}

type amAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"` // year 1: still firing
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// Parse reads one group of alerts.
func (am *Alertmanager) Parse(body []byte, at time.Time) ([]heal.Alert, []Skipped, error) {
	if alerts := am.plain(body, at); alerts != nil {
		return alerts, nil, nil
	}
	return am.careful(body, at)
}

// careful reads any group, and says what is wrong with one.
func (am *Alertmanager) careful(body []byte, at time.Time) ([]heal.Alert, []Skipped, error) {
	op := "read body of " + am.opts.Source
	limits := am.opts.Limits
	if err := limits.checkBody(op, body); err != nil {
		return nil, nil, err
	}
	var group amGroup
	if err := json.Unmarshal(body, &group); err != nil {
		return nil, nil, heal.Errorf(heal.Invalid, op, "body: %s", jsonReason(err))
	}
	switch {
	case group.Alerts == nil:
		return nil, nil, heal.Errorf(heal.Invalid, op, "body has no list \"alerts\"; expected an Alertmanager webhook of version 4")
	case len(group.Alerts) > limits.Alerts:
		return nil, nil, heal.Errorf(heal.Invalid, op, "body has %d alerts, at most %d are taken: lower max_alerts of the sender", len(group.Alerts), limits.Alerts)
	}
	alerts := make([]heal.Alert, 0, len(group.Alerts))
	var skipped []Skipped
	for i, raw := range group.Alerts {
		a, err := am.parseOne(raw, at)
		if err != nil {
			skipped = append(skipped, Skipped{Index: i, Count: 1, Reason: err.Error(), Raw: raw})
			continue
		}
		alerts = append(alerts, a)
	}
	var truncated int
	if json.Unmarshal(group.Truncated, &truncated) == nil && truncated > 0 {
		skipped = append(skipped, Skipped{
			Index: -1, Count: truncated,
			Reason: fmt.Sprintf("%d more alerts of this group were left out by the sender (truncatedAlerts): raise its max_alerts", truncated),
		})
	}
	return finish(op, alerts, skipped)
}

func (am *Alertmanager) parseOne(raw json.RawMessage, at time.Time) (heal.Alert, error) {
	var in amAlert
	if err := json.Unmarshal(raw, &in); err != nil {
		return heal.Alert{}, fmt.Errorf("%s", jsonReason(err))
	}
	return am.normal(in, raw, at)
}

// plain reads a group as Alertmanager writes it, all of it and without a fault.
// For anything else it gives nil.
func (am *Alertmanager) plain(body []byte, at time.Time) []heal.Alert {
	if len(body) > am.opts.Limits.Body {
		return nil
	}
	p := newPlain(string(body), am.opts.Limits.Depth)
	var alerts []heal.Alert
	var seen uint64
	p.members(func(name string) {
		switch name {
		case "alerts":
			p.once(&seen, 0)
			p.elements(func() {
				a, err := am.plainOne(p, at)
				p.odd = p.odd || err != nil || len(alerts) == am.opts.Limits.Alerts
				alerts = append(alerts, a)
			})
		case "truncatedAlerts":
			p.once(&seen, 1)
			p.odd = p.odd || p.value() != "0"
		default:
			p.skip(name, "alerts", "truncatedAlerts")
		}
	})
	if !p.done() {
		return nil
	}
	return alerts
}

func (am *Alertmanager) plainOne(p *plain, at time.Time) (heal.Alert, error) {
	var in amAlert
	var seen uint64
	p.space()
	from := p.at
	p.members(func(name string) {
		switch name {
		case "status":
			p.once(&seen, 0)
			in.Status = p.str()
		case "labels":
			p.once(&seen, 1)
			in.Labels = p.strs()
		case "annotations":
			p.once(&seen, 2)
			in.Annotations = p.strs()
		case "startsAt":
			p.once(&seen, 3)
			in.StartsAt = p.str()
		case "endsAt":
			p.once(&seen, 4)
			in.EndsAt = p.str()
		case "generatorURL":
			p.once(&seen, 5)
			in.GeneratorURL = p.str()
		case "fingerprint":
			p.once(&seen, 6)
			in.Fingerprint = p.str()
		default:
			p.skip(name, "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint")
		}
	})
	if p.odd {
		return heal.Alert{}, nil
	}
	return am.normal(in, json.RawMessage(p.text[from:p.at]), at)
}

func (am *Alertmanager) normal(in amAlert, raw json.RawMessage, at time.Time) (heal.Alert, error) {
	if len(in.Labels) == 0 {
		return heal.Alert{}, fmt.Errorf("has no labels: nothing says what it is about")
	}
	starts, err := amTime("startsAt", in.StartsAt)
	if err != nil {
		return heal.Alert{}, err
	}
	ends, err := amTime("endsAt", in.EndsAt)
	if err != nil {
		return heal.Alert{}, err
	}
	status, err := amStatus(in.Status, ends, at)
	if err != nil {
		return heal.Alert{}, err
	}
	if in.GeneratorURL != "" {
		in.Annotations = with(in.Annotations, "generator_url", in.GeneratorURL)
	}
	o := Observed{
		Name:        firstOf(in.Labels, "alertname"),
		Labels:      in.Labels,
		Annotations: in.Annotations,
		Starts:      starts,
		Ends:        ends,
		Status:      status,
		Fingerprint: in.Fingerprint,
		Raw:         raw,
	}
	said := in.Labels[am.opts.ConditionAnnotation] + in.Annotations[am.opts.ConditionAnnotation]
	if expr := ruleExpression(in.GeneratorURL); am.opts.RuleExpression && said == "" && expr != "" {
		o.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: expr}
	}
	return am.opts.normalise(o)
}

// amTime reads a time of Alertmanager; year 1 and an empty text are no time.
func amTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is %.60q, expected a time as in 2026-01-05T10:00:00Z", field, text)
	}
	if t.Year() <= 1 {
		return time.Time{}, nil
	}
	return t.UTC(), nil
}

// amStatus trusts the sender's word; without one the end decides.
func amStatus(text string, ends, at time.Time) (heal.AlertStatus, error) {
	switch text {
	case "firing":
		return heal.Firing, nil
	case "resolved":
		return heal.Resolved, nil
	case "":
		if !ends.IsZero() && !ends.After(at) {
			return heal.Resolved, nil
		}
		return heal.Firing, nil
	}
	return "", fmt.Errorf("status is %.60q, expected firing or resolved", text)
}

// ruleExpression is the PromQL in a link to Prometheus' graph, where it has
// one: https://prometheus.io/docs/alerting/latest/clients/ calls the link that
// of the source of the alert.
func ruleExpression(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Query().Get("g0.expr")
}
