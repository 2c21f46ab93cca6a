package detect

import (
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// view is one way to look at the last vectors.
type view uint8

const (
	viewNow    view = iota // the last vector
	viewRecent             // the mean of the last ones: a small deviation that lasts
	viewStep               // what changed since the one before
	views
)

// Joint learns how the metrics of one service move together, and says how far
// a vector of them is from it: the distance of Mahalanobis, which counts a
// deviation that the other metrics explain for little and one they do not for
// much. It looks at the vector, at the mean of the last ones and at the last
// step, each against its own past.
//
// A metric may be missing (NaN): it then counts as expected. Metrics may each be
// multiplied and shifted: the scores stay. It is owned by one goroutine at a
// time.
type Joint struct {
	dim    int
	past   [views]*relation
	seen   [views][]float64 // the last vector, without holes, in each view
	parts  [views]float64   // how far the last vector is in each view
	ring   []float64        // the last recentWindow vectors
	at, n  int              // next place in ring; how many are in it
	score  [scoreWindow]float64
	scores int
}

const (
	recentWindow = 20 // vectors in the mean of the last ones
	scoreWindow  = 10 // scores in the mean that Observe gives
	// MaxMetrics bounds a vector: the work for one grows with the square of
	// its length.
	MaxMetrics = 128
)

// NewJoint is for vectors of dim metrics.
func NewJoint(dim int) (*Joint, error) {
	if dim < 1 || dim > MaxMetrics {
		return nil, heal.Errorf(heal.Invalid, "detect.NewJoint", "%d metrics, expected 1 to %d", dim, MaxMetrics)
	}
	j := &Joint{dim: dim, ring: make([]float64, dim*recentWindow)}
	for v := range views {
		j.past[v], j.seen[v] = newRelation(dim), make([]float64, dim)
	}
	return j, nil
}

// Observe takes the next vector and says how far it is from what was learnt:
// about 1 is usual, 0 is not known yet. If learn is set it is learnt from
// afterwards. A vector of another length is cut or taken as missing the rest.
func (j *Joint) Observe(vector []float64, learn bool) float64 {
	j.take(vector)
	raw := 0.0
	for v, past := range j.past {
		j.parts[v] = past.distance(j.seen[v])
		raw += j.parts[v] / float64(views)
	}
	j.score[j.scores%scoreWindow] = raw
	j.scores++
	if j.scores == 2*scoreWindow {
		j.scores = scoreWindow
	}
	if learn {
		for v, past := range j.past {
			past.learn(j.seen[v])
		}
	}
	k := min(j.scores, scoreWindow)
	sum := 0.0
	for _, s := range j.score[:k] {
		sum += s
	}
	return sum / float64(k)
}

// Parts are how far the last vector is by itself, in the mean of the last ones
// and in the step to it. Observe gives the mean of the three over some vectors.
func (j *Joint) Parts() (now, recent, step float64) {
	return j.parts[viewNow], j.parts[viewRecent], j.parts[viewStep]
}

// farMetric bounds the value of a metric, so that sums over it are finite.
const farMetric = 1e150

// take puts a vector into the ring, its holes filled with what is expected, and
// looks at it in each view.
func (j *Joint) take(vector []float64) {
	slot := j.ring[j.at*j.dim : (j.at+1)*j.dim]
	j.at = (j.at + 1) % recentWindow
	j.n = min(j.n+1, recentWindow)
	last, mean, step := j.seen[viewNow], j.seen[viewRecent], j.seen[viewStep]
	for i := range j.dim {
		x := j.past[viewNow].centre[i]
		if i < len(vector) && finite(vector[i]) {
			x = vector[i]
		}
		x = min(max(x, -farMetric), farMetric)
		step[i] = 0
		if j.n > 1 {
			step[i] = x - last[i]
		}
		last[i], slot[i] = x, x
		sum := 0.0
		for k := range j.n {
			sum += j.ring[k*j.dim+i]
		}
		mean[i] = sum / float64(j.n)
	}
}

// Share is the part of a score that one metric carries.
type Share struct {
	Metric int     // its place in the vector
	Part   float64 // 0 to 1
}

// Shares says which metrics carry the distance of the last vector, the greatest
// first, at most limit of them.
func (j *Joint) Shares(limit int) []Share {
	parts := make([]float64, j.dim)
	for v, past := range j.past {
		past.shares(j.seen[v], parts)
	}
	return shares(parts, limit)
}

// shares ranks parts and scales them to a sum of 1.
func shares(parts []float64, limit int) []Share {
	total := 0.0
	for _, p := range parts {
		total += max(0, p)
	}
	var out []Share
	for i, p := range parts {
		if p > 0 && total > 0 {
			out = append(out, Share{i, p / total})
		}
	}
	slices.SortStableFunc(out, func(a, b Share) int {
		switch {
		case a.Part > b.Part:
			return -1
		case a.Part < b.Part:
			return 1
		}
		return a.Metric - b.Metric
	})
	return out[:min(len(out), max(limit, 0))]
}
