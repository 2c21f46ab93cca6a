package heal

import (
	"strconv"
	"time"
)

// SilenceID names a silence.
type SilenceID string

// Silence holds alerts back for a time: those of its scope whose labels every
// matcher matches. But for its end it never changes.
type Silence struct {
	ID       SilenceID `json:"id"`
	Scope    Scope     `json:"scope"` // alerts outside of it are not held
	Matchers []Matcher `json:"matchers"`
	Starts   time.Time `json:"starts"`
	Ends     time.Time `json:"ends"` // the first moment at which it holds no more
	Reason   string    `json:"reason"`
	Author   string    `json:"author"`
	Created  time.Time `json:"created"`
	EndedBy  string    `json:"ended_by,omitempty"` // who ended it early; Ends says when
}

// SilenceState is where a silence stands.
type SilenceState string

// The states of a silence.
const (
	SilencePending SilenceState = "pending" // has not begun
	SilenceActive  SilenceState = "active"
	SilenceExpired SilenceState = "expired" // its time ran out
	SilenceEnded   SilenceState = "ended"   // somebody ended it early
)

// State is where the silence stands at a time.
func (s *Silence) State(now time.Time) SilenceState {
	switch {
	case now.Before(s.Ends) && now.Before(s.Starts):
		return SilencePending
	case now.Before(s.Ends):
		return SilenceActive
	case s.EndedBy != "":
		return SilenceEnded
	}
	return SilenceExpired
}

// MatchOp is how a matcher compares.
type MatchOp string

// The comparisons of Alertmanager. Regular expressions are RE2 and match the
// whole value.
const (
	MatchEqual    MatchOp = "="
	MatchNotEqual MatchOp = "!="
	MatchRegex    MatchOp = "=~"
	MatchNotRegex MatchOp = "!~"
)

// Matcher is one condition on a label. A label that an alert does not have is
// as one with an empty value.
type Matcher struct {
	Label string  `json:"label"`
	Op    MatchOp `json:"op"`
	Value string  `json:"value"`
}

// String gives the matcher as people write it, the value quoted.
func (m Matcher) String() string { return m.Label + string(m.Op) + strconv.Quote(m.Value) }
