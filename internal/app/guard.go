package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
)

// GuardConfig configures the safety kernel.
type GuardConfig struct {
	Attempts        int               `yaml:"attempts" doc:"Per case, all tiers together." min:"1"`
	Spacing         []config.Duration `yaml:"spacing" doc:"Least wait before the second attempt, the third, and so on."`
	Cooldown        config.Duration   `yaml:"cooldown" doc:"Rest of a target after a case on it ended." min:"0s"`
	SmallScope      int               `yaml:"small_scope" doc:"A scope with fewer instances is small: shares say nothing there, and automation does one thing at a time. One nobody can size is taken as small. 0: no scope is." min:"0"`
	SmallActions    int               `yaml:"small_actions" doc:"Runs of automation in a small scope within small_window." min:"1"`
	SmallWindow     config.Duration   `yaml:"small_window" doc:"See small_actions." min:"1s"`
	BlastShare      float64           `yaml:"blast_share" doc:"Share of a scope that is acted on within blast_window, one instance at least." min:"0"`
	BlastWindow     config.Duration   `yaml:"blast_window" doc:"See blast_share." min:"1s"`
	StormShare      float64           `yaml:"storm_share" doc:"When more of a scope is bad, nothing is acted on there and a person is paged." min:"0"`
	StormEverywhere float64           `yaml:"storm_everywhere" doc:"The same if one fault is on this share of a scope at once." min:"0"`
	StormWithin     config.Duration   `yaml:"storm_within" doc:"Faults that began this close together are at once." min:"1s"`
	BreakerShare    float64           `yaml:"breaker_share" doc:"Share of a scope acted on in vain within breaker_window that opens its breaker; only a person closes it." min:"0"`
	BreakerActions  int               `yaml:"breaker_actions" doc:"And this many actions in vain at least." min:"1"`
	BreakerWindow   config.Duration   `yaml:"breaker_window" doc:"See breaker_share." min:"1s"`
	Proven          int               `yaml:"proven" doc:"Verified successes from which a destructive playbook needs no approval for that alone." min:"1"`

	Room    int                `yaml:"room" doc:"Runs that touch something at once, of all tenants together; 0: no limit." min:"0"`
	Tenants []TenantConfig     `yaml:"tenants" doc:"Quotas and priorities of tenants."`
	Freezes []FreezeConfig     `yaml:"freezes" doc:"Times when automation begins nothing."`
	Scopes  []GuardScopeConfig `yaml:"scopes" doc:"What is otherwise in some scopes; what is left out stays as above."`
}

// TenantConfig is the quota of one tenant.
type TenantConfig struct {
	Tenant   string          `yaml:"tenant" required:"true" doc:"As in scope.tenant; unique."`
	Together int             `yaml:"together" doc:"Its runs that touch something at once; 0: no limit." min:"0"`
	Actions  int             `yaml:"actions" doc:"Its runs within window; 0: no limit." min:"0"`
	Window   config.Duration `yaml:"window" doc:"See actions; 0 means 1h." min:"0s"`
	Priority string          `yaml:"priority" doc:"low may take half of guard.room, normal four fifths, high all of it; empty means normal." oneof:"low,normal,high"`
}

// FreezeConfig is one change freeze.
type FreezeConfig struct {
	Name     string          `yaml:"name" required:"true" doc:"Unique; refusals name it."`
	Scope    string          `yaml:"scope" doc:"tenant/env/cluster/service, trailing parts may be left out; empty: everything."`
	Calendar string          `yaml:"calendar" required:"true" doc:"When it begins, in the language of RFC 5545: DTSTART, then RRULE, RDATE or EXDATE, a line each."`
	Lasts    config.Duration `yaml:"lasts" required:"true" doc:"How long each occurrence holds."`
	Reason   string          `yaml:"reason" doc:"Shown to people."`
}

// GuardScopeConfig replaces limits in one scope.
type GuardScopeConfig struct {
	Scope           string            `yaml:"scope" required:"true" doc:"tenant/env/cluster/service, trailing parts may be left out."`
	Attempts        int               `yaml:"attempts" doc:"As guard.attempts; 0 stays, as for the others here." min:"0"`
	Spacing         []config.Duration `yaml:"spacing" doc:"As guard.spacing."`
	Cooldown        config.Duration   `yaml:"cooldown" doc:"As guard.cooldown." min:"0s"`
	SmallScope      int               `yaml:"small_scope" doc:"As guard.small_scope." min:"0"`
	SmallActions    int               `yaml:"small_actions" doc:"As guard.small_actions." min:"0"`
	SmallWindow     config.Duration   `yaml:"small_window" doc:"As guard.small_window." min:"0s"`
	BlastShare      float64           `yaml:"blast_share" doc:"As guard.blast_share." min:"0"`
	BlastWindow     config.Duration   `yaml:"blast_window" doc:"As guard.blast_window." min:"0s"`
	StormShare      float64           `yaml:"storm_share" doc:"As guard.storm_share." min:"0"`
	StormEverywhere float64           `yaml:"storm_everywhere" doc:"As guard.storm_everywhere." min:"0"`
	StormWithin     config.Duration   `yaml:"storm_within" doc:"As guard.storm_within." min:"0s"`
	BreakerShare    float64           `yaml:"breaker_share" doc:"As guard.breaker_share." min:"0"`
	BreakerActions  int               `yaml:"breaker_actions" doc:"As guard.breaker_actions." min:"0"`
	BreakerWindow   config.Duration   `yaml:"breaker_window" doc:"As guard.breaker_window." min:"0s"`
	Proven          int               `yaml:"proven" doc:"As guard.proven." min:"0"`
}

// defaultGuard says the kernel's own defaults in the words of the configuration.
func defaultGuard() GuardConfig {
	l := guard.DefaultLimits()
	return GuardConfig{
		Attempts: l.Attempts, Spacing: durations(l.Spacing), Cooldown: config.Duration(l.Cooldown),
		SmallScope: l.Small.Instances, SmallActions: l.Small.Actions, SmallWindow: config.Duration(l.Small.Window),
		BlastShare: l.Blast.Share, BlastWindow: config.Duration(l.Blast.Window),
		StormShare: l.Storm.Share, StormEverywhere: l.Storm.Everywhere, StormWithin: config.Duration(l.Storm.Within),
		BreakerShare: l.Breaker.Share, BreakerActions: l.Breaker.Actions, BreakerWindow: config.Duration(l.Breaker.Window), Proven: l.Proven,
	}
}

func durations(list []time.Duration) []config.Duration {
	var out []config.Duration
	for _, d := range list {
		out = append(out, config.Duration(d))
	}
	return out
}

func stdDurations(list []config.Duration) []time.Duration {
	var out []time.Duration
	for _, d := range list {
		out = append(out, d.Std())
	}
	return out
}

// limits makes the kernel's options of the configuration. What was checked when
// it was read fails here only by a bug.
func (c *GuardConfig) limits() (guard.Limits, error) {
	l := guard.Limits{
		Attempts: c.Attempts, Spacing: stdDurations(c.Spacing), Cooldown: c.Cooldown.Std(), Recheck: guard.DefaultLimits().Recheck,
		Small:   guard.Small{Instances: c.SmallScope, Actions: c.SmallActions, Window: c.SmallWindow.Std()},
		Blast:   guard.Blast{Share: c.BlastShare, Window: c.BlastWindow.Std()},
		Storm:   guard.Storm{Share: c.StormShare, Everywhere: c.StormEverywhere, Within: c.StormWithin.Std()},
		Breaker: guard.Breaker{Share: c.BreakerShare, Actions: c.BreakerActions, Window: c.BreakerWindow.Std()},
		Proven:  c.Proven, Room: c.Room,
	}
	for _, t := range c.Tenants {
		q := guard.Quota{Tenant: t.Tenant, Together: t.Together, Actions: t.Actions, Window: t.Window.Std(), Priority: guard.Priority(t.Priority)}
		if q.Window == 0 {
			q.Window = time.Hour
		}
		l.Quotas = append(l.Quotas, q)
	}
	for i, f := range c.Freezes {
		scope, err := heal.ParseScope(f.Scope)
		if err != nil {
			return l, heal.Errorf(heal.Invalid, fmt.Sprintf("guard.freezes[%d].scope", i), "%w", err)
		}
		calendar, err := guard.ParseCalendar(f.Calendar, f.Lasts.Std())
		if err != nil {
			return l, heal.Wrap(fmt.Sprintf("guard.freezes[%d].calendar", i), err)
		}
		l.Freezes = append(l.Freezes, guard.Freeze{Name: f.Name, Scope: scope, Why: f.Reason, Calendar: calendar})
	}
	for i := range c.Scopes {
		o, err := c.Scopes[i].override()
		if err != nil {
			return l, heal.Errorf(heal.Invalid, fmt.Sprintf("guard.scopes[%d].scope", i), "%w", err)
		}
		l.Scopes = append(l.Scopes, o)
	}
	slices.SortStableFunc(l.Scopes, func(a, b guard.Override) int { return depth(a.Scope) - depth(b.Scope) })
	return l, nil
}

func (c *GuardScopeConfig) override() (guard.Override, error) {
	scope, err := heal.ParseScope(c.Scope)
	return guard.Override{
		Scope: scope, Attempts: c.Attempts, Spacing: stdDurations(c.Spacing), Cooldown: c.Cooldown.Std(),
		Small:   guard.Small{Instances: c.SmallScope, Actions: c.SmallActions, Window: c.SmallWindow.Std()},
		Blast:   guard.Blast{Share: c.BlastShare, Window: c.BlastWindow.Std()},
		Storm:   guard.Storm{Share: c.StormShare, Everywhere: c.StormEverywhere, Within: c.StormWithin.Std()},
		Breaker: guard.Breaker{Share: c.BreakerShare, Actions: c.BreakerActions, Window: c.BreakerWindow.Std()},
		Proven:  c.Proven,
	}, err
}

// explainer answers people who ask what the guards would allow.
func (s *Server) explainer() *guard.Explainer {
	specs := s.drivers.set.Specs()
	return &guard.Explainer{
		Store: s.store, Limits: s.limits, Clock: s.clock.Now,
		Impact: func(name string) (action.Impact, bool) {
			spec, ok := specs[name]
			if ok && !spec.Touches() {
				return action.Harmless, true
			}
			return spec.Impact, ok
		},
		Scope: func(id heal.EntityID) heal.Scope {
			home := s.cfg.HomeScope()
			if id.Kind() == heal.KindService {
				return home.WithService(id.Name())
			}
			if e, ok := s.topology.Snapshot().Entity(id); ok && e.Scope.Service != "" {
				return home.WithService(e.Scope.Service)
			}
			return home
		},
	}
}

// depth is how many parts of a scope are named.
func depth(s heal.Scope) int {
	n := 0
	for _, part := range []string{s.Tenant, s.Env, s.Cluster, s.Service} {
		if part != "" {
			n++
		}
	}
	return n
}

// guard finds the mistakes of the safety kernel's keys.
func (d checker) guard(c *GuardConfig) {
	d.shares("guard", map[string]float64{
		"blast_share": c.BlastShare, "storm_share": c.StormShare, "storm_everywhere": c.StormEverywhere, "breaker_share": c.BreakerShare,
	})
	tenants := map[string]bool{}
	for i, t := range c.Tenants {
		key := fmt.Sprintf("guard.tenants[%d].tenant", i)
		if tenants[t.Tenant] {
			d.at(key, "a tenant once", "%q has a quota already", t.Tenant)
		}
		if tenants[t.Tenant] = true; strings.Contains(t.Tenant, "/") {
			d.at(key, "a name without slashes", "is %q", t.Tenant)
		}
		if t.Together > maxTogether {
			d.at(fmt.Sprintf("guard.tenants[%d].together", i), fmt.Sprintf("at most %d", maxTogether), "is %d", t.Together)
		}
		if t.Actions > maxTogether {
			d.at(fmt.Sprintf("guard.tenants[%d].actions", i), fmt.Sprintf("at most %d", maxTogether), "is %d", t.Actions)
		}
	}
	if c.Room > maxTogether {
		d.at("guard.room", fmt.Sprintf("at most %d", maxTogether), "is %d", c.Room)
	}
	names := map[string]bool{}
	for i, f := range c.Freezes {
		key := fmt.Sprintf("guard.freezes[%d]", i)
		if names[f.Name] {
			d.at(key+".name", "a name of its own", "%q is taken", f.Name)
		}
		names[f.Name] = true
		d.scope(key+".scope", f.Scope)
		if f.Calendar == "" || f.Lasts == 0 {
			continue // reported as missing
		}
		if _, err := guard.ParseCalendar(f.Calendar, f.Lasts.Std()); err != nil {
			d.at(key+".calendar", "", "%v", err)
		}
	}
	for i, s := range c.Scopes {
		key := fmt.Sprintf("guard.scopes[%d]", i)
		d.scope(key+".scope", s.Scope)
		d.shares(key, map[string]float64{
			"blast_share": s.BlastShare, "storm_share": s.StormShare, "storm_everywhere": s.StormEverywhere, "breaker_share": s.BreakerShare,
		})
	}
}

// maxTogether bounds the places and lines one judgement looks at.
const maxTogether = 400

func (d checker) shares(under string, shares map[string]float64) {
	for name, v := range shares {
		if v > 1 || v != v {
			d.at(under+"."+name, "a share between 0 and 1", "is %g", v)
		}
	}
}

func (d checker) scope(key, text string) {
	if _, err := heal.ParseScope(text); err != nil {
		d.at(key, "tenant/env/cluster/service, trailing parts may be left out", "is %q", text)
	}
}
