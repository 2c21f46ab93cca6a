package guard_test

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// hand is a clock that a test moves.
type hand struct{ by time.Duration }

func (h *hand) Moved() (time.Duration, time.Time) {
	if h.by == 0 {
		return 0, time.Time{}
	}
	return h.by, now.Add(-time.Minute)
}

// TestMovedClockHoldsBack: while the clock is moved a run does not begin, spends
// nothing, and begins by itself once the clock is right.
func TestMovedClockHoldsBack(t *testing.T) {
	db, clock := open(t), &hand{by: time.Hour}
	l := guard.DefaultLimits()
	l.Clock = clock
	ask := func(req guard.Request, at time.Time) (v guard.Verdict) {
		update(t, db, func(tx store.Tx) (err error) { v, _, err = guard.Reserve(tx, req, "task", l, at); return err })
		return v
	}
	req := of("r1", "c1", "service/cart", "cart")
	for range 3 {
		if v := ask(req, now); v.Rule != guard.RuleClock || !v.Retry.Equal(now.Add(time.Second)) || !v.Page || v.Pause {
			t.Errorf("moved: got %+v, want it held back by the clock, to be asked again in 1 s, and a page", v)
		}
	}
	var refusals []guard.Refusal
	var e guard.Explanation
	err := db.View(t.Context(), func(r store.Reader) (err error) {
		if refusals, err = guard.Refusals(r, "r1"); err != nil {
			return err
		}
		e, err = guard.Explain(r, req, l, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(refusals) != 1 || refusals[0].Rule != guard.RuleClock {
		t.Errorf("refusals: got %+v, want one by the clock", refusals)
	}
	if e.Verdict.Rule != guard.RuleClock {
		t.Errorf("explained: got %q, want the clock", e.Verdict.Rule)
	}
	clock.by = 0
	if v := ask(req, now); !v.Allowed() {
		t.Errorf("right again: got %+v, want it allowed", v)
	}
	clock.by = -time.Hour
	if v := ask(req, now); !v.Allowed() {
		t.Errorf("a later touch of a run under way: got %+v, want it allowed", v)
	}
	if v := ask(of("r2", "c2", "service/payment", "payment"), now); v.Rule != guard.RuleClock {
		t.Errorf("another run: got %+v, want it held back by the clock", v)
	}
}

// TestMovedClockPagesOnce: cases of all scopes wait for one clock, and one word
// is enough.
func TestMovedClockPagesOnce(t *testing.T) {
	db := open(t)
	h := guard.History{Moved: guard.Move{By: time.Hour, Since: now}}
	for i, scope := range []heal.Scope{heal.DefaultScope, {Tenant: "other"}} {
		req := request()
		req.Scope = scope
		v := guard.Judge(req, h, guard.DefaultLimits(), now)
		for j, v := range []guard.Verdict{v, guard.Recall(v.Reason, scope)} {
			var told bool
			update(t, db, func(tx store.Tx) (err error) { told, err = guard.Page(tx, v, now); return err })
			if want := i+j == 0; told != want {
				t.Errorf("scope %s, verdict %d: told %t, want %t", scope, j, told, want)
			}
		}
	}
}
