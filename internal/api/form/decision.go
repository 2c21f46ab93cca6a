package form

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Decision is the record of one decision.
type Decision struct {
	ID         string    `json:"id"`
	Incident   string    `json:"incident_id"`
	Attempt    int       `json:"attempt" doc:"1 for the first."`
	At         time.Time `json:"at"`
	Verb       string    `json:"verb" enum:"act,ask,observe,escalate" doc:"act: start now; ask: start once approved; observe: dry run only; escalate: a person takes over."`
	Plan       *Plan     `json:"plan,omitempty" doc:"Absent when escalating."`
	Confidence float64   `json:"confidence" doc:"0 to 1."`
	Risk       string    `json:"risk" enum:"low,medium,high,critical"`
	Votes      []Vote    `json:"votes" doc:"What each way of deciding said."`
	Rejected   []Reason  `json:"rejected" doc:"Plans that were not chosen, and why."`
	Reasons    []Reason  `json:"reasons"`
}

// Plan is what would be done and at what price.
type Plan struct {
	Playbook         string            `json:"playbook" example:"restart-service"`
	Digest           string            `json:"digest" doc:"SHA-256 of the playbook's source, in hex."`
	Target           string            `json:"target" example:"service/cart"`
	Params           map[string]string `json:"params,omitempty"`
	Steps            []string          `json:"steps" doc:"One line each, in order."`
	EstimatedSeconds float64           `json:"estimated_seconds"`
	Risk             string            `json:"risk" enum:"low,medium,high,critical"`
	Rollbackable     bool              `json:"rollbackable"`
	Tier             string            `json:"tier" enum:"quick_fix,standard_recovery,deep_recovery,manual_intervention"`
	Trust            string            `json:"trust" enum:"observe,suggest,auto"`
}

// Vote is what one way of deciding said.
type Vote struct {
	By       string  `json:"by" example:"knowledge" doc:"rule, tree, knowledge or experience."`
	Playbook string  `json:"playbook"`
	Score    float64 `json:"score" doc:"0 to 1, how sure this voter is."`
	Weight   float64 `json:"weight" doc:"How much this voter counts."`
	Reason   Reason  `json:"reason"`
}

// OfDecision converts a decision.
func OfDecision(d heal.Decision) Decision {
	out := Decision{
		ID: string(d.ID), Incident: string(d.IncidentID), Attempt: d.Attempt, At: d.At.UTC(), Verb: string(d.Verb),
		Confidence: d.Confidence, Risk: string(d.Risk), Votes: list(d.Votes, ofVote), Rejected: Reasons(d.Rejected), Reasons: Reasons(d.Reasons),
	}
	if p := d.Plan; p != nil {
		out.Plan = &Plan{
			Playbook: p.Playbook, Digest: p.Digest, Target: string(p.Target), Params: p.Params, Steps: texts(p.Steps),
			EstimatedSeconds: p.EstimatedTime.Seconds(), Risk: string(p.Risk), Rollbackable: p.Rollbackable, Tier: string(p.Tier), Trust: string(p.Trust),
		}
	}
	return out
}

func ofVote(v heal.Vote) Vote {
	return Vote{By: v.By, Playbook: v.Playbook, Score: v.Score, Weight: v.Weight, Reason: OfReason(v.Reason)}
}
