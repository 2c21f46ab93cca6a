package heal

import "time"

// Pattern names a recognised kind of root cause. Patterns are an open set: the
// built-in ones stand here, playbooks and knowledge may name others.
type Pattern string

// The built-in root-cause patterns.
const (
	PatternProcessDown      Pattern = "process_down"
	PatternPoolExhausted    Pattern = "pool_exhausted"
	PatternCPUSaturation    Pattern = "cpu_saturation"
	PatternMemoryPressure   Pattern = "memory_pressure"
	PatternNetworkIO        Pattern = "network_saturation"
	PatternDiskFull         Pattern = "disk_full"
	PatternHighLatency      Pattern = "high_latency"
	PatternHighErrors       Pattern = "high_errors"
	PatternConnectionFailed Pattern = "connection_failed"
	PatternDeadlock         Pattern = "deadlock"
	PatternRestarts         Pattern = "restarts"
	PatternUnknown          Pattern = "unknown"
)

// Cause is one candidate for the root cause.
type Cause struct {
	Entity  EntityID   `json:"entity"`
	Pattern Pattern    `json:"pattern"`
	Type    FaultType  `json:"fault_type"`
	Score   float64    `json:"score"` // 0 to 1, comparable within one diagnosis
	Path    []EntityID `json:"path"`  // from the alerted entity to this one
	For     []Reason   `json:"for"`
	Against []Reason   `json:"against,omitempty"`
}

// Impact is who suffers (SPEC A10).
type Impact struct {
	Affected []EntityID `json:"affected"` // upstream of the cause, nearest first
	Summary  string     `json:"summary"`
}

// Diagnosis is the judgement on an incident (SPEC A12).
type Diagnosis struct {
	At         time.Time `json:"at"`
	Causes     []Cause   `json:"causes"` // best first; empty: no cause found
	Impact     Impact    `json:"impact"`
	Confidence float64   `json:"confidence"`
	Reasons    []Reason  `json:"reasons"`
	Noted      []Reason  `json:"noted,omitempty"` // what else was seen, that decides nothing by itself
}

// Top is the best cause, nil if none was found.
func (d *Diagnosis) Top() *Cause {
	if d == nil || len(d.Causes) == 0 {
		return nil
	}
	return &d.Causes[0]
}

// Risk is how much harm a plan can do.
type Risk string

// The risks, from least to most.
const (
	RiskLow      Risk = "low"
	RiskMedium   Risk = "medium"
	RiskHigh     Risk = "high"
	RiskCritical Risk = "critical"
)

// Rank orders risks: 0 low to 3 critical.
func (r Risk) Rank() int {
	switch r {
	case RiskLow:
		return 0
	case RiskMedium:
		return 1
	case RiskHigh:
		return 2
	case RiskCritical:
		return 3
	}
	return 3
}

// Tier is the rung of the recovery ladder (SPEC D6).
type Tier string

// The tiers in the order they are tried.
const (
	TierQuickFix Tier = "quick_fix"
	TierStandard Tier = "standard_recovery"
	TierDeep     Tier = "deep_recovery"
	TierManual   Tier = "manual_intervention"
)

// Rank orders tiers: 0 quick fix to 3 manual.
func (t Tier) Rank() int {
	switch t {
	case TierQuickFix:
		return 0
	case TierStandard:
		return 1
	case TierDeep:
		return 2
	case TierManual:
		return 3
	}
	return 3
}

// Trust is how far a playbook may go on its own.
type Trust string

// The levels of trust, from least to most.
const (
	TrustObserve Trust = "observe" // dry run only
	TrustSuggest Trust = "suggest" // asks before acting
	TrustAuto    Trust = "auto"    // acts, then tells
)

// Plan is what would be done and at what price.
type Plan struct {
	Playbook      string            `json:"playbook"`
	Digest        string            `json:"digest"` // of the playbook's source
	Target        EntityID          `json:"target"`
	Params        map[string]string `json:"params,omitempty"`
	Steps         []string          `json:"steps"` // one line each, in order
	EstimatedTime time.Duration     `json:"estimated_time"`
	Risk          Risk              `json:"risk"`
	Rollbackable  bool              `json:"rollbackable"`
	Tier          Tier              `json:"tier"`
	Trust         Trust             `json:"trust"`
}

// Vote is what one way of deciding said (SPEC D1 to D4).
type Vote struct {
	By       string  `json:"by"` // rule, tree, knowledge, experience
	Playbook string  `json:"playbook"`
	Score    float64 `json:"score"`  // 0 to 1, how sure this voter is
	Weight   float64 `json:"weight"` // how much this voter counts
	Reason   Reason  `json:"reason"`
}

// Verb is what a decision says to do.
type Verb string

// The verbs of a decision.
const (
	VerbAct      Verb = "act"      // start the run now
	VerbAsk      Verb = "ask"      // start it once approved
	VerbObserve  Verb = "observe"  // dry run only
	VerbEscalate Verb = "escalate" // hand over to a person
)

// Decision is the record of one decision (SPEC D5).
type Decision struct {
	ID         DecisionID `json:"id"`
	IncidentID IncidentID `json:"incident_id"`
	Attempt    int        `json:"attempt"` // 1 for the first
	At         time.Time  `json:"at"`
	Verb       Verb       `json:"verb"`
	Plan       *Plan      `json:"plan,omitempty"` // nil when escalating
	Confidence float64    `json:"confidence"`
	Risk       Risk       `json:"risk"`
	Votes      []Vote     `json:"votes,omitempty"`
	Rejected   []Reason   `json:"rejected,omitempty"` // plans that were not chosen, and why
	Reasons    []Reason   `json:"reasons"`
}
