package detect

import "math"

// relation is the mean and the covariance of vectors, learnt one by one, and
// the factor that makes distances of them.
type relation struct {
	dim    int
	n      float64
	centre []float64
	low    []float64 // least and greatest value of each metric
	high   []float64
	cov    []float64 // dim by dim, the lower triangle used
	spread []float64 // of each metric, as of the last factor
	factor []float64 // lower triangle of the correlation's root; empty: not yet
	work   []float64
	due    int // vectors until the next factor
}

const (
	minVectors = 50   // before anything is said
	refactor   = 200  // vectors between two factors
	outlier    = 20   // spreads beyond which a vector teaches no more
	ridge      = 0.05 // what of each metric counts as its own noise, as a share of its variance
	// leastSpread is the least spread of a metric as a share of its range: one
	// that hardly moves must not decide everything.
	leastSpread = 0.1
)

func newRelation(dim int) *relation {
	return &relation{
		dim: dim, centre: make([]float64, dim), low: make([]float64, dim), high: make([]float64, dim),
		cov: make([]float64, dim*dim), spread: make([]float64, dim), work: make([]float64, 2*dim), due: minVectors,
	}
}

// learn takes a vector of finite values.
func (r *relation) learn(x []float64) {
	r.n++
	w := 1 / r.n
	d := r.work[:r.dim]
	for i, v := range x {
		if r.n == 1 {
			r.centre[i], r.low[i], r.high[i] = v, v, v
		}
		r.low[i], r.high[i] = min(r.low[i], v), max(r.high[i], v)
		d[i] = v - r.centre[i]
		if r.n > minVectors {
			if most := outlier * math.Sqrt(r.cov[i*r.dim+i]); most > 0 {
				d[i] = min(max(d[i], -most), most)
			}
		}
	}
	for i, v := range d {
		row := r.cov[i*r.dim:]
		for k := range i + 1 {
			row[k] = (1 - w) * (row[k] + w*v*d[k])
		}
	}
	for i, v := range d {
		r.centre[i] += w * v
	}
	if r.due--; r.due <= 0 {
		r.due = refactor
		r.decompose()
	}
}

// decompose takes the root of the correlation, with a ridge so that it has one.
func (r *relation) decompose() {
	if r.factor == nil {
		r.factor = make([]float64, r.dim*r.dim)
	}
	n := r.dim
	for i := range n {
		r.spread[i] = max(math.Sqrt(r.cov[i*n+i]), leastSpread*(r.high[i]-r.low[i]))
	}
	for i := range n {
		for k := range i + 1 {
			s := 0.0
			if r.spread[i] > 0 && r.spread[k] > 0 {
				s = r.cov[i*n+k] / r.spread[i] / r.spread[k]
			}
			if i == k {
				s += ridge
			}
			for m := range k {
				s -= r.factor[i*n+m] * r.factor[k*n+m]
			}
			if i == k {
				r.factor[i*n+i] = math.Sqrt(max(s, ridge/2))
			} else {
				// No true correlation goes beyond 1; one of rounding may.
				r.factor[i*n+k] = min(max(s/r.factor[k*n+k], -2), 2)
			}
		}
	}
}

// whiten puts the deviations of a vector into out, each in units of its spread,
// and what of it the metrics before do not explain into work.
func (r *relation) whiten(x []float64) (z, y []float64) {
	n := r.dim
	z, y = r.work[:n], r.work[n:]
	for i, v := range x {
		z[i] = r.units(i, v)
		s := z[i]
		row := r.factor[i*n:]
		for k := range i {
			s -= row[k] * y[k]
		}
		y[i] = s / row[i]
	}
	return z, y
}

// units is how far a metric is from its mean in units of its spread. A metric
// that never moved has none: that it moves counts as far as an outlier, not as
// infinitely far.
func (r *relation) units(i int, v float64) float64 {
	d := v - r.centre[i]
	if r.spread[i] > 0 {
		return min(max(d/r.spread[i], -maxUnits), maxUnits)
	}
	if d == 0 {
		return 0
	}
	return math.Copysign(outlier, d)
}

// distance is 0 until enough is known, else about 1 for what is usual.
func (r *relation) distance(x []float64) float64 {
	if r.factor == nil {
		return 0
	}
	_, y := r.whiten(x)
	sum := 0.0
	for _, v := range y {
		sum += v * v
	}
	d := math.Sqrt(sum / float64(r.dim))
	if !(d <= maxUnits) {
		return maxUnits
	}
	return d
}

// shares adds to parts what each metric gives to the square of the distance.
func (r *relation) shares(x, parts []float64) {
	if r.factor == nil {
		return
	}
	n := r.dim
	z, y := r.whiten(x)
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			y[i] -= r.factor[k*n+i] * y[k]
		}
		y[i] /= r.factor[i*n+i]
	}
	for i := range n {
		parts[i] += max(0, z[i]*y[i])
	}
}
