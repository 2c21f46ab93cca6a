package incident

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// BeganTogether is the reason of a fault that is in its case because of what was
// learnt, and nothing else.
const BeganTogether = "began_together"

// onset is a fault of an open case, by its kind. One whose entry is not that of
// its case any more is stale.
type onset struct {
	at     int64 // UTC nanoseconds
	kind   kind
	entity heal.EntityID
	of     *entry
}

// maxOnsets bounds the onsets of open cases that are searched, the newest.
const maxOnsets = 1024

// began notes a fault of an open case. Of one kind that begins all over in one
// case, one in half a window is enough.
func (s *Set) began(e *entry, f *heal.Fault) {
	if !s.opts.Onsets.Note(f) {
		return
	}
	at, k := f.Began.UnixNano(), kindOf(f)
	if last, known := e.kinds[k]; known && max(at-last, last-at) < int64(s.opts.Window)/2 {
		return
	}
	if e.kinds == nil {
		e.kinds = map[kind]int64{}
	}
	e.kinds[k] = at
	i := len(s.onsets)
	for i > 0 && s.onsets[i-1].at > at {
		i--
	}
	s.onsets = slices.Insert(s.onsets, i, onset{at, k, f.Key.Entity, e})
	if len(s.onsets) > 2*maxOnsets {
		s.onsets = slices.DeleteFunc(s.onsets, s.stale)
		s.onsets = slices.Delete(s.onsets, 0, max(0, len(s.onsets)-maxOnsets))
	}
}

func (s *Set) stale(o onset) bool { return s.cases[o.of.id] != o.of }

// together joins the case with a fault that often began together with this one,
// and that the topology has no path to in either direction, as far as was
// searched. Of several the surest bond wins.
func (s *Set) together(here place, f heal.Fault, down, up reach, now time.Time) (Assignment, bool) {
	learnt := s.opts.Onsets
	if learnt == nil {
		return Assignment{}, false
	}
	learnt.tidy(now)
	k := kindOf(&f)
	ours := learnt.known(k)
	if ours == nil {
		return Assignment{}, false
	}
	began := f.Began
	if began.IsZero() || began.After(now) {
		began = now
	}
	var best *onset
	var strongest bond
	var role heal.Role
	scanned, from, until := 0, began.Add(-s.opts.Window).UnixNano(), began.Add(s.opts.Window).UnixNano()
	for i := len(s.onsets) - 1; i >= 0 && s.onsets[i].at >= from && scanned < maxScanned; i-- {
		o := &s.onsets[i]
		if o.at > until || o.kind == k || o.of.place != here || o.entity == f.Key.Entity || down.seen[o.entity] || up.seen[o.entity] || s.stale(*o) {
			continue
		}
		theirs := learnt.known(o.kind)
		if theirs == nil {
			continue
		}
		scanned++
		b, ok := learnt.bond(here, ours, theirs, earlier(began, o.at), now)
		if !ok || best != nil && (b.sure < strongest.sure || b.sure == strongest.sure && o.of.id <= best.of.id) {
			continue
		}
		if as, fits := s.part(o, f, b); fits {
			best, strongest, role = o, b, as
		}
	}
	if best == nil {
		return Assignment{}, false
	}
	a := s.tie(best.of, f, role, strongest.sure, "", "", nil, now)
	a.Reasons[0] = learnt.reason(k, best.kind, strongest, earlier(began, best.at), now)
	return a, true
}

func earlier(t time.Time, nanos int64) time.Time { return time.Unix(0, min(t.UnixNano(), nanos)) }

// part is what the fault would be in the case of an onset, false if it has no
// place there. It is primary only if it usually begins before what the case stands
// on, and as long as nothing was done or found.
func (s *Set) part(o *onset, f heal.Fault, b bond) (heal.Role, bool) {
	e := o.of
	if b.leads() && o.entity == e.seated && e.cause == "" && !e.acted() && !standsAlone(e.primary, f.Key.Type) {
		return heal.Primary, true
	}
	return heal.Secondary, explains(e, f)
}
