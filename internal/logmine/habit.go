package logmine

import "cmp"

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

// steps gives the steps of a sequence, from its beginning to its end.
func (s sequence) steps() []step {
	steps := make([]step, 0, len(s.events)+1)
	last := begin
	for _, e := range s.events {
		steps = append(steps, step{place{s.group, last}, e})
		last = e
	}
	return append(steps, step{place{s.group, last}, end})
}

func (st step) compare(other step) int {
	return cmp.Or(cmp.Compare(st.from.group, other.from.group), cmp.Compare(st.from.event, other.from.event), cmp.Compare(st.to, other.to))
}
