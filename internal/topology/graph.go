package topology

import (
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// Graph is the topology at one moment. It is immutable and safe for concurrent
// use; the zero Graph is empty. Unknown ids have no neighbours.
type Graph struct {
	nodes []Node                // sorted by id
	edges []Edge                // sorted by From, then To
	index map[heal.EntityID]int // position in nodes
	out   [][]int               // by node: positions in edges, sorted by To
	in    [][]int               // by node: positions in edges, sorted by From
	to    []int                 // by edge: position of To in nodes
	from  []int                 // by edge: position of From in nodes
}

// newGraph takes ownership of nodes and edges. Every end of an edge must be
// among the nodes, and none may occur twice.
func newGraph(nodes []Node, edges []Edge) *Graph {
	slices.SortFunc(nodes, compareNodes)
	slices.SortFunc(edges, compareEdges)
	g := &Graph{
		nodes: nodes,
		edges: edges,
		index: make(map[heal.EntityID]int, len(nodes)),
		out:   make([][]int, len(nodes)),
		in:    make([][]int, len(nodes)),
		to:    make([]int, len(edges)),
		from:  make([]int, len(edges)),
	}
	for i, n := range nodes {
		g.index[n.Entity.ID] = i
	}
	for i, e := range edges {
		from, to := g.index[e.From], g.index[e.To]
		g.from[i], g.to[i] = from, to
		g.out[from] = append(g.out[from], i)
		g.in[to] = append(g.in[to], i)
	}
	return g
}

// Entities gives every entity, sorted by id.
func (g *Graph) Entities() []heal.Entity {
	entities := make([]heal.Entity, len(g.nodes))
	for i, n := range g.nodes {
		entities[i] = n.Entity
	}
	return entities
}

// Nodes gives every entity with the accounts of it, sorted by id.
func (g *Graph) Nodes() []Node { return slices.Clone(g.nodes) }

// Edges gives every edge, sorted by From, then To.
func (g *Graph) Edges() []Edge { return slices.Clone(g.edges) }

// Entity gives one entity.
func (g *Graph) Entity(id heal.EntityID) (heal.Entity, bool) {
	i, ok := g.index[id]
	if !ok {
		return heal.Entity{}, false
	}
	return g.nodes[i].Entity, true
}

// Edge gives the edge between two entities.
func (g *Graph) Edge(from, to heal.EntityID) (Edge, bool) {
	i, ok := slices.BinarySearchFunc(g.edges, Edge{From: from, To: to}, compareEdges)
	if !ok {
		return Edge{}, false
	}
	return g.edges[i], true
}

// Downstream gives the edges to what id depends on, sorted by To. An entity
// that calls itself is among its own neighbours.
func (g *Graph) Downstream(id heal.EntityID) []Edge { return g.pick(id, g.out) }

// Upstream gives the edges from what depends on id, sorted by From.
func (g *Graph) Upstream(id heal.EntityID) []Edge { return g.pick(id, g.in) }

func (g *Graph) pick(id heal.EntityID, adjacent [][]int) []Edge {
	i, ok := g.index[id]
	if !ok {
		return nil
	}
	edges := make([]Edge, len(adjacent[i]))
	for k, e := range adjacent[i] {
		edges[k] = g.edges[e]
	}
	return edges
}
