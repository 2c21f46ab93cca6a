package guard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// try reserves under limits and, if allowed, ends the run at once.
func try(t *testing.T, db store.Store, l guard.Limits, req guard.Request, at time.Time) (v guard.Verdict) {
	t.Helper()
	err := db.Update(context.Background(), func(tx store.Tx) (err error) {
		if v, _, err = guard.Reserve(tx, req, "task", l, at); err != nil {
			return err
		}
		return guard.Release(tx, req.Run)
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// nth is the first attempt of a case of its own on a service of its own.
func nth(i int) guard.Request {
	name := fmt.Sprintf("s%d", i)
	return of("r"+name, "c"+name, heal.ServiceID(name), name)
}

func limitsWith(c guard.Census) guard.Limits {
	l := guard.DefaultLimits()
	l.Census = c
	return l
}

// cluster is a census of a cluster of so many services, one instance each.
func cluster(n, bad int) counts {
	c := counts{heal.DefaultScope: {Known: true, Instances: n, Bad: bad}}
	for i := range n {
		c[heal.DefaultScope.WithService(fmt.Sprintf("s%d", i))] = guard.Standing{Known: true, Instances: 1}
	}
	return c
}

func TestBlastRadiusOfRecordedHistory(t *testing.T) {
	db := open(t)
	l := limitsWith(cluster(20, 8))
	allowed := 0
	for i := range 8 {
		v := try(t, db, l, nth(i), now.Add(time.Duration(i)*time.Second))
		switch {
		case v.Allowed():
			allowed++
		case v.Rule != guard.RuleBlast || !v.Retry.Equal(now.Add(5*time.Minute)):
			t.Errorf("run %d: got %s until %s, want the blast radius until the first is out of the window", i, v.Reason.Text, v.Retry)
		}
	}
	if allowed != 2 {
		t.Errorf("allowed: got %d, want 2 of 20", allowed)
	}
	if v := try(t, db, l, nth(7), now.Add(5*time.Minute)); !v.Allowed() {
		t.Errorf("after the window: got %s, want it allowed", v.Reason.Text)
	}
	if v := try(t, db, l, nth(6), now.Add(5*time.Minute)); v.Allowed() {
		t.Error("one more after the window: got it allowed, want it refused")
	}
}

// TestWindowsSurviveARestart closes the store and opens it again.
func TestWindowsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	reopen := func() *sqlite.DB {
		db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	for _, tt := range []struct {
		name  string
		n     int
		touch int
		rule  guard.Rule
	}{{"a share", 20, 2, guard.RuleBlast}, {"a small scope", 5, 3, guard.RuleSmall}} {
		t.Run(tt.name, func(t *testing.T) {
			l := limitsWith(cluster(tt.n, 1))
			begin := now.Add(time.Duration(100-tt.n) * time.Hour) // apart from the other case
			db := reopen()
			for i := range tt.touch {
				if v := try(t, db, l, nth(i+10*tt.n), begin); !v.Allowed() {
					t.Fatalf("run %d: %s", i, v.Reason.Text)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = reopen()
			if v := try(t, db, l, nth(1000+tt.n), begin.Add(time.Minute)); v.Rule != tt.rule {
				t.Errorf("after a restart: got %s, want %s", v.Reason.Text, tt.rule)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSmallScopeDoesOneThingAtATime(t *testing.T) {
	db := open(t)
	l := limitsWith(cluster(5, 2))
	ask := func(req guard.Request) (v guard.Verdict) {
		update(t, db, func(tx store.Tx) (err error) { v, _, err = guard.Reserve(tx, req, "task", l, now); return err })
		return v
	}
	if v := ask(nth(0)); !v.Allowed() {
		t.Fatalf("first: %s", v.Reason.Text)
	}
	if v := ask(nth(1)); v.Rule != guard.RuleLease {
		t.Errorf("another service meanwhile: got %q, want it to wait for the lease", v.Rule)
	}
	person := nth(2)
	person.Incident = ""
	if v := ask(person); !v.Allowed() {
		t.Errorf("a person meanwhile: got %s, want it allowed", v.Reason.Text)
	}
	update(t, db, func(tx store.Tx) error { return guard.Release(tx, nth(0).Run) })
	if v := ask(nth(1)); !v.Allowed() {
		t.Errorf("after the first: got %s, want it allowed", v.Reason.Text)
	}
}

func TestUnknownScopeIsSmall(t *testing.T) {
	db := open(t)
	l := limitsWith(counts{})
	for i := range 3 {
		if v := try(t, db, l, nth(i), now); !v.Allowed() {
			t.Fatalf("run %d: %s", i, v.Reason.Text)
		}
	}
	if v := try(t, db, l, nth(3), now.Add(time.Minute)); v.Rule != guard.RuleSmall {
		t.Errorf("a fourth: got %q, want %s", v.Rule, guard.RuleSmall)
	}
}

func TestBreakerOpensAndStaysOpen(t *testing.T) {
	vain := func(i int, target heal.EntityID, service string) guard.Ending {
		return guard.Ending{Run: heal.RunID(fmt.Sprintf("r%d", i)), Target: target, Scope: heal.DefaultScope.WithService(service)}
	}
	each := func(n int) (list []guard.Ending) {
		for i := range n {
			list = append(list, vain(i, heal.ServiceID(fmt.Sprintf("s%d", i)), fmt.Sprintf("s%d", i)))
		}
		return list
	}
	same := func(n int) (list []guard.Ending) {
		for i := range n {
			list = append(list, vain(i, "service/s0", "s0"))
		}
		return list
	}
	healed := func(list []guard.Ending, i int) []guard.Ending {
		list[i].Healed = true
		return list
	}
	s0 := heal.DefaultScope.WithService("s0")
	tests := []struct {
		name   string
		census counts
		every  time.Duration
		ends   []guard.Ending
		want   []heal.Scope
	}{
		{"three of 20 in vain", cluster(20, 0), time.Second, each(3), nil},
		{"four of 20", cluster(20, 0), time.Second, each(4), []heal.Scope{heal.DefaultScope}},
		{"four of 21", cluster(21, 0), time.Second, each(4), nil},
		{"two of 10, too few actions", cluster(10, 0), time.Second, each(2), nil},
		{"three of 10", cluster(10, 0), time.Second, each(3), []heal.Scope{heal.DefaultScope}},
		{"four of 20, one of them healed", cluster(20, 0), time.Second, healed(each(4), 2), nil},
		{"four of 20, too far apart", cluster(20, 0), 201 * time.Second, each(4), nil},
		{"four of 20, within the window", cluster(20, 0), 199 * time.Second, each(4), []heal.Scope{heal.DefaultScope}},
		{"one service three times", cluster(20, 0), time.Second, same(3), []heal.Scope{s0}},
		{"one service twice", cluster(20, 0), time.Second, same(2), nil},
		{"one service three times, healed by the third", cluster(20, 0), time.Second, healed(same(3), 2), nil},
		{"all of a small cluster", cluster(5, 0), time.Second, each(5), nil},
		{"a service nobody knows", counts{}, time.Second, same(3), []heal.Scope{s0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			l := limitsWith(tt.census)
			var opened []heal.Scope
			for i, e := range tt.ends {
				update(t, db, func(tx store.Tx) error {
					list, err := guard.Report(tx, e, l, now.Add(time.Duration(i)*tt.every))
					for _, b := range list {
						opened = append(opened, b.Scope)
					}
					return err
				})
			}
			if diff := cmp.Diff(opened, tt.want); diff != "" {
				t.Fatalf("opened (-got +want):\n%s", diff)
			}
			if len(tt.want) == 0 {
				return
			}
			scope := tt.want[0]
			later := now.Add(365 * 24 * time.Hour)
			if v := try(t, db, l, nth(0), later); v.Rule != guard.RuleBreaker || !v.Retry.IsZero() {
				t.Errorf("a year later: got %q until %s, want the breaker, until a person closes it", v.Rule, v.Retry)
			}
			update(t, db, func(tx store.Tx) error {
				_, err := guard.CloseBreaker(tx, scope, "ada", "mended", now.Add(time.Hour))
				return err
			})
			if v := try(t, db, l, nth(0), later); !v.Allowed() {
				t.Errorf("after it was closed: got %s, want it allowed", v.Reason.Text)
			}
			err := db.Update(t.Context(), func(tx store.Tx) error {
				_, err := guard.CloseBreaker(tx, scope, "ada", "mended", now)
				return err
			})
			if !heal.Is(err, heal.NotFound) {
				t.Errorf("closing it again: got %v, want not found", err)
			}
		})
	}
}

// TestClosedBreakerBeginsAnew closes a breaker within its window: what opened it
// does not open it again.
func TestClosedBreakerBeginsAnew(t *testing.T) {
	db := open(t)
	l := limitsWith(cluster(20, 0))
	report := func(i int, at time.Time) (opened int) {
		update(t, db, func(tx store.Tx) error {
			list, err := guard.Report(tx, guard.Ending{Run: heal.RunID(fmt.Sprintf("r%d", i)), Target: "service/s0", Scope: heal.DefaultScope.WithService("s0")}, l, at)
			opened = len(list)
			return err
		})
		return opened
	}
	for i := range 3 {
		report(i, now)
	}
	update(t, db, func(tx store.Tx) error {
		_, err := guard.CloseBreaker(tx, heal.DefaultScope.WithService("s0"), "ada", "mended", now.Add(time.Minute))
		return err
	})
	for i, want := range []int{0, 0, 1} {
		if got := report(10+i, now.Add(2*time.Minute)); got != want {
			t.Errorf("failure %d after it was closed: got %d opened, want %d", i+1, got, want)
		}
	}
}

func TestQuotas(t *testing.T) {
	with := func(change func(*guard.Limits)) guard.Limits {
		l := guard.DefaultLimits()
		change(&l)
		return l
	}
	tenant := func(name string, i int) guard.Request {
		r := nth(i)
		r.Scope.Tenant = name
		return r
	}
	mix := func(n int, p guard.Priority) guard.Limits {
		return with(func(l *guard.Limits) {
			l.Room = n
			l.Quotas = []guard.Quota{{Tenant: "acme", Priority: p}}
		})
	}
	tests := []struct {
		name    string
		limits  guard.Limits
		keep    bool // runs do not end
		allowed int  // of 12 of acme
		other   bool // and then one of another tenant
	}{
		{"no quota", guard.DefaultLimits(), true, 12, true},
		{"three together", with(func(l *guard.Limits) { l.Quotas = []guard.Quota{{Tenant: "acme", Together: 3}} }), true, 3, true},
		{"three together, one after the other", with(func(l *guard.Limits) { l.Quotas = []guard.Quota{{Tenant: "acme", Together: 3}} }), false, 12, true},
		{"five an hour", with(func(l *guard.Limits) { l.Quotas = []guard.Quota{{Tenant: "acme", Actions: 5, Window: time.Hour}} }), false, 5, true},
		{"another's quota", with(func(l *guard.Limits) {
			l.Quotas = []guard.Quota{{Tenant: "other", Together: 1, Actions: 1, Window: time.Hour}}
		}), true, 12, true},
		{"low takes half the room", mix(10, guard.PriorityLow), true, 5, true},
		{"normal takes four fifths", mix(10, guard.PriorityNormal), true, 8, false},
		{"high takes all", mix(10, guard.PriorityHigh), true, 10, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			ask := func(req guard.Request) (v guard.Verdict) {
				if !tt.keep {
					return try(t, db, tt.limits, req, now)
				}
				update(t, db, func(tx store.Tx) (err error) { v, _, err = guard.Reserve(tx, req, "task", tt.limits, now); return err })
				return v
			}
			allowed := 0
			for i := range 12 {
				v := ask(tenant("acme", i))
				if v.Allowed() {
					allowed++
				} else if v.Rule != guard.RuleQuota || !v.Retry.After(now) {
					t.Errorf("run %d: got %q until %s, want the quota and when to ask again", i, v.Rule, v.Retry)
				}
			}
			if allowed != tt.allowed {
				t.Errorf("allowed: got %d of 12, want %d", allowed, tt.allowed)
			}
			if got := ask(tenant("other", 99)).Allowed(); got != tt.other {
				t.Errorf("another tenant: got allowed %t, want %t", got, tt.other)
			}
		})
	}
}

func TestDestructiveIsProvenByHeals(t *testing.T) {
	db := open(t)
	wipe := nth(0)
	wipe.Impact, wipe.Playbook = action.Destructive, "wipe"
	l := guard.DefaultLimits()
	l.Proven = 3
	record := func(i int, playbook string, result heal.AttemptResult) {
		update(t, db, func(tx store.Tx) error {
			o := heal.Outcome{IncidentID: heal.IncidentID(fmt.Sprintf("c%d", i)), Attempt: 1, At: now, Pattern: heal.PatternDiskFull, Playbook: playbook, Result: result}
			_, err := store.OutcomeKind.Put(tx, &o, store.Any)
			return err
		})
	}
	for i, o := range []struct {
		playbook string
		result   heal.AttemptResult
		allowed  bool
	}{
		{"wipe", heal.AttemptHealed, false},
		{"wipe", heal.AttemptHealed, false},
		{"wipe", heal.AttemptIneffective, false},
		{"other", heal.AttemptHealed, false},
		{"wipe", heal.AttemptHealed, true},
	} {
		record(i, o.playbook, o.result)
		var v guard.Verdict
		err := db.View(t.Context(), func(r store.Reader) (err error) { v, err = guard.Look(r, wipe, l, now); return err })
		if err != nil {
			t.Fatal(err)
		}
		if v.Allowed() != o.allowed {
			t.Errorf("after outcome %d: got %s, want allowed %t", i, v.Reason.Text, o.allowed)
		}
	}
}

func TestPagesOnce(t *testing.T) {
	db := open(t)
	storm := guard.Judge(nth(0), guard.History{Scopes: []guard.ScopeFacts{{Scope: heal.DefaultScope, Standing: of20(12)}}}, guard.DefaultLimits(), now)
	other := storm
	other.Scope.Cluster = "other"
	page := func(v guard.Verdict, after time.Duration) (told bool) {
		update(t, db, func(tx store.Tx) (err error) { told, err = guard.Page(tx, v, now.Add(after)); return err })
		return told
	}
	for i, want := range []struct {
		v     guard.Verdict
		after time.Duration
		told  bool
	}{
		{storm, 0, true},
		{storm, time.Second, false},
		{other, time.Second, true},
		{storm, 15*time.Minute - 1, false},
		{storm, 15 * time.Minute, true},
		{guard.Recall(storm.Reason, nth(0).Scope), 16 * time.Minute, false},
		{guard.Verdict{Rule: guard.RuleBlast}, 0, false},
	} {
		if got := page(want.v, want.after); got != want.told {
			t.Errorf("page %d: got %t, want %t", i, got, want.told)
		}
	}
}

// TestRefusalNeverSpends asks random things of one store: whenever the answer is
// no, nothing but the record of it may have changed.
func TestRefusalNeverSpends(t *testing.T) {
	db := open(t)
	l := limitsWith(cluster(20, 8))
	l.Quotas = []guard.Quota{{Tenant: "default", Together: 6, Actions: 30, Window: time.Hour}}
	l.Room = 8
	rng := rand.New(rand.NewPCG(3, 5))
	tables := []store.Table{store.Actions, store.Leases, store.Switches, store.Outcomes}
	refused := map[guard.Rule]int{}
	at := now
	for i := range 200 {
		at = at.Add(time.Duration(rng.IntN(20)) * time.Second)
		req := nth(rng.IntN(20))
		req.Run = heal.RunID(fmt.Sprintf("r%d", i))
		if rng.IntN(3) == 0 {
			req.Incident = ""
		}
		if rng.IntN(8) == 0 {
			req.Impact = action.Destructive
		}
		update(t, db, func(tx store.Tx) error {
			before := dump(t, tx, tables)
			v, _, err := guard.Reserve(tx, req, "task", l, at)
			if err != nil || v.Allowed() {
				return err
			}
			refused[v.Rule]++
			if diff := cmp.Diff(dump(t, tx, tables), before); diff != "" {
				t.Errorf("request %d was refused (%s) and yet (-after +before):\n%s", i, v.Rule, diff)
			}
			return nil
		})
		if rng.IntN(2) == 0 {
			update(t, db, func(tx store.Tx) error { return guard.Release(tx, heal.RunID(fmt.Sprintf("r%d", rng.IntN(i+1)))) })
		}
	}
	if len(refused) < 4 {
		t.Errorf("got refusals by %v only: the scene is too tame to prove anything", refused)
	}
}

func dump(t *testing.T, r store.Reader, tables []store.Table) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range tables {
		q := store.Query{Table: table}
		for {
			page, err := r.List(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range page.Records {
				all[string(table)+" "+rec.Key] = string(rec.Body)
			}
			if q.Cursor = page.Cursor; q.Cursor == "" {
				break
			}
		}
	}
	return all
}
