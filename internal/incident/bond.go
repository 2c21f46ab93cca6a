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
	newest   []int64 // the last times they began together, UTC nanoseconds, oldest first
}

// What a bond must show, both:
//
//   - When the rarer one begins, the other begins with it more often than not,
//     even by the lower end of the 95 % interval for that share (Wilson 1927, "Probable
//     inference, the law of succession, and statistical inference"). Four of four are
//     the fewest that do.
//   - So many would come about by chance in one of a hundred installations like
//     this, all the pairs there are taken together (Bonferroni's correction).
const (
	moreOftenThanNot = 0.5
	confident        = 1.959964 // standard deviations on either side of 95 %
	byChanceAtAll    = 0.01     // expected false pairs among all
)

// mostNewest bounds the times that a bond names.
const mostNewest = 8

// of gives the bond of two kinds by what began before a time, both ends of the
// window around it left out; ok is false if they have none.
func (o *Onsets) of(a, b kind, before, now time.Time) (bond, bool) {
	x, y := o.kinds[a], o.kinds[b]
	if x == nil || y == nil || a == b || a.place != b.place {
		return bond{}, false
	}
	until := before.Add(-o.opts.Window).UnixNano()
	since := max(now.Add(-o.opts.Keep).UnixNano(), x.since, y.since)
	ours, theirs := x.between(since, until), y.between(since, until)
	times, often := min(len(ours), len(theirs)), max(len(ours), len(theirs))
	if !mayBind(times) {
		return bond{}, false
	}
	here := o.places[a.place]
	found := bond{times: times}
	found.meet(ours, theirs, int64(o.opts.Window))
	found.sure = lowerBound(found.together, times)
	// Chance: the rarer one begins at any time of the blocks in which anything
	// began at all, and meets the other if that began within the window on either
	// side. Quiet nights tell nothing and are left out.
	p := min(1, 2*float64(often)/float64(quietWindows*here.between(since/o.quiet(), until/o.quiet())))
	found.chance = p * float64(times)
	pairs := float64(here.kinds) * float64(here.kinds-1) / 2
	beyond := tailBound(found.together, times, p)*pairs <= byChanceAtAll
	return found, beyond && found.sure > moreOftenThanNot
}

// mayBind reports whether so many beginnings can show a bond at all: if they
// cannot when all were together.
func mayBind(times int) bool { return lowerBound(times, times) > moreOftenThanNot }

// knows reports whether a kind began often enough to have a bond.
func (o *Onsets) knows(k kind) bool {
	s := o.kinds[k]
	return s != nil && mayBind(len(s.list))
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

// meet counts the beginnings that lie within the window of each other, each
// counted once.
func (b *bond) meet(ours, theirs []spell, window int64) {
	for i, k := 0, 0; i < len(ours) && k < len(theirs); {
		switch apart := ours[i].first - theirs[k].first; {
		case apart > window:
			k++
		case apart < -window:
			i++
		default:
			b.together++
			if apart < 0 {
				b.first++
			}
			b.newest = append(b.newest, max(ours[i].first, theirs[k].first))
			i, k = i+1, k+1
		}
	}
	b.newest = b.newest[max(0, len(b.newest)-mostNewest):]
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

// reason says why a fault belongs to a case by what is learnt.
func (o *Onsets) reason(ours, theirs kind, b bond, before time.Time) heal.Reason {
	newest := make([]string, len(b.newest))
	for i, at := range b.newest {
		newest[i] = time.Unix(0, at).UTC().Format(time.RFC3339)
	}
	last := time.Unix(0, b.newest[len(b.newest)-1]).UTC()
	return heal.Reason{
		Code: BeganTogether,
		Text: fmt.Sprintf("%s and %s, which is in this case, began together %d of %d times in the last %s, last on %s; at most %.1f would be chance. The topology knows no path between them",
			ours, theirs, b.together, b.times, days(o.opts.Keep), last.Format("2006-01-02 at 15:04 UTC"), b.chance),
		Data: map[string]any{
			"with": theirs.String(), "together": b.together, "times": b.times, "by_chance": b.chance, "at_least": b.sure, "began_before": b.first,
			"window_seconds": o.opts.Window.Seconds(), "since": before.Add(-o.opts.Keep).UTC().Format(time.RFC3339), "began": newest,
		},
	}
}

func days(d time.Duration) string {
	if d%(24*time.Hour) != 0 || d < 48*time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
