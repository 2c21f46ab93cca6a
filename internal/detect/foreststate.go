package detect

import "github.com/homeostat/homeostat/internal/heal"

// forestVersion is the first byte of the saved state of a Forest.
const forestVersion = 1

// The bounds of a forest, kept when one is grown and when one is restored.
const (
	maxTrees  = 1000
	maxSample = 4096
	maxNodes  = maxTrees * (2*maxSample - 1)
)

// leafMark stands for the metric of a leaf in a saved state.
const leafMark = 255

// Append adds the saved state to b. A Forest restored from it gives the scores
// and shares this one would.
func (f *Forest) Append(b []byte) []byte {
	c := codec{out: append(b, forestVersion, byte(f.dim))}
	c.forest(f)
	return c.out
}

// RestoreForest reads what Append wrote.
func RestoreForest(b []byte) (*Forest, error) {
	const op = "detect.RestoreForest"
	if len(b) < 2 || b[0] != forestVersion {
		return nil, heal.Errorf(heal.Invalid, op, "state of %d bytes, expected one that begins with version %d", len(b), forestVersion)
	}
	f := &Forest{dim: int(b[1])}
	if f.dim < 1 || f.dim > MaxMetrics {
		return nil, heal.Errorf(heal.Invalid, op, "%d metrics, expected 1 to %d", f.dim, MaxMetrics)
	}
	f.median = make([]float64, f.dim)
	c := codec{in: b[2:], reading: true}
	c.forest(f)
	if c.bad == "" && len(c.in) > 0 {
		c.bad = "more than it says"
	}
	if c.bad != "" {
		return nil, heal.Errorf(heal.Invalid, op, "state of %d bytes holds %s", len(b), c.bad)
	}
	return f, nil
}

func (c *codec) forest(f *Forest) {
	trees, nodes := uint32(len(f.trees)), uint32(len(f.nodes))
	c.u32(&trees)
	c.u32(&nodes)
	if c.reading {
		// What is made for them must be there: a root takes 4 bytes, a leaf 9.
		if trees < 1 || trees > maxTrees || nodes < trees || nodes > maxNodes || uint64(len(c.in)) < 4*uint64(trees)+9*uint64(nodes) {
			c.fail("a forest of a size that cannot be")
			return
		}
		f.trees, f.nodes = make([]int32, trees), make([]cut, nodes)
	}
	c.f64(&f.expect)
	for i := range f.median {
		c.f64(&f.median[i])
	}
	for i := range f.trees {
		root := uint32(f.trees[i])
		if c.u32(&root); root >= nodes {
			c.fail("a tree without a root")
			return
		}
		f.trees[i] = int32(root)
	}
	for i := range f.nodes {
		if c.node(f, i); c.bad != "" {
			return
		}
	}
	if c.reading && !(f.expect > 0) {
		c.fail("trees that cut nothing")
	}
}

// node walks over one node. What is below a node comes after it, so that every
// way down ends.
func (c *codec) node(f *Forest, at int) {
	n := &f.nodes[at]
	metric := uint8(leafMark)
	if n.metric >= 0 {
		metric = uint8(n.metric)
	}
	c.u8(&metric, leafMark+1)
	c.f64(&n.at)
	if metric == leafMark {
		if n.metric = -1; n.at < 0 {
			c.fail("a leaf above its root")
		}
		return
	}
	left := uint32(n.left)
	c.u32(&left)
	if int(metric) >= f.dim || uint64(left) <= uint64(at) || uint64(left)+1 >= uint64(len(f.nodes)) {
		c.fail("a node that leads nowhere")
		return
	}
	n.metric, n.left = int32(metric), int32(left)
}
