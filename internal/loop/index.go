package loop

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
)

// index finds open cases. It follows the store: of two changes to one case the
// later commit counts, in whatever order they are brought here. It may still
// name a case that has just ended; whoever finds one there looks at the case.
type index struct {
	*incident.Set
	onsets    *incident.Onsets
	revisions map[heal.IncidentID]store.Revision
}

func newIndex(window time.Duration, onsets *incident.Onsets) index {
	return index{incident.NewSet(incident.Options{Window: window, Onsets: onsets}), onsets, map[heal.IncidentID]store.Revision{}}
}

// put brings a case up to date, as it was committed at the revision.
func (x index) put(inc heal.Incident, at store.Revision) {
	if at < x.revisions[inc.ID] {
		return
	}
	if inc.State.Ended() {
		if x.onsets != nil {
			x.onsets.Learn(&inc) // of what another server brought in since
		}
		x.remove(inc.ID)
		return
	}
	x.revisions[inc.ID] = at
	x.Put(inc)
}

func (x index) remove(id heal.IncidentID) {
	delete(x.revisions, id)
	x.Remove(id)
}
