package loop

import (
	"slices"
	"sync/atomic"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/decide"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
)

// Catalog is the set of playbooks in force. It is replaced whole, so that a
// reload is seen entirely or not at all.
type Catalog struct {
	books atomic.Pointer[[]*playbook.Compiled]
}

// NewCatalog makes a catalog of the playbooks.
func NewCatalog(books []*playbook.Compiled) *Catalog {
	c := &Catalog{}
	c.Replace(books)
	return c
}

// Replace puts other playbooks in force.
func (c *Catalog) Replace(books []*playbook.Compiled) { c.books.Store(&books) }

// All lists the playbooks in force.
func (c *Catalog) All() []*playbook.Compiled { return *c.books.Load() }

// Find gives a playbook by id; kind NotFound if there is none.
func (c *Catalog) Find(id string) (*playbook.Compiled, error) {
	for _, b := range c.All() {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, heal.Errorf(heal.NotFound, "find playbook", "none has the id %q", id)
}

// candidates are the playbooks whose triggers fit a case, as decide wants them.
// Triggers that could not be asked come back as reasons.
func (c *Catalog) candidates(inc *heal.Incident, cause *heal.Cause, proven map[string]int) (list []decide.Candidate, unanswered []heal.Reason) {
	subjects := subjectsOf(inc, cause)
	for _, b := range c.All() {
		match := bestMatch(b, subjects)
		unanswered = append(unanswered, match.Unanswered...)
		if !match.OK {
			continue
		}
		list = append(list, decide.Candidate{
			Plan:        planOf(b, cause.Entity),
			Specificity: match.Specificity,
			Why:         match.Reason,
			AlwaysAsk:   b.Approval.Required == playbook.ApprovalAlways,
			NeverAsk:    b.Approval.Required == playbook.ApprovalNever,
			Destructive: b.Impact() == action.Destructive,
			Proven:      proven[b.ID],
		})
	}
	return list, unanswered
}

func planOf(b *playbook.Compiled, target heal.EntityID) heal.Plan {
	steps := make([]string, 0, len(b.Steps()))
	for _, s := range b.Ordered() {
		line := s.ID + ": " + s.Does()
		if s.Task.Name != "" {
			line = s.Task.Name + " (" + s.Does() + ")"
		}
		if e := s.Task.Each; e != nil {
			line += ", for each " + e.As + " of " + e.String()
		}
		steps = append(steps, line)
	}
	return heal.Plan{
		Playbook: b.ID, Digest: b.Pin.Digest, Target: target, Steps: steps, EstimatedTime: b.Estimate(),
		Risk: b.Risk, Rollbackable: b.Rollbackable(), Tier: b.Tier, Trust: b.Trust,
	}
}

// bestMatch is how well a playbook fits the subject it fits best. What could not
// be asked counts only if none fits.
func bestMatch(b *playbook.Compiled, subjects []playbook.Subject) (best playbook.Match) {
	for _, s := range subjects {
		m := b.Matches(s)
		switch {
		case m.OK && (!best.OK || m.Specificity > best.Specificity):
			best = m
		case !best.OK && !m.OK:
			best.Unanswered = append(best.Unanswered, m.Unanswered...)
		}
	}
	return best
}

// subjectsOf are what triggers are asked about: the case by each fault on the
// cause.
func subjectsOf(inc *heal.Incident, cause *heal.Cause) []playbook.Subject {
	var list []playbook.Subject
	for _, f := range faultsOn(inc, cause.Entity) {
		s := subjectOf(inc, cause)
		s.AlertName, s.Values, s.Labels = f.AlertName, f.Values, f.Condition.Labels
		list = append(list, s)
	}
	if len(list) == 0 {
		list = append(list, subjectOf(inc, cause))
	}
	return list
}

// subjectOf is the case without any fault.
func subjectOf(inc *heal.Incident, cause *heal.Cause) playbook.Subject {
	s := playbook.Subject{
		Pattern: cause.Pattern, FaultType: cause.Type, Target: cause.Entity, Severity: inc.Severity,
	}
	if cause.Entity.Kind() == heal.KindService {
		s.Service = cause.Entity.Name()
	} else {
		s.Service = inc.Scope.Service
	}
	return s
}

// faultsOn are the faults a case stands on for an entity: its own, those that
// hold before those that cleared and the primary first; else the primary alone.
func faultsOn(inc *heal.Incident, entity heal.EntityID) []*heal.Fault {
	var list []*heal.Fault
	primary := inc.PrimaryFault()
	for i := range inc.Members {
		if f := &inc.Members[i].Fault; f.Key.Entity == entity {
			list = append(list, f)
		}
	}
	rank := func(f *heal.Fault) int {
		switch {
		case !f.ClearedAt.IsZero():
			return 2
		case f != primary:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b *heal.Fault) int { return rank(a) - rank(b) })
	if len(list) == 0 && primary != nil {
		list = append(list, primary)
	}
	return list
}

// factsOf is what templates of a run can say of its case.
func factsOf(inc *heal.Incident, cause *heal.Cause) heal.Facts {
	facts := heal.Facts{Severity: inc.Severity, Pattern: cause.Pattern, Title: inc.Title}
	if list := faultsOn(inc, cause.Entity); len(list) > 0 {
		f := list[0]
		facts.Values, facts.Labels = f.Values, f.Condition.Labels
	}
	return facts
}
