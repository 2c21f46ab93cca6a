package incident_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestChangeIsManyJoins: a change of many steps gives what the steps give one
// by one, and leaves the case it began with alone.
func TestChangeIsManyJoins(t *testing.T) {
	const services = 40 // more than are looked through
	before := incident.New("i", fault(heal.ErrorsRaised, "service/s0", start), start)
	for i := 1; i < 5; i++ {
		before = incident.Join(before, fault(heal.ErrorsRaised, heal.ServiceID(fmt.Sprintf("s%d", i)), start), incident.Assignment{Role: heal.Secondary, Score: 0.5}, start)
	}
	kept := incident.Begin(before)
	want, c := before, incident.Begin(before)
	for i := range 3 * services {
		at := start.Add(time.Duration(i) * time.Second)
		f := fault(heal.ErrorsRaised, heal.ServiceID(fmt.Sprintf("s%d", i*7%services)), at)
		f.AlertID = heal.AlertID(fmt.Sprint(i))
		if i%4 == 3 {
			cleared, changed := incident.Clear(want, f.Key, "", at)
			want = cleared
			if got := c.Clear(f.Key, "", at); got != changed {
				t.Errorf("step %d, clear %s: got changed %v, want %v", i, f.Key, got, changed)
			}
			continue
		}
		a := incident.Assignment{Role: heal.Secondary, Score: 0.7}
		if i == 11 {
			a.Role = heal.Primary
		}
		want = incident.Join(want, f, a, at)
		c.Join(f, a, at)
	}
	if diff := cmp.Diff(want, c.Incident); diff != "" {
		t.Errorf("-one by one +in one change:\n%s", diff)
	}
	if diff := cmp.Diff(kept.Incident, before); diff != "" || len(before.Members) != 5 {
		t.Errorf("the former case was changed:\n%s", diff)
	}
}

// TestPutFollows: a set that saw a case grow and change finds it as one does
// that saw only what it is now.
func TestPutFollows(t *testing.T) {
	at := func(name string) heal.Fault { return fault(heal.ErrorsRaised, heal.ServiceID(name), start) }
	opened := incident.New("1", at("a"), start)
	grown := incident.Join(opened, at("b"), incident.Assignment{Role: heal.Secondary}, start)
	deeper := incident.Join(grown, at("c"), incident.Assignment{Role: heal.Primary}, start)
	diagnosed := deeper
	diagnosed.Cause = "service/d"
	less, _, _ := incident.Detach(diagnosed, at("b").Key, start)
	other := incident.Join(less, at("e"), incident.Assignment{Role: heal.Secondary}, start)
	followed := incident.NewSet(incident.Options{})
	for i, inc := range []heal.Incident{opened, opened, grown, deeper, diagnosed, less, other, opened} {
		followed.Put(inc)
		fresh := incident.NewSet(incident.Options{})
		fresh.Put(inc)
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			f := at(name)
			got, gotOK := followed.Find(f.Scope, f.Key)
			want, wantOK := fresh.Find(f.Scope, f.Key)
			if got != want || gotOK != wantOK {
				t.Errorf("step %d, find %s: got %q %v, want %q %v", i, name, got, gotOK, want, wantOK)
			}
			if diff := cmp.Diff(fresh.Anchored(f.Scope, f.Key.Entity), followed.Anchored(f.Scope, f.Key.Entity)); diff != "" {
				t.Errorf("step %d, cases on %s (-want +got):\n%s", i, name, diff)
			}
			f.Key.Type = heal.PerformanceDegradation
			if diff := cmp.Diff(fresh.Assign(f, nil, start), followed.Assign(f, nil, start)); diff != "" {
				t.Errorf("step %d, assign to %s (-want +got):\n%s", i, name, diff)
			}
		}
	}
}
