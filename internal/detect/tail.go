package detect

import "math"

// tailDepth is how many of the greatest values a tail remembers.
const tailDepth = 8

// tailHorizon is after how many points a value has lost much of its weight, so
// that what was the greatest once is not for ever: ten weeks of 5 minutes.
const tailHorizon = 20_000

// tailFade is every how many points the values are aged.
const tailFade = 64

// tail judges how rare a value is in a history of values of which only the
// greatest are kept. What lies between two of them is told by their rank, what
// lies beyond by how the kept ones spread (the estimator of Hill: the mean of
// the logarithms of their ratios to the least of them).
//
// So a member that speaks often has to speak louder than it used to, and what
// comes out means the same for every member and every series: the natural
// logarithm of once in how many points.
type tail struct {
	top [tailDepth]float32 // falling, the first kept of them set
	n   uint32             // points seen
	kept,
	age uint8
}

// rarity takes the next value and says how rare it is.
func (t *tail) rarity(x float64) float64 {
	if t.n < tailHorizon {
		t.n++
	}
	if t.age++; t.age == tailFade {
		t.age = 0
		if t.n == tailHorizon {
			for i := range t.top {
				t.top[i] *= 1 - 0.5*tailFade/tailHorizon
			}
		}
	}
	if x <= 0 {
		return 0
	}
	var r float64
	if t.n > tailDepth {
		r = t.judge(x)
	}
	t.keep(float32(min(x, maxUnits)))
	return r
}

// judge wants x above 0.
func (t *tail) judge(x float64) float64 {
	n := float64(t.n)
	if t.kept == 0 {
		return math.Log(n)
	}
	least := float64(t.top[t.kept-1])
	if t.kept == tailDepth && x <= least {
		return 0
	}
	// Few values say little of how they spread. They are pulled towards a
	// tail in which every e-fold is worth two of rarity, by the weight of four
	// values.
	const belief, weight = 0.5, 4
	spread := belief * weight
	for _, v := range t.top[:t.kept-1] {
		spread += math.Log(float64(v) / least)
	}
	spread /= float64(t.kept-1) + weight
	return max(0, math.Log(n/float64(t.kept+1))+math.Log(x/least)/spread)
}

func (t *tail) keep(x float32) {
	if x <= 0 || t.kept == tailDepth && x <= t.top[tailDepth-1] {
		return
	}
	if t.kept < tailDepth {
		t.kept++
	}
	i := int(t.kept) - 1
	for ; i > 0 && t.top[i-1] < x; i-- {
		t.top[i] = t.top[i-1]
	}
	t.top[i] = x
}
