package cause

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// finding is one observation that is out of the ordinary.
type finding struct {
	pattern heal.Pattern
	weight  float64 // 0 to 1: how much it would convince alone
	own     bool    // it cannot come from a dependency, whatever its pattern
	reason  heal.Reason
}

// objection is one observation that speaks against patterns.
type objection struct {
	patterns []heal.Pattern // none: all
	factor   float64        // what is left of them
	reason   heal.Reason
}

// subject is one entity under examination.
type subject struct {
	*scene
	id         heal.EntityID
	signals    Signals
	findings   []finding
	objections []objection
}

func (s *subject) find(pattern heal.Pattern, weight float64, reason heal.Reason) {
	if weight = share(weight); weight > 0 {
		s.findings = append(s.findings, finding{pattern: pattern, weight: weight, reason: reason})
	}
}

func (s *subject) object(factor float64, reason heal.Reason, patterns ...heal.Pattern) {
	s.objections = append(s.objections, objection{patterns, factor, reason})
}

// intrinsic patterns are faults of the entity itself; the others may be the
// echo of a dependency.
var intrinsic = []heal.Pattern{
	heal.PatternProcessDown, heal.PatternDeadlock, heal.PatternDiskFull, heal.PatternPoolExhausted,
	heal.PatternMemoryPressure, heal.PatternCPUSaturation, heal.PatternRestarts, heal.PatternNetworkIO,
	descriptorsExhausted,
}

// backedUp are the intrinsic patterns that a dependency out of order can bring
// about: requests that wait for it hold connections and memory.
var backedUp = []heal.Pattern{heal.PatternPoolExhausted, heal.PatternMemoryPressure}

// settled is the strength from which an intrinsic pattern is preferred to a
// stronger symptom: latency and errors follow from it.
const settled = 0.4

// again is what a witness counts for that says the same as one heard before, of
// another operation or metric: they are not independent.
const again = 0.3

// verdict is the pattern of an entity and how strong its evidence is.
type verdict struct {
	pattern   heal.Pattern
	strength  float64
	intrinsic bool // the pattern is, or a finding can only come from the entity itself
}

// weigh adds up the findings of the subject.
func (s *subject) weigh() verdict {
	// Sorted, so that not even the last bit depends on the order of the input.
	slices.SortFunc(s.findings, func(a, b finding) int {
		return cmp.Or(-cmp.Compare(a.weight, b.weight), cmp.Compare(a.pattern, b.pattern), compareReasons(a.reason, b.reason))
	})
	slices.SortFunc(s.objections, func(a, b objection) int {
		return cmp.Or(cmp.Compare(a.factor, b.factor), compareReasons(a.reason, b.reason))
	})
	strengths := map[heal.Pattern]float64{}
	own := false
	heard := map[[2]string]bool{}
	for _, f := range s.findings { // the heaviest first
		weight, kind := f.weight, [2]string{string(f.pattern), f.reason.Code}
		if heard[kind] {
			weight *= again
		}
		heard[kind] = true
		strengths[f.pattern] = 1 - (1-strengths[f.pattern])*(1-weight)
		own = own || f.own
	}
	for _, o := range s.objections {
		for pattern := range strengths {
			if len(o.patterns) == 0 || slices.Contains(o.patterns, pattern) {
				strengths[pattern] *= o.factor
			}
		}
	}
	ranked := make([]heal.Pattern, 0, len(strengths))
	for pattern := range strengths {
		ranked = append(ranked, pattern)
	}
	slices.SortFunc(ranked, func(a, b heal.Pattern) int {
		return cmp.Or(
			-cmp.Compare(rung(a, strengths[a]), rung(b, strengths[b])),
			-cmp.Compare(strengths[a], strengths[b]),
			cmp.Compare(a, b),
		)
	})
	if len(ranked) == 0 {
		return verdict{pattern: heal.PatternUnknown}
	}
	v := verdict{pattern: ranked[0], intrinsic: slices.Contains(intrinsic, ranked[0]) || own}
	rest := 1 - strengths[ranked[0]]
	for _, pattern := range ranked[1:] {
		rest *= 1 - 0.3*strengths[pattern]
	}
	v.strength = 1 - rest
	return v
}

// rung orders patterns before strength does: settled ones, then the known, then
// the unknown.
func rung(p heal.Pattern, strength float64) int {
	switch {
	case slices.Contains(intrinsic, p) && strength >= settled:
		return 2
	case p == heal.PatternUnknown:
		return 0
	}
	return 1
}

// faultType is the fault a pattern amounts to.
func faultType(p heal.Pattern) heal.FaultType {
	switch p {
	case heal.PatternProcessDown, heal.PatternRestarts:
		return heal.Unavailable
	case heal.PatternPoolExhausted, heal.PatternCPUSaturation, heal.PatternMemoryPressure, heal.PatternNetworkIO, heal.PatternDiskFull, descriptorsExhausted:
		return heal.ResourceExhaustion
	case heal.PatternHighLatency:
		return heal.PerformanceDegradation
	case heal.PatternHighErrors:
		return heal.ErrorsRaised
	case heal.PatternConnectionFailed:
		return heal.ConnectionFailure
	case heal.PatternDeadlock:
		return heal.Deadlock
	case heal.PatternUnknown:
		return heal.UnknownFault
	}
	return heal.UnknownFault
}

// because makes a reason with one piece of evidence.
func because(code string, e heal.Evidence, format string, args ...any) heal.Reason {
	e.Summary = fmt.Sprintf(format, args...)
	return heal.Reason{Code: code, Text: e.Summary, Evidence: []heal.Evidence{e}}
}

// compareReasons orders what because made.
func compareReasons(a, b heal.Reason) int {
	x, y := a.Evidence[0], b.Evidence[0]
	return cmp.Or(cmp.Compare(a.Text, b.Text), y.At.Compare(x.At), cmp.Compare(x.Query, y.Query))
}

// round keeps scores readable and free of the last bits of floating point.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }
