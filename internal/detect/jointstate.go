package detect

import "github.com/homeostat/homeostat/internal/heal"

// jointVersion is the first byte of the saved state of a Joint.
const jointVersion = 1

// Append adds the saved state to b. A Joint restored from it gives the scores
// this one would.
func (j *Joint) Append(b []byte) []byte {
	c := codec{out: append(b, jointVersion, byte(j.dim))}
	c.joint(j)
	return c.out
}

// RestoreJoint reads what Append wrote.
func RestoreJoint(b []byte) (*Joint, error) {
	const op = "detect.RestoreJoint"
	if len(b) < 2 || b[0] != jointVersion {
		return nil, heal.Errorf(heal.Invalid, op, "state of %d bytes, expected one that begins with version %d", len(b), jointVersion)
	}
	j, err := NewJoint(int(b[1]))
	if err != nil {
		return nil, err
	}
	c := codec{in: b[2:], reading: true}
	c.joint(j)
	if c.bad == "" && len(c.in) > 0 {
		c.bad = "more than it says"
	}
	if c.bad != "" {
		return nil, heal.Errorf(heal.Invalid, op, "state of %d bytes holds %s", len(b), c.bad)
	}
	return j, nil
}

func (c *codec) joint(j *Joint) {
	for v := range views {
		c.relation(j.past[v])
		c.bounded(j.seen[v], 2*farMetric)
	}
	c.bounded(j.parts[:], maxUnits)
	c.bounded(j.ring, farMetric)
	at, n, scores := uint8(j.at), uint8(j.n), uint8(j.scores)
	c.u8(&at, recentWindow)
	c.u8(&n, recentWindow+1)
	c.u8(&scores, 2*scoreWindow)
	j.at, j.n, j.scores = int(at), int(n), int(scores)
	c.bounded(j.score[:], maxUnits)
	for _, s := range j.score {
		if s < 0 {
			c.fail("a negative score")
		}
	}
}

func (c *codec) relation(r *relation) {
	n := r.dim
	c.spread(&r.n)
	c.bounded(r.centre, 2*farMetric)
	c.bounded(r.low, 2*farMetric)
	c.bounded(r.high, 2*farMetric)
	for i := range n {
		c.bounded(r.cov[i*n:i*n+i+1], 1e302)
		if r.cov[i*n+i] < 0 {
			c.fail("a negative variance")
		}
	}
	due, known := uint8(r.due), uint8(0)
	if r.factor != nil {
		known = 1
	}
	c.u8(&due, refactor+1)
	c.u8(&known, 2)
	r.due = int(due)
	if known == 0 {
		return
	}
	if r.factor == nil {
		r.factor = make([]float64, n*n)
	}
	for i := range n {
		c.spread(&r.spread[i])
		c.bounded(r.factor[i*n:i*n+i+1], 2)
		if r.factor[i*n+i] < ridge {
			c.fail("a factor that is none")
			r.factor[i*n+i] = 1
		}
	}
}

// bounded are finite numbers, none greater than most.
func (c *codec) bounded(v []float64, most float64) {
	for i := range v {
		c.f64(&v[i])
		if abs(v[i]) > most {
			c.fail("a number out of range")
			v[i] = 0
		}
	}
}
