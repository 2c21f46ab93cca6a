package cause_test

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

// TestHang tells what hangs from what is gone by two monitors of one entity.
func TestHang(t *testing.T) {
	port := cause.Probe{Name: "port", Healthy: true, At: now}
	probe := func(err string) cause.Probe {
		return cause.Probe{Name: "health", At: now, Since: now.Add(-20 * time.Second), Error: err}
	}
	refused := cause.Probe{Name: "port", At: now, Since: now.Add(-20 * time.Second), Error: "connection refused"}
	tests := []struct {
		name   string
		probes []cause.Probe
		want   heal.Pattern
	}{
		{"one waits in vain, one answers", []cause.Probe{port, probe("Get \"http://127.0.0.1/healthz\": context deadline exceeded")}, heal.PatternDeadlock},
		{"the other way round", []cause.Probe{probe("i/o timeout"), port}, heal.PatternDeadlock},
		{"none answers", []cause.Probe{refused, probe("connection refused")}, heal.PatternProcessDown},
		{"one waits in vain, the other is refused", []cause.Probe{refused, probe("i/o timeout")}, heal.PatternProcessDown},
		{"one answers with an error", []cause.Probe{port, probe("answered 500 at this time")}, heal.PatternProcessDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := cause.Rank(cause.Input{
				Incident: alerted("unavailable@payment"), Signals: map[heal.EntityID]cause.Signals{id("payment"): {Probes: tt.probes}}, Now: now,
			})
			if top := d.Top(); top == nil || top.Pattern != tt.want {
				t.Errorf("got %+v, want %s", top, tt.want)
			}
		})
	}
}
