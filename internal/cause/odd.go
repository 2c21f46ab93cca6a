package cause

import "github.com/homeostat/homeostat/internal/heal"

// oddity says what a series out of the ordinary amounts to.
type oddity struct {
	pattern     heal.Pattern
	least, most float64 // weight of a surprise of 1 and of surprising
	own         bool    // it cannot come from a dependency
}

var oddities = map[Measure]oddity{
	MeasureLatency: {heal.PatternHighLatency, 0.2, 0.5, false},
	MeasureErrors:  {heal.PatternHighErrors, 0.2, 0.6, false},
	MeasureCPU:     {heal.PatternCPUSaturation, 0.2, 0.9, true},
	MeasureMemory:  {heal.PatternMemoryPressure, 0.2, 0.8, true},
	MeasureNetwork: {heal.PatternNetworkIO, 0.1, 0.4, false},
	MeasureDisk:    {heal.PatternDiskFull, 0.2, 0.8, true},
}

// aside is what an odd series counts for in an entity that what the alerted one
// lost did not pass.
const aside = 0.2

// series looks for whole series that rose out of the ordinary. What the ledger
// accounts for it has said already; and where the alert is not borne out, that
// something is odd somewhere proves nothing.
func (s *subject) series() {
	if s.ledger.refuted {
		return
	}
	best := map[Measure]shift{}
	names := map[Measure]string{}
	for _, series := range s.signals.Series {
		if _, known := oddities[series.Measure]; !known || series.Measure == s.ledger.measure && s.ledger.passed[s.id] > 0 {
			continue
		}
		found, ok := shiftsOf(series.Normal, series.Window, s.in.Incident.BeganAt)
		if !ok {
			continue
		}
		sh := found.level
		sh.surprise = min(sh.surprise, s.room(series, found.opening))
		if found.hasChange { // both, so that neither drift nor a restless moment counts
			sh.surprise = min(sh.surprise, found.change.surprise)
		}
		was, seen := best[series.Measure]
		if !seen || sh.surprise > was.surprise || sh.surprise == was.surprise && series.Name < names[series.Measure] {
			best[series.Measure], names[series.Measure] = sh, series.Name
		}
	}
	for measure, sh := range best {
		if sh.surprise <= 1 {
			continue
		}
		o := oddities[measure]
		e := heal.Evidence{Kind: heal.EvidenceMetric, Entity: s.id, Query: names[measure], At: s.in.Now}
		weight := o.least + (o.most-o.least)*doublings(sh.surprise)
		weight *= min(1, float64(sh.samples)/Enough) // a short past has shown little of what is usual
		if len(s.ledger.passed) > 0 {                // it is known where the loss is: elsewhere, what is odd is an aside
			weight *= aside + (1-aside)*share(s.ledger.passed[s.id])
		}
		s.findings = append(s.findings, finding{
			pattern: o.pattern, weight: weight, own: o.own,
			reason: because("series_unusual", e, "%s of %s is off by %s, %s times as much as it is at other times", names[measure], s.id, trim(sh.by), trim(sh.surprise)),
		})
	}
}

// room bounds the surprise of a share of a whole: a multiple of little is no
// shortage, however it rose.
func (s *subject) room(series Series, value float64) float64 {
	switch series.Unit {
	case "%":
		value /= 100
	case "1":
	default:
		return surprising
	}
	switch series.Measure {
	case MeasureCPU:
		return surprising * share(2*value/s.limits.Utilisation)
	case MeasureMemory, MeasureDisk:
		return surprising * share(2*value/s.limits.Fullness)
	case MeasureLatency, MeasureErrors, MeasureTraffic, MeasureNetwork, MeasureOther:
	}
	return surprising
}

// restless reports whether an entity has whole series of a measure and none of
// them rose out of the ordinary: what a short comparison finds unusual was so
// before.
func (s *scene) restless(id heal.EntityID, measure Measure) bool {
	measured := false
	for _, series := range s.in.Signals[id].Series {
		if series.Measure != measure {
			continue
		}
		if found, ok := shiftsOf(series.Normal, series.Window, s.in.Incident.BeganAt); ok && found.level.samples >= Enough {
			if measured = true; max(found.level.surprise, found.change.surprise) > 1 {
				return false
			}
		}
	}
	return measured
}
