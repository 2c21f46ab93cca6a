package heal

import "time"

// EvidenceKind says which signal a piece of evidence comes from.
type EvidenceKind string

// The kinds of evidence.
const (
	EvidenceMetric   EvidenceKind = "metric"
	EvidenceLog      EvidenceKind = "log"
	EvidenceSpan     EvidenceKind = "span"
	EvidenceAlert    EvidenceKind = "alert"
	EvidenceProbe    EvidenceKind = "probe"
	EvidenceTopology EvidenceKind = "topology"
	EvidenceHistory  EvidenceKind = "history"
)

// Evidence is one observation, with enough to look it up again.
type Evidence struct {
	Kind    EvidenceKind `json:"kind"`
	Entity  EntityID     `json:"entity,omitempty"`
	Summary string       `json:"summary"`         // one plain sentence
	Query   string       `json:"query,omitempty"` // how to see it again: PromQL, trace id, log search
	Value   *float64     `json:"value,omitempty"`
	Unit    string       `json:"unit,omitempty"` // UCUM, as in OpenTelemetry: s, 1, By
	At      time.Time    `json:"at"`             // when the observation was made at its source
}

// Reason explains one part of a judgement. It is shown unchanged to people and
// kept in the record.
type Reason struct {
	Code     string         `json:"code"` // stable, snake_case, for machines
	Text     string         `json:"text"` // a plain sentence, for people
	Data     map[string]any `json:"data,omitempty"`
	Evidence []Evidence     `json:"evidence,omitempty"`
}

// FaultType is what is wrong, in the classes of SPEC A4.
type FaultType string

// The types of fault.
const (
	PerformanceDegradation FaultType = "performance_degradation"
	ResourceExhaustion     FaultType = "resource_exhaustion"
	ConnectionFailure      FaultType = "connection_failure"
	DataCorruption         FaultType = "data_corruption"
	Deadlock               FaultType = "deadlock"
	MemoryLeak             FaultType = "memory_leak"
	ErrorsRaised           FaultType = "errors"
	Unavailable            FaultType = "unavailable"
	UnknownFault           FaultType = "unknown"
)

// FaultKey identifies a fault: its type and its entity.
type FaultKey struct {
	Type   FaultType `json:"type"`
	Entity EntityID  `json:"entity"`
}

// String gives "type@kind/name".
func (k FaultKey) String() string { return string(k.Type) + "@" + string(k.Entity) }

// Fault is something wrong with one entity (SPEC A4).
type Fault struct {
	Key       FaultKey   `json:"key"`
	Source    string     `json:"source"` // detector or source system
	Severity  Severity   `json:"severity"`
	Message   string     `json:"message"`
	Component string     `json:"component,omitempty"`
	Scope     Scope      `json:"scope"`
	AlertID   AlertID    `json:"alert_id,omitempty"`
	AlertName string     `json:"alert_name,omitempty"`
	Values    Values     `json:"values,omitempty"`
	Condition Condition  `json:"condition,omitzero"`
	Began     time.Time  `json:"began"`      // event time
	Detected  time.Time  `json:"detected"`   // when Homeostat first knew
	LastSeen  time.Time  `json:"last_seen"`  // newest signal
	ClearedAt time.Time  `json:"cleared_at"` // zero while it holds
	Evidence  []Evidence `json:"evidence,omitempty"`
}

// Values are named numbers a condition can be written over: value, threshold
// and what labels hold numbers.
type Values map[string]float64
