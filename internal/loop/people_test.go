package loop_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

func TestAsk(t *testing.T) {
	tests := []struct {
		name    string
		answer  string // "": nobody answers
		over    bool   // its source resolves it before the answer
		end     heal.CaseState
		result  heal.AttemptResult
		effects int
		story   string
	}{
		{"approved", heal.Approved, false, heal.CaseHealed, heal.AttemptHealed, 1, "person: approved by ada: go"},
		{"denied", heal.DeniedBy, false, heal.CaseEscalated, heal.AttemptDenied, 0, "person: denied by ada: go"},
		{"expired", "", false, heal.CaseEscalated, heal.AttemptDenied, 0, "silence means no"},
		{"expired, cleared meanwhile", "", true, heal.CaseClosed, heal.AttemptDenied, 0, "it cleared by itself before anything was done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRigOf(t, []string{"ask"}, loop.Options{Approval: 5 * time.Minute}, func(t *testing.T, r *rig) {
				r.world.breaks("fix.restart", "cart")
				r.accept(down("cart"))
				inc := r.untilCase(heal.CaseWaiting)
				r.until("the question", func() bool { return len(r.phone.texts(heal.Critical)) == 1 })
				if q := r.phone.texts(heal.Critical)[0]; !strings.Contains(q, "run ask on service/cart?") {
					t.Errorf("question: got %q", q)
				}
				asked := r.clock()
				if tt.over {
					r.accept(over(down("cart")))
				}
				if tt.answer != "" {
					if err := r.engine.Answer(context.Background(), inc.Attempts[0].RunID, engine.Answered{Answer: tt.answer, By: "ada", As: []string{"ada", "approver"}, Note: "go"}); err != nil {
						t.Fatal(err)
					}
				}
				inc = r.untilCase(tt.end)
				if got := inc.Attempts[0].Result; got != tt.result {
					t.Errorf("attempt: got %s, want %s", got, tt.result)
				}
				if n := len(r.world.done()); n != tt.effects {
					t.Errorf("effects: got %d, want %d", n, tt.effects)
				}
				if tt.answer == "" && r.clock().Sub(asked) < 5*time.Minute-time.Second {
					t.Errorf("waited %s for an answer, want 5 min", r.clock().Sub(asked))
				}
				r.wantStory(inc.ID, "decide: attempt 1: ask to run ask", tt.story)
			})
		})
	}
}

func TestObserveRunsDryOnly(t *testing.T) {
	inRig(t, []string{"watch"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseEscalated)
		runs := r.runs()
		if len(runs) != 1 || !runs[0].DryRun || runs[0].Tasks[0].Preview != "would do fix.restart on service/cart" {
			t.Errorf("runs: got %+v, want one dry run with its preview", runs)
		}
		if diff := cmp.Diff(r.world.done(), []string(nil)); diff != "" {
			t.Errorf("effects (-got +want):\n%s", diff)
		}
		if inc.Decision.Verb != heal.VerbObserve || !strings.Contains(inc.Outcome, "only trusted to be observed") {
			t.Errorf("got verb %s, outcome %q", inc.Decision.Verb, inc.Outcome)
		}
	})
}

func (r *rig) turn(on bool) {
	r.t.Helper()
	s := guard.Switch{On: on, By: "ada", Why: "a freeze", At: r.clock()}
	if err := r.db.Update(context.Background(), func(tx store.Tx) error { return guard.Turn(tx, s) }); err != nil {
		r.t.Fatal(err)
	}
}

func TestKillSwitchHoldsAndLetsGo(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.turn(true)
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		r.until("the case to be held", func() bool {
			list := r.cases()
			return len(list) == 1 && list[0].Held == string(guard.RuleSwitch)
		})
		before := r.disk.count()
		r.pass(5 * time.Minute)
		if n := r.disk.count() - before; n != 0 {
			t.Errorf("writes while held: got %d, want none", n)
		}
		if n := len(r.world.done()); n != 0 {
			t.Errorf("effects while held: got %d, want none", n)
		}
		released := r.clock()
		r.turn(false)
		inc := r.untilCase(heal.CaseHealed)
		if began := inc.Attempts[0].StartedAt.Sub(released); began > 3*time.Second {
			t.Errorf("began %s after the release, want at most 3 s", began)
		}
		r.wantStory(inc.ID, "held back: the kill switch for everything was turned on by ada", "attempt 1: run restart")
	})
}

func TestPersonEndsACase(t *testing.T) {
	tests := []struct {
		name  string
		state heal.CaseState // when the person speaks
		end   func(r *rig, id heal.IncidentID) error
		kind  heal.Kind // of the answer; Internal: none
		want  heal.CaseState
	}{
		{"closes while it verifies", heal.CaseVerifying, func(r *rig, id heal.IncidentID) error {
			return r.loop.Close(context.Background(), id, "ada", "seen to")
		}, heal.Internal, heal.CaseClosed},
		{"takes it while it verifies", heal.CaseVerifying, func(r *rig, id heal.IncidentID) error {
			return r.loop.Escalate(context.Background(), id, "ada", "mine")
		}, heal.Internal, heal.CaseEscalated},
		{"cannot close a healed case", heal.CaseHealed, func(r *rig, id heal.IncidentID) error {
			return r.loop.Close(context.Background(), id, "ada", "late")
		}, heal.Conflict, heal.CaseHealed},
		{"notes something on a healed case", heal.CaseHealed, func(r *rig, id heal.IncidentID) error {
			return r.loop.Note(context.Background(), id, "ada", "it was the disk")
		}, heal.Internal, heal.CaseHealed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
				r.world.breaks("fix.restart", "cart")
				r.accept(down("cart"))
				inc := r.untilCase(tt.state)
				err := tt.end(r, inc.ID)
				if tt.kind == heal.Internal && err != nil || tt.kind != heal.Internal && !heal.Is(err, tt.kind) {
					t.Fatalf("got %v", err)
				}
				got := r.untilCase(tt.want)
				if got.Attempts[0].Result == heal.AttemptRunning {
					t.Error("the attempt is still running, want it ended")
				}
				r.pass(3 * time.Minute)
				if again := r.untilCaseN(0, tt.want); len(again.Attempts) != 1 {
					t.Errorf("attempts: got %d, want 1", len(again.Attempts))
				}
			})
		})
	}
}

func TestCloseIsRefusedWhileARunIsUnderWay(t *testing.T) {
	inRig(t, []string{"ask"}, func(t *testing.T, r *rig) {
		r.world.breaks("fix.restart", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseWaiting)
		if err := r.loop.Close(context.Background(), inc.ID, "ada", "no"); !heal.Is(err, heal.Conflict) {
			t.Errorf("got %v, want a conflict", err)
		}
	})
}

func TestNoToATaskEndsAutomation(t *testing.T) {
	tests := []struct {
		name    string
		book    string
		answer  func(r *rig, run heal.RunID) error // nil: nobody answers
		effects int
	}{
		{"a task is denied", "confirm", func(r *rig, run heal.RunID) error {
			return r.engine.Answer(context.Background(), run, engine.Answered{Task: "restart", Answer: heal.DeniedBy, By: "ada", As: []string{"ada", "approver"}})
		}, 0},
		{"nobody confirms a task", "confirm", nil, 0},
		{"nobody knows what became of an action", "lost", nil, 1},
		{"a run is cancelled", "confirm", func(r *rig, run heal.RunID) error {
			return r.engine.Cancel(context.Background(), run, "ada", "not now")
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, []string{tt.book}, func(t *testing.T, r *rig) {
				r.world.breaks("", "cart")
				r.accept(down("cart"))
				r.until("a question", func() bool {
					runs := r.runs()
					return len(runs) == 1 && runs[0].Tasks[0].Approval != nil
				})
				if tt.answer != nil {
					if err := tt.answer(r, r.runs()[0].ID); err != nil {
						t.Fatal(err)
					}
				}
				inc := r.untilCase(heal.CaseEscalated)
				if got := inc.Attempts[0].Result; got != heal.AttemptDenied {
					t.Errorf("attempt: got %s, want denied", got)
				}
				if n := len(all(r, loop.KnowledgeKind)); n != 0 {
					t.Error("knowledge: got some, want none: a no is not the plan's failure")
				}
				r.pass(5 * time.Minute)
				if runs, effects := len(r.runs()), len(r.world.done()); runs != 1 || effects != tt.effects {
					t.Errorf("got %d runs and %d effects, want 1 and %d", runs, effects, tt.effects)
				}
			})
		})
	}
}
