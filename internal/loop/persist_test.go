package loop_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
)

func TestFaultThatNeverClears(t *testing.T) {
	tests := []struct {
		name    string
		books   []string
		effects []string // undos included
	}{
		{"one plan is tried again", []string{"restart"}, []string{
			"fix.restart service/cart", "fix.restart service/cart", "fix.restart service/cart",
		}},
		{"tiers go in order", []string{"rebuild", "scale", "restart"}, []string{
			"fix.restart service/cart", "fix.scale service/cart", "fix.unscale service/cart", "fix.rebuild service/cart",
		}},
		{"each ineffective attempt is rolled back", []string{"scale"}, []string{
			"fix.scale service/cart", "fix.unscale service/cart",
			"fix.scale service/cart", "fix.unscale service/cart",
			"fix.scale service/cart", "fix.unscale service/cart",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, tt.books, func(t *testing.T, r *rig) {
				r.world.breaks("", "cart")
				r.accept(down("cart"))
				inc := r.untilCase(heal.CaseEscalated)
				r.until("the last undo", func() bool { return len(r.world.done()) >= len(tt.effects) })
				if diff := cmp.Diff(r.world.done(), tt.effects); diff != "" {
					t.Errorf("effects (-got +want):\n%s", diff)
				}
				if len(inc.Attempts) != 3 {
					t.Fatalf("attempts: got %d, want 3:\n%s", len(inc.Attempts), r.dump())
				}
				for i, wait := range []time.Duration{time.Minute, 2 * time.Minute} {
					before, next := inc.Attempts[i], inc.Attempts[i+1]
					if before.Result != heal.AttemptIneffective {
						t.Errorf("attempt %d: got %s, want ineffective", before.N, before.Result)
					}
					if gap := next.StartedAt.Sub(before.EndedAt); gap < wait || gap > wait+10*time.Second {
						t.Errorf("attempt %d: began %s after the one before, want %s", next.N, gap, wait)
					}
				}
				if want := "3 attempts were made and the limit is 3"; inc.Outcome != want {
					t.Errorf("outcome: got %q, want %q", inc.Outcome, want)
				}
				r.until("the word to a person", func() bool { return len(r.phone.texts(heal.Critical)) == 1 })
				text := r.phone.texts(heal.Critical)[0]
				for _, part := range []string{"needs a person", "Most likely cause: process_down on service/cart", "Attempt 1", "Attempt 2", "Attempt 3, ", "ineffective"} {
					if !strings.Contains(text, part) {
						t.Errorf("message: got %q, want it to say %q", text, part)
					}
				}
			})
		})
	}
}

func TestPlanThatIsTriedAgainSaysSo(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.world.breaks("", "cart")
		r.accept(down("cart"))
		r.until("the second attempt", func() bool {
			list := r.cases()
			return len(list) == 1 && len(list[0].Attempts) == 2
		})
		reasons := r.cases()[0].Decision.Reasons
		if !slices.ContainsFunc(reasons, func(x heal.Reason) bool { return x.Code == "tried_again" }) {
			t.Errorf("reasons: got %+v, want tried_again among them", reasons)
		}
	})
}

func TestThirdAttemptMayHeal(t *testing.T) {
	inRig(t, []string{"restart", "scale", "rebuild"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.rebuild", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseHealed)
		if want := "rebuild on service/cart healed it in attempt 3"; inc.Outcome != want {
			t.Errorf("outcome: got %q, want %q", inc.Outcome, want)
		}
		got := map[string]int{}
		for _, k := range all(r, loop.KnowledgeKind) {
			got[k.Playbook] = k.Successes*10 + k.Uses
		}
		if diff := cmp.Diff(got, map[string]int{"restart": 1, "scale": 1, "rebuild": 11}); diff != "" {
			t.Errorf("successes and uses (-got +want):\n%s", diff)
		}
	})
}

func TestResolvedBetweenAttempts(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.world.breaks("", "cart")
		r.accept(down("cart"))
		r.until("the first attempt to end", func() bool {
			list := r.cases()
			return len(list) == 1 && list[0].State == heal.CaseDiagnosing && len(list[0].Attempts) == 1
		})
		r.accept(over(down("cart")))
		inc := r.untilCase(heal.CaseClosed)
		if !strings.Contains(inc.Outcome, "this was not verified") {
			t.Errorf("outcome: got %q, want it to say that nothing was verified", inc.Outcome)
		}
	})
}

func TestDeadPhoneHoldsUpNothing(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.phone.kill(true)
		services := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"}
		r.world.breaks("fix.restart", services...)
		for _, s := range services {
			r.accept(down(s))
		}
		healed := func() bool {
			list := r.cases()
			return len(list) == len(services) && !slices.ContainsFunc(list, func(i heal.Incident) bool { return i.State != heal.CaseHealed })
		}
		r.until("every case to heal", healed)
		r.halt() // what is owed by cases that have ended must outlive a restart
		r.open(-1)
		r.start()
		r.phone.kill(false)
		r.until("every message", func() bool { return len(r.phone.texts(heal.Info)) >= 2*len(services) })
		r.pass(time.Minute)
		if n := len(r.phone.texts(heal.Info)); n != 2*len(services) {
			t.Errorf("messages: got %d, want %d", n, 2*len(services))
		}
	})
}
