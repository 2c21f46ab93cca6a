package cause

import "slices"

// answers says which questions tell what requests lose, the entity's own word
// before that of its callers.
var answers = []struct {
	id       string
	measure  Measure
	quantile float64
	instead  string // the question that is asked of the callers
}{
	{LatencyP99Short, MeasureLatency, 0.99, InboundP99},
	{ErrorRatio, MeasureErrors, 0, InboundErrors},
	{RequestRate, MeasureTraffic, 0, InboundRate},
}

// tellsLoss reports whether what requests lose is told by a question.
func tellsLoss(id string) bool {
	for _, a := range answers {
		if a.id == id || a.instead == id {
			return true
		}
	}
	return false
}

// measured gives the series of an entity, the answers to questions among them
// where they came with what they were before.
func (s Signals) measured() []Series {
	all := s.Series
	for _, a := range answers {
		id := a.id
		m, ok := s.Metrics[id]
		if !ok {
			id = a.instead
			m, ok = s.Metrics[id]
		}
		if !ok || len(m.Usual) == 0 {
			continue
		}
		all = append(slices.Clip(all), Series{
			Name: id, Measure: a.measure, Unit: m.Unit, Quantile: a.quantile,
			Normal: m.Usual, Window: []Sample{{m.At, m.Value}},
		})
	}
	return all
}
