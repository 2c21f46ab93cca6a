package cause

import (
	"maps"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// scene is everything the subjects of one diagnosis share.
type scene struct {
	in      Input
	limits  Limits
	graph   Graph
	alerted heal.EntityID   // the primary fault's entity
	faulty  []heal.EntityID // with an open fault of the case, sorted
	down    map[heal.EntityID][]heal.EntityID
	up      map[heal.EntityID][]heal.EntityID
	reached map[heal.EntityID]map[heal.EntityID]bool
	ledger  *ledger
	extra   float64 // see extraTime; below 0: not yet known
	usual   float64
}

// maxReach bounds the entities looked at to see what one depends on.
const maxReach = 2000

func newScene(in Input) *scene {
	s := &scene{
		in: in, limits: in.Limits.withDefaults(), graph: orEmpty(in.Graph),
		down:    map[heal.EntityID][]heal.EntityID{},
		up:      map[heal.EntityID][]heal.EntityID{},
		reached: map[heal.EntityID]map[heal.EntityID]bool{},
		extra:   -1,
	}
	if p := in.Incident.PrimaryFault(); p != nil {
		s.alerted = p.Key.Entity
	}
	faulty := map[heal.EntityID]bool{}
	for _, m := range in.Incident.Members {
		if m.Fault.ClearedAt.IsZero() {
			faulty[m.Fault.Key.Entity] = true
		}
	}
	s.faulty = slices.Sorted(maps.Keys(faulty))
	s.ledger = s.newLedger()
	return s
}

// subjects are the entities that are examined: those of the case and those with
// signals, sorted.
func (s *scene) subjects() []*subject {
	ids := map[heal.EntityID]bool{}
	for _, id := range s.faulty {
		ids[id] = true
	}
	for id := range s.in.Signals {
		ids[id] = true
	}
	var list []*subject
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		signals := s.in.Signals[id]
		signals.Faults = slices.Clone(signals.Faults)
		for _, m := range s.in.Incident.Members {
			known := slices.ContainsFunc(signals.Faults, func(f heal.Fault) bool { return f.Key == m.Fault.Key })
			if m.Fault.Key.Entity == id && !known {
				signals.Faults = append(signals.Faults, m.Fault)
			}
		}
		list = append(list, &subject{scene: s, id: id, signals: signals})
	}
	return list
}

// below gives what an entity depends on directly: what the topology says and
// what its spans show.
func (s *scene) below(id heal.EntityID) []heal.EntityID {
	if ids, ok := s.down[id]; ok {
		return ids
	}
	found := map[heal.EntityID]bool{}
	for _, e := range s.graph.Downstream(id) {
		found[e.To] = true
	}
	for _, op := range s.in.Signals[id].Spans {
		if op.Callee != "" {
			found[op.Callee] = true
		}
	}
	delete(found, id)
	s.down[id] = slices.Sorted(maps.Keys(found))
	return s.down[id]
}

// above gives what depends on an entity directly.
func (s *scene) above(id heal.EntityID) []heal.EntityID {
	if ids, ok := s.up[id]; ok {
		return ids
	}
	found := map[heal.EntityID]bool{}
	for _, e := range s.graph.Upstream(id) {
		found[e.From] = true
	}
	for caller, signals := range s.in.Signals {
		for _, op := range signals.Spans {
			if op.Callee == id {
				found[caller] = true
			}
		}
	}
	delete(found, id)
	s.up[id] = slices.Sorted(maps.Keys(found))
	return s.up[id]
}

// dependsOn reports whether one entity depends on another, over any number of
// steps; not on itself.
func (s *scene) dependsOn(id, on heal.EntityID) bool {
	if id == on {
		return false
	}
	reached, ok := s.reached[id]
	if !ok {
		reached = map[heal.EntityID]bool{id: true}
		for level := []heal.EntityID{id}; len(level) > 0 && len(reached) < maxReach; {
			var next []heal.EntityID
			for _, at := range level {
				for _, to := range s.below(at) {
					if !reached[to] {
						reached[to] = true
						next = append(next, to)
					}
				}
			}
			level = next
		}
		s.reached[id] = reached
	}
	return reached[on]
}

// placed reports whether anything is known of how the entity hangs together
// with others.
func (s *scene) placed(id heal.EntityID) bool {
	return len(s.below(id)) > 0 || len(s.above(id)) > 0
}

// path leads from the alerted entity to another, along or against the
// direction of calls; if there is none, it is the other alone.
func (s *scene) path(to heal.EntityID) []heal.EntityID {
	if s.alerted == "" || s.alerted == to {
		return []heal.EntityID{to}
	}
	if path, ok := s.graph.Path(s.alerted, to); ok {
		return path
	}
	if path, ok := s.graph.Path(to, s.alerted); ok {
		path = slices.Clone(path)
		slices.Reverse(path)
		return path
	}
	if slices.Contains(s.below(s.alerted), to) || slices.Contains(s.above(s.alerted), to) {
		return []heal.EntityID{s.alerted, to}
	}
	return []heal.EntityID{to}
}
