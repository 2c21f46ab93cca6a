package playbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// Subject is the case a playbook is matched against.
type Subject struct {
	Pattern   heal.Pattern
	AlertName string
	FaultType heal.FaultType
	Service   string        // of the cause
	Target    heal.EntityID // the cause
	Severity  heal.Severity
	Values    heal.Values
	Labels    map[string]string
}

// Match is how well a playbook fits a case.
type Match struct {
	OK          bool
	Specificity int         // of the best trigger; see Trigger.Specificity
	Reason      heal.Reason // what fitted, or that nothing did
	// Unanswered are conditions that could not be evaluated for this case, for
	// example over a value it does not have. Such a trigger does not fit.
	Unanswered []heal.Reason
}

// Matches finds the most specific trigger that fits the case; the first of
// equally specific ones.
func (p *Playbook) Matches(s Subject) Match {
	best := Match{Reason: heal.Reason{
		Code: "no_trigger_fits", Text: fmt.Sprintf("no trigger of playbook %s fits", p.ID), Data: map[string]any{"playbook": p.ID},
	}}
	var unanswered []heal.Reason
	for i := range p.Triggers {
		ok, reason, err := p.Triggers[i].Matches(s)
		if err != nil {
			unanswered = append(unanswered, heal.Reason{
				Code: "trigger_unanswered", Text: fmt.Sprintf("trigger %d of playbook %s: %v", i+1, p.ID, err),
				Data: map[string]any{"playbook": p.ID, "trigger": i},
			})
			continue
		}
		if specificity := p.Triggers[i].Specificity(); ok && (!best.OK || specificity > best.Specificity) {
			reason.Data["playbook"], reason.Data["trigger"] = p.ID, i
			best = Match{OK: true, Specificity: specificity, Reason: reason}
		}
	}
	best.Unanswered = unanswered
	return best
}

// Specificity weighs what the trigger asks for. Each thing outweighs all those
// after it together: alert name 64, service 32, pattern 16, when 8, fault type
// 4, entity kind 2, severity 1.
func (t *Trigger) Specificity() int {
	sum := 0
	for _, part := range []struct {
		said   bool
		weight int
	}{
		{len(t.AlertNames) > 0, 64},
		{t.Service != "", 32},
		{len(t.Patterns) > 0, 16},
		{t.When != "", 8},
		{len(t.FaultTypes) > 0, 4},
		{len(t.EntityKinds) > 0, 2},
		{len(t.Severities) > 0, 1},
	} {
		if part.said {
			sum += part.weight
		}
	}
	return sum
}

// Matches reports whether the case is everything the trigger says, and why. An
// error, of kind Invalid, says that when could not be evaluated.
func (t *Trigger) Matches(s Subject) (bool, heal.Reason, error) {
	var parts []string
	fits := true
	ask := func(said, holds bool, what, is string) {
		if !said {
			return
		}
		if fits = fits && holds; holds {
			parts = append(parts, fmt.Sprintf("%s is %s", what, is))
		}
	}
	ask(len(t.Patterns) > 0, slices.Contains(t.Patterns, s.Pattern), "pattern", string(s.Pattern))
	ask(len(t.AlertNames) > 0, slices.Contains(t.AlertNames, s.AlertName), "alert", s.AlertName)
	ask(len(t.FaultTypes) > 0, slices.Contains(t.FaultTypes, s.FaultType), "fault type", string(s.FaultType))
	ask(t.Service != "", t.Service == s.Service, "service", s.Service)
	ask(len(t.EntityKinds) > 0, slices.Contains(t.EntityKinds, s.Target.Kind()), "kind", string(s.Target.Kind()))
	ask(len(t.Severities) > 0, slices.Contains(t.Severities, s.Severity), "severity", string(s.Severity))
	if fits && t.when != nil {
		holds, err := t.when.Bool(s.vars())
		if err != nil {
			return false, heal.Reason{}, err
		}
		fits = holds
		parts = append(parts, t.When)
	}
	if !fits {
		return false, heal.Reason{}, nil
	}
	return true, heal.Reason{
		Code: "trigger_fits", Text: "fits because " + strings.Join(parts, " and "),
		Data: map[string]any{"specificity": t.Specificity()},
	}, nil
}

func (s Subject) vars() map[string]any {
	values, labels := s.Values, s.Labels
	if values == nil {
		values = heal.Values{}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	return map[string]any{"values": map[string]float64(values), "labels": labels, "target": targetVars(s.Target)}
}
