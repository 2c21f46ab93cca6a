package cause

import (
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// LogsOf is what a summary of an entity's logs says of causes. What no known
// trouble is named in speaks too, if it is an error and new.
func LogsOf(sum logmine.Summary) []Log {
	var list []Log
	for _, f := range sum.Patterns {
		list = append(list, Log{
			Pattern: string(f.Pattern), Count: f.Count, Baseline: float64(f.Baseline), Example: f.Example.Body, At: f.Example.Time,
		})
	}
	for _, c := range sum.Changes {
		if c.Errors > 0 && (c.Kind == logmine.ChangeNew || c.Kind == logmine.ChangeMore) && len(logmine.Match(c.Example.Body, true)) == 0 {
			list = append(list, Log{
				Pattern: "error_" + string(c.Kind), Count: c.Count, Baseline: float64(c.Baseline), Example: c.Example.Body, At: c.Example.Time,
			})
		}
	}
	return list
}

// DepartsOf are the steps requests take that they did not take before, by the
// service they take them in.
func DepartsOf(now, before logmine.Work) map[heal.EntityID][]Departure {
	found := map[heal.EntityID][]Departure{}
	for _, d := range logmine.Departures(now, before) {
		id := heal.ServiceID(d.Service)
		c := Departure{
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
