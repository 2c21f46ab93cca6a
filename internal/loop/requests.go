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

// departures are the steps requests take that they did not take before, by the
// service they take them in.
func (r *requests) departures() map[heal.EntityID][]cause.Departure {
	found := map[heal.EntityID][]cause.Departure{}
	for _, d := range logmine.Departures(r.now, r.before) {
		id := heal.ServiceID(d.Service)
		c := cause.Departure{
			Score: d.Score, Traces: d.Traces, Expected: d.Expected, Outward: d.Outward,
			After: d.After, Usually: d.Usually, Instead: d.Instead, Trace: d.Example,
		}
		if d.Follows != "" {
			c.Follows = heal.ServiceID(d.Follows)
		}
		if d.Toward != "" {
			c.Toward = heal.ServiceID(d.Toward)
		}
		found[id] = append(found[id], c)
	}
	return found
}
