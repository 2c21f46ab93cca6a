package cause

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// descriptorsExhausted is a process that may open no more files or connections.
const descriptorsExhausted heal.Pattern = "descriptors_exhausted"

// logPatterns maps the words of log patterns to causes; the first that occurs
// in the name of a pattern counts.
var logPatterns = []struct {
	word    string
	pattern heal.Pattern
}{
	{"pool", heal.PatternPoolExhausted},
	{"deadlock", heal.PatternDeadlock},
	{"disk", heal.PatternDiskFull},
	{"memory", heal.PatternMemoryPressure},
	{"timeout", heal.PatternHighLatency},
	{"refused", heal.PatternConnectionFailed},
	{"certificate", heal.PatternConnectionFailed},
	{"connection", heal.PatternConnectionFailed},
	{"resolution", heal.PatternConnectionFailed},
	{"files", descriptorsExhausted},
	{"null", heal.PatternHighErrors},
	{"permission", heal.PatternHighErrors},
	{"error", heal.PatternHighErrors},
	{"exception", heal.PatternHighErrors},
	{"panic", heal.PatternHighErrors},
}

func patternOfLog(name string) heal.Pattern {
	name = strings.ToLower(name)
	for _, p := range logPatterns {
		if strings.Contains(name, p.word) {
			return p.pattern
		}
	}
	return heal.PatternUnknown
}

// logs looks for patterns that stand there more often than usual. What a
// dependency writes too, its callers may only repeat: then it counts little.
func (s *subject) logs() {
	for _, l := range s.signals.Logs {
		surge, usual := 16.0, 0.0
		if usable(l.Baseline) && l.Baseline > 0 {
			surge, usual = float64(l.Count)/l.Baseline, l.Baseline
		}
		if l.Count <= 0 || surge < wellAbove {
			continue
		}
		weight := 0.2 + 0.3*doublings(surge)
		if l.Count < 3 {
			weight /= 2
		}
		e := heal.Evidence{Kind: heal.EvidenceLog, Entity: s.id, Query: l.Pattern, At: l.At}
		if below, ok := s.writtenBelow(l.Pattern); ok {
			weight *= 0.3
			s.object(1, because("message_from_dependency", e, "%s, on which %s depends, writes %q too; the message may only be passed on", below, s.id, l.Pattern))
		}
		s.find(patternOfLog(l.Pattern), weight, because("log_pattern", e, "the logs of %s show %q %d times, usually %s: %s", s.id, l.Pattern, l.Count, trim(usual), shorten(l.Example)))
	}
}

// writtenBelow reports which direct dependency logs the same pattern.
func (s *subject) writtenBelow(pattern string) (heal.EntityID, bool) {
	for _, id := range s.below(s.id) {
		for _, l := range s.in.Signals[id].Logs {
			if l.Pattern == pattern && l.Count > 0 {
				return id, true
			}
		}
	}
	return "", false
}

// spans looks where the entity's own operations spend their time and what
// their errors come from.
func (s *subject) spans() {
	for _, op := range s.signals.Spans {
		if op.Count <= 0 {
			continue
		}
		e := heal.Evidence{Kind: heal.EvidenceSpan, Entity: s.id, Query: op.Trace, At: s.signals.Newest}
		slow := s.slow(op)
		if op.Extra == nil && slow.unusual && share(op.SelfShare) >= 0.5 {
			weight := (0.2 + 0.4*share(op.SelfShare)) * many(op)
			switch {
			case s.latencyNormal(s.signals):
				weight /= 2
			case s.restless(s.id, MeasureLatency):
				weight *= 0.3
			}
			s.findings = append(s.findings, finding{
				pattern: heal.PatternHighLatency, weight: weight, own: true,
				reason: because("own_time", e, "%s of %s takes %s at p99 (%s) and spends %.0f %% of it itself", op.Name, s.id, show(op.P99, "s"), slow.against, 100*share(op.SelfShare)),
			})
		}
		if slow.unusual && op.Callee != "" && share(op.CalleeShare) >= 0.5 {
			s.object(1-0.7*share(op.CalleeShare), because("waits_for_callee", e, "%s of %s spends %.0f %% of its time waiting for %s", op.Name, s.id, 100*share(op.CalleeShare), op.Callee),
				heal.PatternHighLatency)
		}
		if !s.failing(s.signals, op) {
			continue
		}
		if op.Callee != "" && share(op.CalleeErrorShare) >= 0.5 {
			s.object(1-0.7*share(op.CalleeErrorShare), because("errors_from_callee", e, "in %.0f %% of the failures of %s, %s failed", 100*share(op.CalleeErrorShare), op.Name, op.Callee),
				heal.PatternHighErrors, heal.PatternConnectionFailed)
			continue
		}
		if called := share(op.CalledErrorShare); called >= 0.5 {
			s.object(1-0.7*called, because("errors_from_callees", e, "in %.0f %% of the failures of %s, something it calls failed", 100*called, op.Name),
				heal.PatternHighErrors, heal.PatternConnectionFailed)
			continue
		}
		s.findings = append(s.findings, finding{
			pattern: heal.PatternHighErrors, weight: 0.2 + 0.4*share(op.ErrorShare), own: op.Callee != "",
			reason: because("own_errors", e, "%.0f %% of %d calls of %s fail in %s itself", 100*share(op.ErrorShare), op.Count, op.Name, s.id),
		})
	}
}

// many is how much it counts that calls were slow: little if it is a few of
// many, as a few always are, or if few were there to compare with.
func many(op Operation) float64 {
	if op.Slower == nil {
		return 1
	}
	const half = 5 // calls before that make it half as sure as many would
	return min(1, 2*share(*op.Slower)) * float64(op.Compared) / float64(op.Compared+half)
}

func (s *subject) slow(op Operation) level {
	if !usable(op.P99) {
		return level{}
	}
	return compare(Metric{Value: op.P99, Baseline: op.BaselineP99, Unit: "s"}, s.limits.Latency)
}

// failing reports whether an operation fails too often. The spans at hand may
// be chosen for being failed, so where the error ratio is measured, that counts.
func (s *scene) failing(signals Signals, op Operation) bool {
	if m, ok := signals.Metrics[ErrorRatio]; ok && usable(m.Value) && m.Value <= s.limits.ErrorRatio {
		return false
	}
	return share(op.ErrorShare) > s.limits.ErrorRatio
}

// latencyNormal reports whether latency was measured and is as always.
func (s *scene) latencyNormal(signals Signals) bool {
	measured := false
	for _, id := range []string{LatencyP99, LatencyP99Short} {
		m, ok := signals.Metrics[id]
		if !ok || !usable(m.Value) {
			continue
		}
		measured = true
		if l := compare(m, s.limits.Latency); l.unusual || l.usual {
			return false
		}
	}
	return measured
}

// callers takes what the spans of the direct callers show about the entity.
func (s *subject) callers() {
	for _, id := range s.above(s.id) {
		caller := s.in.Signals[id]
		for _, op := range caller.Spans {
			if op.Callee != s.id || op.Count <= 0 {
				continue
			}
			e := heal.Evidence{Kind: heal.EvidenceSpan, Entity: id, Query: op.Trace, At: caller.Newest}
			if slow := s.slow(op); op.Extra == nil && slow.unusual && share(op.CalleeShare) >= 0.5 && !s.latencyNormal(caller) && !s.restless(s.id, MeasureLatency) {
				s.find(heal.PatternHighLatency, 0.4*share(op.CalleeShare), because("callers_wait", e, "%s of %s waits for %s %.0f %% of its time", op.Name, id, s.id, 100*share(op.CalleeShare)))
			}
			if !s.failing(caller, op) || share(op.CalleeErrorShare) < 0.5 {
				continue
			}
			if share(op.Unanswered) >= 0.5 {
				s.unanswered(id, caller, op, e)
				continue
			}
			s.find(heal.PatternHighErrors, 0.4*share(op.CalleeErrorShare), because("callers_fail", e, "%.0f %% of the failures of %s of %s are calls to %s", 100*share(op.CalleeErrorShare), op.Name, id, s.id))
		}
	}
}

// unanswered are calls the entity left no trace of, though it usually does:
// nobody was there to take them.
func (s *subject) unanswered(id heal.EntityID, caller Signals, op Operation, e heal.Evidence) {
	s.find(heal.PatternProcessDown, 0.5*share(op.CalleeErrorShare), because("calls_unanswered", e, "calls of %s to %s fail without %s having seen them", id, s.id, s.id))
	if refused, ok := refusal(caller); ok {
		s.find(heal.PatternProcessDown, 0.3, because("callers_refused",
			heal.Evidence{Kind: heal.EvidenceLog, Entity: id, Query: refused.Pattern, At: refused.At},
			"%s, which calls %s, logs failed connections: %s", id, s.id, shorten(refused.Example)))
	}
}

// probes looks at the entity's monitors. An answer that is too old says
// nothing.
func (s *subject) probes() {
	var fresh []Probe
	for _, p := range s.signals.Probes {
		if age := s.in.Now.Sub(p.At); age <= s.limits.ProbeAge && !p.At.IsZero() {
			fresh = append(fresh, p)
		}
	}
	s.hangs(fresh)
	for _, p := range fresh {
		e := heal.Evidence{Kind: heal.EvidenceProbe, Entity: s.id, Query: p.Name, At: p.At}
		if p.Healthy {
			s.object(0.3, because("probe_answers", e, "monitor %s of %s answers", p.Name, s.id), heal.PatternProcessDown)
			continue
		}
		weight := 0.8
		if p.timedOut() { // it may hang rather than be gone
			weight = 0.6
		}
		s.find(heal.PatternProcessDown, weight, because("probe_fails", e, "monitor %s of %s fails since %s: %s", p.Name, s.id, p.Since.UTC().Format(time.TimeOnly), shorten(p.Error)))
		if !p.Since.IsZero() && s.signals.Newest.After(p.Since.Add(s.cadence())) {
			s.object(0.6, because("telemetry_goes_on", e, "%s still sends telemetry long after its monitor began to fail", s.id), heal.PatternProcessDown)
		}
	}
}

// timedOut reports whether the monitor waited in vain rather than being refused.
func (p Probe) timedOut() bool {
	text := strings.ToLower(p.Error)
	return !p.Healthy && (strings.Contains(text, "timeout") || strings.Contains(text, "timed out") || strings.Contains(text, "deadline exceeded"))
}

// hangs looks for an entity that is there and does not answer: one of its
// monitors waits in vain while another, of its port say, is well.
func (s *subject) hangs(fresh []Probe) {
	well := slices.IndexFunc(fresh, func(p Probe) bool { return p.Healthy })
	if well < 0 {
		return
	}
	for _, p := range fresh {
		if p.timedOut() {
			s.find(heal.PatternDeadlock, 0.6, because("hangs", heal.Evidence{Kind: heal.EvidenceProbe, Entity: s.id, Query: p.Name, At: p.At},
				"monitor %s of %s waits in vain since %s while %s answers: %s", p.Name, s.id, p.Since.UTC().Format(time.TimeOnly), fresh[well].Name, shorten(p.Error)))
		}
	}
}

// silence looks for an entity that stopped sending telemetry while those who
// call it go on.
func (s *subject) silence() {
	if s.signals.Newest.IsZero() || s.in.Now.Sub(s.signals.Newest) <= s.cadence() {
		return
	}
	for _, id := range s.above(s.id) {
		caller := s.in.Signals[id]
		if caller.Newest.IsZero() || s.in.Now.Sub(caller.Newest) > s.cadenceOf(caller) {
			continue
		}
		s.find(heal.PatternProcessDown, 0.5, because("telemetry_silent",
			heal.Evidence{Kind: heal.EvidenceTopology, Entity: s.id, At: s.signals.Newest},
			"%s has sent nothing since %s while %s, which calls it, goes on", s.id, s.signals.Newest.UTC().Format(time.TimeOnly), id))
		if refused, ok := refusal(caller); ok {
			s.find(heal.PatternProcessDown, 0.3, because("callers_refused",
				heal.Evidence{Kind: heal.EvidenceLog, Entity: id, Query: refused.Pattern, At: refused.At},
				"%s, which calls %s, logs refused connections: %s", id, s.id, shorten(refused.Example)))
		}
		return
	}
}

func refusal(s Signals) (Log, bool) {
	var most Log
	for _, l := range s.Logs {
		if patternOfLog(l.Pattern) != heal.PatternConnectionFailed {
			continue
		}
		if cmp.Or(cmp.Compare(l.Count, most.Count), cmp.Compare(l.Example, most.Example)) > 0 {
			most = l
		}
	}
	return most, most.Count > 0
}

func (s *subject) cadence() time.Duration { return s.cadenceOf(s.signals) }

// cadenceOf is how long an entity may be without telemetry before it is silent.
func (s *scene) cadenceOf(signals Signals) time.Duration {
	if signals.Cadence > 0 {
		return max(3*signals.Cadence, 10*time.Second)
	}
	return s.limits.Silence
}

// faults takes the open faults on the entity as findings: somebody said so.
func (s *subject) faults() {
	for _, f := range s.signals.Faults {
		if !f.ClearedAt.IsZero() || f.Key.Entity != s.id {
			continue
		}
		weight := 0.3
		switch {
		case f.Key.Type == heal.Unavailable && f.Condition.Kind == heal.ConditionProbe:
			weight = 0.7
		case f.Key.Type == heal.Unavailable, f.Key.Type == heal.Deadlock:
			weight = 0.5
		}
		e := heal.Evidence{Kind: heal.EvidenceAlert, Entity: s.id, Query: f.Condition.Expr, At: f.LastSeen}
		s.find(patternOfFault(f), weight, because("open_fault", e, "%s has an open fault, %s, from %s: %s", s.id, f.Key.Type, f.Source, shorten(f.Message)))
	}
}

// resourceWords tell which resource is exhausted.
var resourceWords = []struct {
	word    string
	pattern heal.Pattern
}{
	{"pool", heal.PatternPoolExhausted},
	{"connection", heal.PatternPoolExhausted},
	{"cpu", heal.PatternCPUSaturation},
	{"oom", heal.PatternMemoryPressure},
	{"mem", heal.PatternMemoryPressure},
	{"heap", heal.PatternMemoryPressure},
	{"disk", heal.PatternDiskFull},
	{"filesystem", heal.PatternDiskFull},
	{"network", heal.PatternNetworkIO},
}

func patternOfFault(f heal.Fault) heal.Pattern {
	switch f.Key.Type {
	case heal.Unavailable:
		return heal.PatternProcessDown
	case heal.Deadlock:
		return heal.PatternDeadlock
	case heal.MemoryLeak:
		return heal.PatternMemoryPressure
	case heal.ConnectionFailure:
		return heal.PatternConnectionFailed
	case heal.ErrorsRaised:
		return heal.PatternHighErrors
	case heal.PerformanceDegradation:
		return heal.PatternHighLatency
	case heal.ResourceExhaustion:
		for _, text := range []string{f.AlertName, f.Condition.Expr, f.Message} {
			for _, r := range resourceWords {
				if strings.Contains(strings.ToLower(text), r.word) {
					return r.pattern
				}
			}
		}
	case heal.DataCorruption, heal.UnknownFault:
	}
	return heal.PatternUnknown
}

// changes notes what was changed shortly before the case began, the more the
// shorter. A change alone makes its entity a suspect, no more; beside other
// findings it makes them likelier. What came after the beginning is not its
// cause.
func (s *subject) changes() {
	began := s.in.Incident.BeganAt
	if began.IsZero() {
		return
	}
	var newest Change
	for _, c := range s.signals.Changes {
		age := began.Sub(c.At)
		later := cmp.Or(c.At.Compare(newest.At), cmp.Compare(c.Text, newest.Text)) > 0
		if age >= 0 && age <= s.limits.ChangeAge && later {
			newest = c
		}
		if age < 0 && !c.At.After(s.in.Now) {
			s.object(1, because("change_after", heal.Evidence{Kind: heal.EvidenceHistory, Entity: s.id, Query: c.ID, At: c.At},
				"%s was changed %s after the case had begun, which is not what began it: %s", s.id, -age.Round(time.Second), shorten(c.Text)))
		}
	}
	if newest.At.IsZero() {
		return
	}
	age := began.Sub(newest.At)
	recency := 1 - age.Seconds()/s.limits.ChangeAge.Seconds()
	pattern, weight := heal.PatternUnknown, 0.1+0.1*recency
	if len(s.findings) > 0 {
		pattern, weight = slices.MaxFunc(s.findings, func(a, b finding) int {
			return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(a.pattern, b.pattern))
		}).pattern, 0.1+0.2*recency
	}
	s.find(pattern, weight, because(recentChange, heal.Evidence{Kind: heal.EvidenceHistory, Entity: s.id, Query: newest.ID, At: newest.At},
		"%s was changed %s before the case began: %s", s.id, age.Round(time.Second), shorten(newest.Text)))
}

// shorten bounds what is quoted from outside.
func shorten(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if runes := []rune(text); len(runes) > 160 {
		return fmt.Sprintf("%s ...", string(runes[:160]))
	}
	return text
}
