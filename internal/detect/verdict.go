package detect

import "math"

// For hold points an event that was told is not told again unless it grows, and
// for as many more unless it is at least echo of what it was.
const (
	hold = 100
	echo = 2.0 / 3
)

// alarmEvery is once in how many points a point must be to be an alarm.
const alarmEvery = 1000

// Verdict is what a series says of a point.
type Verdict struct {
	// Surprise is the natural logarithm of once in how many points, joined over
	// the members as the sides of a right angle are.
	Surprise float64
	// Score is Surprise put between 0 and 1, 0.5 at once in 1,000 points; 0 for
	// a point that says nothing new: the event was told before.
	Score float64
	// Loudest is the member that was most surprised; empty if none was.
	Loudest Method
	Flaw    Flaw
}

// Alarm reports whether a person or the loop should be told.
func (v Verdict) Alarm() bool { return v.Score >= 0.5 }

// Told remembers the last event that was told of a series.
type Told struct {
	surprise   float64
	at, points uint32 // of the event, 0: none yet; of the last point
}

// Judge gives the verdict on the next of a run of points from what each member
// said of it, in the order of Members. Its use is to ask what a series would
// have said without some of them.
func (t *Told) Judge(voices []float64) Verdict {
	var out Verdict
	sum, loudest := 0.0, 0.0
	for m, r := range voices[:min(len(voices), int(members))] {
		sum += r * r
		if r > loudest {
			loudest, out.Loudest = r, memberMethods[m]
		}
	}
	out.Surprise = math.Sqrt(sum)
	if t.points < math.MaxUint32 {
		t.points++
	}
	if out.Surprise <= t.bar() {
		return out
	}
	t.at, t.surprise = t.points, out.Surprise
	out.Score = out.Surprise / (out.Surprise + math.Log(alarmEvery))
	return out
}

// bar is what the last point must exceed to be news.
func (t *Told) bar() float64 {
	switch since := t.points - t.at; {
	case t.at == 0:
		return 0
	case since <= hold:
		return t.surprise
	case since <= 2*hold:
		return echo * t.surprise
	}
	return 0
}
