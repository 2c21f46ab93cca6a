package heal

import "time"

// CaseState is where an incident stands between first signal and end.
type CaseState string

// The states of a case.
const (
	CaseOpen       CaseState = "open"
	CaseDiagnosing CaseState = "diagnosing"
	CaseDeciding   CaseState = "deciding"
	CaseWaiting    CaseState = "waiting_approval"
	CaseActing     CaseState = "acting"
	CaseVerifying  CaseState = "verifying"
	CaseHealed     CaseState = "healed"
	CaseEscalated  CaseState = "escalated" // a person has it
	CaseClosed     CaseState = "closed"
)

// Ended reports whether nothing will happen to the case by itself any more.
func (s CaseState) Ended() bool { return s == CaseHealed || s == CaseClosed }

// Settled reports whether automation is done with the case.
func (s CaseState) Settled() bool { return s.Ended() || s == CaseEscalated }

// Role is the part a fault plays in its incident.
type Role string

// The roles of a fault.
const (
	Primary   Role = "primary"
	Secondary Role = "secondary"
)

// Member is a fault as part of an incident.
type Member struct {
	Fault Fault `json:"fault"`
	Role  Role  `json:"role"`
}

// Incident is one case: faults that belong together, what was found, decided,
// done and verified (SPEC A5).
type Incident struct {
	ID           IncidentID    `json:"id"`
	Scope        Scope         `json:"scope"`
	State        CaseState     `json:"state"`
	Severity     Severity      `json:"severity"`
	Title        string        `json:"title"`
	Members      []Member      `json:"members"`
	Score        float64       `json:"correlation_score"`
	Cause        EntityID      `json:"cause_entity,omitempty"`
	Diagnosis    *Diagnosis    `json:"diagnosis,omitempty"`
	Decision     *Decision     `json:"decision,omitempty"` // the newest
	Attempts     []Attempt     `json:"attempts,omitempty"`
	Verification *Verification `json:"verification,omitempty"` // the newest
	Outcome      string        `json:"outcome,omitempty"`      // why it ended, in plain words
	BeganAt      time.Time     `json:"began_at"`               // event time of the first fault
	DetectedAt   time.Time     `json:"detected_at"`
	ActedAt      time.Time     `json:"acted_at,omitzero"`
	EndedAt      time.Time     `json:"ended_at,omitzero"`
	DueAt        time.Time     `json:"due_at,omitzero"` // when the loop looks at it next
	Entries      int64         `json:"entries"`         // lines of its timeline
	Owed         []Message     `json:"owed,omitempty"`  // messages people must still get
	Held         string        `json:"held,omitempty"`  // what keeps it waiting, in plain words
	UpdatedAt    time.Time     `json:"updated_at"`
}

// Message is a word to people that must not be lost.
type Message struct {
	At       time.Time `json:"at"`
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"`
}

// PrimaryFault is the fault the case stands on, nil in a case without members.
func (i *Incident) PrimaryFault() *Fault {
	for k := range i.Members {
		if i.Members[k].Role == Primary {
			return &i.Members[k].Fault
		}
	}
	return nil
}

// AttemptResult says how one attempt to heal ended.
type AttemptResult string

// The results of an attempt.
const (
	AttemptRunning     AttemptResult = "running"
	AttemptHealed      AttemptResult = "healed"
	AttemptIneffective AttemptResult = "ineffective" // every step succeeded, the fault persists
	AttemptFailed      AttemptResult = "failed"      // a step failed
	AttemptUnknown     AttemptResult = "unknown"     // not verifiable
	AttemptDenied      AttemptResult = "denied"      // an approver said no, or none answered in time
)

// Attempt is one plan carried out for a case.
type Attempt struct {
	N          int           `json:"n"` // 1 for the first
	DecisionID DecisionID    `json:"decision_id"`
	RunID      RunID         `json:"run_id,omitempty"`
	Playbook   string        `json:"playbook"`
	Target     EntityID      `json:"target"`
	Pattern    Pattern       `json:"pattern,omitempty"`
	StartedAt  time.Time     `json:"started_at"`
	ActedAt    time.Time     `json:"acted_at,omitzero"` // end of the last step that touched the world
	EndedAt    time.Time     `json:"ended_at,omitzero"`
	Result     AttemptResult `json:"result"`
	Note       string        `json:"note,omitempty"`
}

// TimelineEntry is one line of the story of a case.
type TimelineEntry struct {
	IncidentID IncidentID     `json:"incident_id"`
	Seq        int64          `json:"seq"` // order within the case
	At         time.Time      `json:"at"`
	Stage      string         `json:"stage"` // sense, analyse, decide, act, verify, learn, person
	Text       string         `json:"text"`
	By         string         `json:"by,omitempty"` // identity, when a person or tool acted
	Data       map[string]any `json:"data,omitempty"`
	Reasons    []Reason       `json:"reasons,omitempty"`
}

// Verdict is the answer of a verification.
type Verdict string

// The verdicts.
const (
	Cleared  Verdict = "cleared"
	Persists Verdict = "persists"
	Unclear  Verdict = "unknown"
	Pending  Verdict = "pending" // the window is not over
)

// Verification is what was seen after an action (SPEC X9).
type Verification struct {
	Verdict Verdict   `json:"verdict"`
	From    time.Time `json:"from"`  // end of the action
	Until   time.Time `json:"until"` // end of the window
	At      time.Time `json:"at"`    // when this was judged
	Reasons []Reason  `json:"reasons"`
}

// Outcome is what one attempt taught (SPEC L1).
type Outcome struct {
	IncidentID    IncidentID    `json:"incident_id"`
	Attempt       int           `json:"attempt"`
	At            time.Time     `json:"at"`
	Pattern       Pattern       `json:"pattern"`
	FaultType     FaultType     `json:"fault_type"`
	Entity        EntityID      `json:"entity"`
	AlertName     string        `json:"alert_name,omitempty"`
	Playbook      string        `json:"playbook"`
	Result        AttemptResult `json:"result"`
	Effectiveness float64       `json:"effectiveness"` // success 1, partial 0.5, failure 0
	Duration      time.Duration `json:"duration"`
	Scope         Scope         `json:"scope"`
}
