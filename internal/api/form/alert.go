package form

import (
	"encoding/json"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Alert is one alert, whatever tool it came from.
type Alert struct {
	ID              string            `json:"alert_id"`
	Revision        int64             `json:"revision" doc:"Grows with every change of this alert."`
	Fingerprint     string            `json:"fingerprint" doc:"The same fingerprint is the same alert."`
	SourceSystem    string            `json:"source_system" example:"alertmanager"`
	Name            string            `json:"alert_name" example:"HighLatency"`
	MetricName      string            `json:"metric_name,omitempty"`
	Severity        string            `json:"severity" enum:"info,warning,critical"`
	Status          string            `json:"status" enum:"firing,acknowledged,resolved"`
	ServiceName     string            `json:"service_name,omitempty" example:"cart"`
	HostIP          string            `json:"host_ip,omitempty"`
	Entity          string            `json:"entity" example:"service/cart"`
	Scope           string            `json:"scope" example:"default/default/default/cart"`
	MetricValue     *float64          `json:"metric_value,omitempty"`
	Threshold       *float64          `json:"threshold,omitempty"`
	RuleID          string            `json:"rule_id,omitempty"`
	Timestamp       time.Time         `json:"timestamp" doc:"When it began at the source."`
	ReceivedAt      time.Time         `json:"received_at" doc:"When the newest delivery came in."`
	ClockSkewed     bool              `json:"clock_skewed,omitempty" doc:"The source's clock and ours differ by more than 5 minutes."`
	Labels          map[string]string `json:"labels,omitempty"`
	Description     string            `json:"description,omitempty"`
	Context         map[string]string `json:"context,omitempty" doc:"Annotations and links."`
	AcknowledgedBy  string            `json:"acknowledged_by,omitempty"`
	AcknowledgedAt  time.Time         `json:"acknowledged_at,omitzero"`
	ResolvedAt      time.Time         `json:"resolved_at,omitzero"`
	SilencedBy      string            `json:"silenced_by,omitempty" doc:"The silence that holds it."`
	Condition       string            `json:"condition,omitempty" doc:"The PromQL, or the monitor, that says whether it still holds."`
	IntervalSeconds float64           `json:"condition_interval_seconds,omitempty" doc:"How often that is evaluated."`
	Count           int               `json:"count" doc:"Deliveries that said the same."`
	Opened          int               `json:"opened" doc:"1 at first, one more for each reopening."`
	Raw             json.RawMessage   `json:"raw,omitempty" doc:"As the source sent it. Only when one alert is asked for."`
}

// AlertEvent is one entry of an alert's history.
type AlertEvent struct {
	Seq    int       `json:"seq"`
	At     time.Time `json:"at"`
	Change string    `json:"change" enum:"opened,updated,repeated,acknowledged,unacknowledged,resolved,reopened,silenced,unsilenced"`
	By     string    `json:"by,omitempty" doc:"Source system or person."`
	Note   string    `json:"note,omitempty"`
}

// NewAlert is an alert handed in. Its identity is its fingerprint, or, without
// one, source_system, alert_name and labels together.
type NewAlert struct {
	Name           string            `json:"alert_name" minLength:"1" maxLength:"256" example:"HighLatency"`
	SourceSystem   string            `json:"source_system,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9._-]*$" doc:"Default: api." example:"nightly-check"`
	Fingerprint    string            `json:"fingerprint,omitempty" maxLength:"256"`
	Severity       string            `json:"severity,omitempty" enum:"info,warning,critical" doc:"Default: warning."`
	Status         string            `json:"status,omitempty" enum:"firing,acknowledged,resolved" doc:"Default: firing."`
	Entity         string            `json:"entity,omitempty" maxLength:"512" doc:"What it is about, as kind/name. Default: the service, else what the labels say." example:"service/cart"`
	ServiceName    string            `json:"service_name,omitempty" maxLength:"256" example:"cart"`
	HostIP         string            `json:"host_ip,omitempty" maxLength:"64"`
	Scope          string            `json:"scope,omitempty" maxLength:"512" doc:"tenant/env/cluster. Default: the server's own."`
	MetricName     string            `json:"metric_name,omitempty" maxLength:"256"`
	MetricValue    *float64          `json:"metric_value,omitempty"`
	Threshold      *float64          `json:"threshold,omitempty"`
	RuleID         string            `json:"rule_id,omitempty" maxLength:"256"`
	Timestamp      time.Time         `json:"timestamp,omitzero" doc:"When it began; default now."`
	ResolvedAt     time.Time         `json:"resolved_at,omitzero" doc:"When it ended, for status resolved."`
	Labels         map[string]string `json:"labels,omitempty" maxProperties:"64"`
	Description    string            `json:"description,omitempty" maxLength:"16384"`
	Context        map[string]string `json:"context,omitempty" maxProperties:"64"`
	AcknowledgedBy string            `json:"acknowledged_by,omitempty" maxLength:"256"`
	Condition      string            `json:"condition,omitempty" maxLength:"16384" doc:"PromQL whose result is empty when all is well; it lets a heal be verified."`
}

// NewAlerts is a batch of alerts handed in. All are taken, or none.
type NewAlerts struct {
	Alerts []NewAlert `json:"alerts" minItems:"1" maxItems:"1000"`
}

// Accepted says that alerts are on disk and will be handled.
type Accepted struct {
	Accepted int       `json:"accepted" doc:"Alerts that are on disk now." example:"50"`
	Skipped  []Skipped `json:"skipped" doc:"What could not be read, and why."`
}

// Skipped is something a body spoke of that did not become an alert.
type Skipped struct {
	Index  int    `json:"index" doc:"Place in the body's list from 0; -1: the sender left it out."`
	Count  int    `json:"count" doc:"How many alerts this stands for."`
	Reason string `json:"reason"`
}

// OfAlert converts an alert without its raw payload.
func OfAlert(a heal.Alert, revision int64) Alert {
	return Alert{
		ID: string(a.ID), Revision: revision, Fingerprint: a.Fingerprint, SourceSystem: a.SourceSystem, Name: a.Name, MetricName: a.MetricName,
		Severity: string(a.Severity), Status: string(a.Status), ServiceName: a.ServiceName, HostIP: a.HostIP, Entity: string(a.Entity),
		Scope: a.Scope.String(), MetricValue: a.MetricValue, Threshold: a.Threshold, RuleID: a.RuleID,
		Timestamp: a.Timestamp.UTC(), ReceivedAt: a.ReceivedAt.UTC(), ClockSkewed: a.ClockSkewed,
		Labels: a.Labels, Description: a.Description, Context: a.Context,
		AcknowledgedBy: a.AcknowledgedBy, AcknowledgedAt: utc(a.AcknowledgedAt), ResolvedAt: utc(a.ResolvedAt), SilencedBy: string(a.SilencedBy),
		Condition: a.Condition.Expr + a.Condition.Probe, IntervalSeconds: a.Condition.Interval.Seconds(), Count: a.Count, Opened: a.Opened,
	}
}

// OfAlertEvent converts an entry of a history.
func OfAlertEvent(e heal.AlertEvent) AlertEvent {
	return AlertEvent{Seq: e.Seq, At: e.At.UTC(), Change: string(e.Change), By: e.By, Note: e.Note}
}
