package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
)

// counts is a census that was taken once and for all; a scope it does not name
// is unknown.
type counts map[heal.Scope]guard.Standing

func (c counts) Standing(scope heal.Scope, _ time.Duration, _ time.Time) guard.Standing {
	return c[scope]
}

// of20 is a cluster of 20 instances with some bad ones.
func of20(bad int) guard.Standing { return guard.Standing{Known: true, Instances: 20, Bad: bad} }

// acts are so many runs on as many targets, the newest a given time ago and the
// others a second before each.
func acts(n int, since time.Duration) []guard.Act {
	list := make([]guard.Act, n)
	for i := range list {
		list[i] = guard.Act{Run: heal.RunID(fmt.Sprintf("a%d", i)), Target: heal.EntityID(fmt.Sprintf("service/s%d", i)), At: ago(since + time.Duration(i)*time.Second)}
	}
	return list
}

func TestScopeRules(t *testing.T) {
	in := func(s guard.Standing, acted ...guard.Act) guard.History {
		return guard.History{Scopes: []guard.ScopeFacts{{Scope: heal.DefaultScope, Standing: s, Acted: acted}}}
	}
	sized := func(n int) guard.Standing { return guard.Standing{Known: true, Instances: n} }
	spread := func(n, entities int) guard.Standing {
		return guard.Standing{Known: true, Instances: n, Spread: guard.Spread{Fault: "HighErrors", Entities: entities}}
	}
	person := func(r *guard.Request) { r.Incident = "" }
	undo := func(r *guard.Request) { r.Undo = true }
	mine := guard.Act{Run: "a9", Target: "service/cart", At: ago(time.Second)}
	tests := []struct {
		name   string
		change func(*guard.Request)
		h      guard.History
		rule   guard.Rule
		retry  time.Duration
	}{
		{"half of 20 is no storm", nil, in(of20(10)), "", 0},
		{"more than half of 20 is", nil, in(of20(11)), guard.RuleStorm, time.Second},
		{"40 % of 20 is acted on", nil, in(of20(8)), "", 0},
		{"60 % of 20 is not", nil, in(of20(12)), guard.RuleStorm, time.Second},
		{"all of 10", nil, in(guard.Standing{Known: true, Instances: 10, Bad: 10}), guard.RuleStorm, time.Second},
		{"all of 9 is too few for shares", nil, in(guard.Standing{Known: true, Instances: 9, Bad: 9}), "", 0},
		{"one fault on 18 of 20", nil, in(spread(20, 18)), guard.RuleStorm, time.Second},
		{"one fault on 17 of 20", nil, in(spread(20, 17)), "", 0},
		{"one fault on 9 of 9", nil, in(spread(9, 9)), "", 0},
		{"a person in a storm", person, in(of20(12)), "", 0},
		{"an undo in a storm", undo, in(of20(12)), "", 0},
		{"a run under way in a storm", nil, guard.History{Spent: true, Scopes: in(of20(12)).Scopes}, "", 0},

		{"one of 20 acted on", nil, in(of20(8), acts(1, time.Minute)...), "", 0},
		{"two of 20 acted on", nil, in(of20(8), acts(2, time.Minute)...), guard.RuleBlast, 5*time.Minute - 61*time.Second},
		{"two of 20 a window ago", nil, in(of20(8), acts(2, 5*time.Minute-time.Second)...), "", 0},
		{"two of 30", nil, in(sized(30), acts(2, time.Minute)...), "", 0},
		{"one of 10", nil, in(sized(10), acts(1, time.Minute)...), guard.RuleBlast, 4 * time.Minute},
		{"one of 19, whose tenth is 1.9", nil, in(sized(19), acts(1, time.Minute)...), guard.RuleBlast, 4 * time.Minute},
		{"the same target again", nil, in(of20(8), append([]guard.Act{mine}, acts(1, time.Minute)...)...), "", 0},
		{"a person beyond the share", person, in(of20(8), acts(5, time.Minute)...), "", 0},
		{"an undo beyond the share", undo, in(of20(8), acts(5, time.Minute)...), "", 0},

		{"two of 9", nil, in(sized(9), acts(2, time.Minute)...), "", 0},
		{"three of 9", nil, in(sized(9), acts(3, time.Minute)...), guard.RuleSmall, 10*time.Minute - 62*time.Second},
		{"three of 9, the oldest a window ago", nil, in(sized(9), acts(3, 10*time.Minute-2*time.Second)...), "", 0},
		{"three where nobody knows", nil, in(guard.Standing{}, acts(3, time.Minute)...), guard.RuleSmall, 10*time.Minute - 62*time.Second},
		{"three where nobody knows, and nothing is small", nil, in(guard.Standing{Bad: 5}, acts(30, time.Minute)...), "", 0},
		{"its own run among three", nil, in(sized(9), append([]guard.Act{{Run: "r2", Target: "service/x", At: ago(time.Second)}}, acts(2, time.Minute)...)...), "", 0},
		{"a person beyond three", person, in(sized(9), acts(3, time.Minute)...), "", 0},

		{"the wider scope refuses too", nil, guard.History{Scopes: []guard.ScopeFacts{
			{Scope: heal.DefaultScope.WithService("cart"), Standing: sized(1)}, {Scope: heal.DefaultScope, Standing: of20(12)},
		}}, guard.RuleStorm, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := request()
			if tt.change != nil {
				tt.change(&req)
			}
			l := guard.DefaultLimits()
			if strings.HasSuffix(tt.name, "nothing is small") {
				l.Small.Instances = 0
			}
			got := guard.Judge(req, tt.h, l, now)
			want := time.Time{}
			if tt.retry > 0 {
				want = now.Add(tt.retry)
			}
			if got.Rule != tt.rule || !got.Retry.Equal(want) || got.Page != (tt.rule == guard.RuleStorm) {
				t.Errorf("got rule %q retry %s page %t (%s), want rule %q retry %s", got.Rule, got.Retry, got.Page, got.Reason.Text, tt.rule, want)
			}
		})
	}
}

func TestOtherRules(t *testing.T) {
	destroys := func(heals int, change ...func(*guard.Request)) (func(*guard.Request), guard.History) {
		return func(r *guard.Request) {
			r.Impact, r.Playbook = action.Destructive, "wipe"
			for _, c := range change {
				c(r)
			}
		}, guard.History{Heals: heals}
	}
	tests := []struct {
		name string
		set  func() (func(*guard.Request), guard.History)
		rule guard.Rule
	}{
		{"destructive after 19 heals", func() (func(*guard.Request), guard.History) { return destroys(19) }, guard.RuleImpact},
		{"destructive after 20", func() (func(*guard.Request), guard.History) { return destroys(20) }, ""},
		{"destructive and approved", func() (func(*guard.Request), guard.History) {
			return destroys(0, func(r *guard.Request) { r.Approved = true })
		}, ""},
		{"destructive and a person's", func() (func(*guard.Request), guard.History) {
			return destroys(0, func(r *guard.Request) { r.Incident = "" })
		}, ""},
		{"destructive and an undo", func() (func(*guard.Request), guard.History) {
			return destroys(0, func(r *guard.Request) { r.Undo = true })
		}, ""},
		{"destructive later in a run", func() (func(*guard.Request), guard.History) {
			change, h := destroys(0)
			h.Spent = true
			return change, h
		}, guard.RuleImpact},
		{"disruptive", func() (func(*guard.Request), guard.History) { return nil, guard.History{} }, ""},
		{"open breaker", func() (func(*guard.Request), guard.History) {
			return nil, guard.History{Breakers: []guard.Switch{{On: true, Scope: heal.DefaultScope, At: ago(time.Hour)}}}
		}, guard.RuleBreaker},
		{"open breaker and a person", func() (func(*guard.Request), guard.History) {
			return func(r *guard.Request) { r.Incident = "" }, guard.History{Breakers: []guard.Switch{{On: true}}}
		}, ""},
		{"open breaker and a run under way", func() (func(*guard.Request), guard.History) {
			return nil, guard.History{Spent: true, Breakers: []guard.Switch{{On: true}}}
		}, ""},
		{"no room", func() (func(*guard.Request), guard.History) {
			return nil, guard.History{Full: []guard.Room{{Name: "all tenants", Limit: 4}}}
		}, guard.RuleQuota},
		{"no room for an undo", func() (func(*guard.Request), guard.History) {
			return func(r *guard.Request) { r.Undo = true }, guard.History{Full: []guard.Room{{Name: "all tenants", Limit: 4}}}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			change, h := tt.set()
			req := request()
			if change != nil {
				change(&req)
			}
			got := guard.Judge(req, h, guard.DefaultLimits(), now)
			if got.Rule != tt.rule {
				t.Errorf("got rule %q (%s), want %q", got.Rule, got.Reason.Text, tt.rule)
			}
			if !got.Retry.IsZero() && tt.rule != guard.RuleQuota {
				t.Errorf("got a retry at %s, want none: only a person changes it", got.Retry)
			}
		})
	}
}

// TestStormAtEverySize judges every number of bad instances in scopes of every
// size up to 30: nothing is acted on where more than half is bad, and never more
// than a tenth where it is not.
func TestStormAtEverySize(t *testing.T) {
	l := guard.DefaultLimits()
	for n := 10; n <= 30; n++ {
		for bad := range n + 1 {
			s := guard.Standing{Known: true, Instances: n, Bad: bad}
			allowed := 0
			for {
				h := guard.History{Scopes: []guard.ScopeFacts{{Scope: heal.DefaultScope, Standing: s, Acted: acts(allowed, time.Second)}}}
				if !guard.Judge(request(), h, l, now).Allowed() {
					break
				}
				allowed++
			}
			want := max(n/10, 1)
			if 2*bad > n {
				want = 0
			}
			if allowed != want {
				t.Errorf("%d of %d bad: got %d acted on, want %d", bad, n, allowed, want)
			}
		}
	}
}

func TestLimitsOfScopes(t *testing.T) {
	l := guard.DefaultLimits()
	l.Scopes = []guard.Override{
		{Scope: heal.Scope{Tenant: "default"}, Attempts: 5, Blast: guard.Blast{Share: 0.5}},
		{Scope: heal.DefaultScope.WithService("cart"), Attempts: 1, Spacing: []time.Duration{time.Hour}},
	}
	type seen struct {
		Attempts int
		Spacing  []time.Duration
		Blast    guard.Blast
		Small    guard.Small
	}
	of := func(scope heal.Scope) seen {
		o := l.For(scope)
		return seen{o.Attempts, o.Spacing, o.Blast, o.Small}
	}
	d := guard.DefaultLimits()
	tests := []struct {
		name  string
		scope heal.Scope
		want  seen
	}{
		{"another tenant", heal.Scope{Tenant: "other"}, seen{3, d.Spacing, d.Blast, d.Small}},
		{"the cluster", heal.DefaultScope, seen{5, d.Spacing, guard.Blast{Share: 0.5, Window: d.Blast.Window}, d.Small}},
		{"the service", heal.DefaultScope.WithService("cart"), seen{1, []time.Duration{time.Hour}, guard.Blast{Share: 0.5, Window: d.Blast.Window}, d.Small}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(of(tt.scope), tt.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestStormSaysWhatPeopleNeed(t *testing.T) {
	h := guard.History{Scopes: []guard.ScopeFacts{{Scope: heal.DefaultScope, Standing: of20(12)}}}
	text := guard.Judge(request(), h, guard.DefaultLimits(), now).Reason.Text
	for _, part := range []string{"12 of 20", "default/default/default", "50 %", "sensor"} {
		if !strings.Contains(text, part) {
			t.Errorf("got %q, want it to say %q", text, part)
		}
	}
}
