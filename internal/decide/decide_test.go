package decide_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/decide"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
)

var now = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

func candidate(name string, specificity int) decide.Candidate {
	return decide.Candidate{
		Plan:        heal.Plan{Playbook: name, Target: "service/cart", Tier: heal.TierQuickFix, Risk: heal.RiskLow, Trust: heal.TrustAuto},
		Specificity: specificity, Why: heal.Reason{Code: "trigger_fits", Text: name + " fits"},
	}
}

func input(candidates ...decide.Candidate) decide.Input {
	return decide.Input{
		ID: "d1", Now: now, Candidates: candidates,
		Incident: heal.Incident{
			ID: "i1", Scope: heal.DefaultScope,
			Members: []heal.Member{{Role: heal.Primary, Fault: heal.Fault{AlertName: "Down"}}},
			Diagnosis: &heal.Diagnosis{Confidence: 0.7, Causes: []heal.Cause{
				{Entity: "service/cart", Pattern: heal.PatternProcessDown, Type: heal.Unavailable, Score: 0.9},
			}},
		},
	}
}

func codes(reasons []heal.Reason) []string {
	var list []string
	for _, r := range reasons {
		list = append(list, r.Code)
	}
	return list
}

func TestDecide(t *testing.T) {
	tests := []struct {
		name     string
		in       func() decide.Input
		verb     heal.Verb
		playbook string
		codes    []string
	}{
		{"acts", func() decide.Input { return input(candidate("restart", 16)) }, heal.VerbAct, "restart", []string{"trigger_fits", "confidence_from_diagnosis", "may_act"}},
		{"most specific rule wins", func() decide.Input { return input(candidate("a", 16), candidate("b", 64)) }, heal.VerbAct, "b", []string{"trigger_fits", "confidence_from_diagnosis", "may_act"}},
		{"conflict is reported", func() decide.Input { return input(candidate("b", 16), candidate("a", 16)) }, heal.VerbAct, "a", []string{"trigger_fits", "rule_conflict", "confidence_from_diagnosis", "may_act"}},
		{"conflict goes to the lower risk", func() decide.Input {
			b, a := candidate("b", 16), candidate("a", 16)
			a.Plan.Risk = heal.RiskMedium
			return input(b, a)
		}, heal.VerbAct, "b", []string{"trigger_fits", "rule_conflict", "confidence_from_diagnosis", "may_act"}},
		{"no cause", func() decide.Input {
			in := input(candidate("a", 1))
			in.Incident.Diagnosis.Causes = nil
			return in
		}, heal.VerbEscalate, "", []string{"no_cause"}},
		{"no diagnosis", func() decide.Input {
			in := input(candidate("a", 1))
			in.Incident.Diagnosis = nil
			return in
		}, heal.VerbEscalate, "", []string{"no_cause"}},
		{"no playbook", func() decide.Input { return input() }, heal.VerbEscalate, "", []string{"no_playbook"}},
		{"attempts spent", func() decide.Input {
			in := input(candidate("a", 1))
			in.Incident.Attempts = make([]heal.Attempt, 3)
			return in
		}, heal.VerbEscalate, "", []string{"attempts_spent"}},
		{"tried before", func() decide.Input {
			in := input(candidate("a", 1))
			in.Incident.Attempts = []heal.Attempt{{N: 1, Playbook: "a", Target: "service/cart", Result: heal.AttemptIneffective}}
			return in
		}, heal.VerbAct, "a", []string{"trigger_fits", "tried_again", "confidence_from_diagnosis", "may_act"}},
		{"all tiers tried: the lowest again", func() decide.Input {
			deep := candidate("deep", 64)
			deep.Plan.Tier = heal.TierDeep
			in := input(deep, candidate("a", 1))
			in.Incident.Attempts = []heal.Attempt{
				{N: 1, Playbook: "a", Target: "service/cart", Result: heal.AttemptIneffective},
				{N: 2, Playbook: "deep", Target: "service/cart", Result: heal.AttemptFailed},
			}
			return in
		}, heal.VerbAct, "a", []string{"trigger_fits", "tried_again", "confidence_from_diagnosis", "may_act"}},
		{"tried on another target is not tried", func() decide.Input {
			in := input(candidate("a", 1))
			in.Incident.Attempts = []heal.Attempt{{N: 1, Playbook: "a", Target: "service/other", Result: heal.AttemptIneffective}}
			return in
		}, heal.VerbAct, "a", []string{"trigger_fits", "confidence_from_diagnosis", "may_act"}},
		{"a failed tier moves to the next", func() decide.Input {
			deep := candidate("deep", 1)
			deep.Plan.Tier = heal.TierDeep
			in := input(candidate("a", 64), deep)
			in.Incident.Attempts = []heal.Attempt{{N: 1, Playbook: "a", Target: "service/cart", Result: heal.AttemptIneffective}}
			return in
		}, heal.VerbAct, "deep", []string{"trigger_fits", "confidence_from_diagnosis", "may_act"}},
		{"lower tier first, however specific", func() decide.Input {
			deep := candidate("deep", 64)
			deep.Plan.Tier = heal.TierDeep
			return input(deep, candidate("a", 1))
		}, heal.VerbAct, "a", []string{"trigger_fits", "confidence_from_diagnosis", "may_act"}},
		{"manual tier", func() decide.Input {
			c := candidate("call", 1)
			c.Plan.Tier = heal.TierManual
			return input(c)
		}, heal.VerbEscalate, "", []string{"manual_only"}},
		{"observe", func() decide.Input {
			c := candidate("a", 1)
			c.Plan.Trust = heal.TrustObserve
			return input(c)
		}, heal.VerbObserve, "a", []string{"trigger_fits", "confidence_from_diagnosis", "trust_observe"}},
		{"suggest", func() decide.Input {
			c := candidate("a", 1)
			c.Plan.Trust = heal.TrustSuggest
			return input(c)
		}, heal.VerbAsk, "a", []string{"trigger_fits", "confidence_from_diagnosis", "trust_suggest"}},
		{"high risk", func() decide.Input {
			c := candidate("a", 1)
			c.Plan.Risk = heal.RiskHigh
			return input(c)
		}, heal.VerbAsk, "a", []string{"trigger_fits", "confidence_from_diagnosis", "risk"}},
		{"destructive and not proven", func() decide.Input {
			c := candidate("a", 1)
			c.Destructive, c.Proven = true, 19
			return input(c)
		}, heal.VerbAsk, "a", []string{"trigger_fits", "confidence_from_diagnosis", "destructive"}},
		{"destructive and proven", func() decide.Input {
			c := candidate("a", 1)
			c.Destructive, c.Proven = true, 20
			return input(c)
		}, heal.VerbAct, "a", []string{"trigger_fits", "confidence_from_diagnosis", "may_act"}},
		{"doubt asks even where risk would not", func() decide.Input {
			c := candidate("a", 1)
			c.NeverAsk = true
			in := input(c)
			in.Incident.Diagnosis.Confidence = 0.4
			return in
		}, heal.VerbAsk, "a", []string{"trigger_fits", "confidence_from_diagnosis", "confidence"}},
		{"a bad record asks", func() decide.Input {
			in := input(candidate("a", 1))
			in.Knowledge = []learn.Knowledge{{Pattern: heal.PatternProcessDown, Playbook: "a", Uses: 6, Successes: 1}}
			return in
		}, heal.VerbAsk, "a", []string{"trigger_fits", "confidence_from_record", "confidence"}},
		{"knowledge chooses among equals", func() decide.Input {
			in := input(candidate("a", 16), candidate("b", 16))
			in.Knowledge = []learn.Knowledge{
				{Pattern: heal.PatternProcessDown, Playbook: "a", Uses: 10, Successes: 2},
				{Pattern: heal.PatternProcessDown, Playbook: "b", Uses: 10, Successes: 9},
			}
			return in
		}, heal.VerbAct, "b", []string{"trigger_fits", "confidence_from_record", "may_act"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decide.Decide(tt.in(), decide.Policy{})
			name := ""
			if d.Plan != nil {
				name = d.Plan.Playbook
			}
			if d.Verb != tt.verb || name != tt.playbook {
				t.Errorf("got %s %q, want %s %q", d.Verb, name, tt.verb, tt.playbook)
			}
			if diff := cmp.Diff(codes(d.Reasons), tt.codes); diff != "" {
				t.Errorf("reasons (-got +want):\n%s", diff)
			}
		})
	}
}

func TestExperienceOfTheMostSimilarCase(t *testing.T) {
	past := func(entity heal.EntityID, playbook, alert string, minute int, result heal.AttemptResult) heal.Outcome {
		return heal.Outcome{
			IncidentID: heal.IncidentID(playbook), Pattern: heal.PatternProcessDown, FaultType: heal.Unavailable, Entity: entity, AlertName: alert,
			Playbook: playbook, Result: result, At: now.Add(time.Duration(minute) * time.Minute), Scope: heal.DefaultScope,
		}
	}
	in := input(candidate("a", 16), candidate("b", 16), candidate("c", 16))
	in.Past = []heal.Outcome{
		past("service/cart", "a", "Down", -30, heal.AttemptHealed),
		past("service/cart", "c", "Down", -10, heal.AttemptHealed),  // as similar, more recent
		past("service/cart", "b", "Down", -5, heal.AttemptFailed),   // did not heal
		past("service/other", "b", "Other", -1, heal.AttemptHealed), // not similar enough
	}
	d := decide.Decide(in, decide.Policy{})
	if d.Plan.Playbook != "c" {
		t.Errorf("got %s, want c: the most recent of the most similar", d.Plan.Playbook)
	}
	var by []string
	for _, v := range d.Votes {
		by = append(by, v.By+" for "+v.Playbook)
	}
	want := []string{"rule for c", "experience for c", "rule for a", "experience for a", "rule for b", "experience for b"}
	if diff := cmp.Diff(by, want); diff != "" {
		t.Errorf("votes (-got +want):\n%s", diff)
	}
}

func TestWhatWasTriedMoreOftenWaits(t *testing.T) {
	deep := candidate("deep", 1)
	deep.Plan.Tier = heal.TierDeep
	in := input(deep, candidate("a", 64))
	in.Incident.Attempts = []heal.Attempt{
		{N: 1, Playbook: "a", Target: "service/cart"}, {N: 2, Playbook: "deep", Target: "service/cart"}, {N: 3, Playbook: "a", Target: "service/cart"},
	}
	d := decide.Decide(in, decide.Policy{MaxAttempts: 5})
	if d.Plan == nil || d.Plan.Playbook != "deep" {
		t.Fatalf("got %+v, want deep: it was tried once, a twice", d.Plan)
	}
	if diff := cmp.Diff(codes(d.Rejected), []string{"tried_more_often"}); diff != "" {
		t.Errorf("rejected (-got +want):\n%s", diff)
	}
}
