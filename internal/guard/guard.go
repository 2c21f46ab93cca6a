// Package guard is the safety kernel: it says whether a try may touch its
// target now, and why not.
//
// Its one invariant: a verdict is a pure function of the request, the recorded
// history and the time, so that it can be explained and replayed; reserving the
// budget happens in the transaction that claims the step, so that two servers
// cannot both spend it. It is not for choosing what to do (see decide).
package guard

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Limits are the defaults of one safety kernel for every driver.
type Limits struct {
	Attempts int             // runs per case, all tiers together; default 3
	Spacing  []time.Duration // least wait before the second, third, ... run of a case; default 1 min, 2 min
	Cooldown time.Duration   // rest of a target after a case on it ended; default 10 min
	Recheck  time.Duration   // when a refusal that passes by itself is asked again; default 1 s
}

// DefaultLimits are the limits of DESIGN.md.
func DefaultLimits() Limits {
	return Limits{
		Attempts: 3,
		Spacing:  []time.Duration{time.Minute, 2 * time.Minute},
		Cooldown: 10 * time.Minute,
		Recheck:  time.Second,
	}
}

// Wait is the least time between the end of attempt n-1 and the start of
// attempt n (2 for the second).
func (l Limits) Wait(n int) time.Duration {
	if n < 2 || len(l.Spacing) == 0 {
		return 0
	}
	return l.Spacing[min(n-2, len(l.Spacing)-1)]
}

// Request is one try that wants to touch its target.
type Request struct {
	Run      heal.RunID
	Incident heal.IncidentID // empty for a run a person started
	Attempt  int             // of the case
	Target   heal.EntityID
	Scope    heal.Scope
	Action   string
	Impact   action.Impact
	Touches  bool
	Undo     bool // a compensation: budgets do not hold it back, switches do
}

// Entry is one line of the guard's history.
type Entry struct {
	Event    Event           `json:"event"`
	Run      heal.RunID      `json:"run,omitempty"`
	Incident heal.IncidentID `json:"incident,omitempty"`
	Target   heal.EntityID   `json:"target"`
	Scope    heal.Scope      `json:"scope"`
	At       time.Time       `json:"at"`
}

// Event is what a history entry records.
type Event string

// The events of the history.
const (
	Began     Event = "run_began"  // a run first touched the target
	CaseEnded Event = "case_ended" // the cooldown of the target starts
)

// Holding is who holds what the request needs.
type Holding struct {
	Resource string
	Run      heal.RunID
	Since    time.Time
}

// History is everything a verdict may look at.
type History struct {
	Switches []Switch  // those that are on and reach the request's scope
	Target   []Entry   // of the target, newest first
	Case     []Entry   // of the case, newest first
	Held     []Holding // leases of other runs on what this one needs
	Spent    bool      // the run has touched this target before: its budget is spent already
}

// Verdict is the answer of the kernel. The zero Rule means allowed.
type Verdict struct {
	Rule   Rule
	Reason heal.Reason
	Retry  time.Time // when the same request may be answered otherwise; zero: never by itself
	Pause  bool      // hold the run until a person resumes it
}

// Allowed reports whether nothing stands against the request.
func (v Verdict) Allowed() bool { return v.Rule == "" }

// Rule names a guard.
type Rule string

// The guards.
const (
	RuleTarget   Rule = "target"
	RuleSwitch   Rule = "kill_switch"
	RuleAttempts Rule = "attempts"
	RuleSpacing  Rule = "spacing"
	RuleCooldown Rule = "cooldown"
	RuleLease    Rule = "lease"
)

// Judge answers a request. The rules are asked in order; the first refusal is
// the answer.
func Judge(req Request, h History, l Limits, now time.Time) Verdict {
	rules := []func(Request, History, Limits, time.Time) Verdict{
		validTarget, killSwitch, attempts, spacing, cooldown, leases,
	}
	for _, rule := range rules {
		if v := rule(req, h, l, now); !v.Allowed() {
			return v
		}
	}
	return Verdict{Reason: heal.Reason{Code: "guard_allows", Text: fmt.Sprintf("nothing stands against %s on %s", req.Action, req.Target)}}
}

func validTarget(req Request, _ History, _ Limits, _ time.Time) Verdict {
	if !req.Touches {
		return Verdict{}
	}
	if err := req.Target.Validate(); err != nil {
		return refuse(RuleTarget, time.Time{}, nil, "the target is refused: %v", err)
	}
	return Verdict{}
}

func killSwitch(req Request, h History, l Limits, now time.Time) Verdict {
	if !req.Touches || len(h.Switches) == 0 {
		return Verdict{}
	}
	s := h.Switches[0]
	v := refuse(RuleSwitch, time.Time{}, map[string]any{"scope": s.Scope.String(), "by": s.By, "since": s.At},
		"the kill switch for %s was turned on by %s at %s (%s)", s.Where(), s.By, s.At.UTC().Format(time.RFC3339), s.Why)
	if req.Undo {
		v.Retry = now.Add(l.Recheck)
		return v
	}
	v.Pause = true
	return v
}

// budgeted reports whether case budgets hold for the request: only the first
// touch of a run spends them.
func budgeted(req Request, h History) bool {
	return req.Touches && !req.Undo && !h.Spent
}

func attempts(req Request, h History, l Limits, _ time.Time) Verdict {
	if req.Incident == "" || !budgeted(req, h) {
		return Verdict{}
	}
	runs := map[heal.RunID]bool{}
	for _, e := range h.Case {
		if e.Event == Began && e.Run != req.Run {
			runs[e.Run] = true
		}
	}
	if len(runs) >= l.Attempts {
		return refuse(RuleAttempts, time.Time{}, map[string]any{"attempts": len(runs), "limit": l.Attempts},
			"this case has had %d attempts, the limit is %d", len(runs), l.Attempts)
	}
	return Verdict{}
}

func spacing(req Request, h History, l Limits, now time.Time) Verdict {
	if req.Incident == "" || !budgeted(req, h) {
		return Verdict{}
	}
	for _, e := range h.Case { // newest first
		if e.Event != Began || e.Run == req.Run {
			continue
		}
		if free := e.At.Add(l.Wait(req.Attempt)); now.Before(free) {
			return refuse(RuleSpacing, free, map[string]any{"last": e.At, "wait_seconds": l.Wait(req.Attempt).Seconds()},
				"attempt %d of this case must wait %s after the one before, until %s", req.Attempt, l.Wait(req.Attempt), free.UTC().Format(time.RFC3339))
		}
		break
	}
	return Verdict{}
}

func cooldown(req Request, h History, l Limits, now time.Time) Verdict {
	if !budgeted(req, h) {
		return Verdict{}
	}
	for _, e := range h.Target {
		if e.Event != CaseEnded || e.Incident == req.Incident {
			continue
		}
		if free := e.At.Add(l.Cooldown); now.Before(free) {
			return refuse(RuleCooldown, time.Time{}, map[string]any{"case": e.Incident, "ended": e.At, "free": free},
				"%s rests until %s: a case on it ended at %s, less than %s ago", req.Target, free.UTC().Format(time.RFC3339), e.At.UTC().Format(time.RFC3339), l.Cooldown)
		}
		break
	}
	return Verdict{}
}

func leases(req Request, h History, l Limits, now time.Time) Verdict {
	if !req.Touches || len(h.Held) == 0 {
		return Verdict{}
	}
	held := h.Held[0]
	return refuse(RuleLease, now.Add(l.Recheck), map[string]any{"resource": held.Resource, "run": held.Run, "since": held.Since},
		"run %s holds %s since %s; one run at a time", held.Run, held.Resource, held.Since.UTC().Format(time.RFC3339))
}

func refuse(rule Rule, retry time.Time, data map[string]any, format string, args ...any) Verdict {
	return Verdict{
		Rule:   rule,
		Retry:  retry,
		Reason: heal.Reason{Code: "guard_" + string(rule), Text: fmt.Sprintf(format, args...), Data: data},
	}
}
