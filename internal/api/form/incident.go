package form

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// IncidentSummary is a case as lists and watches show it.
type IncidentSummary struct {
	ID         string    `json:"id" doc:"UUIDv7; sorts by the time the case was opened." example:"0198b7a4-6f00-7000-8000-000000000001"`
	Revision   int64     `json:"revision" doc:"Grows with every change of this case." example:"4711"`
	Scope      string    `json:"scope" doc:"tenant/env/cluster, and /service if the case is about one." example:"default/default/default/cart"`
	State      string    `json:"state" enum:"open,diagnosing,deciding,waiting_approval,acting,verifying,healed,escalated,closed"`
	Severity   string    `json:"severity" enum:"info,warning,critical"`
	Title      string    `json:"title" example:"cart is not reachable"`
	Cause      string    `json:"cause,omitempty" doc:"The entity found to be the root cause." example:"service/cart"`
	Pattern    string    `json:"pattern,omitempty" doc:"The kind of root cause." example:"process_down"`
	Confidence float64   `json:"confidence" doc:"Of the diagnosis, 0 to 1." example:"0.8"`
	Faults     int       `json:"faults" doc:"Signals grouped into this case."`
	Attempts   int       `json:"attempts" doc:"Attempts to heal, the one in progress included."`
	Outcome    string    `json:"outcome,omitempty" doc:"Why it ended, in plain words."`
	Held       string    `json:"held,omitempty" doc:"What keeps it waiting, in plain words."`
	BeganAt    time.Time `json:"began_at" doc:"Event time of the first signal."`
	DetectedAt time.Time `json:"detected_at" doc:"When Homeostat first knew."`
	ActedAt    time.Time `json:"acted_at,omitzero" doc:"End of the last action."`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// Incident is a case, whole.
type Incident struct {
	IncidentSummary
	Correlation  float64       `json:"correlation_score" doc:"How surely the faults belong together, 0 to 1."`
	Members      []Fault       `json:"members" doc:"The faults of the case, primary and secondary."`
	Diagnosis    *Diagnosis    `json:"diagnosis,omitempty"`
	Decision     *Decision     `json:"decision,omitempty" doc:"The newest one; all of them are under decisions."`
	History      []Attempt     `json:"attempt_history" doc:"Every attempt to heal, oldest first."`
	Verification *Verification `json:"verification,omitempty" doc:"The newest one."`
	DueAt        time.Time     `json:"due_at,omitzero" doc:"When the case is looked at next."`
}

// Fault is something wrong with one entity, as part of a case.
type Fault struct {
	Type      string             `json:"type" example:"unavailable"`
	Entity    string             `json:"entity" example:"service/cart"`
	Role      string             `json:"role" enum:"primary,secondary"`
	Source    string             `json:"source" doc:"Detector or source system."`
	Severity  string             `json:"severity" enum:"info,warning,critical"`
	Message   string             `json:"message"`
	AlertID   string             `json:"alert_id,omitempty"`
	AlertName string             `json:"alert_name,omitempty"`
	Values    map[string]float64 `json:"values,omitempty"`
	Began     time.Time          `json:"began"`
	Detected  time.Time          `json:"detected"`
	LastSeen  time.Time          `json:"last_seen"`
	ClearedAt time.Time          `json:"cleared_at,omitzero" doc:"Absent while it holds."`
	Evidence  []Evidence         `json:"evidence"`
}

// Diagnosis is the judgement on a case.
type Diagnosis struct {
	At         time.Time `json:"at"`
	Causes     []Cause   `json:"causes" doc:"Candidates for the root cause, best first; empty if none was found."`
	Affected   []string  `json:"affected" doc:"Who suffers, nearest to the cause first."`
	Impact     string    `json:"impact,omitempty" doc:"The same in one sentence."`
	Confidence float64   `json:"confidence" doc:"0 to 1."`
	Reasons    []Reason  `json:"reasons"`
	Noted      []Reason  `json:"noted" doc:"What else was seen, that decides nothing by itself: changes around the case, texts that logs began or ceased to write, who held the slowest request."`
}

// Cause is one candidate for the root cause.
type Cause struct {
	Entity    string   `json:"entity" example:"service/inventory"`
	Pattern   string   `json:"pattern" example:"pool_exhausted"`
	FaultType string   `json:"fault_type" example:"resource_exhaustion"`
	Score     float64  `json:"score" doc:"0 to 1, comparable within one diagnosis."`
	Path      []string `json:"path" doc:"From the alerted entity to this one."`
	For       []Reason `json:"for"`
	Against   []Reason `json:"against"`
}

// Attempt is one plan carried out for a case.
type Attempt struct {
	N         int       `json:"n" doc:"1 for the first."`
	Decision  string    `json:"decision_id"`
	Run       string    `json:"run_id,omitempty"`
	Playbook  string    `json:"playbook" example:"restart-service"`
	Target    string    `json:"target" example:"service/cart"`
	Pattern   string    `json:"pattern,omitempty"`
	Result    string    `json:"result" enum:"running,healed,ineffective,failed,unknown,denied"`
	Note      string    `json:"note,omitempty"`
	StartedAt time.Time `json:"started_at"`
	ActedAt   time.Time `json:"acted_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Verification is what was seen after an action.
type Verification struct {
	Verdict string    `json:"verdict" enum:"cleared,persists,unknown,pending"`
	From    time.Time `json:"from" doc:"End of the action."`
	Until   time.Time `json:"until" doc:"End of the window."`
	At      time.Time `json:"at" doc:"When this was judged."`
	Reasons []Reason  `json:"reasons"`
}

// TimelineEntry is one line of the story of a case.
type TimelineEntry struct {
	Seq     int64          `json:"seq" doc:"Order within the case, from 1."`
	At      time.Time      `json:"at"`
	Stage   string         `json:"stage" example:"decide" doc:"sense, analyse, decide, act, verify, learn or person."`
	Text    string         `json:"text"`
	By      string         `json:"by,omitempty" doc:"Who, when a person or a tool acted."`
	Data    map[string]any `json:"data,omitempty"`
	Reasons []Reason       `json:"reasons"`
}

// IncidentChange is one event of a watch.
type IncidentChange struct {
	Revision int64            `json:"revision" doc:"Watch since it to go on after this change."`
	ID       string           `json:"id"`
	Deleted  bool             `json:"deleted,omitempty"`
	Incident *IncidentSummary `json:"incident,omitempty" doc:"As it is now; absent if deleted."`
}

// OfIncidentSummary converts a case for lists.
func OfIncidentSummary(i heal.Incident, revision int64) IncidentSummary {
	s := IncidentSummary{
		ID: string(i.ID), Revision: revision, Scope: i.Scope.String(), State: string(i.State), Severity: string(i.Severity),
		Title: i.Title, Cause: string(i.Cause), Faults: len(i.Members), Attempts: len(i.Attempts), Outcome: i.Outcome, Held: i.Held,
		BeganAt: i.BeganAt.UTC(), DetectedAt: i.DetectedAt.UTC(), ActedAt: utc(i.ActedAt), EndedAt: utc(i.EndedAt), UpdatedAt: i.UpdatedAt.UTC(),
	}
	if i.Diagnosis != nil {
		s.Confidence = i.Diagnosis.Confidence
	}
	if top := i.Diagnosis.Top(); top != nil {
		s.Pattern = string(top.Pattern)
	}
	return s
}

// OfIncident converts a whole case.
func OfIncident(i heal.Incident, revision int64) Incident {
	out := Incident{
		IncidentSummary: OfIncidentSummary(i, revision), Correlation: i.Score,
		Members: list(i.Members, ofMember), History: list(i.Attempts, ofAttempt), DueAt: utc(i.DueAt),
	}
	if d := i.Diagnosis; d != nil {
		out.Diagnosis = &Diagnosis{
			At: d.At.UTC(), Causes: list(d.Causes, ofCause), Affected: texts(d.Impact.Affected), Impact: d.Impact.Summary,
			Confidence: d.Confidence, Reasons: Reasons(d.Reasons), Noted: Reasons(d.Noted),
		}
	}
	if i.Decision != nil {
		d := OfDecision(*i.Decision)
		out.Decision = &d
	}
	if v := i.Verification; v != nil {
		out.Verification = &Verification{Verdict: string(v.Verdict), From: v.From.UTC(), Until: v.Until.UTC(), At: v.At.UTC(), Reasons: Reasons(v.Reasons)}
	}
	return out
}

func ofMember(m heal.Member) Fault {
	f := m.Fault
	return Fault{
		Type: string(f.Key.Type), Entity: string(f.Key.Entity), Role: string(m.Role), Source: f.Source, Severity: string(f.Severity),
		Message: f.Message, AlertID: string(f.AlertID), AlertName: f.AlertName, Values: f.Values,
		Began: f.Began.UTC(), Detected: f.Detected.UTC(), LastSeen: f.LastSeen.UTC(), ClearedAt: utc(f.ClearedAt), Evidence: list(f.Evidence, ofEvidence),
	}
}

func ofCause(c heal.Cause) Cause {
	return Cause{
		Entity: string(c.Entity), Pattern: string(c.Pattern), FaultType: string(c.Type), Score: c.Score,
		Path: texts(c.Path), For: Reasons(c.For), Against: Reasons(c.Against),
	}
}

func ofAttempt(a heal.Attempt) Attempt {
	return Attempt{
		N: a.N, Decision: string(a.DecisionID), Run: string(a.RunID), Playbook: a.Playbook, Target: string(a.Target), Pattern: string(a.Pattern),
		Result: string(a.Result), Note: a.Note, StartedAt: a.StartedAt.UTC(), ActedAt: utc(a.ActedAt), EndedAt: utc(a.EndedAt),
	}
}

// OfTimelineEntry converts one line of a story.
func OfTimelineEntry(e heal.TimelineEntry) TimelineEntry {
	return TimelineEntry{Seq: e.Seq, At: e.At.UTC(), Stage: e.Stage, Text: e.Text, By: e.By, Data: e.Data, Reasons: Reasons(e.Reasons)}
}
