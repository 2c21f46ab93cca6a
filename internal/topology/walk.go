package topology

import (
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// Path gives a shortest way from one entity to another along dependencies,
// both ends included. Among several of one length it always gives the same:
// the one whose steps are earliest in the alphabet. The way from an entity to
// itself is the entity alone.
func (g *Graph) Path(from, to heal.EntityID) ([]heal.EntityID, bool) {
	start, ok := g.index[from]
	if !ok {
		return nil, false
	}
	end, ok := g.index[to]
	if !ok {
		return nil, false
	}
	// parent holds, by node, the node it was reached from, plus one.
	parent := make([]int, len(g.nodes))
	parent[start] = start + 1
	for queue := []int{start}; len(queue) > 0 && parent[end] == 0; queue = queue[1:] {
		at := queue[0]
		for _, e := range g.out[at] {
			if next := g.to[e]; parent[next] == 0 {
				parent[next] = at + 1
				queue = append(queue, next)
			}
		}
	}
	if parent[end] == 0 {
		return nil, false
	}
	path := []heal.EntityID{to}
	for at := end; at != start; {
		at = parent[at] - 1
		path = append(path, g.nodes[at].Entity.ID)
	}
	slices.Reverse(path)
	return path, true
}

// Reachable gives everything id depends on within depth steps, nearest first,
// then by id; id itself is not among them. A depth of 0 or less has no limit.
func (g *Graph) Reachable(id heal.EntityID, depth int) []heal.EntityID {
	return g.spread(id, depth, g.out, g.to)
}

// BlastRadius gives everything that depends on id, nearest first, then by id:
// who suffers when id fails. id itself is not among them.
func (g *Graph) BlastRadius(id heal.EntityID) []heal.EntityID {
	return g.spread(id, 0, g.in, g.from)
}

// spread walks level by level from id. adjacent gives the edges to follow from
// a node, far the node at their other end.
func (g *Graph) spread(id heal.EntityID, depth int, adjacent [][]int, far []int) []heal.EntityID {
	start, ok := g.index[id]
	if !ok {
		return nil
	}
	var found []heal.EntityID
	seen := make([]bool, len(g.nodes))
	seen[start] = true
	level := []int{start}
	for d := 1; len(level) > 0 && (depth <= 0 || d <= depth); d++ {
		var next []int
		for _, at := range level {
			for _, e := range adjacent[at] {
				if n := far[e]; !seen[n] {
					seen[n] = true
					next = append(next, n)
				}
			}
		}
		slices.Sort(next) // positions are in the order of ids
		for _, n := range next {
			found = append(found, g.nodes[n].Entity.ID)
		}
		level = next
	}
	return found
}
