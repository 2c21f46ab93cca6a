package loop

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/homeostat/homeostat/internal/heal"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestChangesOfACaseAreCountedOnce(t *testing.T) {
	open := heal.Incident{State: heal.CaseOpen, BeganAt: t0, DetectedAt: t0.Add(3 * time.Second)}
	with := func(from heal.Incident, changes ...func(*heal.Incident)) heal.Incident {
		from.Attempts = slices.Clone(from.Attempts)
		for _, change := range changes {
			change(&from)
		}
		return from
	}
	state := func(s heal.CaseState) func(*heal.Incident) { return func(i *heal.Incident) { i.State = s } }
	diagnosed := func(i *heal.Incident) { i.Diagnosis, i.State = &heal.Diagnosis{}, heal.CaseDeciding }
	begun := func(i *heal.Incident) {
		i.State, i.ActedAt, i.Decision = heal.CaseActing, t0.Add(5*time.Second), &heal.Decision{ID: "d", Verb: heal.VerbAct}
		i.Attempts = append(i.Attempts, heal.Attempt{N: 1, Playbook: "restart", Result: heal.AttemptRunning})
	}
	attempt := func(r heal.AttemptResult) func(*heal.Incident) {
		return func(i *heal.Incident) { i.Attempts[0].Result = r }
	}
	verdict := func(v heal.Verdict) func(*heal.Incident) {
		return func(i *heal.Incident) { i.Verification = &heal.Verification{Verdict: v, At: t0.Add(40 * time.Second)} }
	}
	healed := func(i *heal.Incident) { i.State, i.EndedAt = heal.CaseHealed, t0.Add(43*time.Second) }
	acting := with(open, diagnosed, begun)
	verifying := with(acting, state(heal.CaseVerifying))

	tests := []struct {
		name          string
		before, after heal.Incident
		want          []string
	}{
		{"nothing", acting, acting, nil},
		{"diagnosed", open, with(open, diagnosed), []string{"homeostat.case.time_to_detect{} 1 sum 3"}},
		{"diagnosed again", with(open, diagnosed), with(open, diagnosed), nil},
		{"closed before it was diagnosed", open, with(open, state(heal.CaseClosed)), []string{
			"homeostat.case.time_to_detect{} 1 sum 3", "homeostat.cases.ended{outcome=closed} 1",
		}},
		{"decided and begun", with(open, diagnosed), acting, []string{"homeostat.case.time_to_act{} 1 sum 2", "homeostat.decisions{verb=act} 1"}},
		{"held", with(open, diagnosed), with(open, diagnosed, func(i *heal.Incident) { i.Held = "lease" }), []string{"homeostat.cases.held{rule=lease} 1"}},
		{"pending", verifying, with(verifying, verdict(heal.Pending)), nil},
		{"healed", verifying, with(verifying, verdict(heal.Cleared), attempt(heal.AttemptHealed), healed), []string{
			"healing.action.effectiveness{action_type=restart,result=success} 1 sum 1", "homeostat.attempts{result=healed} 1",
			"homeostat.case.time_to_heal{} 1 sum 40", "homeostat.cases.ended{outcome=healed} 1", "homeostat.verdicts{verdict=cleared} 1",
		}},
		{"written after its end", with(verifying, verdict(heal.Cleared), attempt(heal.AttemptHealed), healed), with(verifying, verdict(heal.Cleared), attempt(heal.AttemptHealed), healed), nil},
		{"ineffective", verifying, with(verifying, verdict(heal.Persists), attempt(heal.AttemptIneffective), state(heal.CaseDiagnosing)), []string{
			"healing.action.effectiveness{action_type=restart,result=failure} 1 sum 0", "homeostat.attempts{result=ineffective} 1", "homeostat.verdicts{verdict=persists} 1",
		}},
		{"not verifiable", verifying, with(verifying, verdict(heal.Unclear), attempt(heal.AttemptUnknown), state(heal.CaseEscalated)), []string{
			"homeostat.attempts{result=unknown} 1", "homeostat.cases.escalated{} 1", "homeostat.verdicts{verdict=unknown} 1",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, reader := counted(t)
			c.changed(t.Context(), &tt.before, &tt.after)
			if diff := cmp.Diff(series(t, reader), tt.want); diff != "" {
				t.Errorf("metrics (-got +want):\n%s", diff)
			}
		})
	}
}

func TestAlertsAtTheDoorAreCounted(t *testing.T) {
	c, reader := counted(t)
	c.taken(t.Context(), "rules", 2, nil)
	c.taken(t.Context(), "rules", 3, heal.Errorf(heal.Transient, "accept", "full"))
	c.taken(t.Context(), "api", 1, errors.New("a bug"))
	want := []string{
		"homeostat.alerts.accepted{source=rules} 2",
		"homeostat.alerts.refused{kind=internal,source=api} 1",
		"homeostat.alerts.refused{kind=transient,source=rules} 3",
	}
	if diff := cmp.Diff(series(t, reader), want); diff != "" {
		t.Errorf("metrics (-got +want):\n%s", diff)
	}
}

func TestNoCountersCountNothing(t *testing.T) {
	var c *Counters
	c.taken(t.Context(), "api", 1, nil)
	c.batch(t.Context(), "alerts", 1)
	c.failed(t.Context(), "alerts")
	c.diagnosed(t.Context(), time.Second, &heal.Diagnosis{})
	c.changed(t.Context(), &heal.Incident{}, &heal.Incident{State: heal.CaseHealed})
	c.merged(t.Context())
}

func counted(t *testing.T) (*Counters, sdkmetric.Reader) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	c, err := NewCounters(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	return c, reader
}

// series gives what was counted, sorted: name{labels} count, and the sum of
// histograms.
func series(t *testing.T, reader sdkmetric.Reader) []string {
	t.Helper()
	var found metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &found); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range found.ScopeMetrics {
		for _, m := range s.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s{%s} %d", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s{%s} %d sum %g", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Count, p.Sum))
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}
