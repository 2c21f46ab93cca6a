package cause

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// Extra is the time the calls of an operation take beyond what they took before,
// split by where they spend it. Times are means, in seconds a call; a score says
// how far beyond chance it is that they are more, in standard deviations.
type Extra struct {
	Usual     float64 // what a call took in the entity itself and on the way to callees
	Self      float64 // in the entity itself
	SelfScore float64
	Between   []Between // on the way to callees and back, sorted by callee
}

// Between is the extra time of calls to one callee that the callee does not
// spend: all of it if the callee left no spans.
type Between struct {
	Callee heal.EntityID
	Time   float64
	Score  float64
	Unseen bool // the callee left no spans
}

// clearScore is the score from which extra time counts.
const clearScore = 3.0

// extraOf compares what the calls of an operation did with their time; nil if
// there is too little to compare.
func extraOf(now, before *tally) *Extra {
	if before == nil || min(len(now.selves), len(before.selves)) < 3 {
		return nil
	}
	e := &Extra{Usual: average(before.selves), Self: average(now.selves) - average(before.selves), SelfScore: moreThan(now.selves, before.selves)}
	for _, id := range slices.Sorted(maps.Keys(now.between)) {
		a, b := now.between[id], before.between[id]
		if id == "" || min(len(a), len(b)) < 3 {
			continue
		}
		e.Usual += sum(b) / float64(len(before.selves))
		e.Between = append(e.Between, Between{
			Callee: id, Time: average(a) - average(b), Score: moreThan(a, b), Unseen: now.seen[id] == 0 && before.seen[id] == 0,
		})
	}
	return e
}

// extraTime is all clear extra time of the case, and what the same calls took
// before, in seconds.
func (s *scene) extraTime() (extra, usual float64) {
	if s.extra < 0 {
		s.extra, s.usual = 0, 0
		for _, id := range slices.Sorted(maps.Keys(s.in.Signals)) {
			for _, op := range s.in.Signals[id].Spans {
				if op.Extra == nil {
					continue
				}
				s.usual += max(op.Extra.Usual, 0) * float64(max(op.Count, 0))
				s.extra += clearly(op.Count, op.Extra.Self, op.Extra.SelfScore)
				for _, b := range op.Extra.Between {
					s.extra += clearly(op.Count, b.Time, b.Score)
				}
			}
		}
	}
	return s.extra, s.usual
}

// clearly is the extra time of count calls if it is clear, else 0.
func clearly(count int, time, score float64) float64 {
	if !(score >= clearScore) || !(time > 0) || math.IsInf(time, 0) || count <= 0 {
		return 0
	}
	return time * float64(count)
}

// extraTimes takes what part of all extra time is the entity's.
func (s *subject) extraTimes() {
	total, usual := s.extraTime()
	if !(total > 0) || math.IsInf(total, 0) {
		return
	}
	// Requests that take half as long again are slow; less is worth less.
	const slow = 0.5
	factor := 1.0
	if usual > 0 {
		factor = min(1, total/usual/slow)
	}
	// Whole series know more of the past than spans do.
	if s.latencyNormal(s.signals) || s.restless(s.id, MeasureLatency) {
		factor *= 0.3
	}
	mine, trace := 0.0, ""
	for _, op := range s.signals.Spans {
		if op.Extra != nil {
			if t := clearly(op.Count, op.Extra.Self, op.Extra.SelfScore); t > 0 {
				mine, trace = mine+t, cmp.Or(trace, op.Trace)
			}
		}
	}
	if mine > 0 {
		s.findings = append(s.findings, finding{
			pattern: heal.PatternHighLatency, weight: factor * extraWeight(mine/total), own: true,
			reason: because("own_extra_time", heal.Evidence{Kind: heal.EvidenceSpan, Entity: s.id, Query: trace, At: s.signals.Newest},
				"%.0f %% of the time requests take beyond usual is spent in %s itself", 100*mine/total, s.id),
		})
	}
	s.extraBetween(total, factor)
}

// extraBetween takes the extra time of calls to the entity that it does not
// spend itself: on the way there and back, or in it if it sends no spans.
func (s *subject) extraBetween(total, factor float64) {
	way, unseen, trace := 0.0, 0.0, ""
	for _, caller := range s.above(s.id) {
		for _, op := range s.in.Signals[caller].Spans {
			if op.Extra == nil {
				continue
			}
			for _, b := range op.Extra.Between {
				t := clearly(op.Count, b.Time, b.Score)
				if b.Callee != s.id || t <= 0 {
					continue
				}
				trace = cmp.Or(trace, op.Trace)
				if b.Unseen {
					unseen += t
				} else {
					way += t
				}
			}
		}
	}
	e := heal.Evidence{Kind: heal.EvidenceSpan, Entity: s.id, Query: trace, At: s.signals.Newest}
	if unseen > 0 {
		s.find(heal.PatternHighLatency, factor*extraWeight(unseen/total), because("callers_wait", e, "%.0f %% of the time requests take beyond usual is spent waiting for %s", 100*unseen/total, s.id))
	}
	if way > 0 {
		s.findings = append(s.findings, finding{
			pattern: heal.PatternNetworkIO, weight: factor * extraWeight(way/total), own: true,
			reason: because("slow_way", e, "%.0f %% of the time requests take beyond usual is spent on the way to %s and back, not in it", 100*way/total, s.id),
		})
	}
}

func extraWeight(part float64) float64 { return 0.1 + 0.7*share(part) }

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

func average(values []float64) float64 { return sum(values) / float64(len(values)) }

// moreThan is how far beyond chance it is that values of a are more than those
// of b: the normal approximation of Mann and Whitney's rank sum test, with the
// correction for ties. It asks nothing of how times are spread.
func moreThan(a, b []float64) float64 {
	type ranked struct {
		v   float64
		ofA bool
	}
	all := make([]ranked, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, ranked{v, true})
	}
	for _, v := range b {
		all = append(all, ranked{v, false})
	}
	slices.SortFunc(all, func(x, y ranked) int { return cmp.Compare(x.v, y.v) })
	n, m := float64(len(a)), float64(len(b))
	ranks, ties := 0.0, 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		rank := float64(i+j+1) / 2
		for k := i; k < j; k++ {
			if all[k].ofA {
				ranks += rank
			}
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	u := ranks - n*(n+1)/2
	variance := n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1)))
	if variance <= 0 {
		return 0
	}
	return (u - n*m/2) / math.Sqrt(variance)
}
