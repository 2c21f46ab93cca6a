package topology

import "maps"

// State is the content of a Map as it is stored.
type State struct {
	Nodes []Node `json:"nodes,omitempty"`
	Edges []Edge `json:"edges,omitempty"`
}

// State gives everything the graph holds, to be stored.
func (g *Graph) State() State { return State{Nodes: g.Nodes(), Edges: g.Edges()} }

// Load merges a stored state: a sighting or account that is already known
// under its source is replaced. Parts that are wrong or beyond the limits are
// left out and counted.
func (m *Map) Load(s State) Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tally Tally
	for _, n := range s.Nodes {
		for _, a := range n.Sources {
			if err := validateEntity(a.Source, n.Entity); err != nil {
				tally.invalid(err)
				continue
			}
			if !m.roomForEntity(n.Entity.ID) {
				tally.OverLimit++
				continue
			}
			a.Attributes = maps.Clone(a.Attributes)
			m.setAccount(n.Entity.ID, a)
		}
	}
	for _, e := range s.Edges {
		for _, seen := range e.Sources {
			o := Observation{From: e.From, To: e.To, Source: seen.Source, Calls: seen.Calls, Errors: seen.Errors}
			if err := o.validate(); err != nil {
				tally.invalid(err)
				continue
			}
			if !m.roomForEdge(ends{e.From, e.To}) {
				tally.OverLimit++
				continue
			}
			m.setEdge(ends{e.From, e.To}, seen)
		}
	}
	return tally
}
