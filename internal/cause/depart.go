package cause

import (
	"cmp"
	"math"

	"github.com/homeostat/homeostat/internal/heal"
)

// departures takes the steps requests took in the entity that they do not take
// at normal times. One that follows from a dependency's is that one's.
func (s *subject) departures() {
	for _, d := range s.signals.Departs {
		weight := d.weight()
		if weight <= 0 {
			continue
		}
		e := heal.Evidence{Kind: heal.EvidenceSpan, Entity: s.id, Query: d.Trace, At: s.in.Now}
		reason := because("left_usual_way", e, "in %d requests, usually %s, %s goes on after %q with %q, mostly with %q",
			d.Traces, trim(d.Expected), s.id, cmp.Or(shorten(d.After), "the beginning"), cmp.Or(shorten(d.Instead), "the end"), cmp.Or(shorten(d.Usually), "the end"))
		if d.Follows != "" && d.Follows != s.id {
			s.find(heal.PatternHighErrors, weight*0.3, reason)
			s.object(0.7, because("follows_dependency", e, "requests that leave their usual way in %s do so in %s first", s.id, d.Follows), heal.PatternHighErrors)
			continue
		}
		if d.Outward {
			s.find(heal.PatternConnectionFailed, weight*0.3, reason)
			continue
		}
		s.findings = append(s.findings, finding{pattern: heal.PatternHighErrors, weight: weight, own: true, reason: reason})
	}
}

// missed takes the calls to the entity that failed while it took fewer.
func (s *subject) missed() {
	for _, caller := range s.above(s.id) {
		for _, d := range s.in.Signals[caller].Departs {
			if weight := d.weight(); d.Outward && d.Toward == s.id && weight > 0 {
				s.find(heal.PatternProcessDown, 0.8*weight, because("calls_missed",
					heal.Evidence{Kind: heal.EvidenceSpan, Entity: caller, Query: d.Trace, At: s.in.Now},
					"%d requests in %s, usually %s, fail in a call nobody took, and %s is called less", d.Traces, caller, trim(d.Expected), s.id))
			}
		}
	}
}

// weight is what a score of that many standard deviations leaves to chance,
// tempered: a program also changes its ways for other reasons.
func (d Departure) weight() float64 {
	const temper = 8
	if !(d.Score > 0) || math.IsInf(d.Score, 0) {
		return 0
	}
	return share(1 - math.Exp(-d.Score*d.Score/2/temper))
}
