package main

import (
	"math"
	"slices"
)

// nabWindow is a labelled stretch of rows, both ends in it.
type nabWindow struct{ first, last int }

// nabProfile weighs what a detector gets right and wrong.
type nabProfile struct {
	name       string
	tp, fp, fn float64
}

var nabProfiles = []nabProfile{
	{"standard", 1, 0.11, 1},
	{"reward_low_FP_rate", 1, 0.22, 1},
	{"reward_low_FN_rate", 1, 0.11, 2},
}

// nabNothing is the threshold at which no row is detected.
const nabNothing = 1.1

// nabCount is the score of one series at one threshold and its rows by outcome.
type nabCount struct {
	score          float64
	tp, tn, fp, fn int
}

// nabProbation is how many rows at the beginning of n never count.
func nabProbation(n int) int { return min(int(0.15*float64(n)), 750) }

// nabSigmoid is what a detection at y is worth: y in [-1, 0] is the place in a
// window from its left edge to its right, y above 0 the distance behind the
// window in windows.
func nabSigmoid(y float64) float64 {
	if y > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*y)) - 1
}

// nabValues gives each row what its detection is worth, and the index of its
// window, -1 outside.
func nabValues(n int, windows []nabWindow, p nabProfile) (values []float64, in []int) {
	values, in = make([]float64, n), make([]int, n)
	for i := range n {
		in[i], values[i] = -1, -p.fp
		before := -1
		for w, win := range windows {
			switch {
			case i >= win.first && i <= win.last:
				in[i] = w
				width := float64(win.last - win.first + 1)
				values[i] = p.tp * nabSigmoid(-float64(win.last-i+1)/width) / nabSigmoid(-1)
			case win.last < i:
				if before < 0 || win.last > windows[before].last {
					before = w
				}
			}
		}
		if in[i] < 0 && before >= 0 {
			win := windows[before]
			values[i] = p.fp * nabSigmoid(float64(i-win.last)/float64(win.last-win.first))
		}
	}
	return values, in
}

// nabScore scores one series at a threshold.
func nabScore(scores []float64, windows []nabWindow, p nabProfile, threshold float64) nabCount {
	values, in := nabValues(len(scores), windows, p)
	best := make([]float64, len(windows))
	found := make([]bool, len(windows))
	var c nabCount
	for i := nabProbation(len(scores)); i < len(scores); i++ {
		hit := scores[i] >= threshold
		switch w := in[i]; {
		case w >= 0 && hit:
			c.tp++
			if !found[w] || values[i] > best[w] {
				found[w], best[w] = true, values[i]
			}
		case w >= 0:
			c.fn++
		case hit:
			c.fp++
			c.score += values[i]
		default:
			c.tn++
		}
	}
	for w := range windows {
		if found[w] {
			c.score += best[w]
		} else {
			c.score -= p.fn
		}
	}
	return c
}

// nabSeries is what the search for a threshold needs of one series.
type nabSeries struct {
	scores  []float64
	windows []nabWindow
}

// nabSearch gives the threshold with the greatest sum over all series, and the
// sum; at a tie the higher threshold.
func nabSearch(all []nabSeries, p nabProfile) (threshold, sum float64) {
	type row struct {
		score, value float64
		window       int // over all series; -1 outside
	}
	var rows []row
	windows := 0
	for _, s := range all {
		values, in := nabValues(len(s.scores), s.windows, p)
		for i := nabProbation(len(s.scores)); i < len(s.scores); i++ {
			r := row{s.scores[i], values[i], -1}
			if in[i] >= 0 {
				r.window = windows + in[i]
			}
			rows = append(rows, r)
		}
		windows += len(s.windows)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	worth := make([]float64, windows)
	for w := range worth {
		worth[w] = -p.fn
	}
	now := -p.fn * float64(windows)
	threshold, sum = nabNothing, now
	found := make([]bool, windows)
	for i, r := range rows {
		switch {
		case r.window < 0:
			now += r.value
		case !found[r.window] || r.value > worth[r.window]:
			now += r.value - worth[r.window]
			worth[r.window], found[r.window] = r.value, true
		}
		if i+1 < len(rows) && rows[i+1].score == r.score {
			continue
		}
		if now > sum {
			threshold, sum = r.score, now
		}
	}
	return threshold, sum
}

// nabFinal puts a sum over all series on the published scale: 0 is a detector
// that says nothing, 100 one that says everything at once and nothing else.
func nabFinal(sum float64, windows int, p nabProfile) float64 {
	null, perfect := -p.fn*float64(windows), p.tp*float64(windows)
	return 100 * (sum - null) / (perfect - null)
}

// nabAt is the final score of all series at one threshold.
func nabAt(all []nabSeries, p nabProfile, threshold float64) float64 {
	sum := 0.0
	for _, s := range all {
		sum += nabScore(s.scores, s.windows, p, threshold).score
	}
	return nabFinal(sum, nabWindows(all), p)
}

// nabWindows is how many windows there are.
func nabWindows(all []nabSeries) int {
	n := 0
	for _, s := range all {
		n += len(s.windows)
	}
	return n
}
