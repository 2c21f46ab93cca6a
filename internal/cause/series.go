package cause

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Measure is what a series measures, and so what a rise of it means.
type Measure string

// The measures. What is none of them is MeasureOther.
const (
	MeasureLatency Measure = "latency" // s
	MeasureErrors  Measure = "errors"  // share of requests that fail, 0 to 1
	MeasureTraffic Measure = "traffic" // requests
	MeasureCPU     Measure = "cpu"
	MeasureMemory  Measure = "memory"
	MeasureNetwork Measure = "network"
	MeasureDisk    Measure = "disk"
	MeasureOther   Measure = "other"
)

// Sample is one value of a series.
type Sample struct {
	At    time.Time
	Value float64
}

// Series is one measured quantity of an entity. Samples that are not finite
// numbers say nothing; their order does not matter.
type Series struct {
	Name     string
	Measure  Measure
	Unit     string   // UCUM; a share of a whole is told by "1" or "%"
	Quantile float64  // of a distribution, 0 to 1; 0: the mean, a sum or a state
	Normal   []Sample // from before the case
	Window   []Sample // during the case; some may be from just before it
}

// shift is how far a series is from what is usual for it.
type shift struct {
	by       float64 // mean of the opening less what it is compared with
	surprise float64 // by in yardsticks: above 1, out of the ordinary; below -1, low out of the ordinary
	samples  int     // of the normal time
}

// shifts compares the opening of a case, its first samples, with two things:
// the level of the normal time, and what was just before. A level shows what
// crept up; a change shows what is small beside the drift of a day.
type shifts struct {
	level, change shift
	level0        float64 // median of the normal time
	opening       float64 // mean of the opening
	hasChange     bool    // something was measured just before
}

const (
	// rarely is the part of the normal time in which a series may be as far
	// off as now and still count as unusual.
	rarely = 0.01
	// Enough normal samples say how a series varies; fewer only where it is.
	Enough = 20
	// surprising bounds a surprise: beyond it nothing becomes surer.
	surprising = 16.0
	// opening is how much of a case is looked at, and openingSamples how many
	// samples at least: later ones may be of its end.
	opening        = 5 * time.Minute
	openingSamples = 3
)

// shiftsOf measures a series. The yardstick is its own: how far as many samples
// on end were off at any time that was normal. So what varies much must go far.
func shiftsOf(normal, window []Sample, began time.Time) (shifts, bool) {
	usual := finite(normal)
	before, since := split(usual, finite(window), began)
	if len(usual) == 0 || len(since) == 0 {
		return shifts{}, false
	}
	n := len(since)
	s := shifts{level0: median(usual), opening: mean(since)}
	least := 0.05 * math.Abs(s.level0) // what nobody would call a change
	if len(usual) < Enough {
		least = (wellAbove - 1) * math.Abs(s.level0)
	}
	// The most that few samples showed is less than what there can be.
	few := 1 + 4/float64(len(usual))
	s.level = shiftBy(s.opening-s.level0, offBy(usual, 0, n, s.level0), least, few)
	s.level.samples = len(usual)
	if k := len(before); k > 0 {
		s.hasChange = true
		s.change = shiftBy(s.opening-mean(before), offBy(usual, k, n, 0), least, few)
		s.change.samples = len(usual)
	}
	return s, true
}

// shiftBy measures by how much something is off, given how much it was at
// normal times.
func shiftBy(by float64, usual []float64, least, few float64) shift {
	slices.Sort(usual)
	up, down := least, least
	if last := len(usual) - 1; last >= 0 {
		rare := int(rarely * float64(last))
		if rare > 0 {
			few = 1
		}
		up, down = max(up, few*usual[last-rare]), max(down, -few*usual[rare])
	}
	yardstick := up
	if by < 0 {
		yardstick = down
	}
	return shift{by: by, surprise: ratio(by, yardstick)}
}

// offBy gives, for each place in the samples, the mean of the n from there on,
// less that of the k before, or less base where k is 0.
func offBy(samples []Sample, k, n int, base float64) []float64 {
	sums := make([]float64, len(samples)+1)
	for i, s := range samples {
		sums[i+1] = sums[i] + s.Value
	}
	n = min(n, max(1, len(samples)/2))
	out := make([]float64, 0, len(samples))
	for at := k; at+n <= len(samples); at++ {
		off := (sums[at+n]-sums[at])/float64(n) - base
		if k > 0 {
			off -= (sums[at] - sums[at-k]) / float64(k)
		}
		out = append(out, off)
	}
	return out
}

// split gives the samples just before the case and its opening. A sample stands
// for the time up to the next one.
func split(normal, window []Sample, began time.Time) (before, since []Sample) {
	first := len(window) - 1
	for i, s := range window {
		if s.At.After(began) {
			first = max(0, i-1)
			break
		}
	}
	if first < 0 {
		return nil, nil
	}
	since = window[first:]
	last := openingSamples
	for last < len(since) && since[last].At.Sub(since[0].At) < opening {
		last++
	}
	since = since[:min(last, len(since))]
	earlier := window[:first]
	step := cadence(normal)
	if first == 0 && len(normal) > 0 {
		earlier = normal
	}
	for i := len(earlier) - 1; i >= max(0, len(earlier)-openingSamples); i-- {
		next := since[0]
		if i+1 < len(earlier) {
			next = earlier[i+1]
		}
		gap := next.At.Sub(earlier[i].At)
		if gap <= 0 || step > 0 && gap > 2*step {
			break
		}
		before = append(before, earlier[i])
	}
	return before, since
}

// cadence is the usual distance between samples.
func cadence(samples []Sample) time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(samples); i++ {
		gaps = append(gaps, samples[i].At.Sub(samples[i-1].At))
	}
	if len(gaps) == 0 {
		return 0
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// ratio divides and keeps to what can be told apart.
func ratio(by, spread float64) float64 {
	if by == 0 {
		return 0
	}
	if spread <= 0 {
		return math.Copysign(surprising, by)
	}
	return max(-surprising, min(surprising, by/spread))
}

// finite gives the samples that are numbers, oldest first.
func finite(samples []Sample) []Sample {
	out := make([]Sample, 0, len(samples))
	for _, s := range samples {
		// Squares and sums of what is used must be finite too.
		if math.Abs(s.Value) < 1e100 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Sample) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Value, b.Value)) })
	return out
}

func mean(samples []Sample) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += s.Value
	}
	return sum / float64(len(samples))
}

func median(samples []Sample) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, s.Value)
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 0 {
		return (values[mid-1] + values[mid]) / 2
	}
	return values[mid]
}
