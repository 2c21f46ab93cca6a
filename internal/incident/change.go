package incident

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// maxEvidence bounds the observations kept with one fault: the first and the
// newest ones.
const maxEvidence = 16

// New opens a case for a fault that joins none.
func New(id heal.IncidentID, f heal.Fault, now time.Time) heal.Incident {
	return heal.Incident{
		ID:         id,
		Scope:      f.Scope,
		State:      heal.CaseOpen,
		Severity:   f.Severity,
		Title:      title(f),
		Members:    []heal.Member{{Fault: f, Role: heal.Primary}},
		Score:      1,
		BeganAt:    f.Began,
		DetectedAt: f.Detected,
		DueAt:      now,
		UpdatedAt:  now,
	}
}

// Join gives the case with the fault in it, as a was assigned. A fault the
// case holds already is brought up to date. The correlation score of a case is
// the mean of how sure each member's assignment was, the first one's being 1.
func Join(inc heal.Incident, f heal.Fault, a Assignment, now time.Time) heal.Incident {
	c := Begin(inc)
	c.Join(f, a, now)
	return c.Incident
}

// Change is a case that takes in several faults one after the other. The case
// it began with stays as it is: the faults are copied once, at the first change.
// Between its methods the Incident may be changed too, but not its Members.
type Change struct {
	heal.Incident
	own bool                  // Members is a copy
	at  map[heal.FaultKey]int // where each fault is; nil until it is needed
}

// Begin makes a change of a case.
func Begin(inc heal.Incident) *Change { return &Change{Incident: inc} }

// Join brings a fault into the case, as Join does.
func (c *Change) Join(f heal.Fault, a Assignment, now time.Time) {
	c.UpdatedAt = now
	c.Severity = graver(c.Severity, f.Severity)
	if c.BeganAt.IsZero() || f.Began.Before(c.BeganAt) {
		c.BeganAt = f.Began
	}
	i := c.index(f.Key)
	c.copyMembers()
	if i >= 0 {
		c.Members[i].Fault = refresh(c.Members[i].Fault, f)
		return
	}
	n := float64(len(c.Members))
	c.Score = (c.Score*n + a.Score) / (n + 1)
	if a.Role == heal.Primary {
		for i := range c.Members {
			c.Members[i].Role = heal.Secondary
		}
		c.Title = title(f)
		c.Scope = f.Scope
		if c.Cause != f.Key.Entity {
			c.Cause = "" // found before this fault was known: to be diagnosed again
		}
	}
	if c.at != nil {
		c.at[f.Key] = len(c.Members)
	}
	c.Members = append(c.Members, heal.Member{Fault: f, Role: a.Role})
}

// Clear notes that a fault of the case no longer holds, as Clear does.
func (c *Change) Clear(key heal.FaultKey, alert heal.AlertID, at time.Time) (changed bool) {
	i := c.index(key)
	if i < 0 || !c.Members[i].Fault.ClearedAt.IsZero() {
		return false
	}
	if known := c.Members[i].Fault.AlertID; alert != "" && known != "" && known != alert {
		return false
	}
	c.copyMembers()
	c.Members[i].Fault.ClearedAt = at
	c.UpdatedAt = at
	return true
}

func (c *Change) copyMembers() {
	if !c.own {
		c.Members, c.own = append(make([]heal.Member, 0, len(c.Members)+1), c.Members...), true
	}
}

// fewMembers is how many faults are looked through rather than indexed.
const fewMembers = 16

// index is where the case has a fault, -1 if it has not. An index is made for
// the second change of many.
func (c *Change) index(key heal.FaultKey) int {
	if !c.own || len(c.Members) <= fewMembers {
		return memberIndex(c.Incident, key)
	}
	if c.at == nil {
		c.at = make(map[heal.FaultKey]int, len(c.Members))
		for i := range c.Members {
			c.at[c.Members[i].Fault.Key] = i
		}
	}
	if i, ok := c.at[key]; ok {
		return i
	}
	return -1
}

// refresh is a known fault with what a newer signal says. While the fault
// holds, the alert and the condition it was opened with stay: a second alert
// for the same fault must not take their place.
func refresh(old, f heal.Fault) heal.Fault {
	held := old.ClearedAt.IsZero()
	if held && old.AlertID != "" {
		f.AlertID, f.AlertName = old.AlertID, old.AlertName
	}
	if old.Condition.Kind != heal.ConditionNone && (held || f.Condition.Kind == heal.ConditionNone) {
		f.Condition = old.Condition
	}
	if old.Began.Before(f.Began) {
		f.Began = old.Began
	}
	if old.Detected.Before(f.Detected) {
		f.Detected = old.Detected
	}
	if old.LastSeen.After(f.LastSeen) {
		f.LastSeen = old.LastSeen
	}
	f.Evidence = append(slices.Clone(old.Evidence), f.Evidence...)
	if extra := len(f.Evidence) - maxEvidence; extra > 0 {
		f.Evidence = slices.Delete(f.Evidence, 1, 1+extra)
	}
	return f
}

// Clear notes that a fault of the case no longer holds. alert is the alert
// that was resolved: while another one stands for the fault, nothing changes;
// empty clears the fault whatever opened it. It reports whether anything
// changed.
func Clear(inc heal.Incident, key heal.FaultKey, alert heal.AlertID, at time.Time) (heal.Incident, bool) {
	c := Begin(inc)
	changed := c.Clear(key, alert, at)
	return c.Incident, changed
}

// Detach takes a fault out of its case, so that it can be assigned again: for
// example one that still holds after what it was thought to come from healed.
// If it was the primary fault, the most telling of the rest takes its place.
func Detach(inc heal.Incident, key heal.FaultKey, now time.Time) (heal.Incident, heal.Fault, bool) {
	i := memberIndex(inc, key)
	if i < 0 {
		return inc, heal.Fault{}, false
	}
	gone := inc.Members[i]
	inc.Members = slices.Delete(slices.Clone(inc.Members), i, i+1)
	inc.UpdatedAt = now
	if gone.Role == heal.Primary && len(inc.Members) > 0 {
		best := 0
		for k := range inc.Members {
			if telling(inc.Members[k].Fault.Key.Type) > telling(inc.Members[best].Fault.Key.Type) {
				best = k
			}
		}
		inc.Members[best].Role = heal.Primary
		inc.Title = title(inc.Members[best].Fault)
		inc.Scope = inc.Members[best].Fault.Scope
	}
	return inc, gone.Fault, true
}

// Holding gives the faults of the case that have not cleared.
func Holding(inc heal.Incident) []heal.Fault {
	var faults []heal.Fault
	for _, m := range inc.Members {
		if m.Fault.ClearedAt.IsZero() {
			faults = append(faults, m.Fault)
		}
	}
	return faults
}

func memberIndex(inc heal.Incident, key heal.FaultKey) int {
	return slices.IndexFunc(inc.Members, func(m heal.Member) bool { return m.Fault.Key == key })
}

func graver(a, b heal.Severity) heal.Severity {
	if b.Rank() > a.Rank() {
		return b
	}
	return a
}

func title(f heal.Fault) string {
	if f.Message == "" {
		return string(f.Key.Type) + " on " + string(f.Key.Entity)
	}
	return string(f.Key.Entity) + ": " + f.Message
}
