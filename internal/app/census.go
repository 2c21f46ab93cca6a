package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
)

// census counts the instances of scopes, by the topology and by what the
// configuration names, and what is bad of them, by the open cases. It follows
// the store and answers from memory.
type census struct {
	store    store.Store
	topology *topology.Map
	home     heal.Scope
	named    []instances      // by the configuration
	clock    func() time.Time // that of those who ask
	log      *slog.Logger

	mu       sync.Mutex
	cases    map[heal.IncidentID]sick
	seen     store.Revision
	at       time.Time // when the cases were as they are here; zero: never
	graph    *topology.Graph
	size     map[heal.Scope]int            // of graph
	counts   map[heal.Scope]*ills          // of the cases as they are now
	standing map[heal.Scope]guard.Standing // asked for since; nil: count anew
}

// instances says that there are so many of an entity.
type instances struct {
	entity heal.EntityID
	n      int
}

// sick is what one open case says is bad.
type sick struct {
	scope   heal.Scope
	primary []heal.EntityID
	faults  []heal.Fault // all that hold; only what they are, of whom and since when
}

// The rhythm of a census. It looks at once when something was committed, but
// rests between looks; what is older than staleAfter is not known any more.
const (
	censusRest  = 50 * time.Millisecond
	censusEvery = 2 * time.Second
	staleAfter  = 15 * time.Second
)

// censusOf makes the census of a configuration; it knows nothing before its
// first look.
func censusOf(s store.Store, m *topology.Map, c *Config, clock func() time.Time, log *slog.Logger) *census {
	n := &census{store: s, topology: m, home: c.HomeScope(), clock: clock, log: log, cases: map[heal.IncidentID]sick{}}
	for _, p := range c.Drivers.Processes {
		n.named = append(n.named, instances{heal.EntityID(p.Entity), max(p.Instances, 1)})
	}
	for _, m := range c.Monitors {
		n.named = append(n.named, instances{heal.EntityID(m.Entity), 1})
	}
	return n
}

// run follows the store until ctx ends.
func (n *census) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := n.look(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("count what is bad, will try again", slog.Any("error", err))
			pause(ctx, time.Second)
			continue
		}
		n.mu.Lock()
		seen := n.seen
		n.mu.Unlock()
		wait, cancel := context.WithTimeout(ctx, censusEvery)
		_, err := n.store.Wait(wait, seen)
		cancel()
		if err != nil && wait.Err() == nil {
			n.log.Warn("wait for changes, will look again", slog.Any("error", err))
		}
		pause(ctx, censusRest)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// look takes in what changed since the last look, or everything.
func (n *census) look(ctx context.Context) error {
	n.mu.Lock()
	since, known := n.seen, !n.at.IsZero()
	n.mu.Unlock()
	var changed []heal.Incident
	var gone []heal.IncidentID
	var now store.Revision
	all := !known
	err := n.store.View(ctx, func(r store.Reader) (err error) {
		changed, gone, now = nil, nil, r.Revision()
		if known {
			changed, gone, err = changedCases(r, since)
			if all = errors.Is(err, store.ErrCompacted); err == nil || !all {
				return err
			}
		}
		rows, err := store.IncidentKind.All(r, store.Query{Where: []store.Cond{{Column: "open", Op: store.Eq, Value: int64(1)}}})
		for i := range rows {
			changed = append(changed, rows[i].Value)
		}
		return err
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if all {
		n.cases = map[heal.IncidentID]sick{}
	}
	for i := range changed {
		n.take(&changed[i])
	}
	for _, id := range gone {
		delete(n.cases, id)
	}
	if all || len(changed)+len(gone) > 0 {
		n.standing = nil
	}
	n.seen, n.at = now, n.clock()
	return nil
}

// changedCases reads the cases put or deleted since a revision.
func changedCases(r store.Reader, since store.Revision) (changed []heal.Incident, gone []heal.IncidentID, err error) {
	for {
		page, err := r.Changes(store.Incidents, since, 0)
		if err != nil {
			return nil, nil, err
		}
		for _, c := range page {
			since = c.Record.Revision
			if c.Deleted {
				gone = append(gone, heal.IncidentID(c.Record.Key))
				continue
			}
			inc, err := store.IncidentKind.Decode(c.Record)
			if err != nil {
				return nil, nil, err
			}
			changed = append(changed, inc)
		}
		if len(page) < store.MaxPage {
			return changed, gone, nil
		}
	}
}

// take keeps what a case says is bad; one that ended says nothing.
func (n *census) take(inc *heal.Incident) {
	holding := incident.Holding(*inc)
	if inc.State.Ended() || len(holding) == 0 {
		delete(n.cases, inc.ID)
		return
	}
	s := sick{scope: inc.Scope}
	for _, f := range holding {
		s.faults = append(s.faults, heal.Fault{Key: f.Key, Scope: f.Scope, AlertName: f.AlertName, Began: f.Began})
	}
	if inc.Cause != "" {
		s.primary = []heal.EntityID{inc.Cause}
	} else {
		for _, m := range inc.Members {
			if m.Role == heal.Primary && m.Fault.ClearedAt.IsZero() {
				s.primary = append(s.primary, m.Fault.Key.Entity)
			}
		}
	}
	n.cases[inc.ID] = s
}

// mostNamed is how many bad entities a standing names.
const mostNamed = 20

// Standing implements guard.Census, for services and clusters.
func (n *census) Standing(scope heal.Scope, within time.Duration, now time.Time) guard.Standing {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at.IsZero() || now.Sub(n.at) > staleAfter {
		return guard.Standing{At: n.at}
	}
	if g := n.topology.Snapshot(); g != n.graph || n.size == nil {
		n.graph, n.size, n.standing = g, n.population(g), nil
	}
	if n.standing == nil {
		n.standing, n.counts = map[heal.Scope]guard.Standing{}, n.tally()
	}
	if s, ok := n.standing[scope]; ok {
		return s
	}
	s := guard.Standing{Instances: n.size[scope], Known: n.size[scope] > 0, At: n.at}
	if c := n.counts[scope]; c != nil {
		s.Bad = len(c.bad)
		s.Worst = slices.Sorted(maps.Keys(c.bad))
		s.Worst = s.Worst[:min(len(s.Worst), mostNamed)]
		for name, times := range c.begins {
			if k := atOnce(times, within); k > s.Spread.Entities || k == s.Spread.Entities && name < s.Spread.Fault {
				s.Spread = guard.Spread{Fault: name, Entities: k}
			}
		}
	}
	n.standing[scope] = s
	return s
}

// ills are what is bad in one scope.
type ills struct {
	bad    map[heal.EntityID]bool
	begins map[string]map[heal.EntityID]time.Time // by the name of the fault
}

// tally goes through the cases once and counts them in every scope around what
// is bad. The caller holds mu.
func (n *census) tally() map[heal.Scope]*ills {
	all := map[heal.Scope]*ills{}
	in := func(scope heal.Scope) *ills {
		if all[scope] == nil {
			all[scope] = &ills{map[heal.EntityID]bool{}, map[string]map[heal.EntityID]time.Time{}}
		}
		return all[scope]
	}
	for _, c := range n.cases {
		for _, e := range c.primary {
			for _, scope := range around(n.scopeOf(c.scope, e)) {
				in(scope).bad[e] = true
			}
		}
		for _, f := range c.faults {
			name := cmp.Or(f.AlertName, string(f.Key.Type))
			for _, scope := range around(n.scopeOf(f.Scope, f.Key.Entity)) {
				begins := in(scope).begins
				if begins[name] == nil {
					begins[name] = map[heal.EntityID]time.Time{}
				}
				begins[name][f.Key.Entity] = f.Began
			}
		}
	}
	return all
}

// around are the service and the cluster of a scope, the levels guards look at.
func around(s heal.Scope) []heal.Scope {
	wide := s
	wide.Service = ""
	if wide == s {
		return []heal.Scope{wide}
	}
	return []heal.Scope{s, wide}
}

// atOnce is how many of the times lie within one length of time, at most.
func atOnce(times map[heal.EntityID]time.Time, within time.Duration) (most int) {
	var sorted []time.Time
	for _, t := range times {
		sorted = append(sorted, t)
	}
	slices.SortFunc(sorted, time.Time.Compare)
	first := 0
	for last, t := range sorted {
		for t.Sub(sorted[first]) > within {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// scopeOf is where an entity lies, as the loop tells it: in a scope, at its
// service where that is known. The caller holds mu.
func (n *census) scopeOf(scope heal.Scope, id heal.EntityID) heal.Scope {
	if id.Kind() == heal.KindService {
		return scope.WithService(id.Name())
	}
	if n.graph != nil {
		if e, ok := n.graph.Entity(id); ok && e.Scope.Service != "" {
			return scope.WithService(e.Scope.Service)
		}
	}
	return scope
}

// population counts instances by scope: of each service those known, at least
// the service itself, and everything else that can be acted on.
func (n *census) population(g *topology.Graph) map[heal.Scope]int {
	parts := map[heal.Scope]int{}           // of services
	alone := map[heal.EntityID]heal.Scope{} // what is no part of a service
	entities := g.Entities()
	add := func(e heal.Entity, count int) {
		switch kind := e.ID.Kind(); {
		case kind == heal.KindService:
			s := e.Scope.WithService(e.ID.Name())
			parts[s] = max(parts[s], count)
		case kind != heal.KindExternal && e.Scope.Service == "":
			alone[e.ID] = e.Scope
		}
	}
	within := map[heal.Scope]int{}
	for _, e := range entities {
		if k := e.ID.Kind(); e.Scope.Service != "" && (k == heal.KindProcess || k == heal.KindPod) {
			within[e.Scope]++
		}
		add(e, 1)
	}
	for s, count := range within {
		parts[s] = max(parts[s], count)
	}
	named := map[heal.EntityID]int{}
	for _, i := range n.named {
		named[i.entity] = max(named[i.entity], i.n)
	}
	for id, count := range named {
		add(heal.Entity{ID: id, Scope: n.scopeOf(n.home, id)}, count)
	}
	size := map[heal.Scope]int{}
	for s, count := range parts {
		size[s] = count
		s.Service = ""
		size[s] += count
	}
	for _, s := range alone {
		size[s]++
	}
	return size
}
