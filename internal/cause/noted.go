package cause

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// The bounds of what is noted.
const (
	maxNotedChanges = 5 // the newest
	maxNotedTexts   = 3 // of one entity and kind
	maxNotedOf      = 4 // entities whose logs are told: the alerted one and the best candidates
)

// notes are what was seen besides: it helps people to see what happened, and
// speaks for no candidate.
func (s *scene) notes(causes []heal.Cause) []heal.Reason {
	about := make([]heal.EntityID, 0, maxNotedOf)
	if s.alerted != "" {
		about = append(about, s.alerted)
	}
	for _, c := range causes {
		if len(about) < maxNotedOf && !slices.Contains(about, c.Entity) {
			about = append(about, c.Entity)
		}
	}
	list := s.notedChanges()
	for _, id := range about {
		if note, ok := s.notedPath(id); ok { // of the alerted one if it has any: the others are on it
			list = append(list, note...)
			break
		}
	}
	for _, id := range about {
		list = append(list, s.notedTexts(id)...)
	}
	return list
}

// notedChanges tells what was changed around the beginning, before and after.
func (s *scene) notedChanges() []heal.Reason {
	began := s.in.Incident.BeganAt
	type changed struct {
		id heal.EntityID
		Change
	}
	var all []changed
	for _, id := range slices.Sorted(maps.Keys(s.in.Signals)) {
		for _, c := range s.in.Signals[id].Changes {
			if !began.IsZero() && !c.At.After(s.in.Now) && began.Sub(c.At) <= s.limits.ChangeAge {
				all = append(all, changed{id, c})
			}
		}
	}
	slices.SortFunc(all, func(a, b changed) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.id, b.id), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Text, b.Text))
	})
	var list []heal.Reason
	for _, c := range all[:min(len(all), maxNotedChanges)] {
		when := "as the case began"
		switch age := began.Sub(c.At).Round(time.Second); {
		case age > 0:
			when = fmt.Sprintf("%s before the case began", age)
		case c.At.After(began):
			when = fmt.Sprintf("%s after the case had begun", -age)
		}
		list = append(list, because("changed", heal.Evidence{Kind: heal.EvidenceHistory, Entity: c.id, Query: c.ID, At: c.At}, "%s was changed %s: %s", c.id, when, shorten(c.Text)))
	}
	if rest := len(all) - len(list); rest > 0 {
		list = append(list, heal.Reason{Code: "changed_more", Text: fmt.Sprintf("%d more changes were made around that time", rest)})
	}
	return list
}

// notedPath tells who held the slowest request, and where a failed one began to
// fail.
func (s *scene) notedPath(id heal.EntityID) ([]heal.Reason, bool) {
	c := s.in.Signals[id].Slowest
	if c == nil || c.Total() <= 0 {
		return nil, false
	}
	held := c.Held()
	most := held[0]
	times := ""
	if most.Spans > 1 {
		times = fmt.Sprintf(" in %d spans", most.Spans)
	}
	e := heal.Evidence{Kind: heal.EvidenceSpan, Entity: heal.ServiceID(most.Service), Query: c.Root.TraceID, At: c.Root.Start}
	list := []heal.Reason{because("critical_path", e, "the slowest request of the case with %s, %s of %s, took %s; %s of %s held it for %s of that (%.0f %%)%s",
		id, shorten(c.Root.Operation), shorten(c.Root.Service), brief(c.Total()), shorten(most.Operation), shorten(most.Service), brief(most.Took), 100*share(most.Took.Seconds()/c.Total().Seconds()), times)}
	if own := c.Own; own != nil {
		e.Entity, e.At = heal.ServiceID(own.Service), own.Start
		text := fmt.Sprintf("it began to fail in %s of %s", shorten(own.Operation), shorten(own.Service))
		if own.StatusMessage != "" {
			text += ": " + shorten(own.StatusMessage)
		}
		list = append(list, because("failed_first", e, "%s", text))
	}
	return list, true
}

// brief is a time as people read it.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// fewLogs is how many records an entity must have written before for it to mean
// something that there are none since: so many fail to come by chance once in
// twenty thousand times.
const fewLogs = 10

// notedTexts tells what the logs of an entity say otherwise than before.
func (s *scene) notedTexts(id heal.EntityID) []heal.Reason {
	var list []heal.Reason
	if n := s.in.Signals[id].Fallen; n >= fewLogs {
		list = append(list, because("logs_silent", heal.Evidence{Kind: heal.EvidenceLog, Entity: id, At: s.in.Now}, "%s writes no logs since the case began, %d records in as much time before", id, n))
	}
	for _, kind := range []struct {
		kind logmine.ChangeKind
		says string // the logs of so-and-so ...
	}{
		{logmine.ChangeNew, "say for the first time"},
		{logmine.ChangeMore, "say more often"},
		{logmine.ChangeGone, "no longer say"},
		{logmine.ChangeLess, "say less often"},
	} {
		told, rest := 0, 0
		for _, c := range s.in.Signals[id].Texts { // the clearest first
			switch {
			case c.Kind != kind.kind:
			case told < maxNotedTexts:
				told++
				at := c.Example.Time
				if at.IsZero() { // it is gone
					at = s.in.Now
				}
				fixed, _, _ := strings.Cut(c.Text, "<*>")
				e := heal.Evidence{Kind: heal.EvidenceLog, Entity: id, Query: strings.TrimSpace(fixed), At: at}
				list = append(list, because("logs_"+string(kind.kind), e, "the logs of %s %s %q (%d, %d before)", id, kind.says, shorten(c.Text), c.Count, c.Baseline))
			default:
				rest++
			}
		}
		if rest > 0 {
			list = append(list, heal.Reason{Code: "logs_" + string(kind.kind) + "_rest", Text: fmt.Sprintf("the logs of %s %s %d more texts", id, kind.says, rest)})
		}
	}
	return list
}
