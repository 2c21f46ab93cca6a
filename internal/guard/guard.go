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
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Request is one try that wants to touch its target.
type Request struct {
	Run      heal.RunID
	Incident heal.IncidentID // empty for a run a person started
	Attempt  int             // of the case
	Target   heal.EntityID
	Scope    heal.Scope
	Playbook string // whose record of heals counts
	Action   string
	Impact   action.Impact
	Approved bool // a person said yes to the run or to this task
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
	Switches []Switch     // kill switches that are on and reach the request's scope
	Breakers []Switch     // breakers that are open and reach it
	Target   []Entry      // of the target, newest first
	Case     []Entry      // of the case, newest first
	Scopes   []ScopeFacts // the request lies in, the narrowest first
	Tenant   []Act        // of the tenant within its quota's window, newest first
	Full     []Room       // what bounds runs at once and has no place left
	Held     []Holding    // leases of other runs on what this one needs
	Spent    bool         // the run has touched this target before: its budget is spent already
	Heals    int          // verified successes of the playbook; counted only where they matter
	Moved    Move         // of the store's clock; zero: it agrees with the time that passed
}

// Verdict is the answer of the kernel. The zero Rule means allowed.
type Verdict struct {
	Rule   Rule
	Reason heal.Reason
	Retry  time.Time  // when the same request may be answered otherwise; zero: never by itself
	Pause  bool       // hold the run until a person resumes it
	Page   bool       // a person must hear of it now, although it may pass by itself
	Scope  heal.Scope // what the page is about: one of it is enough for all
}

// Allowed reports whether nothing stands against the request.
func (v Verdict) Allowed() bool { return v.Rule == "" }

// Rule names a guard.
type Rule string

// codePrefix stands before the rule in the code of a refusal's reason.
const codePrefix = "guard_"

// The guards, in the order they are asked.
const (
	RuleTarget   Rule = "target"
	RuleSwitch   Rule = "kill_switch"
	RuleClock    Rule = "clock"
	RuleImpact   Rule = "impact"
	RuleBreaker  Rule = "breaker"
	RuleStorm    Rule = "storm"
	RuleFreeze   Rule = "freeze"
	RuleAttempts Rule = "attempts"
	RuleSpacing  Rule = "spacing"
	RuleCooldown Rule = "cooldown"
	RuleSmall    Rule = "small_scope"
	RuleBlast    Rule = "blast_radius"
	RuleQuota    Rule = "quota"
	RuleLease    Rule = "lease"
)

// guards are all rules: how each judges, and what it says when it has nothing
// against a request.
var guards = []struct {
	rule  Rule
	judge func(*question) Verdict
	clear func(*question) string
}{
	{RuleTarget, validTarget, func(q *question) string { return string(q.Request.Target) + " names exactly one target" }},
	{RuleSwitch, killSwitch, func(*question) string { return "no kill switch is on here" }},
	{RuleClock, unmoved, unmovedClear},
	{RuleImpact, impact, impactClear},
	{RuleBreaker, breaker, func(*question) string { return "no breaker is open here" }},
	{RuleStorm, storm, calm},
	{RuleFreeze, freeze, freezeClear},
	{RuleAttempts, attempts, attemptsClear},
	{RuleSpacing, spacing, func(q *question) string {
		if q.Attempt < 2 {
			return "it would be the first attempt of its case"
		}
		return fmt.Sprintf("attempt %d waits %s after the one before, which is over", q.Attempt, q.own.Wait(q.Attempt))
	}},
	{RuleCooldown, cooldown, func(q *question) string {
		return fmt.Sprintf("no case on %s ended within %s", q.Request.Target, q.own.Cooldown)
	}},
	{RuleSmall, smallScope, smallClear},
	{RuleBlast, blast, blastClear},
	{RuleQuota, quota, quotaClear},
	{RuleLease, leases, func(q *question) string { return "no other run holds " + strings.Join(resources(q.Request), " or ") }},
}

// question is a request with all that its answer depends on.
type question struct {
	Request
	History
	base Limits // of the installation
	own  Limits // of the request's scope
	now  time.Time
}

func ask(req Request, h History, l Limits, now time.Time) *question {
	return &question{Request: req, History: h, base: l, own: l.For(req.Scope), now: now}
}

// Judge answers a request. The rules are asked in order; the first refusal is
// the answer.
func Judge(req Request, h History, l Limits, now time.Time) Verdict {
	q := ask(req, h, l, now)
	for i := range guards {
		if v := guards[i].judge(q); !v.Allowed() {
			return v
		}
	}
	return Verdict{Reason: heal.Reason{Code: "guard_allows", Text: fmt.Sprintf("nothing stands against %s on %s", req.Action, req.Target)}}
}

func validTarget(q *question) Verdict {
	if !q.Touches {
		return Verdict{}
	}
	if err := q.Request.Target.Validate(); err != nil {
		return refuse(RuleTarget, time.Time{}, nil, "the target is refused: %v", err)
	}
	return Verdict{}
}

func killSwitch(q *question) Verdict {
	if !q.Touches || len(q.Switches) == 0 {
		return Verdict{}
	}
	s := q.Switches[0]
	v := refuse(RuleSwitch, time.Time{}, map[string]any{"scope": s.Scope.String(), "by": s.By, "since": s.At},
		"the kill switch for %s was turned on by %s at %s (%s)", s.Where(), s.By, clock(s.At), s.Why)
	if q.Undo {
		v.Retry = q.now.Add(q.base.Recheck)
		return v
	}
	v.Pause = true
	return v
}

// impact lets what destroys pass only with a person's yes, or once it has
// proven itself. Who undoes something has had that yes.
func impact(q *question) Verdict {
	if q.Impact != action.Destructive || q.Undo || approved(&q.Request) || q.Heals >= q.own.Proven {
		return Verdict{}
	}
	return refuse(RuleImpact, time.Time{}, map[string]any{"impact": q.Impact, "heals": q.Heals, "needed": q.own.Proven, "playbook": q.Playbook},
		"%s can destroy and nobody approved it; %s has healed %d times, verified, and from %d on it may act alone", q.Action, q.Playbook, q.Heals, q.own.Proven)
}

// approved reports whether a person wanted it: by an answer, or by starting it.
func approved(req *Request) bool { return req.Approved || req.Incident == "" }

func impactClear(q *question) string {
	switch {
	case q.Impact == "":
		return "what the action can do is not known yet; each step is asked again"
	case q.Impact != action.Destructive:
		return fmt.Sprintf("%s is %s", q.Action, q.Impact)
	case approved(&q.Request):
		return "it can destroy, and a person wants it"
	}
	return fmt.Sprintf("it can destroy, and has healed %d times of the %d that prove it", q.Heals, q.own.Proven)
}

// budgeted reports whether case budgets hold for the request: only the first
// touch of a run spends them.
func budgeted(req *Request, h *History) bool {
	return req.Touches && !req.Undo && !h.Spent
}

func attempts(q *question) Verdict {
	if q.Incident == "" || !budgeted(&q.Request, &q.History) {
		return Verdict{}
	}
	if n := q.attemptsMade(); n >= q.own.Attempts {
		return refuse(RuleAttempts, time.Time{}, map[string]any{"attempts": n, "limit": q.own.Attempts},
			"this case has had %d attempts, the limit is %d", n, q.own.Attempts)
	}
	return Verdict{}
}

// attemptsMade counts the other runs of the case that touched something.
func (q *question) attemptsMade() int {
	runs := map[heal.RunID]bool{}
	for _, e := range q.Case {
		if e.Event == Began && e.Run != q.Run {
			runs[e.Run] = true
		}
	}
	return len(runs)
}

func attemptsClear(q *question) string {
	return fmt.Sprintf("this case has had %s, the limit is %d", count(q.attemptsMade(), "attempt"), q.own.Attempts)
}

func spacing(q *question) Verdict {
	if q.Incident == "" || !budgeted(&q.Request, &q.History) {
		return Verdict{}
	}
	for _, e := range q.Case { // newest first
		if e.Event != Began || e.Run == q.Run {
			continue
		}
		wait := q.own.Wait(q.Attempt)
		if free := e.At.Add(wait); q.now.Before(free) {
			return refuse(RuleSpacing, free, map[string]any{"last": e.At, "wait_seconds": wait.Seconds()},
				"attempt %d of this case must wait %s after the one before, until %s", q.Attempt, wait, clock(free))
		}
		break
	}
	return Verdict{}
}

func cooldown(q *question) Verdict {
	if !budgeted(&q.Request, &q.History) {
		return Verdict{}
	}
	for _, e := range q.History.Target {
		if e.Event != CaseEnded || e.Incident == q.Incident {
			continue
		}
		if free := e.At.Add(q.own.Cooldown); q.now.Before(free) {
			return refuse(RuleCooldown, time.Time{}, map[string]any{"case": e.Incident, "ended": e.At, "free": free},
				"%s rests until %s: a case on it ended at %s, less than %s ago", q.Request.Target, clock(free), clock(e.At), q.own.Cooldown)
		}
		break
	}
	return Verdict{}
}

func leases(q *question) Verdict {
	if !q.Touches || len(q.Held) == 0 {
		return Verdict{}
	}
	held := q.Held[0]
	return refuse(RuleLease, q.now.Add(q.base.Recheck), map[string]any{"resource": held.Resource, "run": held.Run, "since": held.Since},
		"run %s holds %s since %s; one run at a time", held.Run, held.Resource, clock(held.Since))
}

func refuse(rule Rule, retry time.Time, data map[string]any, format string, args ...any) Verdict {
	return Verdict{
		Rule:   rule,
		Retry:  retry,
		Reason: heal.Reason{Code: codePrefix + string(rule), Text: fmt.Sprintf(format, args...), Data: data},
	}
}
