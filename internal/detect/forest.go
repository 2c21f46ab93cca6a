package detect

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// Forest is an isolation forest (Liu, Ting and Zhou, 2008): trees that cut a
// sample at random until each vector is alone. What is unlike the rest is alone
// after few cuts. It does not change once grown and may be asked from many
// goroutines.
type Forest struct {
	dim    int
	trees  []int32 // where each begins in nodes
	nodes  []cut
	expect float64   // cuts expected for a sample of this size
	median []float64 // of each metric in the sample
}

// cut is a node of a tree, 16 bytes: a vector meets hundreds of them.
type cut struct {
	at     float64 // of a leaf: its depth, and what is expected for the vectors in it
	left   int32   // what is below at; the rest is in the node after it
	metric int32   // -1: a leaf
}

// ForestOptions say how a forest is grown.
type ForestOptions struct {
	Trees  int    // default 100
	Sample int    // vectors a tree is grown from, default 256
	Seed   uint64 // the same seed and vectors give the same forest
}

// NewForest grows a forest from vectors of one length. A metric that is missing
// (NaN) is taken at its median.
func NewForest(vectors [][]float64, o ForestOptions) (*Forest, error) {
	const op = "detect.NewForest"
	if len(vectors) < 2 {
		return nil, heal.Errorf(heal.Invalid, op, "%d vectors, expected at least 2", len(vectors))
	}
	f := &Forest{dim: len(vectors[0])}
	if f.dim < 1 || f.dim > MaxMetrics {
		return nil, heal.Errorf(heal.Invalid, op, "%d metrics, expected 1 to %d", f.dim, MaxMetrics)
	}
	for i, v := range vectors {
		if len(v) != f.dim {
			return nil, heal.Errorf(heal.Invalid, op, "vector %d has %d metrics, expected %d as in the first", i, len(v), f.dim)
		}
	}
	if o.Trees <= 0 {
		o.Trees = 100
	}
	if o.Sample <= 0 {
		o.Sample = 256
	}
	o.Trees, o.Sample = min(o.Trees, maxTrees), min(o.Sample, maxSample, len(vectors))
	f.median = medians(vectors)
	f.expect = expectedCuts(float64(o.Sample))
	rng := rand.New(rand.NewPCG(o.Seed, uint64(len(vectors))))
	g := grower{rng: rng, most: float64(bits(o.Sample)), sample: make([][]float64, o.Sample)}
	for range o.Trees {
		// A sample without putting back, in o.Sample steps.
		taken := make(map[int]bool, o.Sample)
		for len(taken) < o.Sample {
			i := rng.IntN(len(vectors))
			if !taken[i] {
				g.sample[len(taken)] = f.whole(vectors[i])
				taken[i] = true
			}
		}
		root := int32(len(g.nodes))
		f.trees = append(f.trees, root)
		g.nodes = append(g.nodes, cut{})
		g.grow(root, g.sample, 0)
	}
	f.nodes = slices.Clip(g.nodes)
	return f, nil
}

// whole is a vector with its holes filled.
func (f *Forest) whole(v []float64) []float64 {
	out := make([]float64, f.dim)
	for i := range out {
		out[i] = f.median[i]
		if i < len(v) && finite(v[i]) {
			out[i] = v[i]
		}
	}
	return out
}

type grower struct {
	rng    *rand.Rand
	most   float64 // depth of a tree at which it stops
	sample [][]float64
	nodes  []cut
}

func (g *grower) grow(at int32, vectors [][]float64, depth float64) {
	g.nodes[at] = cut{metric: -1, at: depth + expectedCuts(float64(len(vectors)))}
	if depth >= g.most || len(vectors) < 2 {
		return
	}
	metric, low, high := g.choose(vectors)
	if metric < 0 {
		return
	}
	// Halves first: the difference of two finite values may be infinite.
	u := g.rng.Float64()
	where := low*(1-u) + high*u
	mid := 0
	for i, v := range vectors {
		if v[metric] < where {
			vectors[i], vectors[mid] = vectors[mid], vectors[i]
			mid++
		}
	}
	if mid == 0 || mid == len(vectors) {
		return
	}
	left := int32(len(g.nodes))
	g.nodes = append(g.nodes, cut{}, cut{})
	g.nodes[at] = cut{at: where, metric: int32(metric), left: left}
	g.grow(left, vectors[:mid], depth+1)
	g.grow(left+1, vectors[mid:], depth+1)
}

// choose gives a metric at random among those that differ; -1 if none does.
func (g *grower) choose(vectors [][]float64) (metric int, low, high float64) {
	dim := len(vectors[0])
	start := g.rng.IntN(dim)
	for k := range dim {
		metric = (start + k) % dim
		low, high = vectors[0][metric], vectors[0][metric]
		for _, v := range vectors {
			low, high = min(low, v[metric]), max(high, v[metric])
		}
		if low < high {
			return metric, low, high
		}
	}
	return -1, 0, 0
}

// Score is 2^(-E(h)/c): near 1 for what is alone after few cuts, 0.5 for what
// is like the rest.
func (f *Forest) Score(vector []float64) float64 {
	var room [MaxMetrics]float64
	v := room[:f.dim]
	for i := range v {
		v[i] = f.median[i]
		if i < len(vector) && finite(vector[i]) {
			v[i] = vector[i]
		}
	}
	return f.score(v)
}

func (f *Forest) score(v []float64) float64 {
	sum := 0.0
	for _, root := range f.trees {
		n := f.nodes[root]
		for n.metric >= 0 {
			next := n.left
			if v[n.metric] >= n.at {
				next++
			}
			n = f.nodes[next]
		}
		sum += n.at
	}
	return math.Exp2(-sum / float64(len(f.trees)) / f.expect)
}

// Shares says which metrics carry the score of a vector, the greatest first, at
// most limit of them: by how much the score falls if the metric alone were at
// its median.
func (f *Forest) Shares(vector []float64, limit int) []Share {
	v := f.whole(vector)
	score := f.score(v)
	parts := make([]float64, f.dim)
	for i := range v {
		was := v[i]
		v[i] = f.median[i]
		parts[i] = score - f.score(v)
		v[i] = was
	}
	return shares(parts, limit)
}

// expectedCuts is how many cuts isolate one of n at random: the mean depth of
// an unsuccessful search in a binary tree of n.
func expectedCuts(n float64) float64 {
	if n <= 1 {
		return 0
	}
	const euler = 0.57721566490153286
	if n == 2 {
		return 1
	}
	return 2*(math.Log(n-1)+euler) - 2*(n-1)/n
}

// bits is the least b with 2^b at least n.
func bits(n int) int {
	b := 0
	for 1<<b < n {
		b++
	}
	return max(b, 1)
}
