package incident

import "time"

// Remembered gives when each kind began.
func Remembered(o *Onsets) map[string][]int64 {
	all := map[string][]int64{}
	for k, s := range o.kinds {
		for _, one := range s.list {
			all[k.String()] = append(all[k.String()], one.first)
		}
	}
	return all
}

// Bonds names all pairs of kinds that have a bond.
func Bonds(o *Onsets, now time.Time) (pairs []string) {
	for a := range o.kinds {
		for b := range o.kinds {
			one, other := o.known(a), o.known(b)
			if one == nil || other == nil || a.place != b.place || a.compare(b) >= 0 {
				continue
			}
			if _, ok := o.bond(a.place, one, other, now, now); ok {
				pairs = append(pairs, a.String()+" and "+b.String())
			}
		}
	}
	return pairs
}
