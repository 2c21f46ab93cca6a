// Package verify answers whether a fault is gone, from evidence newer than the
// action: cleared, persists, or unknown.
//
// Its one invariant: absence of evidence is never a heal. Stale or missing
// data, a rule that cannot be evaluated, or the bare word of the source make
// the answer unknown. The package is pure: it judges what was gathered and
// gathers nothing.
package verify

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Input is everything a verdict may look at.
type Input struct {
	From     time.Time     // start of the window: nothing from before the action reaches into it
	Now      time.Time     // when it is judged
	Window   time.Duration // at least this long; never under two intervals
	Interval time.Duration // between two evaluations of the condition

	Condition string      // in words; empty: the fault has no condition that could be asked
	Checks    []Check     // evaluations of the condition within the window
	Freshness []Freshness // of what the condition is computed from
	Traffic   Traffic
	Probe     *Probe // of the target, if there is one
	Resolved  bool   // the source itself says it is over
}

// Check is one evaluation of the fault's condition.
type Check struct {
	At    time.Time
	Holds bool
	Err   string // it could not be evaluated
}

// Freshness is the newest sample of one selector of the condition.
type Freshness struct {
	Selector string
	Newest   time.Time // zero: none in the window
	// Optional marks a selector whose silence says nothing: it had no samples
	// before the action either (one side of an "or"), or it is part of another
	// selector of the same metric (the failed among all requests). Another
	// selector must be fresh.
	Optional bool
}

// Traffic says whether the target was in use during the window.
type Traffic struct {
	Known  bool // it is measured at all
	Newest time.Time
}

// Probe is the state of a health monitor of the target.
type Probe struct {
	Name        string
	Healthy     bool
	CheckedAt   time.Time
	Since       time.Time // since when it answers so
	LastFailure time.Time // zero: never
	Error       string
}

// Until is the end of the window.
func (in Input) Until() time.Time { return in.From.Add(max(in.Window, 2*in.Interval)) }

// Judge gives the verdict. Before the window is over it is pending.
func Judge(in Input) heal.Verification {
	v := heal.Verification{From: in.From, Until: in.Until(), At: in.Now}
	if in.Now.Before(v.Until) {
		v.Verdict = heal.Pending
		v.Reasons = []heal.Reason{reason("window_open", "the window is open until %s", v.Until.UTC().Format(time.RFC3339))}
		return v
	}
	if in.Condition == "" {
		v.Verdict, v.Reasons = byProbe(in)
		return v
	}
	v.Verdict, v.Reasons = byCondition(in)
	return v
}

// byCondition judges a fault whose condition can be asked.
func byCondition(in Input) (heal.Verdict, []heal.Reason) {
	checks := slices.Clone(in.Checks)
	slices.SortFunc(checks, func(a, b Check) int { return a.At.Compare(b.At) })
	checks = slices.DeleteFunc(checks, func(c Check) bool { return c.At.Before(in.From) || c.At.After(in.Now) })
	for _, c := range slices.Backward(checks) {
		if c.Err != "" {
			return heal.Unclear, []heal.Reason{reason("rule_error", "the condition could not be evaluated at %s: %s", clock(c.At), c.Err)}
		}
		if c.Holds {
			return holding(in, checks, c)
		}
	}
	if len(checks) < 2 {
		return heal.Unclear, []heal.Reason{reason("too_few_checks", "the condition was evaluated %d times in the window, at least 2 are needed", len(checks))}
	}
	if r, ok := stale(in); !ok {
		return heal.Unclear, []heal.Reason{r}
	}
	used, ok := inUse(in)
	if !ok {
		return heal.Unclear, []heal.Reason{used}
	}
	return heal.Cleared, []heal.Reason{
		reason("condition_false", "%s was false at all %d evaluations from %s to %s", in.Condition, len(checks), clock(checks[0].At), clock(checks[len(checks)-1].At)),
		reason("samples_fresh", "it was computed from samples newer than the action, the newest of %s", clock(newest(in))),
		used,
	}
}

// holding judges a condition that held at some evaluation; last is the newest
// at which it did.
func holding(in Input, checks []Check, last Check) (heal.Verdict, []heal.Reason) {
	if last.At.Equal(checks[len(checks)-1].At) {
		if r, ok := stale(in); !ok { // it may hold only because nothing newer came in
			return heal.Unclear, []heal.Reason{r}
		}
		return heal.Persists, []heal.Reason{reason("condition_holds", "%s still held at %s, the end of the window", in.Condition, clock(last.At))}
	}
	return heal.Unclear, []heal.Reason{reason("condition_flaps", "%s held again at %s and was false later: it was not clear through the whole window", in.Condition, clock(last.At))}
}

// stale reports the first selector without a sample newer than the action
// that reaches into the end of the window.
func stale(in Input) (heal.Reason, bool) {
	if len(in.Freshness) == 0 {
		return reason("no_samples", "nothing is known about the samples %s is computed from", in.Condition), false
	}
	limit := in.Until().Add(-max(in.Window, 2*in.Interval) / 2)
	fresh := 0
	for _, f := range in.Freshness {
		switch {
		case f.Newest.After(in.From) && !f.Newest.Before(limit):
			fresh++
		case f.Optional:
			continue
		case f.Newest.IsZero() || !f.Newest.After(in.From):
			return reason("samples_absent", "%s has no sample newer than the action; silence is not health", f.Selector), false
		default:
			return reason("samples_stale", "the newest sample of %s is of %s and does not reach through the window", f.Selector, clock(f.Newest)), false
		}
	}
	if fresh == 0 {
		return reason("samples_absent", "nothing %s is computed from has a sample that reaches through the window; silence is not health", in.Condition), false
	}
	return heal.Reason{}, true
}

// inUse wants traffic in the window; where there is none, or it is not
// measured, a healthy probe answers.
func inUse(in Input) (heal.Reason, bool) {
	if in.Traffic.Known && in.Traffic.Newest.After(in.From) {
		return reason("traffic_seen", "the target answered requests up to %s", clock(in.Traffic.Newest)), true
	}
	if in.Probe != nil {
		r, verdict := probed(in)
		return r, verdict == heal.Cleared
	}
	if in.Traffic.Known {
		return reason("no_traffic", "no request reached the target since the action and no monitor looks at it"), false
	}
	return reason("traffic_unmeasured", "requests to the target are not measured; the condition's own samples stand for it"), true
}

// byProbe judges a fault without a condition of its own.
func byProbe(in Input) (heal.Verdict, []heal.Reason) {
	if in.Probe != nil {
		r, verdict := probed(in)
		return verdict, []heal.Reason{r}
	}
	if in.Resolved {
		return heal.Unclear, []heal.Reason{reason("source_alone", "the source says it is resolved, but nothing here can confirm it")}
	}
	return heal.Unclear, []heal.Reason{reason("nothing_to_ask", "the fault has no condition that can be asked again and no monitor looks at its target")}
}

// probed judges by the monitor alone: it must have looked at the end of the
// window, be healthy, and not have failed within it.
func probed(in Input) (heal.Reason, heal.Verdict) {
	p := in.Probe
	looked := p.CheckedAt.After(in.Until().Add(-max(in.Window, 2*in.Interval) / 2))
	switch {
	case !looked:
		return reason("probe_stale", "monitor %s last looked at %s, before the end of the window", p.Name, clock(p.CheckedAt)), heal.Unclear
	case !p.Healthy:
		return reason("probe_fails", "monitor %s fails: %s", p.Name, p.Error), heal.Persists
	case p.LastFailure.After(in.From):
		return reason("probe_flaps", "monitor %s failed at %s, within the window", p.Name, clock(p.LastFailure)), heal.Unclear
	}
	return reason("probe_healthy", "monitor %s is healthy, looked at %s", p.Name, clock(p.CheckedAt)), heal.Cleared
}

func newest(in Input) time.Time {
	var t time.Time
	for _, f := range in.Freshness {
		if f.Newest.After(t) {
			t = f.Newest
		}
	}
	return t
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("15:04:05.000")
}

func reason(code, format string, args ...any) heal.Reason {
	return heal.Reason{Code: code, Text: fmt.Sprintf(format, args...)}
}
