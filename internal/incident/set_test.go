package incident_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
)

func fault(typ heal.FaultType, id heal.EntityID, at time.Time) heal.Fault {
	return heal.Fault{
		Key: heal.FaultKey{Type: typ, Entity: id}, Scope: heal.DefaultScope, Severity: heal.Warning,
		Began: at, Detected: at, LastSeen: at,
	}
}

func TestJoinRefreshesWithoutLosingTheFirstAlert(t *testing.T) {
	first := fault(heal.ErrorsRaised, "service/cart", start)
	first.AlertID, first.AlertName = "a1", "Errors"
	first.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: "first"}
	first.Evidence = []heal.Evidence{{Summary: "first"}}
	inc := incident.New("i", first, start)
	before := inc

	second := fault(heal.ErrorsRaised, "service/cart", start.Add(time.Minute))
	second.AlertID, second.AlertName, second.Severity = "a2", "MoreErrors", heal.Critical
	second.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: "second"}
	for i := range 40 {
		second.Evidence = []heal.Evidence{{Summary: fmt.Sprint(i)}}
		inc = incident.Join(inc, second, incident.Assignment{Join: "i", Role: heal.Primary, Score: 1}, start)
	}
	got := inc.Members[0].Fault
	if got.AlertID != "a1" || got.Condition.Expr != "first" || !got.Began.Equal(start) || !got.LastSeen.Equal(second.LastSeen) {
		t.Errorf("got %+v, want the first alert's id, condition and begin, and the second's last sight", got)
	}
	if n := len(got.Evidence); n != 16 || got.Evidence[0].Summary != "first" || got.Evidence[15].Summary != "39" {
		t.Errorf("got %d pieces of evidence, want 16 with the first and the newest", n)
	}
	if inc.Severity != heal.Critical || inc.Score != 1 {
		t.Errorf("got %s, %v, want critical, 1", inc.Severity, inc.Score)
	}
	if diff := cmp.Diff(before.Members[0].Fault, first); diff != "" {
		t.Errorf("the former incident was changed:\n%s", diff)
	}

	// The second alert going quiet does not clear what the first still says.
	if _, changed := incident.Clear(inc, first.Key, "a2", start); changed {
		t.Error("Clear by another alert: got changed, want not")
	}
	inc, changed := incident.Clear(inc, first.Key, "a1", start)
	if !changed || len(incident.Holding(inc)) != 0 {
		t.Errorf("Clear by its alert: got changed %v, holding %v", changed, incident.Holding(inc))
	}
	inc = incident.Join(inc, second, incident.Assignment{Join: "i", Role: heal.Primary, Score: 1}, start)
	if got := inc.Members[0].Fault; got.AlertID != "a2" || got.Condition.Expr != "second" || len(incident.Holding(inc)) != 1 {
		t.Errorf("after clearing, the new alert takes over: got %s, %q", got.AlertID, got.Condition.Expr)
	}
}

func TestNearestThenNewest(t *testing.T) {
	g := graphOf(t, "top->mid", "mid->far", "top->near1", "top->near2")
	set := incident.NewSet(incident.Options{})
	for i, name := range []string{"near1", "near2", "far"} {
		set.Put(incident.New(heal.IncidentID(fmt.Sprint(i)), fault(heal.ErrorsRaised, heal.ServiceID(name), start), start))
	}
	a := set.Assign(fault(heal.ErrorsRaised, "service/top", start), g, start)
	if a.Join != "1" {
		t.Errorf("got case %q, want 1: near2, the newer of the nearest", a.Join)
	}
}

func TestBoundsAreSaid(t *testing.T) {
	var edges []string
	for i := range 20 {
		edges = append(edges, fmt.Sprintf("s%02d->s%02d", i, i+1))
	}
	set := incident.NewSet(incident.Options{MaxDepth: 3})
	set.Put(incident.New("1", fault(heal.ErrorsRaised, "service/s20", start), start))
	a := set.Assign(fault(heal.ErrorsRaised, "service/s00", start), graphOf(t, edges...), start)
	if a.Join != "" || len(a.Reasons) != 2 || a.Reasons[1].Code != "walk_bounded" {
		t.Errorf("got %+v, want a case of its own and walk_bounded", a)
	}
}

func TestPutRemove(t *testing.T) {
	set := incident.NewSet(incident.Options{})
	f := fault(heal.ErrorsRaised, "service/cart", start)
	inc := incident.New("1", f, start)
	set.Put(inc)
	set.Put(inc)
	if id, ok := set.Find(f.Scope, f.Key); !ok || id != "1" || set.Len() != 1 {
		t.Errorf("after Put: got %q %v, %d cases", id, ok, set.Len())
	}
	inc.State = heal.CaseHealed
	set.Put(inc)
	if _, ok := set.Find(f.Scope, f.Key); ok || set.Len() != 0 {
		t.Errorf("after it ended: found %v, %d cases, want none", ok, set.Len())
	}
	set.Remove("unknown")
}

// batch is how many faults are taken in between two writes of their cases.
const batch = 500

const services = 2000

// storm assigns n faults over a mesh of services, each calling three others.
func storm(tb testing.TB, n int, onsets *incident.Onsets) *incident.Set {
	tb.Helper()
	var edges []string
	for i := range services {
		for _, step := range []int{1, 7, 31} {
			if callee := i + step; callee < services {
				edges = append(edges, fmt.Sprintf("s%d->s%d", i, callee))
			}
		}
		edges = append(edges, fmt.Sprintf("s%d->hub", i))
	}
	g := graphOf(tb, edges...)
	set := incident.NewSet(incident.Options{Onsets: onsets})
	cases := map[heal.IncidentID]heal.Incident{}
	changes := map[heal.IncidentID]*incident.Change{}
	settle := func() {
		for id, c := range changes {
			cases[id] = c.Incident
		}
		clear(changes)
	}
	for i := range n {
		if i%batch == 0 {
			settle()
		}
		f := inStorm(i)
		a := set.Assign(f, g, f.Began)
		id := a.Join
		if id == "" {
			id = heal.IncidentID(fmt.Sprintf("%06d", i))
			changes[id] = incident.Begin(incident.New(id, f, f.Began))
		} else {
			if changes[id] == nil {
				changes[id] = incident.Begin(cases[id])
			}
			changes[id].Join(f, a, f.Began)
		}
		if i%50 == 0 {
			changes[id].State = heal.CaseActing
		}
		set.Put(changes[id].Incident)
	}
	settle()
	seen := map[heal.FaultKey]heal.IncidentID{}
	for id, inc := range cases {
		primaries := 0
		for _, m := range inc.Members {
			if other, twice := seen[m.Fault.Key]; twice {
				tb.Fatalf("%s is in %s and %s", m.Fault.Key, id, other)
			}
			seen[m.Fault.Key] = id
			if m.Role == heal.Primary {
				primaries++
			}
		}
		if primaries != 1 {
			tb.Fatalf("%s has %d primary faults, want 1", id, primaries)
		}
	}
	return set
}

// inStorm is a fault of the storm. Names no edge has (every fifth) are unrelated
// entities.
func inStorm(i int) heal.Fault {
	types := []heal.FaultType{heal.ErrorsRaised, heal.PerformanceDegradation, heal.ResourceExhaustion, heal.Unavailable, heal.Deadlock}
	name := fmt.Sprintf("s%d", i*7919%services)
	if i%5 == 0 {
		name = fmt.Sprintf("lone%d", i)
	}
	return fault(types[i/services%len(types)], heal.ServiceID(name), start.Add(time.Duration(i)*time.Millisecond))
}

func TestStormOfTenThousand(t *testing.T) {
	began := time.Now()
	set := storm(t, 10_000, incident.NewOnsets(incident.OnsetOptions{}))
	took := time.Since(began)
	t.Logf("10,000 faults in %d cases after %s", set.Len(), took)
	if took > 30*time.Second { // seconds on an idle machine; far below what a quadratic scan takes
		t.Errorf("took %s, want seconds", took)
	}
}

// BenchmarkStorm is 10,000 faults an operation: with nothing to learn from them,
// for the first time, and where every kind began ten times before, apart or all
// together.
func BenchmarkStorm(b *testing.B) {
	const n = 10_000
	// before makes what is known when the storm comes.
	before := func(apart time.Duration) *incident.Onsets {
		onsets := incident.NewOnsets(incident.OnsetOptions{MaxKinds: 2 * n})
		for day := range 10 {
			for i := range n {
				f := inStorm(i)
				f.Began = f.Began.Add(-time.Duration(day+1)*24*time.Hour + time.Duration(i*7919%n)*apart/n)
				onsets.Note(&f)
			}
		}
		return onsets
	}
	for _, bb := range []struct {
		name   string
		onsets func() *incident.Onsets
	}{
		{"not learning", func() *incident.Onsets { return nil }},
		{"new", func() *incident.Onsets { return incident.NewOnsets(incident.OnsetOptions{}) }},
		{"known, apart", func() *incident.Onsets { return before(20 * time.Hour) }},
		{"known, together", func() *incident.Onsets { return before(0) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				onsets := bb.onsets()
				b.StartTimer()
				b.ReportMetric(float64(storm(b, n, onsets).Len()), "cases")
			}
		})
	}
}
