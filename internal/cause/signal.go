package cause

import (
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/topology"
)

// Graph is what of the topology is needed here. A nil Graph is one that knows
// nothing.
type Graph interface {
	Downstream(id heal.EntityID) []topology.Edge
	Upstream(id heal.EntityID) []topology.Edge
	Path(from, to heal.EntityID) ([]heal.EntityID, bool)
	BlastRadius(id heal.EntityID) []heal.EntityID
}

// Signals is everything observed about one entity.
type Signals struct {
	Metrics map[string]Metric // by the id of the question
	Series  []Series
	Logs    []Log
	Spans   []Operation
	Departs []Departure
	Probes  []Probe
	Faults  []heal.Fault // open on it, of this or other cases
	Changes []Change
	Texts   []logmine.Change    // log texts written more or less often than before
	Fallen  int                 // log records from before the case, where there are none since
	Slowest *telemetry.Critical // the path of the slowest request it took part in during the case

	Anomalies []Anomaly     // series that detectors found out of the ordinary
	Newest    time.Time     // newest telemetry of any signal; zero: never any
	Cadence   time.Duration // usual distance between its telemetry; zero: not known
	Gaps      []string      // what could not be asked, in words
}

// Metric is the answer to a question.
type Metric struct {
	Value    float64
	Baseline *float64 // the same before the case, nil if there was none
	Usual    []Sample // the answers Baseline is the median of
	At       time.Time
	Expr     string
	Unit     string
}

// Log is a pattern found in the logs of an entity.
type Log struct {
	Pattern  string  // as logmine names it: pool_exhausted, out_of_memory, refused ...
	Count    int     // in the window that was read
	Baseline float64 // how often it stood in a window of that length before
	Example  string
	At       time.Time // of the example
}

// Operation is what the spans of one operation of an entity show.
type Operation struct {
	Name             string
	Count            int
	ErrorShare       float64       // of Count, 0 to 1
	P99              float64       // s
	BaselineP99      *float64      // s
	Slower           *float64      // share of calls that took well longer than any before; nil: not known
	Compared         int           // calls before, that Slower is against
	Extra            *Extra        // time beyond what calls took before; nil: not known
	SelfShare        float64       // of its time, not spent in callees; 0 to 1
	Callee           heal.EntityID // where most of the rest is spent, or most errors come from
	CalleeShare      float64       // of its time, spent in Callee; 0 to 1
	CalleeErrorShare float64       // of its errors, those in which Callee failed; 0 to 1
	CalledErrorShare float64       // of its errors, those in which any callee failed; 0 to 1
	Unanswered       float64       // of those of Callee, the calls Callee left no span of though it usually does; 0 to 1
	Trace            string        // an example
}

// Departure is a step that requests take in the entity, as logmine tells it,
// and do not take at normal times.
type Departure struct {
	Score    float64 // how far beyond chance, in standard deviations
	Traces   int
	Expected float64       // of as many at normal times
	Follows  heal.EntityID // whose own departure goes with it; "": nobody's
	Outward  bool          // a call failed that nobody says to have taken
	Toward   heal.EntityID // where Outward: who is called so much less; "": not known
	After    string        // what came before; "": the beginning
	Usually  string        // what mostly follows; "": the end
	Instead  string        // what followed; "": the end
	Trace    string        // an example
}

// Probe is the newest answer of a monitor of the entity.
type Probe struct {
	Name    string
	Healthy bool
	Since   time.Time // since when it answers so
	At      time.Time // of the newest answer
	Error   string
}

// ChangeAge is how long before a case a change may have been made to matter.
const ChangeAge = time.Hour

// Change is a deploy or change of configuration.
type Change struct {
	At   time.Time
	Text string
	ID   string // how to look it up
}

// Known is what experience says about remedies for a pattern.
type Known struct {
	Uses int
	Rate float64 // smoothed success rate, 0 to 1
}

// Limits bound and tune a diagnosis. Zero fields take the default.
type Limits struct {
	Entities    int           // looked at per case; default 50
	Depth       int           // dependencies from the alerted entities; default 6
	Causes      int           // given at most; default 10
	Latency     float64       // s, p99 over which an entity is slow; default 0.5
	Utilisation float64       // CPU share over which an entity is saturated; default 0.8
	Fullness    float64       // memory and disk share; default 0.85
	ErrorRatio  float64       // share of failed requests; default 0.05
	Silence     time.Duration // without telemetry, if the cadence is not known; default 90 s
	ProbeAge    time.Duration // an older answer of a monitor is not evidence; default 5 min
	ChangeAge   time.Duration // before the case: a change that long ago is recent; default ChangeAge
}

func (l Limits) withDefaults() Limits {
	fill(&l.Entities, 50)
	fill(&l.Depth, 6)
	fill(&l.Causes, 10)
	fill(&l.Latency, 0.5)
	fill(&l.Utilisation, 0.8)
	fill(&l.Fullness, 0.85)
	fill(&l.ErrorRatio, 0.05)
	fill(&l.Silence, 90*time.Second)
	fill(&l.ProbeAge, 5*time.Minute)
	fill(&l.ChangeAge, ChangeAge)
	return l
}

func fill[T int | float64 | time.Duration](field *T, value T) {
	if !(*field > 0) { // also for NaN
		*field = value
	}
}

// usable reports whether a measured number is evidence.
func usable(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) && v >= 0 }

// share holds a number to 0..1; what is not a number is 0.
func share(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(1, max(0, v))
}
