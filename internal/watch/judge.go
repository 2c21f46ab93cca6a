package watch

import (
	"math"
	"time"
)

// judge says whether one golden signal of a service hurts. It is saved as it is.
type judge struct {
	Memory   memory    `json:"memory"`
	Usual    float64   `json:"usual,omitempty"` // median of the memory, as of when the signal rose
	Hard     float64   `json:"hard,omitempty"`  // limits as of then; 0: it has not risen
	Soft     float64   `json:"soft,omitempty"`
	Over     int       `json:"over,omitempty"` // looks in a row above Hard
	Above    int       `json:"above,omitempty"`
	Under    int       `json:"under,omitempty"`  // looks in a row at or below the limit
	Absent   int       `json:"absent,omitempty"` // looks in a row without a value
	Surprise float64   `json:"surprise,omitempty"`
	Since    time.Time `json:"since,omitzero"` // when it rose
	Limit    float64   `json:"limit,omitempty"`
	Fired    time.Time `json:"fired,omitzero"` // zero: no finding stands
	Value    float64   `json:"value,omitempty"`
	well     bool      // said to be well since the start
}

// patience is for how many looks on end a signal must hurt: three and six, more
// where looks come so fast that this would be a moment.
type patience struct{ hard, soft int }

const (
	hardLeast = 15 * time.Second
	softLeast = 30 * time.Second
)

func patienceOf(interval time.Duration) patience {
	return patience{max(hardLooks, int(hardLeast/interval)), max(softLooks, int(softLeast/interval))}
}

// What makes a finding. A look is one interval.
const (
	judgePoints = 20 // looks from when all was well, before anything is judged
	hardLooks   = 3  // on end far above, at least
	softLooks   = 6  // on end clearly above, while others are off, at least
	softOthers  = 2  // so many other signals of the service
	clearLooks  = 4  // on end below the limit end it
	adoptLooks  = 40 // on end above without a finding: so it is now
	absentLooks = 40 // without a value end it
	fewCalls    = 10 // requests in the window; less prove nothing
)

// adoptAfter is how long a finding stands before what it found is taken for the
// new usual.
const adoptAfter = 24 * time.Hour

// surprising is what the detectors must at least have said of the rise: once in
// a hundred points.
var surprising = math.Log(100)

// rise says from where on a golden signal hurts.
type rise struct {
	hard, soft       float64 // times the median
	leastH, leastS   float64 // at least that much more than it
	beyondH, beyondS float64 // times what all but a hundredth of the past is below
}

// The least rises are what people notice: a tenth of a second, one request in
// twenty.
var rises = map[Golden]rise{
	Latency: {hard: 3, soft: 1.5, leastH: 0.1, leastS: 0.05, beyondH: 1.5, beyondS: 1.1},
	Errors:  {hard: 2, soft: 1.5, leastH: 0.05, leastS: 0.02, beyondH: 1.5, beyondS: 1.1},
}

func (r rise) limits(m *memory) (usual, hard, soft float64) {
	median, high := m.levels()
	return median, max(r.hard*median, median+r.leastH, r.beyondH*high), max(r.soft*median, median+r.leastS, r.beyondS*high)
}

// event is what a look at a judge amounts to.
type event uint8

const (
	nothing event = iota
	opened        // it hurts now
	stands        // it still does
	ended         // it does not any more
	well          // it does not, for the first time since the start
)

// look takes a value; calls is how many requests it rests on, others how many
// other signals of the service are off.
func (j *judge) look(g Golden, p patience, at time.Time, v, surprise, calls float64, others int) event {
	j.Value, j.Absent = v, 0
	if !j.Fired.IsZero() {
		return j.standing(at, v)
	}
	if len(j.Memory.Values) < judgePoints {
		if calls >= fewCalls {
			j.Memory.learn(v)
		}
		return nothing
	}
	usual, hard, soft := rises[g].limits(&j.Memory)
	if j.Hard > 0 { // it has risen: by what stood then
		usual, hard, soft = j.Usual, j.Hard, j.Soft
	}
	switch {
	case calls < fewCalls:
		j.calm()
		return nothing
	case j.Above >= adoptLooks:
		j.Memory = memory{}
		fallthrough
	case v <= soft:
		j.calm()
		j.Memory.learn(v)
		if j.Under++; j.Under >= clearLooks && !j.well {
			j.well = true
			return well
		}
		return nothing
	}
	if j.Hard == 0 {
		j.Usual, j.Hard, j.Soft, j.Since = usual, hard, soft, at
	}
	j.Under = 0
	j.Above++
	j.Surprise = max(j.Surprise, surprise)
	if v > hard {
		j.Over++
	} else {
		j.Over = 0
	}
	switch {
	case j.Surprise < surprising:
	case j.Over >= p.hard:
		j.Limit, j.Fired = hard, at
		return opened
	case j.Above >= p.soft && others >= softOthers:
		j.Limit, j.Fired = soft, at
		return opened
	}
	return nothing
}

// standing looks whether a finding is over.
func (j *judge) standing(at time.Time, v float64) event {
	if v > j.Limit {
		j.Under = 0
	} else {
		j.Under++
	}
	switch {
	case j.Under >= clearLooks:
	case at.Sub(j.Fired) >= adoptAfter:
		j.Memory = memory{}
	default:
		return stands
	}
	j.calm()
	j.Fired, j.Under, j.well = time.Time{}, 0, true
	return ended
}

// miss notes a look without a value.
func (j *judge) miss() event {
	if j.Absent++; j.Absent < absentLooks || j.Fired.IsZero() {
		return nothing
	}
	j.calm()
	j.Fired, j.Absent = time.Time{}, 0
	return ended
}

// calm forgets a rise.
func (j *judge) calm() {
	j.Usual, j.Hard, j.Soft, j.Over, j.Above, j.Surprise, j.Since = 0, 0, 0, 0, 0, 0, time.Time{}
}
