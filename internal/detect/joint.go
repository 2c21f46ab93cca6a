package detect

import (
	"math"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// Joint learns how the metrics of one service move together, and says how far
// a vector of them is from it: the distance of Mahalanobis, which counts a
// deviation that the other metrics explain for little and one they do not for
// much. It looks at a vector and at the mean of the last ones, so that a small
// deviation that lasts counts as well.
//
// A metric may be missing (NaN): it then counts as expected. Metrics may each be
// multiplied and shifted: the scores stay.
type Joint struct {
	dim    int
	now    *relation
	recent *relation
	ring   []float64 // the last recentWindow vectors
	at, n  int       // next place in ring; how many are in it
	mean   []float64 // of the vectors in ring
	last   []float64 // the last vector, without holes
	score  [scoreWindow]float64
	scores int
}

const (
	recentWindow = 20 // vectors in the mean of the last ones
	scoreWindow  = 10 // scores in the mean that Score gives
	// MaxMetrics bounds a vector: the work for one grows with the square of
	// its length.
	MaxMetrics = 128
)

// NewJoint is for vectors of dim metrics.
func NewJoint(dim int) (*Joint, error) {
	if dim < 1 || dim > MaxMetrics {
		return nil, heal.Errorf(heal.Invalid, "detect.NewJoint", "%d metrics, expected 1 to %d", dim, MaxMetrics)
	}
	return &Joint{
		dim:    dim,
		now:    newRelation(dim),
		recent: newRelation(dim),
		ring:   make([]float64, dim*recentWindow),
		mean:   make([]float64, dim),
		last:   make([]float64, dim),
	}, nil
}

// Observe takes the next vector and says how far it is from what was learnt:
// about 1 is usual, 0 is not known yet. If learn is set it is learnt from
// afterwards. A vector of another length is cut or taken as missing the rest.
func (j *Joint) Observe(vector []float64, learn bool) float64 {
	j.take(vector)
	raw := j.now.distance(j.last) + j.recent.distance(j.mean)
	j.score[j.scores%scoreWindow] = raw / 2
	j.scores++
	if j.scores == 2*scoreWindow {
		j.scores = scoreWindow
	}
	if learn {
		j.now.learn(j.last)
		j.recent.learn(j.mean)
	}
	k := min(j.scores, scoreWindow)
	sum := 0.0
	for _, s := range j.score[:k] {
		sum += s
	}
	return sum / float64(k)
}

// take puts a vector into the ring, its holes filled with what is expected.
func (j *Joint) take(vector []float64) {
	slot := j.ring[j.at*j.dim : (j.at+1)*j.dim]
	for i := range j.dim {
		v := j.now.centre[i]
		if i < len(vector) && finite(vector[i]) {
			v = min(max(vector[i], -math.MaxFloat64/recentWindow), math.MaxFloat64/recentWindow)
		}
		j.last[i], slot[i] = v, v
	}
	j.at = (j.at + 1) % recentWindow
	j.n = min(j.n+1, recentWindow)
	for i := range j.mean {
		sum := 0.0
		for k := range j.n {
			sum += j.ring[k*j.dim+i]
		}
		j.mean[i] = sum / float64(j.n)
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
	j.now.shares(j.last, parts)
	j.recent.shares(j.mean, parts)
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
