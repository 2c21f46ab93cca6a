package incident

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// neighbours gives what is one step away from an entity.
type neighbours func(heal.EntityID) []heal.EntityID

func callees(g Graph) neighbours {
	return func(id heal.EntityID) []heal.EntityID {
		edges := g.Downstream(id)
		ids := make([]heal.EntityID, len(edges))
		for i, e := range edges {
			ids[i] = e.To
		}
		return ids
	}
}

func callers(g Graph) neighbours {
	return func(id heal.EntityID) []heal.EntityID {
		edges := g.Upstream(id)
		ids := make([]heal.EntityID, len(edges))
		for i, e := range edges {
			ids[i] = e.From
		}
		return ids
	}
}

// reach is how far a walk came.
type reach struct {
	seen map[heal.EntityID]bool // where it began among them
	cut  bool                   // a bound cut it short
}

// walk visits entities level by level from start, which is not visited, until
// visit says stop or a bound is met.
func walk(start heal.EntityID, next neighbours, opts Options, visit func(heal.EntityID, int) (stop bool)) reach {
	seen := map[heal.EntityID]bool{start: true}
	level := []heal.EntityID{start}
	for depth := 1; len(level) > 0; depth++ {
		if depth > opts.MaxDepth {
			return reach{seen, true}
		}
		var further []heal.EntityID
		for _, at := range level {
			for _, id := range next(at) {
				if seen[id] {
					continue
				}
				if len(seen) > opts.MaxVisit {
					return reach{seen, true}
				}
				seen[id] = true
				further = append(further, id)
				if visit(id, depth) {
					return reach{seen, false}
				}
			}
		}
		level = further
	}
	return reach{seen, false}
}

// nearest finds the case that stands on the entity fewest steps away; of those
// at one distance, the newest.
func (s *Set) nearest(here place, f heal.Fault, next neighbours, now time.Time, fits func(*entry) bool) (best *entry, steps int, ok bool, came reach) {
	if len(s.cases) == 0 {
		return nil, 0, false, reach{}
	}
	came = walk(f.Key.Entity, next, s.opts, func(id heal.EntityID, depth int) bool {
		if ok && depth > steps {
			return true
		}
		e, found := s.newest(s.byAnchor[entityIn{here, id}], f, now, fits)
		if found && (!ok || e.id > best.id) {
			best, steps, ok = e, depth, true
		}
		return false
	})
	return best, steps, ok, came
}

// placed reports whether the topology knows the entity.
func placed(g Graph, id heal.EntityID) bool {
	return g != nil && (len(g.Downstream(id)) > 0 || len(g.Upstream(id)) > 0)
}

// explains reports whether the case can be what the fault comes from.
func explains(e *entry, f heal.Fault) bool { return !standsAlone(f, e.primary.Key.Type) }

// standsAlone reports whether a fault needs a cause of its own beside one of
// the given type: what does not answer its own probe is itself down, and a
// dependency that is only slow or failing does not explain that.
func standsAlone(f heal.Fault, cause heal.FaultType) bool {
	return f.Key.Type == heal.Unavailable && f.Condition.Kind == heal.ConditionProbe && cause != heal.Unavailable
}

// telling orders fault types by how much they say about the cause: what is
// down explains what is slow, not the other way round.
func telling(t heal.FaultType) int {
	switch t {
	case heal.Unavailable:
		return 8
	case heal.Deadlock:
		return 7
	case heal.DataCorruption:
		return 6
	case heal.MemoryLeak:
		return 5
	case heal.ResourceExhaustion:
		return 4
	case heal.ConnectionFailure:
		return 3
	case heal.ErrorsRaised:
		return 2
	case heal.PerformanceDegradation:
		return 1
	case heal.UnknownFault:
		return 0
	}
	return 0
}
