package loop

import (
	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// requests is what was recorded of requests during a case and before it.
type requests struct{ now, before logmine.Work }

func (r *requests) add(other requests) {
	join := func(into *logmine.Work, w logmine.Work) {
		into.Spans, into.Logs = append(into.Spans, w.Spans...), append(into.Logs, w.Logs...)
	}
	join(&r.now, other.now)
	join(&r.before, other.before)
}

// departures are the steps requests take that they did not take before.
func (r *requests) departures() map[heal.EntityID][]cause.Departure {
	return cause.DepartsOf(r.now, r.before)
}
