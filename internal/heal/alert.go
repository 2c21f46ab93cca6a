package heal

import (
	"encoding/json"
	"time"
)

// Severity says how much something matters.
type Severity string

// The severities, from least to most.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Rank orders severities: 0 info, 1 warning, 2 critical.
func (s Severity) Rank() int {
	switch s {
	case Info:
		return 0
	case Warning:
		return 1
	case Critical:
		return 2
	}
	return 0
}

// AlertStatus is where an alert stands in its life.
type AlertStatus string

// The statuses of an alert.
const (
	Firing       AlertStatus = "firing"
	Acknowledged AlertStatus = "acknowledged"
	Resolved     AlertStatus = "resolved"
)

// Alert is one normalised alert (SPEC S5), whatever tool it came from.
type Alert struct {
	ID             AlertID           `json:"alert_id"`
	Fingerprint    string            `json:"fingerprint"` // same fingerprint: the same alert
	SourceSystem   string            `json:"source_system"`
	Name           string            `json:"alert_name"`
	MetricName     string            `json:"metric_name,omitempty"`
	Severity       Severity          `json:"severity"`
	Status         AlertStatus       `json:"status"`
	ServiceName    string            `json:"service_name,omitempty"`
	HostIP         string            `json:"host_ip,omitempty"`
	Entity         EntityID          `json:"entity"`
	Scope          Scope             `json:"scope"`
	MetricValue    *float64          `json:"metric_value,omitempty"`
	Threshold      *float64          `json:"threshold,omitempty"`
	RuleID         string            `json:"rule_id,omitempty"`
	Timestamp      time.Time         `json:"timestamp"`   // event time: when it began at the source
	ReceivedAt     time.Time         `json:"received_at"` // receipt time of the newest delivery
	ClockSkewed    bool              `json:"clock_skewed,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Description    string            `json:"description,omitempty"`
	Context        map[string]string `json:"context,omitempty"` // annotations, links
	AcknowledgedBy string            `json:"acknowledged_by,omitempty"`
	AcknowledgedAt time.Time         `json:"acknowledged_at,omitzero"`
	ResolvedAt     time.Time         `json:"resolved_at,omitzero"`
	SilencedBy     SilenceID         `json:"silenced_by,omitempty"` // the silence that holds it; none of a resolved one
	Condition      Condition         `json:"condition,omitzero"`
	Count          int               `json:"count"`  // deliveries that said the same
	Opened         int               `json:"opened"` // 1 at first, +1 for each reopening; 0 if only its resolve was seen
	Events         int               `json:"events"` // entries of its history: the Seq of the newest
	Raw            json.RawMessage   `json:"raw,omitempty"`
}

// ClockSkewLimit is the difference between event and receipt time above which
// an alert is flagged.
const ClockSkewLimit = 5 * time.Minute

// ConditionKind is how the truth of a condition can be asked again.
type ConditionKind string

// The kinds of condition.
const (
	ConditionNone   ConditionKind = ""       // nothing is known that could be asked
	ConditionPromQL ConditionKind = "promql" // a non-empty result means it holds
	ConditionProbe  ConditionKind = "probe"  // a failing monitor means it holds
)

// Condition is what made a fault a fault, in a form that can be asked again to
// verify a heal.
type Condition struct {
	Kind     ConditionKind     `json:"kind,omitempty"`
	Expr     string            `json:"expr,omitempty"`   // PromQL, for ConditionPromQL
	Labels   map[string]string `json:"labels,omitempty"` // the one series of expr's result
	Probe    string            `json:"probe,omitempty"`  // the monitor, for ConditionProbe
	Interval time.Duration     `json:"interval,omitempty"`
}

// AlertEvent is one entry of an alert's history.
type AlertEvent struct {
	AlertID AlertID     `json:"alert_id"`
	Seq     int         `json:"seq"`
	At      time.Time   `json:"at"`
	Change  AlertChange `json:"change"`
	By      string      `json:"by,omitempty"` // source system or person
	Note    string      `json:"note,omitempty"`
}

// AlertChange names what happened to an alert.
type AlertChange string

// The changes in the life of an alert.
const (
	AlertOpened       AlertChange = "opened"
	AlertUpdated      AlertChange = "updated"
	AlertRepeated     AlertChange = "repeated"
	AlertAcknowledged AlertChange = "acknowledged"
	AlertResolved     AlertChange = "resolved"
	AlertReopened     AlertChange = "reopened"

	AlertUnacknowledged AlertChange = "unacknowledged"
	AlertSilenced       AlertChange = "silenced"
	AlertUnsilenced     AlertChange = "unsilenced"
)
