package loop

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

// TestFaultsOn wants every fault of an entity, what holds and stands first.
func TestFaultsOn(t *testing.T) {
	fault := func(alert string, entity heal.EntityID, cleared bool, role heal.Role) heal.Member {
		m := heal.Member{Role: role, Fault: heal.Fault{AlertName: alert, Key: heal.FaultKey{Type: heal.FaultType(alert), Entity: entity}}}
		if cleared {
			m.Fault.ClearedAt = time.Unix(1, 0)
		}
		return m
	}
	inc := &heal.Incident{Members: []heal.Member{
		fault("Gone", "service/a", true, heal.Secondary), fault("Slow", "service/a", false, heal.Secondary), fault("Other", "service/b", false, heal.Secondary),
		fault("Down", "service/a", false, heal.Primary),
	}}
	names := func(entity heal.EntityID) (list []string) {
		for _, s := range subjectsOf(inc, &heal.Cause{Entity: entity}) {
			list = append(list, s.AlertName)
		}
		return list
	}
	for entity, want := range map[heal.EntityID][]string{
		"service/a": {"Down", "Slow", "Gone"}, "service/b": {"Other"}, "service/c": {"Down"},
	} {
		if diff := cmp.Diff(names(entity), want); diff != "" {
			t.Errorf("%s, got (-) and want (+):\n%s", entity, diff)
		}
	}
}

// TestCadenceIsNoIdleTime takes the usual distance of samples for their rhythm,
// whatever the time in which nothing was sent.
func TestCadenceIsNoIdleTime(t *testing.T) {
	acted := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	every := func(from time.Time, n int) (list []time.Time) {
		for i := range n {
			list = append(list, from.Add(-time.Duration(i)*10*time.Second))
		}
		return list
	}
	for name, samples := range map[string][]time.Time{
		"no idle time":         every(acted, 20),
		"idle just before":     append([]time.Time{acted}, every(acted.Add(-10*time.Minute), 20)...),
		"idle a little before": append(every(acted, 3), every(acted.Add(-5*time.Minute), 20)...),
	} {
		t.Run(name, func(t *testing.T) {
			l := New(Parts{Metrics: sampled{at: samples}}, Options{})
			got := l.cadence(t.Context(), heal.Condition{Kind: heal.ConditionPromQL, Expr: "up"}, acted)
			if want := 12500 * time.Millisecond; got != want {
				t.Errorf("got %s, want %s: 10 s and a quarter", got, want)
			}
		})
	}
}
