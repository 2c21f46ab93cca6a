package loop_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/verify"
)

func TestHealsAndWritesDownWhy(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseHealed)

		if diff := cmp.Diff(r.world.done(), []string{"fix.restart service/cart"}); diff != "" {
			t.Errorf("effects (-got +want):\n%s", diff)
		}
		r.wantStory(inc.ID,
			"sense: rules:", "analyse: cause: process_down on service/cart", "decide: attempt 1: run restart on service/cart",
			"act: Restart it (fix.restart): succeeded", "verify: restart is done", "verify: watching until",
			"verify: cleared", "learn: restart against process_down: 1 of 1 uses healed")
		outcomes := all(r, store.OutcomeKind)
		if len(outcomes) != 1 || outcomes[0].Result != heal.AttemptHealed || outcomes[0].Effectiveness != 1 || outcomes[0].Pattern != heal.PatternProcessDown {
			t.Errorf("outcomes: got %+v, want one that healed process_down", outcomes)
		}
		known := all(r, loop.KnowledgeKind)
		if len(known) != 1 || known[0].Uses != 1 || known[0].Successes != 1 {
			t.Errorf("knowledge: got %+v, want one success", known)
		}
		r.until("the message that it is healed", func() bool { return len(r.phone.texts(heal.Info)) == 2 })
		if n := len(all(r, store.DecisionKind)); n != 1 {
			t.Errorf("decisions: got %d, want 1", n)
		}
	})
}

func TestTargetRestsAfterAHeal(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		healed := r.untilCase(heal.CaseHealed)
		r.accept(over(down("cart")))

		r.world.breaks("fix.restart", "cart")
		again := down("cart")
		again.Timestamp = r.clock().Add(time.Second) // it fires anew
		r.pass(time.Minute)
		r.accept(again)
		inc := r.untilCase(heal.CaseEscalated)
		if inc.ID == healed.ID {
			t.Fatalf("got the healed case again, want a new one")
		}
		free := healed.EndedAt.Add(10 * time.Minute).UTC().Format(time.RFC3339)
		if !strings.Contains(inc.Outcome, "rests until "+free) {
			t.Errorf("outcome: got %q, want it to say that it rests until %s", inc.Outcome, free)
		}
		if n := len(r.world.done()); n != 1 {
			t.Errorf("effects: got %d, want 1", n)
		}
		if len(inc.Attempts) != 0 {
			t.Errorf("attempts: got %d, want none", len(inc.Attempts))
		}
	})
}

func TestTelemetryCutRightAfterActing(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.restart", "cart")
		r.world.onAct = func() { r.world.mute = true }
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseEscalated)
		if got := inc.Attempts[0].Result; got != heal.AttemptUnknown {
			t.Errorf("attempt: got %s, want unknown", got)
		}
		if v := inc.Verification; v == nil || v.Verdict != heal.Unclear {
			t.Errorf("verification: got %+v, want unknown", v)
		}
		if len(all(r, loop.KnowledgeKind)) != 0 {
			t.Error("knowledge: got some, want none: what is unknown teaches nothing")
		}
		r.accept(over(down("cart"))) // the rule sees no samples any more
		r.until("the word of the source", func() bool {
			_, ok := holdsOrder(r.story(inc.ID), "a person has to close it")
			return ok
		})
		if got := r.untilCase(heal.CaseEscalated); got.ID != inc.ID {
			t.Errorf("got case %s, want %s", got.ID, inc.ID)
		}
	})
}

func TestSourceAloneHealsNothing(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.accept(bare("cart"))
		r.untilCase(heal.CaseVerifying)
		r.accept(over(bare("cart")))
		inc := r.untilCase(heal.CaseEscalated)
		if got := inc.Verification.Reasons[0].Code; got != "source_alone" {
			t.Errorf("reason: got %s, want source_alone", got)
		}
		if got := inc.Attempts[0].Result; got != heal.AttemptUnknown {
			t.Errorf("attempt: got %s, want unknown", got)
		}
	})
}

func TestProbeAnswersWhereThereIsNoCondition(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.board.probes["service/cart"] = func() verify.Probe {
			r.world.mu.Lock()
			defer r.world.mu.Unlock()
			return verify.Probe{Name: "cart-http", Healthy: !r.world.down["cart"], CheckedAt: r.clock(), Since: r.clock(), Error: "refused"}
		}
		r.world.breaks("fix.restart", "cart")
		r.accept(bare("cart"))
		inc := r.untilCase(heal.CaseHealed)
		if got := inc.Verification.Reasons[0].Code; got != "probe_healthy" {
			t.Errorf("reason: got %s, want probe_healthy", got)
		}
	})
}

func TestResolvedBeforeAnythingWasDone(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.accept(down("cart"))
		r.accept(over(down("cart")))
		inc := r.untilCase(heal.CaseClosed)
		if want := "it cleared by itself before anything was done"; inc.Outcome != want {
			t.Errorf("outcome: got %q, want %q", inc.Outcome, want)
		}
		if n := len(r.runs()); n != 0 {
			t.Errorf("runs: got %d, want none", n)
		}
	})
}

func TestEscalatedClosesWhenItsSourcesResolve(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.world.breaks("", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseEscalated)
		if want := "no playbook fits process_down on service/cart"; inc.Outcome != want {
			t.Errorf("outcome: got %q, want %q", inc.Outcome, want)
		}
		r.accept(over(down("cart")))
		r.untilCase(heal.CaseClosed)
	})
}

func TestSecondaryThatStillHoldsBecomesItsOwnCase(t *testing.T) {
	tests := []struct {
		name    string
		breaks  bool // the symptom is a fault of its own
		symptom heal.Alert
		late    bool // it is looked at anew only after the window of grouping
		cases   int
	}{
		{"its condition holds", true, down("frontend"), false, 2},
		{"its condition is false by now", false, down("frontend"), false, 1},
		{"its source alone can tell", true, bare("frontend"), true, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
				r.graph.Observe([]topology.Observation{{From: "service/frontend", To: "service/cart", Source: "spans", At: r.clock(), Calls: 10}}, r.clock())
				r.world.breaks("fix.restart", "cart", "frontend")
				if !tt.breaks {
					r.world.onAct = func() { r.world.down["frontend"] = false } // it only waited for cart
				}
				r.accept(down("cart"), tt.symptom)
				first := r.untilCaseN(0, heal.CaseHealed)
				healedAt := r.clock()
				if tt.cases == 1 {
					r.pass(6 * time.Minute)
					if n := len(r.cases()); n != 1 {
						t.Fatalf("cases: got %d, want 1; there is\n%s", n, r.dump())
					}
					return
				}
				second := r.untilCaseN(1, heal.CaseActing)
				if second.Members[0].Fault.Key.Entity != "service/frontend" {
					t.Errorf("second case: got %s, want service/frontend", second.Members[0].Fault.Key.Entity)
				}
				if waited := r.clock().Sub(healedAt); waited > 4*time.Minute != tt.late {
					t.Errorf("waited: got %s, want late to be %t", waited, tt.late)
				}
				if len(first.Members) != 1 {
					t.Errorf("first case: got %d faults, want 1", len(first.Members))
				}
			})
		})
	}
}

func TestCasesOfOneCauseMerge(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		// Nothing is known of how they hang together when the alerts come; then
		// both are found to come from cart.
		r.board.probes["service/cart"] = func() verify.Probe {
			return verify.Probe{Name: "cart-http", CheckedAt: r.clock(), Since: r.clock(), Error: "refused"}
		}
		r.world.breaks("fix.restart", "cart", "frontend", "mobile")
		r.accept(slow("frontend"), slow("mobile"))
		r.until("two cases", func() bool { return len(r.cases()) == 2 })
		r.graph.Observe([]topology.Observation{
			{From: "service/frontend", To: "service/cart", Source: "spans", At: r.clock(), Calls: 10},
			{From: "service/mobile", To: "service/cart", Source: "spans", At: r.clock(), Calls: 10},
		}, r.clock())
		r.until("one case closed, one acting", func() bool {
			list := r.cases()
			return list[0].State == heal.CaseClosed && list[1].State == heal.CaseVerifying || list[1].State == heal.CaseClosed && list[0].State == heal.CaseVerifying
		})
		r.pass(time.Minute)
		if diff := cmp.Diff(r.world.done(), []string{"fix.restart service/cart"}); diff != "" {
			t.Errorf("effects (-got +want):\n%s", diff)
		}
		if n := len(r.runs()); n != 1 {
			t.Errorf("runs: got %d, want 1", n)
		}
	})
}

func TestDuplicatesWhileVerifyingAttach(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		r.untilCase(heal.CaseVerifying)
		for range 100 {
			r.accept(down("cart"))
		}
		r.until("all duplicates", func() bool { return all(r, store.AlertKind)[0].Count == 101 })
		r.untilCase(heal.CaseHealed)
		if cases, runs := len(r.cases()), len(r.runs()); cases != 1 || runs != 1 {
			t.Errorf("got %d cases and %d runs, want 1 and 1", cases, runs)
		}
	})
}
