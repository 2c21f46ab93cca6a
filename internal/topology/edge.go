package topology

import (
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Observation is one source's word that From depends on To. Calls and Errors
// are what was counted since the source's observation before.
type Observation struct {
	From   heal.EntityID
	To     heal.EntityID
	Source string // closed set of the installation: spans, file, kubernetes
	Calls  int64
	Errors int64 // of Calls, those that went wrong
	At     time.Time
}

// validate says what is wrong with an observation, nil if nothing is.
func (o Observation) validate() error {
	if err := o.From.Validate(); err != nil {
		return heal.Wrap("edge from", err)
	}
	if err := o.To.Validate(); err != nil {
		return heal.Wrap("edge to", err)
	}
	return validateCounts(o.Source, o.Calls, o.Errors)
}

func validateCounts(source string, calls, errors int64) error {
	switch {
	case source == "":
		return heal.Errorf(heal.Invalid, "edge source", "is empty, expected who saw the edge, as in spans")
	case calls < 0 || errors < 0:
		return heal.Errorf(heal.Invalid, "edge counts", "calls %d, errors %d: expected none below 0", calls, errors)
	case errors > calls:
		return heal.Errorf(heal.Invalid, "edge counts", "%d errors in %d calls, expected no more errors than calls", errors, calls)
	}
	return nil
}

// Sighting is everything one source has said about one edge.
type Sighting struct {
	Source    string    `json:"source"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Calls     int64     `json:"calls"`
	Errors    int64     `json:"errors"`
}

// Edge says that From depends on To. Sources is sorted by name, never empty,
// and must not be changed by who receives the edge.
type Edge struct {
	From    heal.EntityID `json:"from"`
	To      heal.EntityID `json:"to"`
	Sources []Sighting    `json:"sources"`
}

// Traffic is the calls and errors of the source that counted most calls. The
// counts of several sources are never added: they may have seen the same calls.
func (e Edge) Traffic() (calls, errors int64) {
	for _, s := range e.Sources {
		if s.Calls > calls {
			calls, errors = s.Calls, s.Errors
		}
	}
	return calls, errors
}

// FirstSeen is when the first source saw the edge.
func (e Edge) FirstSeen() time.Time {
	var first time.Time
	for _, s := range e.Sources {
		if first.IsZero() || s.FirstSeen.Before(first) {
			first = s.FirstSeen
		}
	}
	return first
}

// LastSeen is when any source saw the edge last.
func (e Edge) LastSeen() time.Time {
	var last time.Time
	for _, s := range e.Sources {
		if s.LastSeen.After(last) {
			last = s.LastSeen
		}
	}
	return last
}

// Age is how long ago any source saw the edge.
func (e Edge) Age(now time.Time) time.Duration { return now.Sub(e.LastSeen()) }

// add is a + b, held at the largest number instead of wrapping around.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
