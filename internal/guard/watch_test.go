package guard_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// halls pauses runs in the store, as the engine does, and says which.
type halls struct {
	db     *sqlite.DB
	mu     sync.Mutex
	paused []heal.RunID
	heard  chan heal.RunID
}

func (h *halls) Pause(ctx context.Context, id heal.RunID, _, _ string) error {
	err := h.db.Update(ctx, func(tx store.Tx) error {
		run, err := store.RunKind.Get(tx, string(id))
		if err != nil {
			return err
		}
		if run.Value.State != heal.RunRunning {
			return heal.Errorf(heal.Conflict, "pause", "it is %s", run.Value.State)
		}
		run.Value.State = heal.RunPaused
		_, err = store.RunKind.Put(tx, &run.Value, run.Revision)
		return err
	})
	if err == nil {
		h.mu.Lock()
		h.paused = append(h.paused, id)
		h.mu.Unlock()
		h.heard <- id
	}
	return err
}

func TestWatchPausesWhatASwitchReaches(t *testing.T) {
	db := open(t)
	run := func(id, service string, state heal.RunState) {
		r := heal.Run{ID: heal.RunID(id), Scope: heal.DefaultScope.WithService(service), Target: heal.ServiceID(service), Playbook: "p", State: state, CreatedAt: now}
		update(t, db, func(tx store.Tx) error { _, err := store.RunKind.Put(tx, &r, store.Any); return err })
	}
	turn := func(scope heal.Scope, on bool) {
		update(t, db, func(tx store.Tx) error {
			return guard.Turn(tx, guard.Switch{Scope: scope, On: on, By: "ada", Why: "test", At: now})
		})
	}
	run("early", "cart", heal.RunRunning)
	run("ended", "cart", heal.RunSucceeded)
	run("waiting", "cart", heal.RunWaiting)
	run("elsewhere", "payment", heal.RunRunning)
	turn(heal.DefaultScope.WithService("cart"), true) // before the watch begins

	h := &halls{db: db, heard: make(chan heal.RunID, 10)}
	w := guard.Watch{Store: db, Runs: h, Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	next := func(want ...heal.RunID) {
		t.Helper()
		var got []heal.RunID
		for range want {
			select {
			case id := <-h.heard:
				got = append(got, id)
			case <-time.After(10 * time.Second):
				t.Fatalf("paused %v, want %v", got, want)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %v paused, want %v", got, want)
		}
	}
	next("early")
	turn(heal.DefaultScope.WithService("cart"), false)
	run("late", "cart", heal.RunRunning)
	turn(heal.Scope{}, true)
	next("elsewhere", "late")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var refused []guard.Refusal
	err := db.View(t.Context(), func(r store.Reader) (err error) { refused, err = guard.Refusals(r, "early"); return err })
	if err != nil || len(refused) != 1 || refused[0].Rule != guard.RuleSwitch {
		t.Errorf("record: got %+v, %v, want one refusal by the kill switch", refused, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.paused) != 3 {
		t.Errorf("paused: got %v, want three", h.paused)
	}
}

func TestExplainTellsEveryRule(t *testing.T) {
	db := open(t)
	l := limitsWith(cluster(20, 12))
	x := guard.Explainer{
		Store: db, Limits: l, Clock: func() time.Time { return now },
		Scope: func(id heal.EntityID) heal.Scope { return heal.DefaultScope.WithService(id.Name()) },
	}
	e, err := x.Explain(t.Context(), "service/s0", "")
	if err != nil {
		t.Fatal(err)
	}
	if e.Verdict.Rule != guard.RuleStorm || len(e.Scopes) != 2 || e.Scopes[1].Bad != 12 || e.Scopes[1].Instances != 20 {
		t.Errorf("got %q with %+v, want the storm and its numbers", e.Verdict.Rule, e.Scopes)
	}
	var order []guard.Rule
	for _, f := range e.Rules {
		order = append(order, f.Rule)
		if f.Reason.Text == "" || f.Allows == (f.Rule == guard.RuleStorm) {
			t.Errorf("%s: got %+v, want all but the storm to allow it, each with a text", f.Rule, f)
		}
	}
	want := []guard.Rule{
		guard.RuleTarget, guard.RuleSwitch, guard.RuleClock, guard.RuleImpact, guard.RuleBreaker, guard.RuleStorm, guard.RuleFreeze, guard.RuleAttempts, guard.RuleSpacing,
		guard.RuleCooldown, guard.RuleSmall, guard.RuleBlast, guard.RuleQuota, guard.RuleLease,
	}
	if !slices.Equal(order, want) {
		t.Errorf("order: got %v, want %v", order, want)
	}

	case1 := heal.Incident{ID: "c9", Scope: heal.DefaultScope, State: heal.CaseDiagnosing, Cause: "service/s1", Attempts: make([]heal.Attempt, 1), UpdatedAt: now}
	update(t, db, func(tx store.Tx) error { _, err := store.IncidentKind.Put(tx, &case1, store.Any); return err })
	if e, err = x.Explain(t.Context(), "service/s1", ""); err != nil || e.Of != "c9" || e.Request.Attempt != 2 {
		t.Errorf("with an open case: got case %q attempt %d, %v, want c9 and its second", e.Of, e.Request.Attempt, err)
	}
}
