package loop_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, loop.Options{Backlog: 3})
		defer r.close()
		for range 3 {
			r.accept(down("cart"))
		}
		err := r.loop.Accept(context.Background(), "test", []heal.Alert{down("cart")})
		if !heal.Is(err, heal.Transient) {
			t.Fatalf("got %v, want kind transient", err)
		}
		r.start()
		r.until("the backlog to be worked off", func() bool { return r.loop.Backlog() == 0 })
		r.accept(down("cart"))
		r.until("all alerts", func() bool {
			list := all(r, store.AlertKind)
			return len(list) == 1 && list[0].Count == 4
		})
	})
}

func TestAcceptRefusesWhatCannotBeKept(t *testing.T) {
	tests := []struct {
		name   string
		change func(*heal.Alert)
		says   string
	}{
		{"no fingerprint", func(a *heal.Alert) { a.Fingerprint = "" }, "no fingerprint"},
		{"NUL in the name", func(a *heal.Alert) { a.Name = "a\x00b" }, "the name has a NUL"},
		{"endless service", func(a *heal.Alert) { a.ServiceName = strings.Repeat("x", 1<<20) }, "the service has 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(t *testing.T, r *rig) {
				bad := down("cart")
				tt.change(&bad)
				err := r.loop.Accept(context.Background(), "test", []heal.Alert{down("a"), bad})
				if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "alert 2 of 2") {
					t.Errorf("got %v, want kind invalid that says %q of alert 2", err, tt.says)
				}
				if n := r.loop.Backlog(); n != 0 {
					t.Errorf("backlog: got %d, want 0", n)
				}
			})
		})
	}
}

func TestAlertsWithoutScopeTakeTheInstallations(t *testing.T) {
	home := heal.Scope{Tenant: "acme", Env: "prod", Cluster: "eu"}
	inRigOf(t, nil, loop.Options{Scope: home}, func(t *testing.T, r *rig) {
		a := down("cart")
		a.Scope = heal.Scope{Service: "cart"}
		r.accept(a)
		inc := r.untilCase(heal.CaseEscalated)
		if diff := cmp.Diff(inc.Scope, home.WithService("cart")); diff != "" {
			t.Errorf("scope (-got +want):\n%s", diff)
		}
	})
}

func TestFullDiskLosesNothing(t *testing.T) {
	tests := []struct {
		name  string
		state heal.CaseState // the disk fills up when the case has come so far; "": before it has begun
	}{
		{"before the alert is taken", ""},
		{"while it settles", heal.CaseOpen},
		{"while it verifies", heal.CaseVerifying},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
				r.world.breaks("fix.restart", "cart")
				r.accept(down("cart"))
				if tt.state != "" {
					r.untilCase(tt.state)
				}
				r.disk.fill(true)
				if err := r.loop.Accept(context.Background(), "test", []heal.Alert{down("other")}); !heal.Is(err, heal.Transient) {
					t.Errorf("accept on a full disk: got %v, want kind transient", err)
				}
				r.pass(5 * time.Minute)
				r.disk.fill(false)
				inc := r.untilCase(heal.CaseHealed)
				if len(inc.Attempts) != 1 || len(r.world.done()) != 1 {
					t.Errorf("got %d attempts and %d effects, want 1 and 1", len(inc.Attempts), len(r.world.done()))
				}
				if n := r.loop.Backlog(); n != 0 {
					t.Errorf("backlog: got %d, want 0: what was refused does not wait", n)
				}
			})
		})
	}
}

func TestClockThatJumps(t *testing.T) {
	tests := []struct {
		name  string
		jump  time.Duration
		state heal.CaseState // of the case when it jumps
		cured bool
		want  []heal.CaseState // any of them
	}{
		// After a step forward no sample of the window can come any more.
		{"forward while verifying, cured", time.Hour, heal.CaseVerifying, true, []heal.CaseState{heal.CaseEscalated}},
		{"forward while verifying", time.Hour, heal.CaseVerifying, false, []heal.CaseState{heal.CaseEscalated}},
		{"forward while open, cured", time.Hour, heal.CaseOpen, true, []heal.CaseState{heal.CaseHealed}},
		{"forward while open", time.Hour, heal.CaseOpen, false, []heal.CaseState{heal.CaseEscalated}},
		// After a step back the window comes again, an hour later.
		{"back while verifying, cured", -time.Hour, heal.CaseVerifying, true, []heal.CaseState{heal.CaseHealed, heal.CaseEscalated}},
		{"back while verifying", -time.Hour, heal.CaseVerifying, false, []heal.CaseState{heal.CaseEscalated}},
		{"back while open", -time.Hour, heal.CaseOpen, false, []heal.CaseState{heal.CaseEscalated}},
		{"back a little while verifying, cured", -2 * time.Second, heal.CaseVerifying, true, []heal.CaseState{heal.CaseHealed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
				r.history("cart") // an hour ago, all was well
				cure := ""
				if tt.cured {
					cure = "fix.restart"
				}
				r.world.breaks(cure, "cart")
				r.accept(down("cart"))
				r.untilCase(tt.state)
				before := r.disk.count()
				r.skew.Store(int64(tt.jump))
				var inc heal.Incident
				r.until("the case to settle", func() bool { inc = r.cases()[0]; return inc.State.Settled() })
				if !slices.Contains(tt.want, inc.State) {
					t.Errorf("got %s, want any of %v:\n%s", inc.State, tt.want, r.dump())
				}
				if n := r.disk.count() - before; n > 40 {
					t.Errorf("commits after the jump: got %d, want few", n)
				}
			})
		})
	}
}

func TestNothingHealsByHistoryAfterTheClockWentBack(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.history("cart")
		r.skew.Store(int64(-time.Hour))
		r.pass(time.Minute)
		r.world.breaks("", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseEscalated)
		if got := inc.Attempts[0].Result; got == heal.AttemptHealed {
			t.Errorf("attempt: got %s by samples from before the action", got)
		}
	})
}

func TestNewCaseAfterTheClockWentBack(t *testing.T) {
	inRig(t, []string{"restart"}, func(_ *testing.T, r *rig) {
		r.history("cart")
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		r.untilCase(heal.CaseVerifying)
		r.skew.Store(int64(-time.Hour))
		r.world.breaks("fix.restart", "other")
		r.accept(down("other"))
		r.until("the other case to heal", func() bool {
			for _, inc := range r.cases() {
				if inc.Members[0].Fault.Key.Entity == "service/other" && inc.State == heal.CaseHealed {
					return true
				}
			}
			return false
		})
	})
}
