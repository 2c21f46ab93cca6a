package loop_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// ending is what must be the same however often the server died on the way.
type ending struct {
	State    heal.CaseState
	Attempts []heal.AttemptResult
	Runs     int
	Effects  []string
	Outcomes int
	Uses     int // of what is known
	Alerts   int // deliveries counted
	Told     map[string]bool
	Left     int // rows handed over and never taken
}

func (r *rig) ending() ending {
	r.t.Helper()
	list := r.cases()
	if len(list) != 1 {
		r.t.Fatalf("cases: got %d, want 1", len(list))
	}
	e := ending{State: list[0].State, Runs: len(r.runs()), Effects: r.world.done(), Outcomes: len(all(r, store.OutcomeKind)), Told: map[string]bool{}}
	for _, a := range list[0].Attempts {
		e.Attempts = append(e.Attempts, a.Result)
	}
	for _, k := range all(r, loop.KnowledgeKind) {
		e.Uses += k.Uses
	}
	for _, a := range all(r, store.AlertKind) {
		e.Alerts += a.Count
	}
	for _, s := range []heal.Severity{heal.Info, heal.Critical} {
		for _, text := range r.phone.texts(s) {
			what, _, _ := strings.Cut(text, ", verified;") // the duration after it may differ
			e.Told[what] = true
		}
	}
	r.view(func(v store.Reader) error {
		for _, table := range []store.Table{store.Deliveries, store.Faults, store.Steps} {
			n, err := v.Count(table)
			if err != nil {
				return err
			}
			e.Left += int(n)
		}
		return nil
	})
	return e
}

// lived plays one case to its end. With a crash after so many commits the
// server is stopped there and started again; crashed is false if the case took
// fewer.
func lived(t *testing.T, cure string, books []string, commits int, silent bool) (got ending, took int, crashed bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, books, loop.Options{})
		defer r.close()
		r.world.breaks(cure, "cart")
		r.accept(down("cart")) // it was answered: nothing of it may be lost from here on
		r.halt()
		r.open(commits)
		r.disk.silent = silent
		r.start()
		if commits > 0 {
			select {
			case <-r.disk.crashed:
				crashed = true
			case <-time.After(10 * time.Minute): // the case took fewer
			}
		}
		if crashed {
			r.halt()
			r.open(-1)
			r.start()
		}
		r.until("the case to end", func() bool {
			list := r.cases()
			return len(list) == 1 && list[0].State.Settled() && len(list[0].Owed) == 0
		})
		r.pass(2 * time.Minute) // nothing may come after the end
		got, took = r.ending(), r.disk.count()
	})
	return got, took, crashed
}

func TestCrashAfterEveryCommit(t *testing.T) {
	tests := []struct {
		name  string
		cure  string
		books []string
	}{
		{"healed at once", "fix.restart", []string{"restart"}},
		{"rolled back, then healed", "fix.rebuild", []string{"scale", "rebuild"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want, commits, _ := lived(t, tt.cure, tt.books, -1, false)
			if want.Left != 0 {
				t.Fatalf("left over: got %d rows, want none", want.Left)
			}
			for _, silent := range []bool{false, true} {
				for n := 1; n <= commits; n++ {
					name := fmt.Sprintf("dies before commit %d", n+1)
					if silent {
						name = fmt.Sprintf("dies in commit %d", n)
					}
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						got, _, crashed := lived(t, tt.cure, tt.books, n, silent)
						if !crashed {
							t.Skip("the case took fewer commits")
						}
						if diff := cmp.Diff(got, want); diff != "" {
							t.Errorf("(-got +want):\n%s", diff)
						}
					})
				}
			}
		})
	}
}
