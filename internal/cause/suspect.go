package cause

import (
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// recentChange is the code of the reason that a change speaks for its entity.
const recentChange = "recent_change"

// Suspects gives the changes that a diagnosis counts for its candidates, sorted;
// none for nil.
func Suspects(d *heal.Diagnosis) []heal.ChangeID {
	if d == nil {
		return nil
	}
	var ids []heal.ChangeID
	for i := range d.Causes {
		for _, r := range d.Causes[i].For {
			if r.Code != recentChange {
				continue
			}
			for _, e := range r.Evidence {
				ids = append(ids, heal.ChangeID(e.Query))
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
