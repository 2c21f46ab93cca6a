package logmine

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// Work is what was recorded of requests: spans, and logs that name the trace
// and span they were written in.
type Work struct {
	Spans []heal.Span
	Logs  []heal.LogRecord
}

// Departure is a step that requests take much more often than at normal times:
// the service writes, calls or ends with something else than it usually does
// after what came before.
type Departure struct {
	Service  string
	Traces   int     // that took the step
	Expected float64 // how many of as many would at normal times
	Score    float64 // how far beyond chance the difference is, in standard deviations
	Follows  string  // service below, whose own departure goes with this one; "" if none
	Outward  bool    // a call failed and nobody says to have taken it: the fault may be at the other end
	Toward   string  // where Outward: the service that is called so much less; "" if none is
	Example  string  // trace
	After    string  // what came before; "" at the beginning
	Usually  string  // what mostly follows; "" if nothing does
	Instead  string  // what followed; "" if nothing did
}

// Departures compares requests with those of a normal time and gives for each
// service in which steps stand out the clearest of them, the clearest service
// first. A service that waits for another one that left its ways leaves its own
// too: its step follows the other's if most requests that took it took the
// other's below it, and that one stands out as well.
func Departures(now, normal Work) []Departure {
	r := newReader()
	before, since := tallied(r.units(normal)), tallied(r.units(now))
	scored := map[step]float64{}
	for st, traces := range since.steps {
		z := standsOut(len(traces), since.places[st.from], len(before.steps[st]), before.places[st.from])
		if st.to != end && before.events[place{st.from.group, st.to}] > 0 {
			z *= reordered
		}
		if z >= standing {
			scored[st] = z
		}
	}
	ways := map[string]*Departure{}
	traces := map[string]map[*traced]bool{}
	for _, st := range slices.SortedFunc(maps.Keys(scored), step.compare) {
		d := Departure{
			Service: since.service[st], Score: scored[st], Example: since.steps[st][0].id,
			After: r.text(st.from.newest()), Instead: r.text(st.to), Usually: r.text(before.mostly(st.from)),
			Follows: since.followed(st, scored), Outward: since.outward(st, scored),
		}
		e := expected(since.places[st.from], len(before.steps[st]), before.places[st.from])
		if d.Outward {
			d.Toward = r.missed(trackOf(called, since.unitGroup(st)), before, since)
		}
		best := ways[d.Service]
		switch {
		case best == nil || d.own() && !best.own():
			best, traces[d.Service] = &d, map[*traced]bool{}
			ways[d.Service] = best
		case d.own() != best.own():
			continue // what follows from others does not count beside what does not
		case d.clearer(*best):
			d.Expected = best.Expected
			*best = d
		}
		best.Expected = max(best.Expected, e)
		for _, tk := range since.steps[st] {
			traces[d.Service][tk.traced] = true
		}
	}
	list := make([]Departure, 0, len(ways))
	for service, d := range ways {
		d.Traces = len(traces[service])
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Departure) int {
		switch {
		case a.clearer(b):
			return -1
		case b.clearer(a):
			return 1
		}
		return cmp.Compare(a.Service, b.Service)
	})
	return list
}

// missed is the service that requests of a group call less than they did, the
// one that is missed most.
func (r *reader) missed(group string, before, since tally) string {
	const much = 0.2 // of the calls
	was, is := float64(before.places[place{group, begin}]), float64(since.places[place{group, begin}])
	if was == 0 || is == 0 {
		return ""
	}
	service, most := "", much
	for _, event := range slices.Sorted(maps.Keys(r.callees)) {
		at := place{group, event}
		usual := float64(before.events[at]) / was
		if usual == 0 {
			continue
		}
		if gone := 1 - float64(since.events[at])/is/usual; gone > most {
			service, most = r.callees[event], gone
		}
	}
	return service
}

// own reports whether nothing says that the departure came from elsewhere.
func (d Departure) own() bool { return d.Follows == "" && !d.Outward }

// clearer reports whether d tells more than another departure does.
func (d Departure) clearer(than Departure) bool {
	if d.own() != than.own() {
		return d.own()
	}
	return d.Score > than.Score
}

const (
	// standing is the score below which a step does not stand out.
	standing = 2.0
	// familiar is how many requests must have left a place at normal times for
	// what they did next to be known.
	familiar = 3
	// reordered is what a step counts for that leads to something the service
	// does at normal times too, elsewhere on the same way.
	reordered = 0.5
)

// standsOut is how far beyond chance a step is that taken of n requests took, and
// k of m at normal times; 0 if the place is not familiar.
func standsOut(taken, n, k, m int) float64 {
	if m < familiar {
		return 0
	}
	return beyondChance(taken, n, k, m)
}

// mostly is what follows a place most often.
func (t tally) mostly(from place) string {
	best, most := end, 0
	for st, traces := range t.steps {
		if n := len(traces); st.from == from && (n > most || n == most && st.to < best) {
			best, most = st.to, n
		}
	}
	return best
}

// tally counts traces by the steps they took.
type tally struct {
	steps   map[step][]taking
	places  map[place]int // traces that came by
	events  map[place]int // traces that have the event, last ones included
	service map[step]string
}

// taking is a trace's first taking of a step.
type taking struct {
	*traced
	by *unit
}

func tallied(list []*traced) tally {
	t := tally{map[step][]taking{}, map[place]int{}, map[place]int{}, map[step]string{}}
	for _, tr := range list {
		tr.took = map[step]*unit{}
		came := map[place]bool{}
		for _, u := range tr.units {
			for _, track := range u.tracks {
				for _, st := range track.steps() {
					came[st.from] = true
					t.events[place{st.from.group, st.to}]++
					if u.parent == nil && strings.HasPrefix(st.to, callEvent) {
						continue // what is asked for from outside depends on who asks
					}
					if tr.took[st] == nil {
						tr.took[st] = u
						t.steps[st] = append(t.steps[st], taking{tr, u})
						t.service[st] = u.service
					}
				}
			}
		}
		for p := range came {
			t.places[p]++
		}
	}
	return t
}

// outward reports whether a step is a call that failed and that nobody says to
// have taken, or goes with one in most requests.
func (t tally) outward(st step, scored map[step]float64) bool {
	with := 0
	for _, tk := range t.steps[st] {
		for other, by := range tk.took {
			if by == tk.by && scored[other] > 0 && strings.HasPrefix(other.to, outwardEvent) {
				with++
				break
			}
		}
	}
	return 2*with >= len(t.steps[st])
}

// unitGroup is the group of the units that took a step.
func (t tally) unitGroup(st step) string { return t.steps[st][0].by.group }

// followed gives the service below whose step explains st, "" if none does.
func (t tally) followed(st step, scored map[step]float64) string {
	const most, alike = 0.5, 0.5
	with := map[step]int{}
	for _, tk := range t.steps[st] {
		for other, by := range tk.took {
			if scored[other] >= alike*scored[st] && by.service != tk.by.service && by.below(tk.by) {
				with[other]++
			}
		}
	}
	service, score := "", 0.0
	for _, other := range slices.SortedFunc(maps.Keys(with), step.compare) {
		if float64(with[other]) >= most*float64(len(t.steps[st])) && scored[other] > score {
			service, score = t.service[other], scored[other]
		}
	}
	return service
}
