package probe

import (
	"maps"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Status is what is known of a monitor's target.
type Status string

// The statuses.
const (
	Unknown Status = "unknown" // not probed often enough yet
	Up      Status = "up"
	Down    Status = "down"
)

// State is what a monitor knows. Times are those of the start of a probe, so
// that what a state says was true after them.
type State struct {
	Name        string            `json:"name"`
	Entity      heal.EntityID     `json:"entity"`
	Kind        string            `json:"kind"`
	Target      string            `json:"target"`
	Severity    heal.Severity     `json:"severity"`
	Labels      map[string]string `json:"labels,omitempty"`
	Status      Status            `json:"status"`
	Since       time.Time         `json:"since,omitzero"` // start of the first probe of the row that made the status
	CheckedAt   time.Time         `json:"checked_at,omitzero"`
	Latency     time.Duration     `json:"latency"` // of the newest probe
	LastSuccess time.Time         `json:"last_success,omitzero"`
	LastFailure time.Time         `json:"last_failure,omitzero"`
	LastError   string            `json:"last_error,omitempty"` // of the last failure
	Failures    int               `json:"failures"`             // in a row, 0 after a success
	Successes   int               `json:"successes"`            // in a row, 0 after a failure
	RowBegan    time.Time         `json:"row_began,omitzero"`   // start of the first probe of the present row
}

// OK reports whether the newest probe succeeded; false before the first.
func (s State) OK() bool { return s.Successes > 0 }

// Result is the outcome of one probe.
type Result struct {
	At      time.Time // start
	Latency time.Duration
	Err     error // nil: well
}

// Thresholds are how many results in a row change a status.
type Thresholds struct{ Failures, Successes int }

// Step takes one result into a state and reports whether the status changed.
func Step(s State, r Result, need Thresholds) (State, bool) {
	s.CheckedAt, s.Latency = r.At, r.Latency
	if r.Err == nil {
		if s.Successes == 0 {
			s.RowBegan = r.At
		}
		s.Successes++
		s.Failures = 0
		s.LastSuccess = r.At
		return s.become(Up, s.Successes >= need.Successes)
	}
	if s.Failures == 0 {
		s.RowBegan = r.At
	}
	s.Failures++
	s.Successes = 0
	s.LastFailure, s.LastError = r.At, clip(r.Err.Error())
	return s.become(Down, s.Failures >= need.Failures)
}

func (s State) become(status Status, enough bool) (State, bool) {
	if !enough || s.Status == status {
		return s, false
	}
	s.Status, s.Since = status, s.RowBegan
	return s, true
}

// clone keeps a caller from changing the labels of a monitor.
func (s State) clone() State {
	s.Labels = maps.Clone(s.Labels)
	return s
}

// Transition is a change of status, or the reminder that one still holds.
type Transition struct {
	From   Status // equal to State.Status in a reminder
	State  State
	Repeat bool
}

// maxError is how much of an error's text is kept, in bytes.
const maxError = 500

func clip(text string) string {
	if len(text) > maxError {
		return strings.ToValidUTF8(text[:maxError], "") + "..."
	}
	return text
}
