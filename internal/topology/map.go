package topology

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options bound a Map.
type Options struct {
	MaxEntities int        // put or at the end of an edge; default 50,000
	MaxEdges    int        // default 200,000
	Scope       heal.Scope // of entities no source has described; default heal.DefaultScope
}

// Map merges what sources say. It is safe for concurrent use.
type Map struct {
	opts Options

	mu       sync.Mutex
	accounts map[heal.EntityID]map[string]Account
	edges    map[ends]map[string]Sighting
	refs     map[heal.EntityID]int // what holds an entity: accounts and ends of edges
	graph    *Graph                // of the present content; nil after a change
}

type ends struct{ from, to heal.EntityID }

// New makes an empty Map.
func New(opts Options) *Map {
	if opts.MaxEntities <= 0 {
		opts.MaxEntities = 50_000
	}
	if opts.MaxEdges <= 0 {
		opts.MaxEdges = 200_000
	}
	if opts.Scope == (heal.Scope{}) {
		opts.Scope = heal.DefaultScope
	}
	return &Map{
		opts:     opts,
		accounts: make(map[heal.EntityID]map[string]Account),
		edges:    make(map[ends]map[string]Sighting),
		refs:     make(map[heal.EntityID]int),
	}
}

// Tally says how much of a batch was not taken. The rest was.
type Tally struct {
	Invalid   int   // wrong ids, counts or no source
	OverLimit int   // new, but the Map is full
	First     error // what was wrong with the first invalid one
}

func (t *Tally) invalid(err error) {
	t.Invalid++
	if t.First == nil {
		t.First = err
	}
}

// Observe merges edges. Times after now, or missing, are taken as now.
func (m *Map) Observe(edges []Observation, now time.Time) Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tally Tally
	for _, o := range edges {
		if err := o.validate(); err != nil {
			tally.invalid(err)
			continue
		}
		key := ends{o.From, o.To}
		if !m.roomForEdge(key) {
			tally.OverLimit++
			continue
		}
		at := seenAt(o.At, now)
		s, ok := m.edges[key][o.Source]
		if !ok {
			s = Sighting{Source: o.Source, FirstSeen: at, LastSeen: at}
		}
		s.FirstSeen, s.LastSeen = earlier(s.FirstSeen, at), later(s.LastSeen, at)
		s.Calls, s.Errors = add(s.Calls, o.Calls), add(s.Errors, o.Errors)
		m.setEdge(key, s)
	}
	return tally
}

// Put merges what a source says about entities. It replaces what the same
// source said about them before; a source repeats itself to keep them alive.
func (m *Map) Put(source string, entities []heal.Entity, now time.Time) Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	now = now.UTC()
	var tally Tally
	for _, e := range entities {
		if err := validateEntity(source, e); err != nil {
			tally.invalid(err)
			continue
		}
		if !m.roomForEntity(e.ID) {
			tally.OverLimit++
			continue
		}
		a := Account{Source: source, FirstSeen: now, Scope: e.Scope, Attributes: maps.Clone(e.Attributes)}
		if before, ok := m.accounts[e.ID][source]; ok {
			a.FirstSeen = earlier(before.FirstSeen, now)
		}
		if a.Scope == (heal.Scope{}) {
			a.Scope = m.scopeOf(e.ID)
		}
		a.LastSeen = now
		m.setAccount(e.ID, a)
	}
	return tally
}

// Prune forgets what a source has not confirmed for maxAge: first sightings,
// then edges without any, then entities that neither a source nor an edge
// holds. It gives how many edges and entities are gone.
func (m *Map) Prune(now time.Time, maxAge time.Duration) (edges, entities int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	limit := now.Add(-maxAge)
	before := len(m.refs)
	for key, sightings := range m.edges {
		maps.DeleteFunc(sightings, func(_ string, s Sighting) bool { return s.LastSeen.Before(limit) })
		if len(sightings) == 0 {
			m.dropEdge(key)
			edges++
		}
	}
	for id, accounts := range m.accounts {
		for source, a := range accounts {
			if a.LastSeen.Before(limit) {
				m.dropAccount(id, source)
			}
		}
	}
	m.graph = nil // an edge may have lost one source of several
	return edges, before - len(m.refs)
}

// Snapshot gives the topology as it is now.
func (m *Map) Snapshot() *Graph {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.graph == nil {
		m.graph = m.build()
	}
	return m.graph
}

// build makes the graph of the present content.
func (m *Map) build() *Graph {
	nodes := make([]Node, 0, len(m.refs))
	for id := range m.refs {
		nodes = append(nodes, mergeNode(id, m.accounts[id], m.scopeOf(id)))
	}
	edges := make([]Edge, 0, len(m.edges))
	for key, sightings := range m.edges {
		e := Edge{From: key.from, To: key.to, Sources: make([]Sighting, 0, len(sightings))}
		for _, name := range slices.Sorted(maps.Keys(sightings)) {
			e.Sources = append(e.Sources, sightings[name])
		}
		edges = append(edges, e)
	}
	return newGraph(nodes, edges)
}

// scopeOf is the scope of an entity whose scope no source has named.
func (m *Map) scopeOf(id heal.EntityID) heal.Scope {
	if id.Kind() == heal.KindService {
		return m.opts.Scope.WithService(id.Name())
	}
	return m.opts.Scope
}
