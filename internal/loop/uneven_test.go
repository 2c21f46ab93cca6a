package loop_test

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
)

// TestNothingHealsAcrossAnUnevenClock: when the clock leapt or counted slowly
// after an action, no sample can be told to be newer than it.
func TestNothingHealsAcrossAnUnevenClock(t *testing.T) {
	tests := []struct {
		name   string
		uneven func() time.Time
		want   heal.CaseState
	}{
		{"until now", time.Now, heal.CaseEscalated},
		{"before the action", func() time.Time { return time.Now().Add(-time.Hour) }, heal.CaseHealed},
		{"never", func() time.Time { return time.Time{} }, heal.CaseHealed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRigOf(t, []string{"restart"}, loop.Options{Uneven: tt.uneven}, func(t *testing.T, r *rig) {
				r.history("cart")
				r.world.breaks("fix.restart", "cart")
				r.accept(down("cart"))
				inc := r.untilCase(tt.want)
				v := inc.Verification
				if v == nil || (v.Reasons[0].Code == "clock_moved") != (tt.want == heal.CaseEscalated) {
					t.Errorf("verification: got %+v, want one that blames the clock only if it was uneven", v)
				}
			})
		})
	}
}
