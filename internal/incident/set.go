package incident

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options bound how far apart faults of one case may be.
type Options struct {
	Window   time.Duration // between a fault and the case it joins; default 5 min
	MaxDepth int           // dependencies between a fault and the case it joins; default 8
	MaxVisit int           // entities looked at for one fault and direction; default 512
	Onsets   *Onsets       // learns from every case that is put; nil: what began together is not asked
}

// Set is the index of the open cases. It holds no incidents, only what is
// needed to find them. It is not safe for concurrent use.
type Set struct {
	opts     Options
	cases    map[heal.IncidentID]*entry
	byKey    map[keyIn]heal.IncidentID
	byEntity map[entityIn][]heal.IncidentID // every member's entity and the cause
	byAnchor map[entityIn][]heal.IncidentID // the primary's entity and the cause
	service  map[heal.Scope][]heal.IncidentID
	onsets   []onset // of all cases, by time; kept only to ask Onsets about
}

// place is the part of a scope within which names of entities mean one thing.
type place struct{ tenant, env, cluster string }

type keyIn struct {
	place place
	key   heal.FaultKey
}

type entityIn struct {
	place  place
	entity heal.EntityID
}

// entry is what the set knows of one open case.
type entry struct {
	id       heal.IncidentID
	place    place
	scope    heal.Scope
	state    heal.CaseState
	primary  heal.Fault
	seated   heal.EntityID // the primary's entity
	cause    heal.EntityID
	keys     []heal.FaultKey
	entities []heal.EntityID
	first    time.Time // begin of the first fault
	last     time.Time // newest signal of any fault
	kinds    map[kind]int64
}

// NewSet makes an empty set.
func NewSet(opts Options) *Set {
	if opts.Window <= 0 {
		opts.Window = 5 * time.Minute
	}
	if opts.MaxDepth <= 0 {
		opts.MaxDepth = 8
	}
	if opts.MaxVisit <= 0 {
		opts.MaxVisit = 512
	}
	return &Set{
		opts:     opts,
		cases:    map[heal.IncidentID]*entry{},
		byKey:    map[keyIn]heal.IncidentID{},
		byEntity: map[entityIn][]heal.IncidentID{},
		byAnchor: map[entityIn][]heal.IncidentID{},
		service:  map[heal.Scope][]heal.IncidentID{},
	}
}

// Len is the number of open cases.
func (s *Set) Len() int { return len(s.cases) }

// Find gives the open case that holds the fault key.
func (s *Set) Find(scope heal.Scope, key heal.FaultKey) (heal.IncidentID, bool) {
	id, ok := s.byKey[keyIn{placeOf(scope), key}]
	return id, ok
}

// Anchored lists the open cases that stand on an entity, as their primary
// fault's or as the cause found, oldest first.
func (s *Set) Anchored(scope heal.Scope, entity heal.EntityID) []heal.IncidentID {
	return slices.Clone(s.byAnchor[entityIn{placeOf(scope), entity}])
}

// Put adds a case or brings it up to date; one that has ended is removed. A
// case that only has more faults than before costs what the new ones cost.
func (s *Set) Put(inc heal.Incident) {
	primary := inc.PrimaryFault()
	if inc.State.Ended() || primary == nil {
		s.Remove(inc.ID)
		return
	}
	e := s.cases[inc.ID]
	if e == nil || !e.grewInto(&inc, primary) {
		s.Remove(inc.ID)
		e = s.place(&inc, primary)
	}
	e.state, e.primary, e.first, e.last = inc.State, *primary, inc.BeganAt, inc.DetectedAt
	e.primary.Evidence = nil
	for i := range inc.Members {
		if seen := inc.Members[i].Fault.LastSeen; seen.After(e.last) {
			e.last = seen
		}
	}
	for i := len(e.keys); i < len(inc.Members); i++ {
		key := inc.Members[i].Fault.Key
		e.keys = append(e.keys, key)
		s.byKey[keyIn{e.place, key}] = e.id
		s.touch(e, key.Entity)
		if s.opts.Onsets != nil {
			s.began(e, &inc.Members[i].Fault)
		}
	}
}

// place makes the entry of a case, as yet without its faults.
func (s *Set) place(inc *heal.Incident, primary *heal.Fault) *entry {
	e := &entry{id: inc.ID, place: placeOf(inc.Scope), scope: inc.Scope, seated: primary.Key.Entity, cause: inc.Cause}
	s.cases[e.id] = e
	for _, entity := range e.anchors() {
		insert(s.byAnchor, entityIn{e.place, entity}, e.id)
	}
	if e.scope.Service != "" {
		insert(s.service, e.scope, e.id)
	}
	if e.cause != "" {
		s.touch(e, e.cause)
	}
	return e
}

// touch notes that a case is about an entity.
func (s *Set) touch(e *entry, entity heal.EntityID) {
	if !slices.Contains(e.entities, entity) {
		e.entities = append(e.entities, entity)
		insert(s.byEntity, entityIn{e.place, entity}, e.id)
	}
}

// Remove forgets a case; an unknown one is no error.
func (s *Set) Remove(id heal.IncidentID) {
	e, ok := s.cases[id]
	if !ok {
		return
	}
	delete(s.cases, id)
	for _, key := range e.keys {
		if s.byKey[keyIn{e.place, key}] == id {
			delete(s.byKey, keyIn{e.place, key})
		}
	}
	for _, entity := range e.entities {
		remove(s.byEntity, entityIn{e.place, entity}, id)
	}
	for _, entity := range e.anchors() {
		remove(s.byAnchor, entityIn{e.place, entity}, id)
	}
	remove(s.service, e.scope, id)
}

// grewInto reports whether the case stands where the entry has it and holds the
// faults of the entry in their order, perhaps with more behind.
func (e *entry) grewInto(inc *heal.Incident, primary *heal.Fault) bool {
	if e.scope != inc.Scope || e.seated != primary.Key.Entity || e.cause != inc.Cause || len(inc.Members) < len(e.keys) {
		return false
	}
	for i, key := range e.keys {
		if inc.Members[i].Fault.Key != key {
			return false
		}
	}
	return true
}

// anchors are the entities a case stands on.
func (e *entry) anchors() []heal.EntityID {
	if e.cause == "" || e.cause == e.seated {
		return []heal.EntityID{e.seated}
	}
	return []heal.EntityID{e.seated, e.cause}
}

// seat is the entity the case is believed to come from.
func (e *entry) seat() heal.EntityID {
	if e.cause != "" {
		return e.cause
	}
	return e.primary.Key.Entity
}

// acted reports whether the case has gone too far for its primary fault to
// change: a plan was put to a person, or begun, or given up.
func (e *entry) acted() bool {
	switch e.state {
	case heal.CaseOpen, heal.CaseDiagnosing, heal.CaseDeciding:
		return false
	case heal.CaseWaiting, heal.CaseActing, heal.CaseVerifying, heal.CaseHealed, heal.CaseEscalated, heal.CaseClosed:
		return true
	}
	return true
}

func placeOf(s heal.Scope) place { return place{s.Tenant, s.Env, s.Cluster} }

// insert keeps ids sorted: being UUIDv7, by the time the cases were opened.
func insert[K comparable](index map[K][]heal.IncidentID, key K, id heal.IncidentID) {
	ids := index[key]
	if at, found := slices.BinarySearch(ids, id); !found {
		index[key] = slices.Insert(ids, at, id)
	}
}

func remove[K comparable](index map[K][]heal.IncidentID, key K, id heal.IncidentID) {
	ids := index[key]
	at, found := slices.BinarySearch(ids, id)
	switch {
	case !found:
	case len(ids) == 1:
		delete(index, key)
	default:
		index[key] = slices.Delete(ids, at, at+1)
	}
}
