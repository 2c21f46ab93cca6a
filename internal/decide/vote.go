package decide

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
)

// standing is a candidate with what was said for it.
type standing struct {
	Candidate
	total float64 // weighted mean of the votes
	votes []heal.Vote
}

// choose lets rules, knowledge and experience vote on the candidates. A voter
// speaks of all of them or of none: one that knows nothing of any does not
// count, one that knows something of one gives the others what it gives the
// unknown.
func choose(in Input, candidates []Candidate, cause *heal.Cause, p Policy) (best Candidate, votes []heal.Vote, reasons, losers []heal.Reason) {
	most := slices.MaxFunc(candidates, func(a, b Candidate) int { return cmp.Compare(a.Specificity, b.Specificity) }).Specificity
	twin, similarity := mostSimilar(in, cause, p.Similarity)
	recorded := slices.ContainsFunc(candidates, func(c Candidate) bool { return known(in.Knowledge, cause.Pattern, c.Plan.Playbook) != nil })
	field := make([]standing, len(candidates))
	for i, c := range candidates {
		field[i] = standing{Candidate: c}
		field[i].vote(ruleVote(c, most, p.RuleWeight))
		if recorded {
			k := learn.Knowledge{Pattern: cause.Pattern, Playbook: c.Plan.Playbook}
			if found := known(in.Knowledge, cause.Pattern, c.Plan.Playbook); found != nil {
				k = *found
			}
			field[i].vote(knowledgeVote(k, p.KnowledgeWeight))
		}
		if twin != nil {
			field[i].vote(experienceVote(c, *twin, similarity, p.ExperienceWeight))
		}
		field[i].count()
	}
	slices.SortStableFunc(field, func(a, b standing) int {
		return cmp.Or(
			cmp.Compare(b.total, a.total),
			cmp.Compare(b.Specificity, a.Specificity),
			cmp.Compare(a.Plan.Risk.Rank(), b.Plan.Risk.Rank()),
			cmp.Compare(a.Plan.EstimatedTime, b.Plan.EstimatedTime),
			cmp.Compare(a.Plan.Playbook, b.Plan.Playbook),
		)
	})
	for _, s := range field {
		votes = append(votes, s.votes...)
	}
	for _, s := range field[1:] {
		losers = append(losers, rejection(s.Candidate, "fewer_votes", "its votes weigh %.2f, those of %s %.2f", s.total, field[0].Plan.Playbook, field[0].total))
	}
	reasons = append(reasons, field[0].Why)
	if len(field) > 1 && field[0].total == field[1].total && field[0].Specificity == field[1].Specificity {
		reasons = append(reasons, heal.Reason{
			Code: "rule_conflict",
			Text: fmt.Sprintf("%s and %s fit equally well; the lower risk, then the shorter, then the first by name is taken", field[0].Plan.Playbook, field[1].Plan.Playbook),
			Data: map[string]any{"playbooks": []string{field[0].Plan.Playbook, field[1].Plan.Playbook}},
		})
	}
	return field[0].Candidate, votes, reasons, losers
}

func (s *standing) vote(v heal.Vote) { s.votes = append(s.votes, v) }

func (s *standing) count() {
	var sum, weight float64
	for _, v := range s.votes {
		sum += v.Score * v.Weight
		weight += v.Weight
	}
	if weight > 0 {
		s.total = sum / weight
	}
}

// ruleVote scores a trigger against the most specific one that fits (SPEC D1).
func ruleVote(c Candidate, most int, weight float64) heal.Vote {
	score := 1.0
	if most > 0 {
		score = 0.5 + 0.5*float64(c.Specificity)/float64(most)
	}
	return heal.Vote{By: "rule", Playbook: c.Plan.Playbook, Score: score, Weight: weight, Reason: c.Why}
}

func knowledgeVote(k learn.Knowledge, weight float64) heal.Vote {
	return heal.Vote{By: "knowledge", Playbook: k.Playbook, Score: k.Rate(), Weight: weight, Reason: heal.Reason{
		Code: "success_rate", Text: fmt.Sprintf("it healed %s %d times of %d", k.Pattern, k.Successes, k.Uses),
		Data: map[string]any{"uses": k.Uses, "successes": k.Successes, "rate": k.Rate()},
	}}
}

func experienceVote(c Candidate, o heal.Outcome, similarity, weight float64) heal.Vote {
	data := map[string]any{"incident": o.IncidentID, "similarity": similarity}
	if c.Plan.Playbook != o.Playbook {
		return heal.Vote{By: "experience", Playbook: c.Plan.Playbook, Weight: weight, Reason: heal.Reason{
			Code: "similar_case_healed_otherwise", Text: fmt.Sprintf("the most similar past case, %s, was healed by %s", o.IncidentID, o.Playbook), Data: data,
		}}
	}
	return heal.Vote{By: "experience", Playbook: o.Playbook, Score: similarity, Weight: weight, Reason: heal.Reason{
		Code: "similar_case", Text: fmt.Sprintf("it healed the most similar past case, %s (similarity %.2f)", o.IncidentID, similarity), Data: data,
	}}
}

// features are what two situations are compared by, with their weights. They
// add up to 1, so that a similarity of 1 means alike in everything.
var features = []struct {
	weight float64
	same   func(o heal.Outcome, inc heal.Incident, cause *heal.Cause) bool
}{
	{0.35, func(o heal.Outcome, _ heal.Incident, c *heal.Cause) bool { return o.Pattern == c.Pattern }},
	{0.15, func(o heal.Outcome, _ heal.Incident, c *heal.Cause) bool { return o.FaultType == c.Type }},
	{0.10, func(o heal.Outcome, _ heal.Incident, c *heal.Cause) bool { return o.Entity.Kind() == c.Entity.Kind() }},
	{0.25, func(o heal.Outcome, _ heal.Incident, c *heal.Cause) bool { return o.Entity == c.Entity }},
	{0.15, func(o heal.Outcome, inc heal.Incident, _ *heal.Cause) bool {
		f := inc.PrimaryFault()
		return f != nil && f.AlertName == o.AlertName
	}},
}

// mostSimilar finds the past success most like the present case, above the
// floor; among equals the most recent (SPEC D4).
func mostSimilar(in Input, cause *heal.Cause, floor float64) (*heal.Outcome, float64) {
	var best *heal.Outcome
	top := floor
	for i := range in.Past {
		o := &in.Past[i]
		if o.Result != heal.AttemptHealed || o.Scope.Tenant != in.Incident.Scope.Tenant {
			continue
		}
		alike := 0.0
		for _, f := range features {
			if f.same(*o, in.Incident, cause) {
				alike += f.weight
			}
		}
		alike = min(alike, 1)
		if alike > top || best != nil && alike == top && o.At.After(best.At) {
			best, top = o, alike
		}
	}
	if best == nil {
		return nil, 0
	}
	return best, top
}
