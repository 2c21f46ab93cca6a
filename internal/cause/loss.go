package cause

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// ledger says where what the alerted entity lost was lost first. What a request
// loses, time or its answer, is lost in one place, and in everyone who waits
// for it. So the loss of an entity less that of what it calls is its own:
//
//	loss = (latency - usual) x requests, or (failing share - usual) x requests
//
// These are sums over requests, so they can be compared along a call whatever
// the size and rate of the services on it.
type ledger struct {
	measure Measure
	losses  map[heal.EntityID]shift   // of all that are measured
	passed  map[heal.EntityID]float64 // share of the alerted entity's loss that runs through it
	own     map[heal.EntityID]float64 // share that begins in it; 1 in all
	counted bool                      // requests are counted
	refuted bool                      // the alerted entity is measured well and loses nothing
	short   int                       // where it loses nothing: by how many samples from before that is told
}

// symptoms are what a fault of a type makes its entity lose.
var symptoms = map[heal.FaultType]Measure{
	heal.PerformanceDegradation: MeasureLatency,
	heal.ErrorsRaised:           MeasureErrors,
	heal.ConnectionFailure:      MeasureErrors,
}

// maxHops bounds how far a loss is followed.
const maxHops = 32

func (s *scene) newLedger() *ledger {
	l := &ledger{losses: map[heal.EntityID]shift{}, passed: map[heal.EntityID]float64{}, own: map[heal.EntityID]float64{}}
	p := s.in.Incident.PrimaryFault()
	if p == nil {
		return l
	}
	l.measure = symptoms[p.Key.Type]
	began, requests := s.in.Incident.BeganAt, 1.0
	if counts, ok := accounted(s.in.Signals[s.alerted].measured(), MeasureTraffic); ok {
		if usual := finite(counts.Normal); len(usual) > 0 {
			requests, l.counted = median(usual), true
		}
	}
	mine, measured := lossOf(s.in.Signals[s.alerted].measured(), l.measure, began, requests)
	if !measured {
		return l
	}
	// All are measured by what shows the loss of the alerted one best.
	change := mine.hasChange && mine.change.surprise > mine.level.surprise
	for id, signals := range s.in.Signals {
		loss, ok := lossOf(signals.measured(), l.measure, began, requests)
		switch {
		case ok && change && loss.hasChange:
			l.losses[id] = loss.change
		case ok:
			l.losses[id] = loss.level
		}
	}
	lost := l.losses[s.alerted]
	if lost.surprise <= 1 && !l.accountedFor(s) {
		l.refuted, l.short = lost.samples >= Enough, lost.samples
		return l
	}
	l.follow(s)
	return l
}

// accountedFor reports whether what the alerted entity lost, though no more than
// at some other times, is just what something it calls lost most unusually.
func (l *ledger) accountedFor(s *scene) bool {
	const unusual = 2.0 // one witness for two
	mine := l.losses[s.alerted].by
	if mine <= 0 {
		return false
	}
	for _, d := range l.measuredBelow(s, s.alerted) {
		if loss := l.losses[d]; loss.surprise > unusual && loss.by >= mine/2 {
			return true
		}
	}
	return false
}

// lossOf is the loss of an entity per sample. requests is how many there are to a
// sample if the entity's own are not counted.
func lossOf(series []Series, measure Measure, began time.Time, requests float64) (shifts, bool) {
	pick, ok := accounted(series, measure)
	if !ok {
		return shifts{}, false
	}
	usual := finite(pick.Normal)
	if len(usual) == 0 {
		return shifts{}, false
	}
	base := median(usual)
	traffic, _ := accounted(series, MeasureTraffic)
	return shiftsOf(lost(pick.Normal, base, traffic.Normal, requests), lost(pick.Window, base, traffic.Window, requests), began)
}

// accounted is the series of a measure that sums are made of: the mean before
// quantiles, low ones before high ones.
func accounted(series []Series, measure Measure) (Series, bool) {
	var found []Series
	for _, s := range series {
		if s.Measure == measure {
			found = append(found, s)
		}
	}
	if len(found) == 0 || measure == "" {
		return Series{}, false
	}
	return slices.MinFunc(found, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Quantile, b.Quantile), cmp.Compare(a.Name, b.Name))
	}), true
}

// lost are the losses of each sample. A sample without a count of its requests
// counts as the usual number of them.
func lost(samples []Sample, usual float64, traffic []Sample, often float64) []Sample {
	counts := finite(traffic)
	if len(counts) > 0 {
		often = median(counts)
	}
	at := make(map[int64]float64, len(counts))
	for _, c := range counts {
		at[c.At.UnixNano()] = c.Value
	}
	out := make([]Sample, 0, len(samples))
	for _, s := range finite(samples) {
		n, ok := at[s.At.UnixNano()]
		if !ok {
			n = often
		}
		out = append(out, Sample{s.At, (s.Value - usual) * max(n, 0)})
	}
	return out
}

// follow passes the loss of the alerted entity down the calls.
func (l *ledger) follow(s *scene) {
	level := map[heal.EntityID]float64{s.alerted: 1}
	for range maxHops {
		next := map[heal.EntityID]float64{}
		for _, id := range slices.Sorted(maps.Keys(level)) {
			share := level[id]
			l.passed[id] += share
			kept := share
			for _, d := range l.losing(s, id) {
				part := share * d.part
				next[d.id] += part
				kept -= part
			}
			l.own[id] += max(0, kept)
		}
		if level = next; len(level) == 0 {
			return
		}
	}
	for id, share := range level {
		l.own[id] += share
	}
}

// debtor is a dependency and the part of a loss it accounts for.
type debtor struct {
	id   heal.EntityID
	part float64
}

// losing gives what an entity calls that loses too. If they lose more together
// than the entity, they are held to account in proportion. Where requests are
// not counted it is not known how often each is called: then none is taken to
// cost more than the entity lost, and the more unusual loss weighs more.
func (l *ledger) losing(s *scene, id heal.EntityID) []debtor {
	var found []debtor
	total := l.losses[id].by
	if !(total > 0) {
		return nil
	}
	sum, plain := 0.0, 0.0
	for _, d := range l.measuredBelow(s, id) {
		loss := l.losses[d]
		if loss.surprise <= 1 || loss.by <= 0 || s.dependsOn(d, id) {
			continue
		}
		by := loss.by
		if !l.counted {
			by = min(by, total)
			plain += by
			by *= loss.surprise
		}
		found = append(found, debtor{d, by})
		sum += by
	}
	whole := max(total, sum)
	if !l.counted {
		whole = sum * max(1, total/plain)
	}
	for i := range found {
		found[i].part /= whole
	}
	return found
}

// measuredBelow gives what an entity calls, and what those call that are not
// measured themselves, sorted.
func (l *ledger) measuredBelow(s *scene, id heal.EntityID) []heal.EntityID {
	if id == s.alerted && !s.placed(id) {
		return l.others(s)
	}
	seen := map[heal.EntityID]bool{id: true}
	var out []heal.EntityID
	for queue := s.below(id); len(queue) > 0; queue = queue[1:] {
		d := queue[0]
		if seen[d] {
			continue
		}
		seen[d] = true
		if _, ok := l.losses[d]; ok {
			out = append(out, d)
		} else if len(seen) < maxReach {
			queue = append(slices.Clone(queue), s.below(d)...)
		}
	}
	slices.Sort(out)
	return out
}

// others gives all that are measured but the alerted one: where nothing is known
// of who calls whom, each of them may be what it waits for.
func (l *ledger) others(s *scene) []heal.EntityID {
	var out []heal.EntityID
	for _, id := range slices.Sorted(maps.Keys(l.losses)) {
		if id != s.alerted {
			out = append(out, id)
		}
	}
	return out
}

// lossPatterns are what losing amounts to.
var lossPatterns = map[Measure]heal.Pattern{MeasureLatency: heal.PatternHighLatency, MeasureErrors: heal.PatternHighErrors}

// losses takes what the ledger says about the entity.
func (s *subject) losses() {
	l := s.ledger
	e := heal.Evidence{Kind: heal.EvidenceMetric, Entity: s.id, Query: string(l.measure), At: s.in.Now}
	if l.refuted && s.id == s.alerted {
		s.object(0, because("alert_not_borne_out", e, "the %s of %s is as it was at other times when nothing was wrong", l.measure, s.id))
		return
	}
	passed, own := l.passed[s.id], l.own[s.id]
	const little = 0.01
	if passed < little {
		return
	}
	what := lossWords[l.measure]
	reason := because("loss_passed", e, "%s of %s is lost below %s, which is %s times as far off as at other times", what, s.alerted, s.id, trim(l.losses[s.id].surprise))
	if own >= little {
		reason = because("own_loss", e, "%.0f %% of the %s of %s is lost in %s itself, which is %s times as far off as at other times", 100*own, what, s.alerted, s.id, trim(l.losses[s.id].surprise))
	}
	s.findings = append(s.findings, finding{pattern: lossPatterns[l.measure], weight: 0.1 + 0.7*share(own), own: own >= passed/2, reason: reason})
}

// lossWords are what is lost, in words.
var lossWords = map[Measure]string{MeasureLatency: "extra time", MeasureErrors: "extra failures"}
