package logmine

import (
	"cmp"
	"strings"
)

// place is an event within sequences of a group.
type place struct {
	group string
	event string
}

// step is an event after another.
type step struct {
	from place
	to   string
}

const (
	begin = "^" // before the first event
	end   = "$" // after the last
)

// sequence is the events of one piece of work, in order.
type sequence struct {
	group  string
	events []string
}

// steps gives the steps of a sequence, from its beginning to its end: each event
// after the one before it, and after the two before it. What is repeated a fixed
// number of times is told by the second only.
func (s sequence) steps() []step {
	steps := make([]step, 0, 2*len(s.events)+1)
	last, pair := begin, ""
	for i := range len(s.events) + 1 {
		next := end
		if i < len(s.events) {
			next = s.events[i]
		}
		steps = append(steps, step{place{s.group, last}, next})
		if pair != "" {
			steps = append(steps, step{place{s.group, pair}, next})
		}
		pair = last + between + next
		last = next
	}
	return steps
}

// between joins the two events of a place.
const between = "\x00"

// newest is the last event of a place.
func (p place) newest() string { return p.event[strings.LastIndex(p.event, between)+1:] }

func (st step) compare(other step) int {
	return cmp.Or(cmp.Compare(st.from.group, other.from.group), cmp.Compare(st.from.event, other.from.event), cmp.Compare(st.to, other.to))
}
