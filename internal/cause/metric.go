package cause

import (
	"fmt"
	"math"

	"github.com/homeostat/homeostat/internal/heal"
)

// level says how far a metric is from what is usual.
type level struct {
	unusual bool
	usual   bool    // over its limit, but so it is always
	degree  float64 // 0 to 1; 1 is sixteen times the usual
	against string  // what it was compared with, in words
}

// How far above its baseline a metric must be: a little if it is over its
// limit too, far if there is nothing but the baseline to go by.
const (
	wellAbove = 1.5
	farAbove  = 3.0
)

// compare measures a metric against its limit (0: none) and its baseline.
func compare(m Metric, limit float64) level {
	over := limit > 0 && m.Value > limit
	if m.Baseline == nil || !usable(*m.Baseline) {
		l := level{unusual: over, against: fmt.Sprintf("the limit is %s, the usual value is not known", show(limit, m.Unit))}
		if over {
			l.degree = 0.7 * doublings(m.Value/limit) // less sure without a baseline
		}
		return l
	}
	base := *m.Baseline
	ratio := 16.0
	if base > 0 {
		ratio = m.Value / base
	} else if m.Value == 0 {
		ratio = 1
	}
	return judge(over, limit > 0, ratio, fmt.Sprintf("usually %s", show(base, m.Unit)))
}

// compareShare is compare for a share of a whole: what counts is also how much
// of the free part is gone. From 70 % to 95 % is no great factor, but of the
// room that was left only a sixth is.
func compareShare(m Metric, limit float64) level {
	if m.Baseline == nil || !usable(*m.Baseline) {
		return compare(m, limit)
	}
	base, ratio := *m.Baseline, 16.0
	if base > 0 {
		ratio = m.Value / base
	} else if m.Value == 0 {
		ratio = 1
	}
	if base < 1 {
		free := 16.0
		if m.Value < 1 {
			free = (1 - base) / (1 - m.Value)
		}
		ratio = max(ratio, free)
	}
	if m.Value < limit/2 {
		ratio = min(ratio, wellAbove) // far from full: a multiple of little is no shortage
	}
	return judge(m.Value > limit, true, ratio, fmt.Sprintf("usually %s", show(base, m.Unit)))
}

func judge(over, limited bool, ratio float64, against string) level {
	l := level{against: against, degree: doublings(ratio)}
	switch {
	case over && ratio >= wellAbove, ratio >= farAbove:
		l.unusual = true
	case over && limited:
		l.usual = true
	}
	return l
}

// doublings maps a ratio to 0..1 by how often it doubles, four times being 1.
func doublings(ratio float64) float64 {
	if !(ratio > 1) {
		return 0
	}
	return min(1, math.Log2(ratio)/4)
}

// metric gives the usable answer to a question.
func (s *subject) metric(id string) (Metric, bool) {
	m, ok := s.signals.Metrics[id]
	return m, ok && usable(m.Value)
}

// measured turns a level into a finding, or an objection if the level is usual.
func (s *subject) measured(pattern heal.Pattern, what string, m Metric, l level, least, most float64) {
	e := s.metricEvidence(m)
	switch {
	case l.unusual:
		s.find(pattern, least+(most-least)*l.degree, because("metric_unusual", e, "%s of %s is %s; %s", what, s.id, show(m.Value, m.Unit), l.against))
	case l.usual:
		s.object(0.7, because("metric_usual", e, "%s of %s is %s, but so it is always (%s)", what, s.id, show(m.Value, m.Unit), l.against), pattern)
	}
}

func (s *subject) metricEvidence(m Metric) heal.Evidence {
	value := m.Value
	return heal.Evidence{Kind: heal.EvidenceMetric, Entity: s.id, Query: m.Expr, Value: &value, Unit: m.Unit, At: m.At}
}

// latency looks at what the entity serves, or at what its callers see if it
// does not report itself.
func (s *subject) latency() {
	found, slow := false, false
	for _, id := range []string{LatencyP99, LatencyP99Short} {
		if m, ok := s.metric(id); ok {
			l := compare(m, s.limits.Latency)
			found, slow = true, slow || l.unusual || l.usual
			s.measured(heal.PatternHighLatency, "p99 latency ("+id+")", m, l, 0.25, 0.5)
		}
	}
	if m, ok := s.metric(LatencyP99Short); ok && !slow {
		s.object(0.6, because("measured_normal", s.metricEvidence(m), "p99 latency of %s is %s, nothing out of the ordinary", s.id, show(m.Value, m.Unit)), heal.PatternHighLatency)
	}
	if m, ok := s.metric(InboundP99); ok && !found {
		s.measured(heal.PatternHighLatency, "p99 latency seen by callers", m, compare(m, s.limits.Latency), 0.2, 0.5)
	}
}

// errors looks at the share of failed requests. Few requests prove little.
func (s *subject) errors() {
	weight := func(m Metric) (float64, string, bool) {
		base, against := 0.0, "the usual value is not known"
		if m.Baseline != nil && usable(*m.Baseline) {
			base, against = *m.Baseline, "usually "+show(*m.Baseline, m.Unit)
		}
		const noise = 0.01
		rise := m.Value - base
		over := m.Value > s.limits.ErrorRatio && m.Value > 2*base
		far := m.Baseline != nil && rise > noise && m.Value > 5*base
		scale := 1.0
		if rate, ok := s.metric(RequestRate); ok && rate.Value*shortWindow.Seconds() < 5 {
			scale = 0.5
		}
		return scale * (0.3 + 0.4*share(m.Value)), against, over || far
	}
	if m, ok := s.metric(ErrorRatio); ok {
		w, against, unusual := weight(m)
		switch {
		case m.Value == 0:
			s.object(0.6, because("measured_normal", s.metricEvidence(m), "no request %s serves fails", s.id), heal.PatternHighErrors)
		case unusual:
			s.find(heal.PatternHighErrors, w, because("metric_unusual", s.metricEvidence(m), "%s of the requests %s serves fail; %s", show(m.Value, m.Unit), s.id, against))
		}
	}
	if m, ok := s.metric(InboundErrors); ok {
		if w, against, unusual := weight(m); unusual {
			pattern := heal.PatternHighErrors
			if own, ok := s.metric(ErrorRatio); !ok || own.Value < m.Value/2 {
				pattern = heal.PatternConnectionFailed // calls that fail before they are served
			}
			s.find(pattern, w, because("callers_fail", s.metricEvidence(m), "%s of the calls to %s fail as the callers see it; %s", show(m.Value, m.Unit), s.id, against))
		}
	}
}

func (s *subject) resources() {
	if m, ok := s.metric(CPU); ok {
		s.measured(heal.PatternCPUSaturation, "CPU use", m, compareShare(m, s.limits.Utilisation), 0.4, 0.8)
	}
	if m, ok := s.metric(Memory); ok {
		s.measured(heal.PatternMemoryPressure, "memory use", m, compareShare(m, s.limits.Fullness), 0.4, 0.8)
	}
	if m, ok := s.metric(MemoryBytes); ok {
		s.measured(heal.PatternMemoryPressure, "memory in use", m, compare(m, 0), 0.2, 0.4)
	}
	if m, ok := s.metric(Disk); ok {
		s.measured(heal.PatternDiskFull, "disk use", m, compareShare(m, s.limits.Fullness), 0.4, 0.8)
	}
	if m, ok := s.metric(InFlight); ok {
		s.measured(heal.PatternHighLatency, "number of requests in flight", m, compare(m, 0), 0.1, 0.3)
	}
	if m, ok := s.metric(Network); ok && m.Baseline != nil {
		// More requests move more bytes: only what goes beyond them counts.
		if rate, ok := s.metric(RequestRate); ok && rate.Baseline != nil && usable(*rate.Baseline) && *rate.Baseline > 0 && rate.Value > *rate.Baseline {
			scaled := *m.Baseline * rate.Value / *rate.Baseline
			m.Baseline = &scaled
		}
		s.measured(heal.PatternNetworkIO, "network traffic", m, compare(m, 0), 0.2, 0.5)
	}
	if m, ok := s.metric(Restarts); ok && m.Value >= 1 {
		// One may be a deploy or a heal of ours.
		s.find(heal.PatternRestarts, min(0.7, 0.15+0.2*(m.Value-1)), because("restarts", s.metricEvidence(m), "%s restarted %s times of late", s.id, show(m.Value, m.Unit)))
	}
}

// pool looks at the connection pool: full, waited for, given up on.
func (s *subject) pool() {
	const nearlyFull = 0.9
	if m, ok := s.metric(PoolUsed); ok {
		s.measured(heal.PatternPoolExhausted, "use of the connection pool", m, compareShare(m, nearlyFull), 0.5, 0.6)
	}
	waits := []struct{ id, what string }{
		{PoolPending, "number of requests waiting for a connection"},
		{PoolTimeouts, "number of waits for a connection given up"},
	}
	for _, w := range waits {
		if m, ok := s.metric(w.id); ok && m.Value > 0 {
			l := compare(m, 0)
			if m.Baseline == nil {
				l = level{unusual: true, against: "the usual value is not known"}
			}
			s.measured(heal.PatternPoolExhausted, w.what, m, l, 0.4, 0.6)
		}
	}
}

// show writes a number with its unit as people read it.
func show(v float64, unit string) string {
	switch unit {
	case "1", "":
		return trim(v)
	case "s":
		if v < 1 {
			return trim(v*1000) + " ms"
		}
	}
	return trim(v) + " " + unit
}

func trim(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
