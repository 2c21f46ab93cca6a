package incident

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// bond is how often two kinds of fault began together, and what that says.
type bond struct {
	together int     // times both began within the window
	times    int     // times the rarer of the two began
	chance   float64 // how many of these to expect if they had nothing to do with each other
	sure     float64 // how often they begin together at least, 0 to 1, of the times the rarer one begins
	first    int     // of together, times the first of the two began before the other
}

// What a bond must show, both:
//
//   - When the rarer one begins, the other begins with it more often than not,
//     even by the lower end of the 95 % interval for that share (Wilson 1927, "Probable
//     inference, the law of succession, and statistical inference"). Four of four are
//     the fewest that do.
//   - So many, or so close to each other, would come about by chance in one of a
//     hundred installations like this, all the pairs and closenesses there are taken
//     together (Bonferroni's correction).
const (
	moreOftenThanNot = 0.5
	confident        = 1.959964 // standard deviations on either side of 95 %
	byChanceAtAll    = 0.01     // expected false pairs among all
)

// closeness are the parts of the window at which meetings are counted for the
// second test: what always follows within a minute is less of a chance than what
// follows within five. Nothing finer: rules are evaluated and checks are run by the
// minute, which makes their times meet.
var closeness = [...]int64{1, 5}

// bond gives that of two kinds of one place by what began before a time, the
// window before it left out; ok is false if they have none.
func (o *Onsets) bond(here place, one, other *spells, before, now time.Time) (b bond, ok bool) {
	since, until := o.span(one, other, before, now)
	ours, theirs := one.between(since, until), other.between(since, until)
	often := max(len(ours), len(theirs))
	if b.times = min(len(ours), len(theirs)); !mayBind(b.times) {
		return b, false
	}
	var meetings [len(closeness)]int
	window := int64(o.opts.Window)
	meet(ours, theirs, window, func(a, b int64) {
		for i, part := range closeness {
			if max(a-b, b-a) <= window/part {
				meetings[i]++
			}
		}
	})
	b.together = meetings[0]
	if b.sure = lowerBound(b.together, b.times); b.sure <= moreOftenThanNot {
		return b, false
	}
	meet(ours, theirs, window, func(a, c int64) {
		if a < c {
			b.first++
		}
	})
	// Chance: the rarer one begins at any time of the blocks in which anything
	// began at all, and meets the other if that began so close on either side.
	// Quiet nights tell nothing and are left out.
	active := o.places[here]
	busy := float64(quietWindows * active.between(since/o.quiet(), until/o.quiet()))
	p := min(1, 2*float64(often)/busy)
	b.chance = p * float64(b.times)
	tests := float64(active.kinds) * float64(active.kinds-1) / 2 * float64(len(closeness))
	for i, part := range closeness {
		if tailBound(meetings[i], b.times, p/float64(part))*tests <= byChanceAtAll {
			return b, true
		}
	}
	return b, false
}

// span is the time in which beginnings of two kinds count, before a time.
func (o *Onsets) span(one, other *spells, before, now time.Time) (since, until int64) {
	return max(now.Add(-o.opts.Keep).UnixNano(), one.since, other.since), before.Add(-o.opts.Window).UnixNano()
}

// mayBind reports whether so many beginnings can show a bond at all: if they
// do when all are together.
func mayBind(times int) bool { return lowerBound(times, times) > moreOftenThanNot }

// known gives the spells of a kind that may have a bond, nil of others.
func (o *Onsets) known(k kind) *spells {
	if s := o.kinds[k]; s != nil && mayBind(len(s.list)) {
		return s
	}
	return nil
}

// between gives the spells that began in a time, both ends included.
func (s *spells) between(since, until int64) []spell {
	list := s.list
	for len(list) > 0 && list[0].first < since {
		list = list[1:]
	}
	for len(list) > 0 && list[len(list)-1].first > until {
		list = list[:len(list)-1]
	}
	return list
}

// between counts the blocks of a time, both ends included; at least one.
func (a *activity) between(since, until int64) int {
	from, _ := slices.BinarySearch(a.blocks, since)
	to, _ := slices.BinarySearch(a.blocks, until+1)
	return max(1, to-from)
}

// meet finds the beginnings that lie within the window of each other, each once.
func meet(ours, theirs []spell, window int64, found func(a, b int64)) {
	for i, k := 0, 0; i < len(ours) && k < len(theirs); {
		switch a, b := ours[i].first, theirs[k].first; {
		case a-b > window:
			k++
		case b-a > window:
			i++
		default:
			found(a, b)
			i, k = i+1, k+1
		}
	}
}

// leads reports whether the first of the two begins before the other more often
// than not.
func (b *bond) leads() bool { return lowerBound(b.first, b.together) > moreOftenThanNot }

// lowerBound is the lower end of Wilson's interval for a share of which some of
// n were seen.
func lowerBound(some, n int) float64 {
	if n == 0 {
		return 0
	}
	share, trials, z2 := float64(some)/float64(n), float64(n), confident*confident
	middle := share + z2/(2*trials)
	spread := confident * math.Sqrt(share*(1-share)/trials+z2/(4*trials*trials))
	return max(0, (middle-spread)/(1+z2/trials))
}

// tailBound is at least the probability that some or more of n independent
// trials succeed, each with probability p: exp(-n D), where D is the relative
// entropy of some/n against p (Hoeffding 1963, "Probability inequalities for sums of
// bounded random variables", theorem 1).
func tailBound(some, n int, p float64) float64 {
	share := float64(some) / float64(n)
	if share <= p {
		return 1
	}
	if p <= 0 {
		return 0
	}
	distance := share * math.Log(share/p)
	if share < 1 {
		distance += (1 - share) * math.Log((1-share)/(1-p))
	}
	return math.Exp(-float64(n) * distance)
}

// mostNewest bounds the times that a reason names.
const mostNewest = 8

// reason says why a fault belongs to a case by what is learnt.
func (o *Onsets) reason(ours, theirs kind, b bond, before, now time.Time) heal.Reason {
	var times []time.Time
	x, y := o.kinds[ours], o.kinds[theirs]
	since, until := o.span(x, y, before, now)
	meet(x.between(since, until), y.between(since, until), int64(o.opts.Window), func(a, b int64) { times = append(times, time.Unix(0, max(a, b)).UTC()) })
	var newest []string
	for _, at := range times[max(0, len(times)-mostNewest):] {
		newest = append(newest, at.Format(time.RFC3339))
	}
	return heal.Reason{
		Code: BeganTogether,
		Text: fmt.Sprintf("%s and %s, which is in this case, began together %d of %d times in the last %s, last on %s; at most %.1f would be chance. The topology knows no path between them",
			ours, theirs, b.together, b.times, days(o.opts.Keep), times[len(times)-1].Format("2006-01-02 at 15:04 UTC"), b.chance),
		Data: map[string]any{
			"with": theirs.String(), "together": b.together, "times": b.times, "by_chance": b.chance, "at_least": b.sure, "began_before": b.first,
			"window_seconds": o.opts.Window.Seconds(), "since": now.Add(-o.opts.Keep).UTC().Format(time.RFC3339), "began": newest,
		},
	}
}

func days(d time.Duration) string {
	if d%(24*time.Hour) != 0 || d < 48*time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
