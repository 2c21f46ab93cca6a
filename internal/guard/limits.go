package guard

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Limits are the defaults of one safety kernel for every driver. A limit of
// zero does not limit.
type Limits struct {
	Attempts int             // runs per case, all tiers together; default 3
	Spacing  []time.Duration // least wait before the second, third, ... run of a case; default 1 min, 2 min
	Cooldown time.Duration   // rest of a target after a case on it ended; default 10 min
	Recheck  time.Duration   // when a refusal that passes by itself is asked again; default 1 s

	Small   Small
	Blast   Blast
	Storm   Storm
	Breaker Breaker
	Proven  int // verified successes from which a destructive playbook needs no approval; default 20

	Room    int        // runs that touch something at once, of all tenants together; default 0: no limit
	Quotas  []Quota    // of tenants; those that are not named have none
	Freezes []Freeze   // when automation does not begin anything
	Scopes  []Override // what is otherwise in some scopes, the widest first
	Census  Census     // nil: nobody counts, and what is asked of whole scopes is not asked
	Clock   Clock      // nil: nobody says whether the time can be trusted
}

// Small is how scopes are treated that are too small for shares: one run at a
// time, and few in a while. A scope nobody can size is taken as small.
type Small struct {
	Instances int           // a scope with fewer is small; default 10; 0: none is, whatever is known of it
	Actions   int           // runs that may touch it within Window; default 3
	Window    time.Duration // default 10 min
}

// Blast bounds how much of a scope is acted on in a while.
type Blast struct {
	Share  float64       // of its instances; default 0.1
	Window time.Duration // default 5 min
}

// Storm is when so much of a scope is bad that the sensor may be wrong.
type Storm struct {
	Share      float64       // more than this share of its instances is bad; default 0.5
	Everywhere float64       // at least this share has the same fault; default 0.9
	Within     time.Duration // which began this close together; default 2 min
}

// Breaker is when automation is stopped because it does not help.
type Breaker struct {
	Share   float64       // of the scope acted on without heal; default 0.2
	Actions int           // and at least this many actions; default 3
	Window  time.Duration // default 10 min
}

// Quota bounds what is done for one tenant.
type Quota struct {
	Tenant   string
	Together int           // runs that touch something at once; 0: no limit
	Actions  int           // runs within Window; 0: no limit
	Window   time.Duration // default 1 h
	Priority Priority      // how much of Limits.Room it may take; default normal
}

// Priority says who goes first when room is scarce.
type Priority string

// The priorities. The last fifth of the room is for high alone, and the half
// before nobody else is for low.
const (
	PriorityLow    Priority = "low"
	PriorityNormal Priority = "normal"
	PriorityHigh   Priority = "high"
)

// share is the part of the room a priority may take.
func (p Priority) share(room int) int {
	switch p {
	case PriorityLow:
		return max(1, room/2)
	case PriorityHigh:
		return room
	case PriorityNormal, "":
		return max(1, room*4/5)
	}
	return max(1, room/2)
}

// Override replaces limits in one scope; what is zero stays as it is.
type Override struct {
	Scope    heal.Scope
	Attempts int
	Spacing  []time.Duration
	Cooldown time.Duration
	Small    Small
	Blast    Blast
	Storm    Storm
	Breaker  Breaker
	Proven   int
}

// DefaultLimits are the limits of a kernel that was told nothing.
func DefaultLimits() Limits {
	return Limits{
		Attempts: 3,
		Spacing:  []time.Duration{time.Minute, 2 * time.Minute},
		Cooldown: 10 * time.Minute,
		Recheck:  time.Second,
		Small:    Small{Instances: 10, Actions: 3, Window: 10 * time.Minute},
		Blast:    Blast{Share: 0.1, Window: 5 * time.Minute},
		Storm:    Storm{Share: 0.5, Everywhere: 0.9, Within: 2 * time.Minute},
		Breaker:  Breaker{Share: 0.2, Actions: 3, Window: 10 * time.Minute},
		Proven:   20,
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

// For gives the limits that hold in a scope.
func (l Limits) For(scope heal.Scope) Limits {
	for i := range l.Scopes {
		if o := &l.Scopes[i]; o.Scope.Contains(scope) {
			o.over(&l)
		}
	}
	return l
}

func (o *Override) over(l *Limits) {
	replace(&l.Attempts, o.Attempts)
	replace(&l.Cooldown, o.Cooldown)
	replace(&l.Small.Instances, o.Small.Instances)
	replace(&l.Small.Actions, o.Small.Actions)
	replace(&l.Small.Window, o.Small.Window)
	replace(&l.Blast.Share, o.Blast.Share)
	replace(&l.Blast.Window, o.Blast.Window)
	replace(&l.Storm.Share, o.Storm.Share)
	replace(&l.Storm.Everywhere, o.Storm.Everywhere)
	replace(&l.Storm.Within, o.Storm.Within)
	replace(&l.Breaker.Share, o.Breaker.Share)
	replace(&l.Breaker.Actions, o.Breaker.Actions)
	replace(&l.Breaker.Window, o.Breaker.Window)
	replace(&l.Proven, o.Proven)
	if len(o.Spacing) > 0 {
		l.Spacing = o.Spacing
	}
}

func replace[T comparable](into *T, value T) {
	var zero T
	if value != zero {
		*into = value
	}
}

// quota is that of a tenant; without limits if it has none.
func (l *Limits) quota(tenant string) Quota {
	for _, q := range l.Quotas {
		if q.Tenant == tenant {
			return q
		}
	}
	return Quota{Tenant: tenant, Priority: PriorityNormal}
}
