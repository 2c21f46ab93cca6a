package telemetry

import (
	"cmp"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Critical is the critical path of a trace: at each moment of the root, the one
// span the root waited for. Had a span on it taken less, the root would have
// ended sooner.
type Critical struct {
	Root *heal.Span
	Path []Stretch  // without gaps from the beginning of the root to its end, in order; none takes no time
	Own  *heal.Span // the failed span without a failed child that ended first; nil: none failed
}

// Stretch is a part of the path that was spent in one span and in none of its
// children.
type Stretch struct {
	Span  *heal.Span
	After time.Duration // since the beginning of the root
	Took  time.Duration
}

// Hold is how long one operation of a service held a request.
type Hold struct {
	Service   string
	Operation string
	Spans     int // how many of its spans are on the path
	Took      time.Duration
}

// CriticalPath walks the spans of one trace from the end of the root backwards:
// what ended last is what was waited for, until it began; then what had ended
// last before that (Zhang et al., CRISP, USENIX ATC 2022). Spans that began
// while it was under way and did not outlast it are not on the path: they were
// not what was waited for.
//
// A child counts within the bounds of its parent only. A server's span that lies
// outside its client's is moved to the middle of it, as it is the clock that is
// wrong; one that was written down twice counts once. Spans whose parent is not
// there, but for the root, and spans in circles belong to nothing and are left
// out. False without a root. The result points into spans.
func CriticalPath(spans []heal.Span) (Critical, bool) {
	t := newTree(spans)
	if t.root < 0 {
		return Critical{}, false
	}
	c := Critical{Root: &spans[t.root]}
	t.walk(&c)
	return c, true
}

// Slowest gives the critical path of the slowest of many traces. Equal ones are
// told apart by their id.
func Slowest(spans []heal.Span) (Critical, bool) {
	byTrace := map[string][]heal.Span{}
	for _, s := range spans {
		byTrace[s.TraceID] = append(byTrace[s.TraceID], s)
	}
	var slowest []heal.Span
	var best *heal.Span
	for _, trace := range byTrace {
		root := newTree(trace).root
		if root < 0 {
			continue
		}
		r := &trace[root]
		if best == nil || cmp.Or(-cmp.Compare(r.Duration, best.Duration), cmp.Compare(r.TraceID, best.TraceID)) < 0 {
			slowest, best = trace, r
		}
	}
	if best == nil {
		return Critical{}, false
	}
	return CriticalPath(slowest)
}

// Total is how long the root took.
func (c *Critical) Total() time.Duration { return max(c.Root.Duration, 0) }

// Held adds the path up by service and operation, the longest first.
func (c *Critical) Held() []Hold {
	type key struct{ service, operation string }
	place := map[key]int{}
	seen := map[*heal.Span]bool{}
	var list []Hold
	for _, s := range c.Path {
		k := key{s.Span.Service, s.Span.Operation}
		i, known := place[k]
		if !known {
			i = len(list)
			place[k] = i
			list = append(list, Hold{Service: k.service, Operation: k.operation})
		}
		list[i].Took += s.Took
		if !seen[s.Span] {
			seen[s.Span] = true
			list[i].Spans++
		}
	}
	slices.SortStableFunc(list, func(a, b Hold) int {
		return cmp.Or(-cmp.Compare(a.Took, b.Took), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	return list
}

// tree is a trace by who called whom. Spans are named by their place.
type tree struct {
	spans    []heal.Span
	children [][]int32 // of each span
	root     int       // -1: there is none
}

// newTree hangs each span below its parent. Of spans that say the same of
// themselves, the first counts.
func newTree(spans []heal.Span) tree {
	t := tree{spans: spans, children: make([][]int32, len(spans)), root: -1}
	type copyOf struct {
		id, parent string
		kind       heal.SpanKind
		service    string
	}
	at := make(map[string]int, len(spans))
	seen := make(map[copyOf]bool, len(spans))
	twice := make([]bool, len(spans))
	for i := range spans {
		s := &spans[i]
		k := copyOf{s.SpanID, s.ParentID, s.Kind, s.Service}
		twice[i] = seen[k]
		seen[k] = true
		if _, known := at[s.SpanID]; !known {
			at[s.SpanID] = i
		}
	}
	for i := range spans {
		if twice[i] {
			continue
		}
		s := &spans[i]
		parent, known := at[s.ParentID]
		switch {
		case s.ParentID != "" && known && parent != i:
			t.children[parent] = append(t.children[parent], int32(i))
		case s.ParentID == "" || !known:
			if t.root < 0 || t.before(i, t.root) {
				t.root = i
			}
		}
	}
	return t
}

// before orders what may be the root: a span without a parent before one whose
// parent is missing, then the longest, then by id.
func (t *tree) before(a, b int) bool {
	x, y := &t.spans[a], &t.spans[b]
	orphan := func(s *heal.Span) int { return min(len(s.ParentID), 1) }
	return cmp.Or(cmp.Compare(orphan(x), orphan(y)), -cmp.Compare(x.Duration, y.Duration), x.Start.Compare(y.Start), cmp.Compare(x.SpanID, y.SpanID)) < 0
}

// placed is a span with the bounds it counts within, since the root began.
type placed struct {
	span        int
	from, until time.Duration
}

// walk fills in the path and who failed of its own. It comes to an end: a span
// hangs below one other at most, the root below none, so no circle can be
// reached from there.
func (t *tree) walk(c *Critical) {
	type task struct {
		placed
		alone bool // a stretch of the span itself, without children
	}
	stack := []task{{placed: placed{t.root, 0, c.Total()}}}
	t.own(c)
	for len(stack) > 0 { // from the end backwards
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if p.alone {
			c.Path = append(c.Path, Stretch{Span: &t.spans[p.span], After: p.from, Took: p.until - p.from})
			continue
		}
		var parts []task // what the span waited for, the last first
		reached := p.until
		for _, child := range t.within(c.Root.Start, p.placed) {
			if child.until > reached || child.from >= child.until {
				continue
			}
			if child.until < reached {
				parts = append(parts, task{placed{p.span, child.until, reached}, true})
			}
			parts = append(parts, task{placed: child})
			reached = child.from
		}
		if p.from < reached {
			parts = append(parts, task{placed{p.span, p.from, reached}, true})
		}
		slices.Reverse(parts)
		stack = append(stack, parts...)
	}
	slices.Reverse(c.Path)
}

// within gives the children of a span in its bounds, the one that ends last
// first; of those that end together, the one that was under way longest.
func (t *tree) within(began time.Time, p placed) []placed {
	children := t.children[p.span]
	list := make([]placed, 0, len(children))
	parent := &t.spans[p.span]
	for _, i := range children {
		s := &t.spans[i]
		from, took := s.Start.Sub(began), max(s.Duration, 0)
		if skewed := from < p.from || from > p.until-took; skewed && s.Service != parent.Service && s.Kind == heal.SpanServer && parent.Kind == heal.SpanClient && took <= p.until-p.from {
			from = p.from + (p.until-p.from-took)/2
		}
		until := p.until
		if from < p.until-took { // so that no sum overflows
			until = from + took
		}
		list = append(list, placed{int(i), min(max(from, p.from), p.until), max(until, p.from)})
	}
	slices.SortFunc(list, func(a, b placed) int {
		return cmp.Or(-cmp.Compare(a.until, b.until), cmp.Compare(a.from, b.from), cmp.Compare(t.spans[a.span].SpanID, t.spans[b.span].SpanID), cmp.Compare(a.span, b.span))
	})
	return list
}

// own finds where the trace began to fail, among the spans below the root.
func (t *tree) own(c *Critical) {
	ended := func(s *heal.Span) time.Time { return s.Start.Add(max(s.Duration, 0)) }
	for queue := []int32{int32(t.root)}; len(queue) > 0; queue = queue[1:] {
		s := &t.spans[queue[0]]
		passed := false
		for _, i := range t.children[queue[0]] {
			passed = passed || t.spans[i].Error
		}
		queue = append(queue, t.children[queue[0]]...)
		if s.Error && !passed && (c.Own == nil || cmp.Or(ended(s).Compare(ended(c.Own)), cmp.Compare(s.SpanID, c.Own.SpanID)) < 0) {
			c.Own = s
		}
	}
}
