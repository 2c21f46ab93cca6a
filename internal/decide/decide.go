// Package decide chooses what to do about a diagnosed case: rules, knowledge
// and experience vote, and the record says what each said and why.
//
// Its one invariant: whatever may hurt is decided by the most careful of the
// rules that apply; a vote can choose among plans but never wave through what
// risk, trust or doubt want a person for. The package is pure; it is not for
// what the guards allow at the moment of action (see guard).
package decide

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
)

// Policy is how careful decisions are. The zero value takes the defaults.
type Policy struct {
	RuleWeight       float64   // of the trigger rules; default 0.4
	KnowledgeWeight  float64   // of success rates; default 0.35
	ExperienceWeight float64   // of the most similar past case; default 0.25
	MinConfidence    float64   // below it a person is asked; default 0.7
	AskFrom          heal.Risk // risk from which a person is asked; default high
	MaxAttempts      int       // per case, all tiers together; default 3
	Similarity       float64   // above which a past case counts; default 0.8
	ProvenFrom       int       // verified successes from which a destructive playbook is not asked for that alone; default 20
}

func (p Policy) withDefaults() Policy {
	if p.RuleWeight+p.KnowledgeWeight+p.ExperienceWeight == 0 {
		p.RuleWeight, p.KnowledgeWeight, p.ExperienceWeight = 0.4, 0.35, 0.25
	}
	p.MinConfidence = cmp.Or(p.MinConfidence, 0.7)
	p.AskFrom = cmp.Or(p.AskFrom, heal.RiskHigh)
	p.MaxAttempts = cmp.Or(p.MaxAttempts, 3)
	p.Similarity = cmp.Or(p.Similarity, 0.8)
	p.ProvenFrom = cmp.Or(p.ProvenFrom, ProvenFrom)
	return p
}

// Candidate is a playbook whose trigger fits the case.
type Candidate struct {
	Plan        heal.Plan
	Specificity int         // of the trigger; higher is more specific
	Why         heal.Reason // what fitted
	AlwaysAsk   bool        // the playbook wants an approval whatever its risk
	NeverAsk    bool        // the playbook needs none for its risk; doubt still asks
	Destructive bool        // an action of it is declared destructive
	Proven      int         // verified successes of the playbook, any cause
}

// ProvenFrom is the default of the policy's.
const ProvenFrom = 20

// Input is everything a decision may look at.
type Input struct {
	Incident   heal.Incident
	Candidates []Candidate
	Knowledge  []learn.Knowledge // of the pattern of the diagnosis
	Past       []heal.Outcome    // past attempts, any pattern
	Now        time.Time
	ID         heal.DecisionID
}

// Decide makes the decision for the next attempt of a case.
func Decide(in Input, p Policy) heal.Decision {
	p = p.withDefaults()
	d := heal.Decision{
		ID: in.ID, IncidentID: in.Incident.ID, Attempt: len(in.Incident.Attempts) + 1, At: in.Now, Risk: heal.RiskLow,
	}
	if tried := len(in.Incident.Attempts); tried >= p.MaxAttempts {
		return escalate(d, heal.Reason{
			Code: "attempts_spent", Text: fmt.Sprintf("%d attempts were made and the limit is %d", tried, p.MaxAttempts),
			Data: map[string]any{"attempts": tried, "limit": p.MaxAttempts},
		})
	}
	cause := in.Incident.Diagnosis.Top()
	if cause == nil {
		return escalate(d, heal.Reason{Code: "no_cause", Text: "no cause was found, so there is nothing to act on"})
	}
	field, again, rejected := eligible(in)
	d.Rejected = rejected
	if len(field) == 0 {
		code, text := "no_playbook", fmt.Sprintf("no playbook fits %s on %s", cause.Pattern, cause.Entity)
		if len(in.Candidates) > 0 {
			code, text = "manual_only", fmt.Sprintf("what fits %s on %s is for a person to carry out", cause.Pattern, cause.Entity)
		}
		return escalate(d, heal.Reason{Code: code, Text: text})
	}
	best, votes, reasons, losers := choose(in, field, cause, p)
	d.Votes, d.Reasons = votes, append(d.Reasons, reasons...)
	if again {
		d.Reasons = append(d.Reasons, repeated(in.Incident, best, p))
	}
	d.Rejected = append(d.Rejected, losers...)
	d.Plan, d.Risk = &best.Plan, best.Plan.Risk
	d.Confidence, reasons = confidence(in, best, cause)
	d.Reasons = append(d.Reasons, reasons...)
	d.Verb, reasons = verb(best, d.Confidence, p)
	d.Reasons = append(d.Reasons, reasons...)
	return d
}

func escalate(d heal.Decision, why heal.Reason) heal.Decision {
	d.Verb = heal.VerbEscalate
	d.Reasons = append(d.Reasons, why)
	return d
}

// eligible keeps the plans that may be next: those this case has not tried on
// the same target, of the lowest tier that is left (SPEC D6: a failed tier moves
// to the next). Once all were tried, those tried least often may be tried again,
// from the lowest tier: attempts are left, and what hurts least is repeated.
func eligible(in Input) (field []Candidate, again bool, rejected []heal.Reason) {
	var byHand, fresh, tried []Candidate
	for _, c := range in.Candidates {
		switch {
		case c.Plan.Tier == heal.TierManual:
			byHand = append(byHand, c)
		case triedBefore(in.Incident, c.Plan) > 0:
			tried = append(tried, c)
		default:
			fresh = append(fresh, c)
		}
	}
	for _, c := range byHand {
		rejected = append(rejected, rejection(c, "manual", "it is for a person to carry out"))
	}
	if len(fresh) > 0 {
		for _, c := range tried {
			rejected = append(rejected, rejection(c, "tried_before", "it was tried %d times in this case, others were not", triedBefore(in.Incident, c.Plan)))
		}
		field, losers := lowestTier(fresh)
		return field, false, append(rejected, losers...)
	}
	if len(tried) == 0 {
		return nil, false, rejected
	}
	least := triedBefore(in.Incident, slices.MinFunc(tried, func(a, b Candidate) int {
		return cmp.Compare(triedBefore(in.Incident, a.Plan), triedBefore(in.Incident, b.Plan))
	}).Plan)
	for _, c := range tried {
		if n := triedBefore(in.Incident, c.Plan); n > least {
			rejected = append(rejected, rejection(c, "tried_more_often", "it was tried %d times in this case, others %d", n, least))
			continue
		}
		field = append(field, c)
	}
	field, losers := lowestTier(field)
	return field, true, append(rejected, losers...)
}

func lowestTier(all []Candidate) (kept []Candidate, rejected []heal.Reason) {
	lowest := slices.MinFunc(all, func(a, b Candidate) int { return cmp.Compare(a.Plan.Tier.Rank(), b.Plan.Tier.Rank()) }).Plan.Tier
	for _, c := range all {
		if c.Plan.Tier == lowest {
			kept = append(kept, c)
			continue
		}
		rejected = append(rejected, rejection(c, "later_tier", "%s is tried before %s", lowest, c.Plan.Tier))
	}
	return kept, rejected
}

// triedBefore counts the attempts of a case with a plan on its target.
func triedBefore(inc heal.Incident, plan heal.Plan) int {
	n := 0
	for _, a := range inc.Attempts {
		if a.Playbook == plan.Playbook && a.Target == plan.Target {
			n++
		}
	}
	return n
}

// repeated says why a plan is tried that did not help before.
func repeated(inc heal.Incident, c Candidate, p Policy) heal.Reason {
	n := triedBefore(inc, c.Plan)
	left := p.MaxAttempts - len(inc.Attempts)
	return heal.Reason{
		Code: "tried_again", Text: fmt.Sprintf("every plan that fits was tried; %s is tried again after %d of its attempts did not heal it, as %d of %d attempts are left", c.Plan.Playbook, n, left, p.MaxAttempts),
		Data: map[string]any{"tried": n, "left": left, "limit": p.MaxAttempts},
	}
}

func rejection(c Candidate, code, format string, args ...any) heal.Reason {
	return heal.Reason{
		Code: code, Text: fmt.Sprintf("%s was not chosen: %s", c.Plan.Playbook, fmt.Sprintf(format, args...)),
		Data: map[string]any{"playbook": c.Plan.Playbook},
	}
}

// confidence is how sure the decision is (SPEC A12): the smoothed success rate
// of the plan against this cause from 5 uses on, else the diagnosis's own.
func confidence(in Input, c Candidate, cause *heal.Cause) (float64, []heal.Reason) {
	if k := known(in.Knowledge, cause.Pattern, c.Plan.Playbook); k != nil && k.Trusted() {
		return k.Rate(), []heal.Reason{{
			Code: "confidence_from_record", Text: fmt.Sprintf("%s healed %s in %d of %d uses, a smoothed rate of %.2f", c.Plan.Playbook, cause.Pattern, k.Successes, k.Uses, k.Rate()),
			Data: map[string]any{"uses": k.Uses, "successes": k.Successes, "rate": k.Rate()},
		}}
	}
	conf := in.Incident.Diagnosis.Confidence
	return conf, []heal.Reason{{
		Code: "confidence_from_diagnosis", Text: fmt.Sprintf("the diagnosis is sure to %.2f that it is %s on %s", conf, cause.Pattern, cause.Entity),
		Data: map[string]any{"confidence": conf},
	}}
}

func known(all []learn.Knowledge, pattern heal.Pattern, playbook string) *learn.Knowledge {
	for i := range all {
		if all[i].Pattern == pattern && all[i].Playbook == playbook {
			return &all[i]
		}
	}
	return nil
}

// verb turns trust, risk and doubt into what is done. The most careful wins.
func verb(c Candidate, conf float64, p Policy) (heal.Verb, []heal.Reason) {
	if c.Plan.Trust == heal.TrustObserve {
		return heal.VerbObserve, []heal.Reason{{Code: "trust_observe", Text: fmt.Sprintf("playbook %s is only trusted to be observed: it is run dry", c.Plan.Playbook)}}
	}
	var ask []heal.Reason
	because := func(code, format string, args ...any) {
		ask = append(ask, heal.Reason{Code: code, Text: "a person is asked: " + fmt.Sprintf(format, args...)})
	}
	if c.Plan.Trust != heal.TrustAuto {
		because("trust_suggest", "playbook %s is trusted to suggest, not to act", c.Plan.Playbook)
	}
	if c.AlwaysAsk {
		because("approval_always", "the playbook wants an approval every time")
	}
	if c.Plan.Risk.Rank() >= p.AskFrom.Rank() && !c.NeverAsk {
		because("risk", "its risk is %s", c.Plan.Risk)
	}
	if c.Destructive && c.Proven < p.ProvenFrom {
		because("destructive", "it can destroy, and it has healed %d times of the %d that would prove it", c.Proven, p.ProvenFrom)
	}
	if conf < p.MinConfidence {
		because("confidence", "the confidence %.2f is under %.2f", conf, p.MinConfidence)
	}
	if len(ask) > 0 {
		return heal.VerbAsk, ask
	}
	return heal.VerbAct, []heal.Reason{{Code: "may_act", Text: fmt.Sprintf("trust is auto, risk is %s and the confidence %.2f is enough", c.Plan.Risk, conf)}}
}
