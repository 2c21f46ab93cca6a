package logmine

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// unit is the work on one request within one service. What it wrote and what it
// called are two tracks: their times come from two clocks and cannot be put in
// one order.
type unit struct {
	service string
	group   string
	parent  *unit // the unit that called for it; nil: none is known
	began   time.Time
	events  [2][]event
	tracks  [2]sequence
}

const (
	wrote = iota
	called
)

type event struct {
	at   time.Time
	name string
}

func (u *unit) note(track int, at time.Time, name string) {
	u.events[track] = append(u.events[track], event{at, name})
}

// traced are the units of one trace.
type traced struct {
	id    string
	units []*unit
	took  map[step]*unit
}

// maxDepth bounds how deep calls are followed.
const maxDepth = 64

// reader turns spans and logs into units.
type reader struct {
	miner   *Miner
	callees map[string]string // service that is called, by event
}

func newReader() *reader {
	return &reader{miner: NewMiner(MinerOptions{}), callees: map[string]string{}}
}

type spanID struct{ trace, span string }

// weave is one reading of spans and logs.
type weave struct {
	spans   map[spanID]*heal.Span
	entries map[spanID]*unit // by the span with which a request enters a service
	loose   map[spanID]*unit // of logs without spans, by trace and service
	traces  map[string]*traced
}

// units gives the traces, sorted by their ids.
func (r *reader) units(w Work) []*traced {
	v := weave{
		spans: make(map[spanID]*heal.Span, len(w.Spans)), entries: map[spanID]*unit{},
		loose: map[spanID]*unit{}, traces: map[string]*traced{},
	}
	for i := range w.Spans {
		s := &w.Spans[i]
		if id := (spanID{s.TraceID, s.SpanID}); v.spans[id] == nil { // ids may be repeated
			v.spans[id] = s
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(v.spans), spanID.compare) {
		v.enter(v.spans[id])
	}
	v.calls(r.callees)
	for _, l := range byTime(w.Logs) {
		if l.TraceID == "" {
			continue
		}
		if n, ok := r.miner.Add(read(l).message); ok {
			v.of(l).note(wrote, l.Time, logEvent+strconv.Itoa(n))
		}
	}
	list := make([]*traced, 0, len(v.traces))
	for _, id := range slices.Sorted(maps.Keys(v.traces)) {
		t := v.traces[id]
		for _, u := range t.units {
			u.order()
		}
		slices.SortFunc(t.units, func(a, b *unit) int { return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.group, b.group)) })
		list = append(list, t)
	}
	return list
}

func (id spanID) compare(other spanID) int {
	return cmp.Or(cmp.Compare(id.trace, other.trace), cmp.Compare(id.span, other.span))
}

// entry is the span with which the request entered the service of a span.
func (v *weave) entry(s *heal.Span) *heal.Span {
	for range maxDepth {
		p := v.above(s)
		if p == nil || p.Service != s.Service {
			return s
		}
		s = p
	}
	return s
}

func (v *weave) above(s *heal.Span) *heal.Span {
	if p := v.spans[spanID{s.TraceID, s.ParentID}]; p != s {
		return p
	}
	return nil
}

// enter gives the unit a span belongs to, a new one if it is the first.
func (v *weave) enter(s *heal.Span) *unit {
	e := v.entry(s)
	id := spanID{e.TraceID, e.SpanID}
	u := v.entries[id]
	if u == nil {
		u = v.add(e.TraceID, &unit{service: e.Service, group: e.Service + " " + plain(e.Operation), began: e.Start})
		v.entries[id] = u
	}
	return u
}

// of gives the unit a record was written in. Without its span it is one with
// all the service wrote of the trace.
func (v *weave) of(l heal.LogRecord) *unit {
	if s := v.spans[spanID{l.TraceID, l.SpanID}]; s != nil && l.SpanID != "" {
		return v.enter(s)
	}
	id := spanID{l.TraceID, l.Service}
	u := v.loose[id]
	if u == nil {
		u = v.add(l.TraceID, &unit{service: l.Service, group: l.Service, began: l.Time})
		v.loose[id] = u
	}
	return u
}

func (v *weave) add(trace string, u *unit) *unit {
	t := v.traces[trace]
	if t == nil {
		t = &traced{id: trace}
		v.traces[trace] = t
	}
	t.units = append(t.units, u)
	return u
}

// calls notes what the units did besides writing: their own spans, and their
// calls as the other side names them; callees learns whom.
func (v *weave) calls(callees map[string]string) {
	calling := map[*heal.Span]bool{} // known by the other side
	for _, s := range v.spans {
		if p := v.above(s); p != nil && p.Service != s.Service {
			calling[p] = true
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(v.spans), spanID.compare) {
		s := v.spans[id]
		e, u := v.entry(s), v.enter(s)
		switch p := v.above(s); {
		case s == e && p != nil:
			u.parent = v.enter(p)
			if u.parent == u {
				u.parent = nil
				continue
			}
			name := callEvent + s.Service + " " + plain(s.Operation)
			callees[name] = s.Service
			u.parent.note(called, s.Start, name)
		case s != e && !calling[s] && s.Error && s.Kind == heal.SpanClient:
			u.note(called, s.Start, outwardEvent+plain(s.Operation))
		case s != e && !calling[s] && s.Error:
			u.note(called, s.Start, "failed "+plain(s.Operation))
		case s != e && !calling[s]:
			u.note(called, s.Start, "op "+plain(s.Operation))
		}
	}
}

// order makes the tracks from what was noted.
func (u *unit) order() {
	for i, list := range u.events {
		slices.SortStableFunc(list, func(a, b event) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name)) })
		u.tracks[i].group = trackOf(i, u.group)
		for _, e := range list {
			u.tracks[i].events = append(u.tracks[i].events, e.name)
		}
	}
}

// trackOf is the group of the sequences of a track of units of a group.
func trackOf(track int, group string) string { return strconv.Itoa(track) + " " + group }

// below reports whether a unit was called for by another, over any number of
// calls.
func (u *unit) below(other *unit) bool {
	p := u.parent
	for range maxDepth {
		if p == nil || p == other {
			return p != nil
		}
		p = p.parent
	}
	return false
}

// The beginnings of names of events that are told apart.
const (
	logEvent     = "log "
	callEvent    = "call "
	outwardEvent = "failed call "
)

// plain is the name of an operation without the values that some put in it.
func plain(operation string) string {
	parts := strings.FieldsFunc(operation, func(r rune) bool { return r == '/' || r == ' ' })
	if !slices.ContainsFunc(parts, varies) {
		return operation
	}
	for i, p := range parts {
		if varies(p) {
			parts[i] = wildcard
		}
	}
	return strings.Join(parts, "/")
}

// text is an event as people read it.
func (r *reader) text(event string) string {
	if event == begin || event == end {
		return ""
	}
	if number, ok := strings.CutPrefix(event, logEvent); ok {
		if n, err := strconv.Atoi(number); err == nil {
			return r.miner.Text(n)
		}
	}
	return event
}
