//go:build e2e

package e2e_test

import (
	"testing"
	"time"
)

// TestE2EWatchOnly plays faults in a shop without any rule or monitor: what is
// watched without a rule must open no case while all is well, find the fault, and
// give the loop what it needs to heal it and to see that it is healed.
func TestE2EWatchOnly(t *testing.T) {
	for fault, want := range map[string]verdict{
		"slow":  {Cause: "service/inventory", Pattern: "pool_exhausted", Playbook: "relieve-exhausted-pool", Verdict: "cleared"},
		"crash": {Cause: "service/payment", Pattern: "process_down", Playbook: "restart-crashed-service", Verdict: "cleared"},
	} {
		t.Run(fault, func(t *testing.T) {
			const within = 4 * time.Minute // learning, a diagnosis from little, and a second attempt included
			code, stdout, stderr := runIn(t, t.TempDir(), within, "demo", "--once", "--json", "--watch-only", "--fault", fault)
			if code != 0 {
				t.Fatalf("exit code: got %d, want 0\n%s%s", code, tail(stdout), tail(stderr))
			}
			found := verdicts(t, stdout)
			if len(found) != 1 {
				t.Fatalf("verdicts: got %+v, want one", found)
			}
			t.Logf("noticed after %.1f s, healed after %.1f s in %d attempts", found[0].MTTD, found[0].MTTR, found[0].Attempts)
			got := bare(found)[0]
			got.Attempts = 0
			if got != want {
				t.Errorf("verdict: got %+v, want %+v", got, want)
			}
		})
	}
}
