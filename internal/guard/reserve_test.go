package guard_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func reserve(t *testing.T, db *sqlite.DB, req guard.Request, at time.Time) (v guard.Verdict, epoch int64) {
	t.Helper()
	err := db.Update(context.Background(), func(tx store.Tx) error {
		verdict, grant, err := guard.Reserve(tx, req, "task", guard.DefaultLimits(), at)
		v, epoch = verdict, grant.Epoch
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return v, epoch
}

func update(t *testing.T, db *sqlite.DB, f func(store.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// of makes the first attempt of a run for a case on a target.
func of(run, incident string, target heal.EntityID, service string) guard.Request {
	r := request()
	r.Run, r.Incident, r.Attempt, r.Target, r.Scope = heal.RunID(run), heal.IncidentID(incident), 1, target, heal.DefaultScope.WithService(service)
	return r
}

func TestOnlyOneOfManyRunsWins(t *testing.T) {
	tests := []struct {
		name   string
		target func(i int) heal.EntityID
	}{
		{"one target", func(int) heal.EntityID { return "service/cart" }},
		{"one service, other instances", func(i int) heal.EntityID { return heal.EntityID(fmt.Sprintf("process/cart-%d", i)) }},
		{"a service and its instances", func(i int) heal.EntityID {
			if i%2 == 0 {
				return "service/cart"
			}
			return heal.EntityID(fmt.Sprintf("process/cart-%d", i))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			var wg sync.WaitGroup
			verdicts := make([]guard.Verdict, 16)
			for i := range verdicts {
				wg.Go(func() {
					verdicts[i], _ = reserve(t, db, of(fmt.Sprintf("r%d", i), fmt.Sprintf("c%d", i), tt.target(i), "cart"), now)
				})
			}
			wg.Wait()
			won := 0
			for i, v := range verdicts {
				if v.Allowed() {
					won++
				} else if v.Rule != guard.RuleLease || !v.Retry.Equal(now.Add(time.Second)) {
					t.Errorf("run %d: got %+v, want it refused by the lease, to be asked again in 1 s", i, v)
				}
			}
			if won != 1 {
				t.Errorf("got %d winners, want 1", won)
			}
		})
	}
}

func TestRunsOfOtherServicesDoNotWait(t *testing.T) {
	db := open(t)
	for _, service := range []string{"cart", "payment"} {
		if v, _ := reserve(t, db, of("r-"+service, "c-"+service, heal.ServiceID(service), service), now); !v.Allowed() {
			t.Errorf("%s: got %+v, want allowed", service, v)
		}
	}
}

func TestReserveAndRelease(t *testing.T) {
	db := open(t)
	first, second := of("r1", "c1", "service/cart", "cart"), of("r2", "c2", "service/cart", "cart")
	v, epoch := reserve(t, db, first, now)
	if !v.Allowed() || epoch != 1 {
		t.Fatalf("first: got %+v at epoch %d, want allowed at epoch 1", v, epoch)
	}
	if v, epoch = reserve(t, db, first, now.Add(time.Second)); !v.Allowed() || epoch != 1 {
		t.Errorf("a later step of the same run: got %+v at epoch %d, want allowed at epoch 1", v, epoch)
	}
	if v, _ = reserve(t, db, second, now.Add(time.Second)); v.Rule != guard.RuleLease {
		t.Errorf("second while the first holds: got %+v, want the lease", v)
	}
	update(t, db, func(tx store.Tx) error { return guard.Release(tx, "r1") })
	if v, epoch = reserve(t, db, second, now.Add(2*time.Second)); !v.Allowed() || epoch != 2 {
		t.Errorf("second after the release: got %+v at epoch %d, want allowed at epoch 2", v, epoch)
	}
}

func TestEndOfACaseCoolsItsTarget(t *testing.T) {
	db := open(t)
	update(t, db, func(tx store.Tx) error {
		return guard.EndCase(tx, "c1", "service/cart", heal.DefaultScope, now)
	})
	tests := []struct {
		name string
		req  guard.Request
		at   time.Duration
		rule guard.Rule
	}{
		{"another case at once", of("r2", "c2", "service/cart", "cart"), time.Second, guard.RuleCooldown},
		{"another case on another target", of("r3", "c3", "service/payment", "payment"), time.Second, ""},
		{"another case later", of("r4", "c4", "service/cart", "cart"), 10 * time.Minute, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v, _ := reserve(t, db, tt.req, now.Add(tt.at)); v.Rule != tt.rule {
				t.Errorf("got %+v, want rule %q", v, tt.rule)
			}
		})
	}
}

// TestLongRunIsNotJudgedAsNew goes on after the cooldown has forgotten its
// beginning.
func TestLongRunIsNotJudgedAsNew(t *testing.T) {
	db := open(t)
	req := of("r1", "c1", "service/cart", "cart")
	if v, _ := reserve(t, db, req, now); !v.Allowed() {
		t.Fatalf("got %+v, want allowed", v)
	}
	later := now.Add(time.Hour)
	update(t, db, func(tx store.Tx) error { return guard.EndCase(tx, "c0", "service/cart", heal.DefaultScope, later) })
	if v, _ := reserve(t, db, req, later.Add(time.Second)); !v.Allowed() {
		t.Errorf("got %+v, want allowed: the run began before", v)
	}
}

func TestRefusalIsARecord(t *testing.T) {
	db := open(t)
	update(t, db, func(tx store.Tx) error {
		return guard.Turn(tx, guard.Switch{On: true, By: "ada", Why: "a freeze", At: now})
	})
	for range 3 { // asked again and again, kept once
		reserve(t, db, of("r1", "c1", "service/cart", "cart"), now.Add(time.Minute))
	}
	var got []guard.Refusal
	err := db.View(t.Context(), func(r store.Reader) (err error) { got, err = guard.Refusals(r, "r1"); return err })
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Rule != guard.RuleSwitch || got[0].Target != "service/cart" || got[0].Task != "task" || !got[0].At.Equal(now.Add(time.Minute)) {
		t.Errorf("got %+v, want one refusal by the kill switch", got)
	}
}

func TestSwitchReachesItsScope(t *testing.T) {
	cart := heal.DefaultScope.WithService("cart")
	tests := []struct {
		name    string
		scope   heal.Scope
		on      bool
		refused bool
	}{
		{"everything", heal.Scope{}, true, true},
		{"the cluster", heal.DefaultScope, true, true},
		{"the service", cart, true, true},
		{"another service", heal.DefaultScope.WithService("payment"), true, false},
		{"another tenant", heal.Scope{Tenant: "other"}, true, false},
		{"off", heal.Scope{}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			update(t, db, func(tx store.Tx) error {
				return guard.Turn(tx, guard.Switch{Scope: tt.scope, On: tt.on, By: "ada", At: now})
			})
			v, _ := reserve(t, db, of("r1", "c1", "service/cart", "cart"), now)
			if got := !v.Allowed(); got != tt.refused {
				t.Errorf("got refused %t, want %t", got, tt.refused)
			}
		})
	}
}

func TestSwitchTurnedOffLetsGo(t *testing.T) {
	db := open(t)
	for _, on := range []bool{true, false} {
		update(t, db, func(tx store.Tx) error { return guard.Turn(tx, guard.Switch{On: on, By: "ada", At: now}) })
		if v, _ := reserve(t, db, of("r1", "c1", "service/cart", "cart"), now); v.Allowed() == on {
			t.Errorf("switch %t: got %+v", on, v)
		}
	}
	var switches []guard.Switch
	err := db.View(t.Context(), func(r store.Reader) (err error) { switches, err = guard.Switches(r); return err })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(switches, []guard.Switch{{By: "ada", At: now}}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestInvalidTargetIsRefusedNotAnError(t *testing.T) {
	db := open(t)
	for _, target := range []heal.EntityID{"", "*", "service/*", heal.EntityID("service/" + string(make([]byte, 5000)))} {
		if v, _ := reserve(t, db, of("r1", "c1", target, "cart"), now); v.Rule != guard.RuleTarget {
			t.Errorf("target of %d bytes: got %+v, want rule target", len(target), v)
		}
	}
}
