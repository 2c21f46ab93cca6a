package cause

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Input is what a diagnosis rests on.
type Input struct {
	Incident heal.Incident
	Graph    Graph // nil: not known
	Signals  map[heal.EntityID]Signals
	Known    map[heal.Pattern]Known // from experience
	Limits   Limits
	Now      time.Time
}

// minScore is the score below which an entity is not a candidate.
const minScore = 0.1

// unclaimed is the score the best candidate must reach where no fault stands.
const unclaimed = 0.5

// How the place of an entity counts.
const (
	onPath    = 1.0 // the alerted entity is it or depends on it
	upstream  = 0.5 // it depends on the alerted one: it may overload it
	unplaced  = 0.8 // the topology does not know how they hang together
	unrelated = 0.3
)

// belowCulprit is how a victim's score is held below that of what explains it.
const belowCulprit = 0.8

// candidate is a subject that was weighed.
type candidate struct {
	*subject
	verdict
	relation, coverage float64
	explained          bool // by something it depends on
	score              float64
}

// Rank gives the entities the case may come from, best first. An empty list
// means that nothing was found out of order.
func Rank(in Input) heal.Diagnosis {
	s := newScene(in)
	var all []*candidate
	for _, sub := range s.subjects() {
		for _, examine := range []func(){
			sub.probes, sub.silence, sub.pool, sub.resources, sub.latency, sub.errors,
			sub.losses, sub.series, sub.logs, sub.spans, sub.extraTimes, sub.departures, sub.missed, sub.callers, sub.faults, sub.anomalies, sub.changes,
		} {
			examine()
		}
		v := sub.weigh()
		if v.strength <= 0 {
			continue
		}
		all = append(all, &candidate{subject: sub, verdict: v, relation: s.relation(sub.id), coverage: s.coverage(sub.id)})
	}
	s.score(all)
	slices.SortStableFunc(all, func(a, b *candidate) int {
		return cmp.Or(-cmp.Compare(a.score, b.score), cmp.Compare(a.id, b.id))
	})
	d := heal.Diagnosis{At: in.Now}
	if len(all) > 0 && all[0].score < s.bar() {
		all = nil
	}
	for _, c := range all {
		if c.score >= minScore && len(d.Causes) < s.limits.Causes {
			d.Causes = append(d.Causes, c.cause())
		}
	}
	d.Impact = s.impact(d.Top())
	d.Confidence, d.Reasons = s.confidence(d.Causes)
	d.Noted = s.notes(d.Causes)
	return d
}

// bar is what the best candidate must reach. Where a fault stands something is
// wrong, and the best guess is better than none; where nobody claims one,
// something is always a little out of the ordinary somewhere.
func (s *scene) bar() float64 {
	if s.ledger.refuted || len(s.faulty) == 0 {
		return unclaimed
	}
	return minScore
}

func (s *scene) relation(id heal.EntityID) float64 {
	switch {
	case s.alerted == "" || id == s.alerted || s.dependsOn(s.alerted, id):
		return onPath
	case s.dependsOn(id, s.alerted):
		return upstream
	case !s.placed(id) || !s.placed(s.alerted):
		return unplaced
	}
	return unrelated
}

// coverage is high if the entity can account for all faulty entities of the
// case: those that are it, depend on it, or are not placed in the topology.
func (s *scene) coverage(id heal.EntityID) float64 {
	if len(s.faulty) == 0 {
		return 1
	}
	covered := 0
	for _, f := range s.faulty {
		if f == id || s.dependsOn(f, id) || !s.placed(f) || !s.placed(id) {
			covered++
		}
	}
	return 0.4 + 0.6*float64(covered)/float64(len(s.faulty))
}

// score sets the scores. A candidate without evidence of its own is explained
// by what it depends on and is out of order; in a circle of calls nobody
// explains anybody.
func (s *scene) score(all []*candidate) {
	for _, c := range all {
		c.score = c.strength * c.relation * c.coverage
	}
	explaining := map[*candidate][]*candidate{}
	for _, c := range all {
		for _, d := range all {
			if s.explains(d, c) {
				explaining[c] = append(explaining[c], d)
				c.explained = true
			}
		}
	}
	// What explains c is itself explained by fewer: so the ends of the chains
	// come first, and a victim ranks below the victim it waits for.
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b *candidate) int {
		return cmp.Compare(len(explaining[a]), len(explaining[b]))
	})
	for _, c := range ordered {
		if c.explained {
			c.score = min(c.score/2, ceiling(explaining[c]))
		}
	}
	for _, c := range all {
		c.score = round(c.score)
	}
}

// ceiling is the score a victim is held to, given what explains it.
func ceiling(explaining []*candidate) float64 {
	culprit, victim := 0.0, 0.0
	for _, d := range explaining {
		if d.explained {
			victim = max(victim, d.score)
		} else {
			culprit = max(culprit, d.score)
		}
	}
	switch {
	case culprit == 0:
		return belowCulprit * victim
	case victim == 0:
		return belowCulprit * culprit
	}
	return belowCulprit * min(culprit, victim)
}

// explains reports whether d, on which c depends, is what c suffers from.
func (s *scene) explains(d, c *candidate) bool {
	const outOfOrder = 0.25 // and not small beside what it is to explain
	if d.strength < max(outOfOrder, c.strength/2) || !s.dependsOn(c.id, d.id) || s.dependsOn(d.id, c.id) {
		return false
	}
	if !c.intrinsic {
		return true
	}
	return slices.Contains(backedUp, c.pattern) && d.intrinsic && d.strength >= settled
}

// cause is the candidate as it is recorded.
func (c *candidate) cause() heal.Cause {
	out := heal.Cause{
		Entity: c.id, Pattern: c.pattern, Type: faultType(c.pattern), Score: c.score, Path: c.path(c.id),
	}
	for _, f := range c.findings {
		f.reason.Data = map[string]any{"pattern": string(f.pattern), "weight": round(f.weight)}
		out.For = append(out.For, f.reason)
	}
	for _, o := range c.objections {
		o.reason.Data = map[string]any{"factor": round(o.factor)}
		out.Against = append(out.Against, o.reason)
	}
	if c.explained {
		out.Against = append(out.Against, heal.Reason{Code: "explained_by_dependency", Text: fmt.Sprintf("%s shows nothing of its own, and something it depends on is out of order", c.id)})
	}
	out.For = append(out.For, heal.Reason{
		Code: "score", Text: fmt.Sprintf("strength %.2f, relation %.1f, coverage %.2f", c.strength, c.relation, c.coverage),
		Data: map[string]any{"strength": round(c.strength), "relation": c.relation, "coverage": round(c.coverage), "explained": c.explained},
	})
	return out
}

// impact is who depends on the cause, or on the alerted entity if there is none.
func (s *scene) impact(top *heal.Cause) heal.Impact {
	id := s.alerted
	if top != nil {
		id = top.Entity
	}
	if id == "" {
		return heal.Impact{}
	}
	affected := s.graph.BlastRadius(id)
	if len(affected) == 0 {
		return heal.Impact{Summary: fmt.Sprintf("nothing is known to depend on %s", id)}
	}
	var names []string
	for _, a := range affected[:min(5, len(affected))] {
		names = append(names, string(a))
	}
	if rest := len(affected) - len(names); rest > 0 {
		names = append(names, fmt.Sprintf("%d more", rest))
	}
	return heal.Impact{
		Affected: affected,
		Summary:  fmt.Sprintf("%d depend on %s: %s", len(affected), id, strings.Join(names, ", ")),
	}
}
