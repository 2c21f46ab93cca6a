package incident

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

// Graph is what of the topology is needed here. A nil Graph is one that knows
// nothing.
type Graph interface {
	Downstream(id heal.EntityID) []topology.Edge
	Upstream(id heal.EntityID) []topology.Edge
}

// Assignment says where a fault belongs.
type Assignment struct {
	Join    heal.IncidentID // empty: open a case of its own
	Role    heal.Role
	Score   float64 // 0 to 1: how sure it is that the fault belongs there
	Reasons []heal.Reason
}

// How sure each kind of tie is before time is weighed. A dependency loses a
// tenth per step, down to half.
const (
	sureSameEntity  = 1.0
	sureDependency  = 0.9
	sureSameService = 0.5
	losePerStep     = 0.1
)

// SameFault is the reason of a fault that its case holds already.
const SameFault = "same_fault"

// maxScanned bounds the cases looked at per tie, newest first.
const maxScanned = 64

// Assign says which open case a fault that holds belongs to. The ties are tried from the
// strongest to the weakest; among cases tied equally the nearest wins, then the
// newest.
func (s *Set) Assign(f heal.Fault, g Graph, now time.Time) Assignment {
	here := placeOf(f.Scope)
	if id, ok := s.byKey[keyIn{here, f.Key}]; ok {
		return s.sameKey(id, f)
	}
	if a, ok := s.sameEntity(here, f, now); ok {
		return a
	}
	var down, up reach
	if g != nil {
		var a Assignment
		var ok bool
		if a, ok, down = s.symptom(here, f, g, now); ok {
			return a
		}
		if a, ok, up = s.deeper(here, f, g, now); ok {
			return a
		}
	}
	if a, ok := s.sameService(f, g, now); ok {
		return a
	}
	if a, ok := s.together(here, f, down, up, now); ok {
		return a
	}
	own := Assignment{Role: heal.Primary, Score: 1, Reasons: []heal.Reason{{
		Code: "own_case", Text: fmt.Sprintf("%s has no open case and depends on none, nor does a case depend on it", f.Key),
	}}}
	if down.cut || up.cut {
		own.Reasons = append(own.Reasons, heal.Reason{
			Code: "walk_bounded", Text: fmt.Sprintf("the topology around %s is larger than what is searched for related cases", f.Key.Entity),
			Data: map[string]any{"max_entities": s.opts.MaxVisit, "max_depth": s.opts.MaxDepth},
		})
	}
	return own
}

func (s *Set) sameKey(id heal.IncidentID, f heal.Fault) Assignment {
	role := heal.Secondary
	if s.cases[id].primary.Key == f.Key {
		role = heal.Primary
	}
	return Assignment{Join: id, Role: role, Score: 1, Reasons: []heal.Reason{{
		Code: SameFault, Text: fmt.Sprintf("%s is already part of this case", f.Key),
	}}}
}

// sameEntity joins a case on the entity of the fault; one that stands on it
// goes before one where it is a symptom.
func (s *Set) sameEntity(here place, f heal.Fault, now time.Time) (Assignment, bool) {
	at := entityIn{here, f.Key.Entity}
	if e, ok := s.newest(s.byAnchor[at], f, now, func(*entry) bool { return true }); ok {
		role, text := heal.Secondary, "%s is on the entity of this case"
		onPrimary := e.primary.Key.Entity == f.Key.Entity
		moreTelling := !onPrimary || telling(f.Key.Type) > telling(e.primary.Key.Type)
		if moreTelling && !e.acted() {
			role, text = heal.Primary, "%s is on the entity of this case and says more about the cause than what opened it"
		}
		return s.tie(e, f, role, sureSameEntity, "same_entity", fmt.Sprintf(text, f.Key), nil, now), true
	}
	e, ok := s.newest(s.byEntity[at], f, now, func(e *entry) bool { return explains(e, f) })
	if !ok {
		return Assignment{}, false
	}
	return s.tie(e, f, heal.Secondary, sureSameEntity, "same_entity",
		fmt.Sprintf("%s is on an entity that already suffers in this case", f.Key), nil, now), true
}

// symptom joins the nearest case the fault's entity depends on.
func (s *Set) symptom(here place, f heal.Fault, g Graph, now time.Time) (Assignment, bool, reach) {
	e, steps, ok, came := s.nearest(here, f, callees(g), now, func(e *entry) bool { return explains(e, f) })
	if !ok {
		return Assignment{}, false, came
	}
	return s.tie(e, f, heal.Secondary, distance(steps), "depends_on_case",
		fmt.Sprintf("%s depends on %s, where this case is, over %d step(s)", f.Key.Entity, e.seat(), steps),
		map[string]any{"steps": steps}, now), true, came
}

// deeper joins the nearest case that depends on the fault's entity, as its
// primary fault.
func (s *Set) deeper(here place, f heal.Fault, g Graph, now time.Time) (Assignment, bool, reach) {
	// The case must be explained by the new fault, not by what it has found
	// before: only its seat counts, and only while nothing was done.
	fits := func(e *entry) bool {
		return !e.acted() && !standsAlone(e.primary, f.Key.Type) && !s.offSeat(e, f, g)
	}
	e, steps, ok, came := s.nearest(here, f, callers(g), now, fits)
	if !ok {
		return Assignment{}, false, came
	}
	return s.tie(e, f, heal.Primary, distance(steps), "case_depends_on",
		fmt.Sprintf("%s, where this case is, depends on %s over %d step(s); the deepest faulty dependency is the primary fault", e.seat(), f.Key.Entity, steps),
		map[string]any{"steps": steps}, now), true, came
}

// offSeat reports whether a diagnosed case comes from an entity that does not
// depend on the fault's: then the fault is another branch below a common caller.
func (s *Set) offSeat(e *entry, f heal.Fault, g Graph) bool {
	if e.cause == "" || e.cause == e.primary.Key.Entity {
		return false
	}
	found := false
	walk(f.Key.Entity, callers(g), s.opts, func(id heal.EntityID, _ int) bool {
		found = id == e.cause
		return found
	})
	return !found
}

// sameService joins a case of the same service where the topology does not
// know how both entities hang together.
func (s *Set) sameService(f heal.Fault, g Graph, now time.Time) (Assignment, bool) {
	if f.Scope.Service == "" {
		return Assignment{}, false
	}
	unplaced := !placed(g, f.Key.Entity)
	e, ok := s.newest(s.service[f.Scope], f, now, func(e *entry) bool {
		return (unplaced || !placed(g, e.primary.Key.Entity)) && explains(e, f)
	})
	if !ok {
		return Assignment{}, false
	}
	return s.tie(e, f, heal.Secondary, sureSameService, "same_service",
		fmt.Sprintf("%s belongs to service %s like this case; the topology does not say how they hang together", f.Key.Entity, f.Scope.Service), nil, now), true
}

// tie makes an assignment whose score weighs the tie by nearness in time: a
// fault at the far end of the window counts half.
func (s *Set) tie(e *entry, f heal.Fault, role heal.Role, sure float64, code, text string, data map[string]any, now time.Time) Assignment {
	gap := e.gap(f, now)
	score := sure * (1 - 0.5*min(1, gap.Seconds()/s.opts.Window.Seconds()))
	return Assignment{Join: e.id, Role: role, Score: score, Reasons: []heal.Reason{
		{Code: code, Text: text, Data: data},
		{
			Code: "near_in_time",
			Text: fmt.Sprintf("it began %s away from this case, within the window of %s", gap.Round(time.Second), s.opts.Window),
			Data: map[string]any{"gap_seconds": gap.Seconds(), "window_seconds": s.opts.Window.Seconds()},
		},
	}}
}

// newest is the newest case among ids that is near in time and fits.
func (s *Set) newest(ids []heal.IncidentID, f heal.Fault, now time.Time, fits func(*entry) bool) (*entry, bool) {
	for i := len(ids) - 1; i >= 0 && i >= len(ids)-maxScanned; i-- {
		if e := s.cases[ids[i]]; e.gap(f, now) <= s.opts.Window && fits(e) {
			return e, true
		}
	}
	return nil, false
}

// gap is the time between the fault and the span of the case: from the begin
// of its first fault to its newest signal. Faults during it have none. A fault
// that began before the case lasts until now, so it touches the case.
func (e *entry) gap(f heal.Fault, now time.Time) time.Duration {
	began := f.Began
	if began.IsZero() || began.After(now) {
		began = now
	}
	seen := f.LastSeen
	if seen.Before(began) {
		seen = began
	}
	switch {
	case began.After(e.last):
		return began.Sub(e.last)
	case seen.Before(e.first):
		return e.first.Sub(seen)
	}
	return 0
}

func distance(steps int) float64 {
	return max(0.5, sureDependency-losePerStep*float64(steps-1))
}
