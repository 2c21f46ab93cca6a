package guard_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
)

var now = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// request is the second attempt of case c1, by run r2, on the cart.
func request() guard.Request {
	return guard.Request{
		Run: "r2", Incident: "c1", Attempt: 2, Target: "service/cart", Scope: heal.DefaultScope.WithService("cart"),
		Action: "process.restart", Impact: action.Disruptive, Touches: true,
	}
}

func began(run string, since time.Duration) guard.Entry {
	return guard.Entry{Event: guard.Began, Run: heal.RunID(run), Incident: "c1", Target: "service/cart", At: ago(since)}
}

func ended(incident string, since time.Duration) guard.Entry {
	return guard.Entry{Event: guard.CaseEnded, Incident: heal.IncidentID(incident), Target: "service/cart", At: ago(since)}
}

func TestJudge(t *testing.T) {
	full := []guard.Switch{{On: true, By: "ada", Why: "a freeze", At: ago(time.Hour)}}
	reads := func(r *guard.Request) { r.Touches = false }
	undo := func(r *guard.Request) { r.Undo = true }
	as := func(target heal.EntityID) func(*guard.Request) { return func(r *guard.Request) { r.Target = target } }
	third := func(r *guard.Request) { r.Run, r.Attempt = "r3", 3 }
	fourth := func(r *guard.Request) { r.Run, r.Attempt = "r4", 4 }
	person := func(r *guard.Request) { r.Incident = "" }
	ahead := guard.Move{By: time.Hour, Since: ago(time.Minute)}
	three := []guard.Entry{began("r3", time.Hour), began("r2", 2*time.Hour), began("r1", 3*time.Hour)}
	tests := []struct {
		name   string
		change func(*guard.Request)
		h      guard.History
		rule   guard.Rule    // "": allowed
		retry  time.Duration // from now; 0: never by itself
		pause  bool
	}{
		{"nothing against it", nil, guard.History{}, "", 0, false},

		{"empty target", as(""), guard.History{}, guard.RuleTarget, 0, false},
		{"every target", as("service/*"), guard.History{}, guard.RuleTarget, 0, false},
		{"star alone", as("*"), guard.History{}, guard.RuleTarget, 0, false},
		{"undo of an invalid target", func(r *guard.Request) { r.Undo, r.Target = true, "*" }, guard.History{}, guard.RuleTarget, 0, false},
		{"reading an odd target", func(r *guard.Request) { r.Touches, r.Target = false, "" }, guard.History{}, "", 0, false},

		{"kill switch", nil, guard.History{Switches: full}, guard.RuleSwitch, 0, true},
		{"kill switch goes before budgets", fourth, guard.History{Switches: full, Case: three}, guard.RuleSwitch, 0, true},
		{"kill switch does not stop reading", reads, guard.History{Switches: full}, "", 0, false},
		{"kill switch makes an undo wait", undo, guard.History{Switches: full}, guard.RuleSwitch, time.Second, false},
		{"kill switch stops a run under way", nil, guard.History{Switches: full, Spent: true}, guard.RuleSwitch, 0, true},
		{"kill switch stops a person's run", person, guard.History{Switches: full}, guard.RuleSwitch, 0, true},

		{"the clock moved", nil, guard.History{Moved: ahead}, guard.RuleClock, time.Second, false},
		{"the clock moved back", nil, guard.History{Moved: guard.Move{By: -time.Hour, Since: ago(time.Minute)}}, guard.RuleClock, time.Second, false},
		{"the clock moved, and no budget is left", fourth, guard.History{Moved: ahead, Case: three}, guard.RuleClock, time.Second, false},
		{"a kill switch goes before the clock", nil, guard.History{Moved: ahead, Switches: full}, guard.RuleSwitch, 0, true},
		{"reading while the clock is moved", reads, guard.History{Moved: ahead}, "", 0, false},
		{"undo while the clock is moved", undo, guard.History{Moved: ahead}, "", 0, false},
		{"a person's run while the clock is moved", person, guard.History{Moved: ahead}, "", 0, false},
		{"a run under way while the clock is moved", nil, guard.History{Moved: ahead, Spent: true}, "", 0, false},

		{"third of three attempts", third, guard.History{Case: three[1:]}, "", 0, false},
		{"fourth attempt", fourth, guard.History{Case: three}, guard.RuleAttempts, 0, false},
		{"fourth attempt of a person", func(r *guard.Request) { fourth(r); person(r) }, guard.History{Case: three}, "", 0, false},
		{"two touches of a run are one attempt", third, guard.History{Case: []guard.Entry{began("r2", time.Hour), began("r2", time.Hour), began("r1", 2*time.Hour)}}, "", 0, false},
		{"undo of the last attempt", func(r *guard.Request) { fourth(r); undo(r) }, guard.History{Case: three}, "", 0, false},
		{"a later step of the third attempt", fourth, guard.History{Case: three, Spent: true}, "", 0, false},

		{"second attempt too soon", nil, guard.History{Case: []guard.Entry{began("r1", 40*time.Second)}}, guard.RuleSpacing, 20 * time.Second, false},
		{"second attempt in time", nil, guard.History{Case: []guard.Entry{began("r1", time.Minute)}}, "", 0, false},
		{"third attempt waits longer", third, guard.History{Case: []guard.Entry{began("r2", time.Minute), began("r1", time.Hour)}}, guard.RuleSpacing, time.Minute, false},
		{"spacing counts from the newest", third, guard.History{Case: []guard.Entry{began("r2", 3*time.Minute), began("r1", 4*time.Minute)}}, "", 0, false},
		{"undo does not wait", undo, guard.History{Case: []guard.Entry{began("r1", time.Second)}}, "", 0, false},
		{"its own beginning is no attempt before", nil, guard.History{Case: []guard.Entry{began("r2", time.Second)}}, "", 0, false},

		{"cooldown", nil, guard.History{Target: []guard.Entry{ended("c0", 9*time.Minute)}}, guard.RuleCooldown, 0, false},
		{"cooldown is over", nil, guard.History{Target: []guard.Entry{ended("c0", 10*time.Minute)}}, "", 0, false},
		{"cooldown of the case itself", nil, guard.History{Target: []guard.Entry{ended("c1", time.Minute)}}, "", 0, false},
		{"cooldown behind an entry of the case itself", nil, guard.History{Target: []guard.Entry{ended("c1", time.Minute), ended("c0", 2*time.Minute)}}, guard.RuleCooldown, 0, false},
		{"cooldown holds for a person's run too", person, guard.History{Target: []guard.Entry{ended("c0", time.Minute)}}, guard.RuleCooldown, 0, false},
		{"undo within the cooldown", undo, guard.History{Target: []guard.Entry{ended("c0", time.Minute)}}, "", 0, false},
		{"a run under way goes on", nil, guard.History{Spent: true, Target: []guard.Entry{ended("c0", time.Minute)}}, "", 0, false},

		{"another run holds it", nil, guard.History{Held: []guard.Holding{{Resource: "target:service/cart", Run: "r9", Since: ago(time.Minute)}}}, guard.RuleLease, time.Second, false},
		{"undo waits for another run", undo, guard.History{Held: []guard.Holding{{Resource: "target:service/cart", Run: "r9"}}}, guard.RuleLease, time.Second, false},
		{"reading needs no lease", reads, guard.History{Held: []guard.Holding{{Resource: "target:service/cart", Run: "r9"}}}, "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := request()
			if tt.change != nil {
				tt.change(&req)
			}
			got := guard.Judge(req, tt.h, guard.DefaultLimits(), now)
			want := guard.Verdict{Rule: tt.rule, Pause: tt.pause}
			if tt.retry > 0 {
				want.Retry = now.Add(tt.retry)
			}
			if got.Rule != want.Rule || got.Pause != want.Pause || !got.Retry.Equal(want.Retry) {
				t.Errorf("got rule %q retry %s pause %t, want rule %q retry %s pause %t", got.Rule, got.Retry, got.Pause, want.Rule, want.Retry, want.Pause)
			}
			code := "guard_" + string(tt.rule)
			if tt.rule == "" {
				code = "guard_allows"
			}
			if got.Reason.Code != code || got.Reason.Text == "" {
				t.Errorf("reason: got %+v, want code %s and a text", got.Reason, code)
			}
		})
	}
}

func TestRefusalsSayWhatPeopleNeed(t *testing.T) {
	tests := []struct {
		name string
		h    guard.History
		says []string
	}{
		{"kill switch", guard.History{Switches: []guard.Switch{{On: true, By: "ada", Why: "a freeze", At: ago(time.Hour)}}}, []string{"everything", "ada", "a freeze", "2026-01-01T02:00:00Z"}},
		{"cooldown", guard.History{Target: []guard.Entry{ended("c0", time.Minute)}}, []string{"service/cart", "rests until 2026-01-01T03:09:00Z", "10m0s"}},
		{"clock ahead", guard.History{Moved: guard.Move{By: time.Hour + 400*time.Millisecond, Since: ago(time.Minute)}}, []string{"moved by +1h0m0s at 2026-01-01T02:59:00Z"}},
		{"clock behind", guard.History{Moved: guard.Move{By: -90 * time.Minute, Since: ago(time.Minute)}}, []string{"moved by -1h30m0s at 2026-01-01T02:59:00Z"}},
		{"lease", guard.History{Held: []guard.Holding{{Resource: "target:service/cart", Run: "r9", Since: ago(time.Minute)}}}, []string{"r9", "target:service/cart"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := guard.Judge(request(), tt.h, guard.DefaultLimits(), now).Reason.Text
			for _, part := range tt.says {
				if !strings.Contains(text, part) {
					t.Errorf("got %q, want it to say %q", text, part)
				}
			}
		})
	}
}

// TestVerdictIsPure asks random questions twice, the second time of copies: the
// answers must be the same, the question untouched, and no refusal may be said
// to pass at a time that is over.
func TestVerdictIsPure(t *testing.T) {
	for seed := range uint64(5000) {
		req, h := scene(rand.New(rand.NewPCG(seed, 1)))
		again, copied := scene(rand.New(rand.NewPCG(seed, 1)))
		first := guard.Judge(req, h, guard.DefaultLimits(), now)
		second := guard.Judge(again, copied, guard.DefaultLimits(), now)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("seed %d: two answers to one question:\n%s", seed, diff)
		}
		if diff := cmp.Diff(h, copied); diff != "" {
			t.Fatalf("seed %d: the history was changed:\n%s", seed, diff)
		}
		if !first.Retry.IsZero() && !first.Retry.After(now) {
			t.Fatalf("seed %d: got a retry at %s, which is over", seed, first.Retry)
		}
		if first.Allowed() != (first.Reason.Code == "guard_allows") {
			t.Fatalf("seed %d: got rule %q with reason %s", seed, first.Rule, first.Reason.Code)
		}
	}
}

// scene is a random question to the kernel, its history newest first.
func scene(rng *rand.Rand) (guard.Request, guard.History) {
	req := request()
	req.Attempt = 1 + rng.IntN(4)
	req.Touches, req.Undo = rng.IntN(5) > 0, rng.IntN(5) == 0
	req.Target = []heal.EntityID{"service/cart", "service/cart", "service/cart", "*"}[rng.IntN(4)]
	if rng.IntN(4) == 0 {
		req.Incident = ""
	}
	h := guard.History{Spent: rng.IntN(4) == 0}
	if rng.IntN(8) == 0 {
		h.Moved = guard.Move{By: time.Duration(rng.IntN(7200)-3600) * time.Second, Since: ago(time.Minute)}
	}
	if rng.IntN(6) == 0 {
		h.Switches = []guard.Switch{{On: true, By: "ada", At: ago(time.Hour)}}
	}
	if rng.IntN(4) == 0 {
		h.Held = []guard.Holding{{Resource: "target:service/cart", Run: "r9", Since: ago(time.Minute)}}
	}
	age := time.Duration(0)
	for i := range rng.IntN(5) {
		age += time.Duration(rng.IntN(300)) * time.Second
		h.Case = append(h.Case, began(fmt.Sprintf("r%d", 9-i), age))
	}
	age = 0
	for range rng.IntN(3) {
		age += time.Duration(rng.IntN(900)) * time.Second
		h.Target = append(h.Target, ended([]string{"c0", "c1"}[rng.IntN(2)], age))
	}
	return req, h
}
