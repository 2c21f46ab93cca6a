package loop_test

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// serves writes what a service served in the minutes before now: each request
// takes 50 ms, or 2 s while slow says so of that many minutes before now.
func (r *rig) serves(service string, minutes float64, slow func(before float64) bool) {
	r.t.Helper()
	every := 15 * time.Second
	calls, quick := 0.0, 0.0
	for ago := time.Duration(minutes * float64(time.Minute)); ago >= 0; ago -= every {
		calls += 100
		if !slow(ago.Minutes()) {
			quick += 100
		}
		at := r.clock().Add(-ago)
		var samples []heal.Sample
		add := func(metric, le string, v float64) {
			labels := []heal.Label{{Name: "le", Value: le}, {Name: "service_name", Value: service}, {Name: "span_kind", Value: "SPAN_KIND_SERVER"}, {Name: "status_code", Value: "STATUS_CODE_UNSET"}}
			if le == "" {
				labels = labels[1:]
			}
			samples = append(samples, heal.Sample{Metric: metric, Labels: labels, At: at, Value: v})
		}
		add("traces_span_metrics_calls_total", "", calls)
		for le, v := range map[string]float64{"0.025": 0, "0.1": quick, "1": quick, "4": calls, "+Inf": calls} {
			add("traces_span_metrics_duration_seconds_bucket", le, v)
		}
		if err := r.series.Append(r.t.Context(), samples); err != nil {
			r.t.Fatal(err)
		}
	}
}

// earlier is a case that ended, of a service that was slow.
func (r *rig) earlier(service string, from, until time.Duration) {
	r.t.Helper()
	c := heal.Incident{
		ID: "00000000-0000-7000-8000-00000000000e", Scope: heal.DefaultScope.WithService(service), State: heal.CaseHealed, BeganAt: r.clock().Add(-from), EndedAt: r.clock().Add(-until), UpdatedAt: r.clock().Add(-until),
		Members: []heal.Member{{Role: heal.Primary, Fault: heal.Fault{
			Key: heal.FaultKey{Type: heal.PerformanceDegradation, Entity: heal.ServiceID(service)}, Began: r.clock().Add(-from), ClearedAt: r.clock().Add(-until),
		}}},
	}
	if err := r.db.Update(r.t.Context(), func(tx store.Tx) error {
		_, err := store.IncidentKind.Put(tx, &c, store.Absent)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
}

// TestAlertsThatAreNotBorneOut: whether an alert is believed is told by what was
// before, if there is enough of it.
func TestAlertsThatAreNotBorneOut(t *testing.T) {
	never := func(float64) bool { return false }
	now := func(before float64) bool { return before < 2 }
	again := func(before float64) bool { return before < 2 || before > 10 && before < 15 }
	tests := []struct {
		name  string
		serve func(*rig)
		cause bool   // cart is named
		says  string // a reason
		not   string // no reason
	}{
		{"as always, for long", func(r *rig) { r.serves("cart", 40, never) }, false, "no cause found", "are needed to say"},
		{"as always, for too short", func(r *rig) { r.serves("cart", 9, never) }, true, "20 are needed to say that the alert is not borne out, so it is believed", "no cause found"},
		{"slow", func(r *rig) { r.serves("cart", 40, now) }, true, "", "are needed to say"},
		{"slow as some minutes ago, of which nobody spoke", func(r *rig) { r.serves("cart", 40, again) }, false, "no cause found", "are needed to say"},
		{"slow as in a case some minutes ago", func(r *rig) { r.serves("cart", 40, again); r.earlier("cart", 15*time.Minute, 12*time.Minute) }, true, "", ""},
		{"slow as in a case of another", func(r *rig) { r.serves("cart", 40, again); r.earlier("mail", 15*time.Minute, 12*time.Minute) }, false, "no cause found", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inMeasuredRig(t, func(t *testing.T, r *rig) {
				tt.serve(r)
				r.accept(slow("cart"))
				d := r.untilCase(heal.CaseEscalated).Diagnosis
				if found := d.Top() != nil && d.Top().Entity == "service/cart"; found != tt.cause {
					t.Errorf("causes: got %+v, want cart: %v", d.Causes, tt.cause)
				}
				var reasons []string
				for _, r := range d.Reasons {
					reasons = append(reasons, r.Text)
				}
				got := strings.Join(reasons, "\n")
				if !strings.Contains(got, tt.says) || tt.not != "" && strings.Contains(got, tt.not) {
					t.Errorf("reasons: got\n%s\nwant %q and not %q", got, tt.says, tt.not)
				}
			})
		})
	}
}
