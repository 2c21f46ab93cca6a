package app

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/topology"
)

func TestGuardConfigIsTheKernelsOwn(t *testing.T) {
	c := Default()
	got, err := c.Guard.limits()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, guard.DefaultLimits()); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestGuardConfigOfScopes(t *testing.T) {
	c, problems := file.Parse("homeostat.yaml", []byte(`
guard:
  cooldown: 5m
  room: 10
  tenants:
    - {tenant: acme, together: 2, actions: 20, priority: low}
  freezes:
    - name: weekend
      scope: acme/prod
      calendar: |
        DTSTART;TZID=Europe/Berlin:20260102T180000
        RRULE:FREQ=WEEKLY;BYDAY=FR
      lasts: 62h
      reason: nobody is in
  scopes:
    - {scope: acme/prod/eu/cart, attempts: 1}
    - {scope: acme, attempts: 2, blast_share: 0.5}
`), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l, err := c.Guard.limits()
	if err != nil {
		t.Fatal(err)
	}
	cart := heal.Scope{Tenant: "acme", Env: "prod", Cluster: "eu", Service: "cart"}
	if got := l.For(cart); got.Attempts != 1 || got.Blast.Share != 0.5 || got.Cooldown != 5*time.Minute {
		t.Errorf("cart: got %d attempts, share %g, cooldown %s, want 1, 0.5, 5m", got.Attempts, got.Blast.Share, got.Cooldown)
	}
	want := guard.Quota{Tenant: "acme", Together: 2, Actions: 20, Window: time.Hour, Priority: guard.PriorityLow}
	if diff := cmp.Diff(l.Quotas, []guard.Quota{want}); diff != "" {
		t.Errorf("quotas (-got +want):\n%s", diff)
	}
	saturday := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
	if on, until := l.Freezes[0].Calendar.At(saturday); !on || !until.Equal(time.Date(2026, 3, 9, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("on a Saturday: got %t until %s, want it to hold until Monday 8:00 in Berlin", on, until)
	}
}

func TestGuardConfigMistakes(t *testing.T) {
	_, problems := file.Parse("homeostat.yaml", []byte(`guard:
  storm_share: 50
  room: 4000
  tenants:
    - {tenant: a, priority: urgent}
    - {tenant: a}
  freezes:
    - {name: f, calendar: "DTSTART:20260101T000000Z", lasts: 400d}
    - {name: f, scope: a//b, calendar: "DTSTART:20260101T000000Z\nRRULE:FREQ=SECONDLY", lasts: 1h}
    - {name: g, calendar: never, lasts: 1h}
  scopes:
    - {scope: "a//b", blast_share: 2}
`), nil)
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"homeostat.yaml:2: guard.storm_share: is 50; expected a share between 0 and 1",
		"homeostat.yaml:3: guard.room: is 4000; expected at most 400",
		"homeostat.yaml:5: guard.tenants[0].priority: is \"urgent\"; expected one of low, normal, high",
		"homeostat.yaml:6: guard.tenants[1].tenant: \"a\" has a quota already",
		"homeostat.yaml:8: guard.freezes[0].calendar: ",
		"homeostat.yaml:9: guard.freezes[1].name: \"f\" is taken",
		"homeostat.yaml:9: guard.freezes[1].scope: is \"a//b\"",
		"homeostat.yaml:9: guard.freezes[1].calendar: ",
		"homeostat.yaml:10: guard.freezes[2].calendar: ",
		"homeostat.yaml:12: guard.scopes[0].scope: is \"a//b\"",
		"homeostat.yaml:12: guard.scopes[0].blast_share: is 2",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem says %q in:\n%s", want, all)
		}
	}
	if len(got) != 11 {
		t.Errorf("got %d problems, want 11:\n%s", len(got), all)
	}
}

// at is when the faults of these tests began.
var at = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

// counted makes a census over a store of its own, in a cluster with 12
// instances: two services of one, a service of four, and six hosts.
func counted(t *testing.T) (*census, *sqlite.DB) {
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
	c := Default()
	c.Drivers.Processes = []ProcessConfig{{Name: "cart", Entity: "service/cart", Instances: 4}, {Name: "pay", Entity: "service/pay"}}
	m := topology.New(topology.Options{Scope: heal.DefaultScope})
	m.Observe([]topology.Observation{{From: "service/web", To: "service/cart", At: at, Source: "traces", Calls: 1}}, at)
	for _, host := range []string{"a", "b", "c", "d", "e", "f"} {
		c.Monitors = append(c.Monitors, MonitorConfig{Name: host, Entity: "host/" + host})
	}
	return censusOf(db, m, &c, time.Now, slog.New(slog.DiscardHandler)), db
}

func keepCases(t *testing.T, db *sqlite.DB, incidents ...heal.Incident) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for i := range incidents {
			if _, err := store.IncidentKind.Put(tx, &incidents[i], store.Any); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// caseOn is an open case with one primary fault, of the name on the entity, and
// secondary ones on others.
func caseOn(id, name string, began time.Time, primary heal.EntityID, others ...heal.EntityID) heal.Incident {
	inc := heal.Incident{ID: heal.IncidentID(id), Scope: heal.DefaultScope, State: heal.CaseOpen}
	for i, e := range append([]heal.EntityID{primary}, others...) {
		role := heal.Secondary
		if i == 0 {
			role = heal.Primary
		}
		inc.Members = append(inc.Members, heal.Member{Role: role, Fault: heal.Fault{
			Key: heal.FaultKey{Type: heal.PerformanceDegradation, Entity: e}, AlertName: name, Scope: heal.DefaultScope, Began: began,
		}})
	}
	return inc
}

func TestCensus(t *testing.T) {
	cleared := caseOn("c", "Slow", at, "host/a")
	cleared.Members[0].Fault.ClearedAt = at
	ended := caseOn("c", "Slow", at, "host/a")
	ended.State = heal.CaseClosed
	diagnosed := caseOn("c", "Slow", at, "service/web", "service/cart")
	diagnosed.Cause = "host/b"
	tests := []struct {
		name      string
		scope     heal.Scope
		cases     []heal.Incident
		instances int
		bad       []heal.EntityID
		spread    guard.Spread
	}{
		{"all is well", heal.DefaultScope, nil, 12, nil, guard.Spread{}},
		{"a service of four", heal.DefaultScope.WithService("cart"), nil, 4, nil, guard.Spread{}},
		{"a service of one", heal.DefaultScope.WithService("web"), nil, 1, nil, guard.Spread{}},
		{"a service nobody knows", heal.DefaultScope.WithService("other"), nil, 0, nil, guard.Spread{}},
		{
			"what is bad because of another is not counted", heal.DefaultScope,
			[]heal.Incident{caseOn("c", "Slow", at, "service/web", "service/cart", "host/a")},
			12,
			[]heal.EntityID{"service/web"},
			guard.Spread{Fault: "Slow", Entities: 3},
		},
		{"the cause once it is known", heal.DefaultScope, []heal.Incident{diagnosed}, 12, []heal.EntityID{"host/b"}, guard.Spread{Fault: "Slow", Entities: 2}},
		{
			"two cases on one thing", heal.DefaultScope,
			[]heal.Incident{caseOn("c", "Slow", at, "host/a"), caseOn("d", "Full", at, "host/a")},
			12,
			[]heal.EntityID{"host/a"},
			guard.Spread{Fault: "Full", Entities: 1},
		},
		{
			"one fault, but not at once", heal.DefaultScope,
			[]heal.Incident{caseOn("c", "Slow", at, "host/a"), caseOn("d", "Slow", at.Add(3*time.Minute), "host/b")},
			12,
			[]heal.EntityID{"host/a", "host/b"},
			guard.Spread{Fault: "Slow", Entities: 1},
		},
		{
			"of a service only", heal.DefaultScope.WithService("web"),
			[]heal.Incident{caseOn("c", "Slow", at, "service/web"), caseOn("d", "Slow", at, "host/b")},
			1,
			[]heal.EntityID{"service/web"},
			guard.Spread{Fault: "Slow", Entities: 1},
		},
		{"what has cleared", heal.DefaultScope, []heal.Incident{cleared}, 12, nil, guard.Spread{}},
		{"what has ended", heal.DefaultScope, []heal.Incident{ended}, 12, nil, guard.Spread{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, db := counted(t)
			before := n.Standing(tt.scope, 2*time.Minute, time.Now())
			if before.Known {
				t.Error("it knows before its first look")
			}
			// What it sees as changes must come to the same as what it finds.
			for _, early := range []bool{true, false} {
				n.at, n.seen = time.Time{}, 0
				if early {
					ok(t, n.look(t.Context()))
				}
				keepCases(t, db, tt.cases...)
				ok(t, n.look(t.Context()))
				got := n.Standing(tt.scope, 2*time.Minute, time.Now())
				want := guard.Standing{Known: tt.instances > 0, Instances: tt.instances, Bad: len(tt.bad), Worst: tt.bad, Spread: tt.spread, At: got.At}
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("early %t (-got +want):\n%s", early, diff)
				}
			}
		})
	}
}

func TestCensusForgetsWhatEndedAndWhatIsOld(t *testing.T) {
	n, db := counted(t)
	ok(t, n.look(t.Context()))
	c := caseOn("c", "Slow", at, "host/a")
	keepCases(t, db, c)
	ok(t, n.look(t.Context()))
	if got := n.Standing(heal.DefaultScope, time.Minute, time.Now()).Bad; got != 1 {
		t.Errorf("while it is open: got %d bad, want 1", got)
	}
	c.State = heal.CaseHealed
	keepCases(t, db, c)
	ok(t, n.look(t.Context()))
	if got := n.Standing(heal.DefaultScope, time.Minute, time.Now()).Bad; got != 0 {
		t.Errorf("after its end: got %d bad, want 0", got)
	}
	if got := n.Standing(heal.DefaultScope, time.Minute, time.Now().Add(time.Hour)); got.Known {
		t.Errorf("an hour without a look: got %+v, want it unknown", got)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
