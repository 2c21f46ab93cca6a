package guard

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Census knows how big scopes are and how they are. It is asked inside
// transactions: it must answer from memory.
type Census interface {
	// Standing says how a scope stood when it was last looked at. within is how
	// close together faults begin to count as one that is everywhere at once.
	Standing(scope heal.Scope, within time.Duration, now time.Time) Standing
}

// Standing is how a scope stands.
type Standing struct {
	Known     bool            `json:"known"`     // false: nobody can say how big it is
	Instances int             `json:"instances"` // how many there are
	Bad       int             `json:"bad"`       // entities with a primary fault, after correlation
	Worst     []heal.EntityID `json:"worst,omitempty"`
	Spread    Spread          `json:"spread,omitzero"` // the fault most entities have at once
	At        time.Time       `json:"at"`              // when it was so
}

// Spread is how far one fault reaches, before correlation.
type Spread struct {
	Fault    string `json:"fault"`
	Entities int    `json:"entities"`
}

// ScopeFacts are what the rules of a scope look at.
type ScopeFacts struct {
	Scope heal.Scope `json:"scope"`
	Standing
	Acted []Act `json:"acted"` // within the window of its rule, newest first, no more than the rule needs
}

// Act is a line of the history of a scope: a run that touched a target in it.
type Act struct {
	Run    heal.RunID    `json:"run"`
	Target heal.EntityID `json:"target"`
	At     time.Time     `json:"at"`
}

// levels are the scopes whose rules a request must meet, the narrowest first:
// its service and its cluster.
func levels(s heal.Scope) []heal.Scope {
	wide := s
	wide.Service = ""
	if s.Service == "" {
		return []heal.Scope{wide}
	}
	return []heal.Scope{s, wide}
}

// small reports whether shares say nothing about the scope.
func (f *ScopeFacts) small(l *Limits) bool {
	return l.Small.Instances > 0 && (!f.Known || f.Instances < l.Small.Instances)
}

// shared reports whether shares are asked of the scope.
func (f *ScopeFacts) shared(l *Limits) bool { return f.Known && !f.small(l) }

// mostTargets bounds the share of very large scopes, as that is what one look
// at the history can see.
const mostTargets = 500

// room is how many instances of a scope may be acted on within the window.
func (b Blast) room(instances int) int {
	return min(max(int(b.Share*float64(instances)+1e-9), 1), mostTargets)
}

// size says in words how big a scope is.
func (f *ScopeFacts) size() string {
	if !f.Known {
		return "nobody knows how many instances " + where(f.Scope) + " has"
	}
	return fmt.Sprintf("%s has %s", where(f.Scope), count(f.Instances, "instance"))
}

// automated reports whether the request is the beginning of something that no
// person asked for.
func automated(req *Request, h *History) bool {
	return req.Incident != "" && budgeted(req, h)
}

func storm(q *question) Verdict {
	if !automated(&q.Request, &q.History) {
		return Verdict{}
	}
	for i := range q.Scopes {
		f := &q.Scopes[i]
		l := q.base.For(f.Scope)
		if !f.shared(&l) {
			continue
		}
		data := map[string]any{"scope": f.Scope.String(), "instances": f.Instances, "bad": f.Bad, "worst": f.Worst, "share": l.Storm.Share}
		n := float64(f.Instances)
		var v Verdict
		switch {
		case l.Storm.Share > 0 && float64(f.Bad) > l.Storm.Share*n+1e-9:
			v = refuse(RuleStorm, q.now.Add(q.base.Recheck), data, "%d of %d instances of %s are bad, more than %s: nothing is acted on there, as the sensor may be wrong",
				f.Bad, f.Instances, where(f.Scope), percent(l.Storm.Share))
		case l.Storm.Everywhere > 0 && f.Spread.Entities >= int(math.Ceil(l.Storm.Everywhere*n-1e-9)):
			data["fault"], data["entities"] = f.Spread.Fault, f.Spread.Entities
			v = refuse(RuleStorm, q.now.Add(q.base.Recheck), data, "%s is on %d of %d instances of %s at once: nothing is acted on there, as the sensor may be wrong",
				f.Spread.Fault, f.Spread.Entities, f.Instances, where(f.Scope))
		default:
			continue
		}
		v.Page, v.Scope = true, f.Scope
		return v
	}
	return Verdict{}
}

func calm(q *question) string {
	return overScopes(q, func(f *ScopeFacts, l *Limits) string {
		if !f.shared(l) {
			return f.size() + ", too few for shares"
		}
		return fmt.Sprintf("%d of %d instances of %s are bad, the limit is %s", f.Bad, f.Instances, where(f.Scope), percent(l.Storm.Share))
	})
}

func smallScope(q *question) Verdict {
	if !automated(&q.Request, &q.History) {
		return Verdict{}
	}
	for i := range q.Scopes {
		f := &q.Scopes[i]
		l := q.base.For(f.Scope)
		if !f.small(&l) || l.Small.Actions <= 0 {
			continue
		}
		acts := f.since(q.now.Add(-l.Small.Window))
		if slices.ContainsFunc(acts, func(a Act) bool { return a.Run == q.Run }) {
			continue // the run is counted already
		}
		runs := map[heal.RunID]bool{}
		for _, a := range acts { // newest first
			if runs[a.Run] = true; len(runs) < l.Small.Actions {
				continue
			}
			return refuse(RuleSmall, a.At.Add(l.Small.Window), map[string]any{"scope": f.Scope.String(), "known": f.Known, "instances": f.Instances, "actions": len(runs), "limit": l.Small.Actions},
				"%s, and was acted on %d times within %s; the limit is %d there, the next may be at %s",
				f.size(), len(runs), l.Small.Window, l.Small.Actions, clock(a.At.Add(l.Small.Window)))
		}
	}
	return Verdict{}
}

func smallClear(q *question) string {
	return overScopes(q, func(f *ScopeFacts, l *Limits) string {
		if !f.small(l) {
			return f.size() + ", so its share counts"
		}
		return fmt.Sprintf("%s and was acted on %d times within %s, the limit is %d", f.size(), len(f.since(q.now.Add(-l.Small.Window))), l.Small.Window, l.Small.Actions)
	})
}

func blast(q *question) Verdict {
	if !automated(&q.Request, &q.History) {
		return Verdict{}
	}
	for i := range q.Scopes {
		f := &q.Scopes[i]
		l := q.base.For(f.Scope)
		if !f.shared(&l) || l.Blast.Share <= 0 {
			continue
		}
		room := l.Blast.room(f.Instances)
		acts := f.since(q.now.Add(-l.Blast.Window))
		if slices.ContainsFunc(acts, func(a Act) bool { return a.Target == q.Request.Target }) {
			continue // no further part of the scope
		}
		targets := map[heal.EntityID]bool{}
		for _, a := range acts { // newest first
			if targets[a.Target] = true; len(targets) < room {
				continue
			}
			return refuse(RuleBlast, a.At.Add(l.Blast.Window), map[string]any{"scope": f.Scope.String(), "instances": f.Instances, "acted_on": len(targets), "limit": room, "share": l.Blast.Share},
				"%d of %d instances of %s were acted on within %s, the limit is %d (%s); the next may be at %s",
				len(targets), f.Instances, where(f.Scope), l.Blast.Window, room, percent(l.Blast.Share), clock(a.At.Add(l.Blast.Window)))
		}
	}
	return Verdict{}
}

func blastClear(q *question) string {
	return overScopes(q, func(f *ScopeFacts, l *Limits) string {
		if !f.shared(l) {
			return f.size() + ", too few for shares"
		}
		targets := map[heal.EntityID]bool{}
		for _, a := range f.since(q.now.Add(-l.Blast.Window)) {
			targets[a.Target] = true
		}
		return fmt.Sprintf("%d of %d instances of %s were acted on within %s, the limit is %d", len(targets), f.Instances, where(f.Scope), l.Blast.Window, l.Blast.room(f.Instances))
	})
}

// since are the acts within a window that began at a time.
func (f *ScopeFacts) since(from time.Time) []Act {
	for i, a := range f.Acted {
		if !a.At.After(from) {
			return f.Acted[:i]
		}
	}
	return f.Acted
}

// overScopes joins what is to be said of each scope.
func overScopes(q *question, say func(*ScopeFacts, *Limits) string) string {
	if !automated(&q.Request, &q.History) {
		return "it is asked of what automation begins, and this is not"
	}
	if len(q.Scopes) == 0 {
		return "nobody counts instances here"
	}
	var parts []string
	for i := range q.Scopes {
		l := q.base.For(q.Scopes[i].Scope)
		parts = append(parts, say(&q.Scopes[i], &l))
	}
	return strings.Join(parts, "; ")
}

// where names a scope in words.
func where(s heal.Scope) string {
	if s == (heal.Scope{}) {
		return "everything"
	}
	return strings.TrimRight(s.String(), "/")
}

func percent(share float64) string { return fmt.Sprintf("%g %%", math.Round(share*1000)/10) }

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
