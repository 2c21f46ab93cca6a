package cause

import (
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

// Walk gives the entities to look at for a case, in this order: the alerted
// ones, the primary first; what they depend on, level by level; who depends on
// them; last the databases, caches and queues met on the way. Only Entities
// and Depth of the limits count.
func Walk(inc heal.Incident, g Graph, limits Limits) []heal.EntityID {
	limits = limits.withDefaults()
	g = orEmpty(g)
	w := walker{seen: map[heal.EntityID]bool{}, limit: limits.Entities}
	alerted := alertedEntities(inc)
	for _, id := range alerted {
		w.add(id)
	}
	down := func(id heal.EntityID) []topology.Edge { return g.Downstream(id) }
	up := func(id heal.EntityID) []topology.Edge { return g.Upstream(id) }
	w.follow(alerted, limits.Depth, down, func(e topology.Edge) heal.EntityID { return e.To })
	w.follow(alerted, limits.Depth, up, func(e topology.Edge) heal.EntityID { return e.From })
	for _, id := range w.backing {
		w.add(id)
	}
	return w.order
}

// alertedEntities gives the entities of the case, the primary's first.
func alertedEntities(inc heal.Incident) []heal.EntityID {
	var ids []heal.EntityID
	if p := inc.PrimaryFault(); p != nil {
		ids = append(ids, p.Key.Entity)
	}
	seen := map[heal.EntityID]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	for _, m := range inc.Members {
		if id := m.Fault.Key.Entity; !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

type walker struct {
	seen    map[heal.EntityID]bool
	order   []heal.EntityID
	backing []heal.EntityID // databases, caches, queues: looked at last
	limit   int
}

func (w *walker) add(id heal.EntityID) {
	if !w.seen[id] && len(w.order) < w.limit {
		w.seen[id] = true
		w.order = append(w.order, id)
	}
}

func (w *walker) follow(from []heal.EntityID, depth int, edges func(heal.EntityID) []topology.Edge, far func(topology.Edge) heal.EntityID) {
	visited := map[heal.EntityID]bool{}
	for _, id := range from {
		visited[id] = true
	}
	for level := from; len(level) > 0 && depth > 0; depth-- {
		var next []heal.EntityID
		for _, at := range level {
			for _, e := range edges(at) {
				id := far(e)
				if visited[id] || len(visited) > 4*w.limit {
					continue
				}
				visited[id] = true
				next = append(next, id)
				switch id.Kind() {
				case heal.KindDatabase, heal.KindCache, heal.KindQueue:
					w.backing = append(w.backing, id)
				case heal.KindService, heal.KindProcess, heal.KindHost, heal.KindPod, heal.KindExternal:
					w.add(id)
				}
			}
		}
		level = next
	}
}

func orEmpty(g Graph) Graph {
	if g == nil {
		return &topology.Graph{}
	}
	return g
}
