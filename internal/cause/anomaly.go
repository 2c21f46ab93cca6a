package cause

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Anomaly is a series of an entity that detectors found out of the ordinary.
type Anomaly struct {
	Name     string // of the signal or metric, and which of its series
	Expr     string // PromQL that shows it
	Unit     string
	Since    time.Time
	At       time.Time // when it was seen last
	Value    float64
	Usual    float64
	Surprise float64  // natural logarithm of once in how many points
	Said     []string // by each detector that spoke, the loudest first
}

// An odd series is a weak witness: some series always is odd somewhere, and what
// the questions and whole series show was heard already.
const (
	leastOdd = 0.05
	mostOdd  = 0.25
	veryOdd  = 14.0 // a surprise of once in a million points
	maxOdd   = 5    // series of one entity, the most surprising
)

// anomalies takes what detectors found to have risen out of the ordinary. What
// fell says of itself that less is done, not why.
func (s *subject) anomalies() {
	var rose []Anomaly
	for _, a := range s.signals.Anomalies {
		if a.Value > a.Usual && !math.IsInf(a.Value, 0) && !math.IsInf(a.Usual, 0) && a.Surprise > 0 {
			rose = append(rose, a)
		}
	}
	slices.SortFunc(rose, func(a, b Anomaly) int {
		return cmp.Or(-cmp.Compare(a.Surprise, b.Surprise), cmp.Compare(a.Name, b.Name), a.Since.Compare(b.Since))
	})
	for _, a := range rose[:min(len(rose), maxOdd)] {
		pattern := patternOfSeries(a.Name)
		weight := leastOdd
		if pattern != heal.PatternUnknown {
			weight += (mostOdd - leastOdd) * share(a.Surprise/veryOdd)
		}
		value := a.Value
		e := heal.Evidence{Kind: heal.EvidenceMetric, Entity: s.id, Query: a.Expr, Value: &value, Unit: a.Unit, At: a.At}
		text := fmt.Sprintf("%s of %s is out of the ordinary since %s: %s, usually %s", a.Name, s.id, a.Since.UTC().Format(time.TimeOnly), show(a.Value, a.Unit), show(a.Usual, a.Unit))
		if len(a.Said) > 0 {
			text += " (" + strings.TrimRight(a.Said[0], ". ") + ")"
		}
		s.find(pattern, weight, because("series_odd", e, "%s", text))
	}
}

// seriesWords tell what a series that rose speaks of, besides resourceWords.
var seriesWords = []struct {
	word    string
	pattern heal.Pattern
}{
	{"error", heal.PatternHighErrors},
	{"fail", heal.PatternHighErrors},
	{"latency", heal.PatternHighLatency},
	{"duration", heal.PatternHighLatency},
}

func patternOfSeries(name string) heal.Pattern {
	name, _, _ = strings.Cut(strings.ToLower(name), "{") // its labels may hold any word
	for _, w := range seriesWords {
		if strings.Contains(name, w.word) {
			return w.pattern
		}
	}
	for _, w := range resourceWords {
		if strings.Contains(name, w.word) {
			return w.pattern
		}
	}
	return heal.PatternUnknown
}
