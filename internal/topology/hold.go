package topology

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// What follows changes or asks the content of a Map; its lock is held.

// roomForEntity reports whether the entity is known, or new and within the
// limit.
func (m *Map) roomForEntity(id heal.EntityID) bool {
	return m.refs[id] > 0 || len(m.refs) < m.opts.MaxEntities
}

// roomForEdge reports whether the edge is known, or new and within the limits.
func (m *Map) roomForEdge(key ends) bool {
	if _, known := m.edges[key]; known {
		return true
	}
	if len(m.edges) >= m.opts.MaxEdges {
		return false
	}
	fresh := 0
	if m.refs[key.from] == 0 {
		fresh++
	}
	if key.to != key.from && m.refs[key.to] == 0 {
		fresh++
	}
	return fresh == 0 || len(m.refs)+fresh <= m.opts.MaxEntities
}

func (m *Map) setEdge(key ends, s Sighting) {
	if _, known := m.edges[key]; !known {
		m.edges[key] = make(map[string]Sighting, 1)
		m.refs[key.from]++
		m.refs[key.to]++
	}
	m.edges[key][s.Source] = s
	m.graph = nil
}

func (m *Map) dropEdge(key ends) {
	delete(m.edges, key)
	m.release(key.from)
	m.release(key.to)
	m.graph = nil
}

func (m *Map) setAccount(id heal.EntityID, a Account) {
	if m.accounts[id] == nil {
		m.accounts[id] = make(map[string]Account, 1)
	}
	if _, known := m.accounts[id][a.Source]; !known {
		m.refs[id]++
	}
	m.accounts[id][a.Source] = a
	m.graph = nil
}

func (m *Map) dropAccount(id heal.EntityID, source string) {
	delete(m.accounts[id], source)
	if len(m.accounts[id]) == 0 {
		delete(m.accounts, id)
	}
	m.release(id)
	m.graph = nil
}

// release takes away one of the things that hold an entity.
func (m *Map) release(id heal.EntityID) {
	if m.refs[id]--; m.refs[id] == 0 {
		delete(m.refs, id)
	}
}

// validateEntity says what is wrong with an entity, nil if nothing is.
func validateEntity(source string, e heal.Entity) error {
	if source == "" {
		return heal.Errorf(heal.Invalid, "entity source", "is empty, expected who described the entity, as in file")
	}
	return e.ID.Validate()
}

// seenAt is the time a source gave, or now if it gave none or one to come.
func seenAt(at, now time.Time) time.Time {
	if at.IsZero() || at.After(now) {
		return now.UTC()
	}
	return at.UTC()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
