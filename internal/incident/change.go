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
	inc.Members = slices.Clone(inc.Members)
	inc.UpdatedAt = now
	inc.Severity = graver(inc.Severity, f.Severity)
	if inc.BeganAt.IsZero() || f.Began.Before(inc.BeganAt) {
		inc.BeganAt = f.Began
	}
	if i := memberIndex(inc, f.Key); i >= 0 {
		inc.Members[i].Fault = refresh(inc.Members[i].Fault, f)
		return inc
	}
	n := float64(len(inc.Members))
	inc.Score = (inc.Score*n + a.Score) / (n + 1)
	if a.Role == heal.Primary {
		for i := range inc.Members {
			inc.Members[i].Role = heal.Secondary
		}
		inc.Title = title(f)
		inc.Scope = f.Scope
		if inc.Cause != f.Key.Entity {
			inc.Cause = "" // found before this fault was known: to be diagnosed again
		}
	}
	inc.Members = append(inc.Members, heal.Member{Fault: f, Role: a.Role})
	return inc
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
	i := memberIndex(inc, key)
	if i < 0 || !inc.Members[i].Fault.ClearedAt.IsZero() {
		return inc, false
	}
	if known := inc.Members[i].Fault.AlertID; alert != "" && known != "" && known != alert {
		return inc, false
	}
	inc.Members = slices.Clone(inc.Members)
	inc.Members[i].Fault.ClearedAt = at
	inc.UpdatedAt = at
	return inc, true
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
