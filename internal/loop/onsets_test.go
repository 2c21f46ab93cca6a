package loop_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// two are alerts of services that no topology knows.
func two() (jam, lag heal.Alert) {
	named := func(name, service string) heal.Alert {
		return alert.New(alert.Observed{Source: "pager", Name: name, Labels: map[string]string{"service": service}, Severity: heal.Warning})
	}
	return named("QueueJammed", "orders"), named("MailsLate", "mailer")
}

// begin raises the alerts half a minute apart.
func (r *rig) begin(alerts ...heal.Alert) {
	r.t.Helper()
	for i, a := range alerts {
		if i > 0 {
			r.pass(30 * time.Second)
		}
		r.accept(a)
		r.until("it to be in a case", func() bool { return r.countOf(store.Deliveries)+r.countOf(store.Faults) == 0 })
	}
}

// settle resolves the alerts, and waits for their cases to end.
func (r *rig) settle(alerts ...heal.Alert) {
	r.t.Helper()
	for _, a := range alerts {
		r.accept(over(a))
	}
	r.until("every case to end", func() bool {
		return !slices.ContainsFunc(r.cases(), func(inc heal.Incident) bool { return !inc.State.Ended() })
	})
}

// happened writes cases of days ago, one of each alert, half a minute apart.
func (r *rig) happened(days int, alerts ...heal.Alert) {
	r.t.Helper()
	for i, a := range alerts {
		at := r.clock().Add(-time.Duration(days)*24*time.Hour + time.Duration(i)*30*time.Second)
		inc := incident.New(heal.IncidentID(fmt.Sprintf("00000000-0000-7000-8000-%010d%02d", days, i)), heal.Fault{
			Key: heal.FaultKey{Type: heal.UnknownFault, Entity: a.Entity}, AlertName: a.Name, Scope: heal.DefaultScope.WithService(a.ServiceName),
			Began: at, Detected: at, LastSeen: at, ClearedAt: at.Add(time.Minute), Evidence: []heal.Evidence{{Summary: "the alert"}}, Values: heal.Values{"value": 3},
		}, at)
		inc.State, inc.DueAt, inc.EndedAt, inc.UpdatedAt = heal.CaseClosed, time.Time{}, at.Add(time.Minute), at.Add(time.Minute)
		if err := r.db.Update(r.t.Context(), func(tx store.Tx) error {
			_, err := store.IncidentKind.Put(tx, &inc, store.Absent)
			return err
		}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// standing lists the cases that have not ended.
func (r *rig) standing() (list []heal.Incident) {
	for _, inc := range r.cases() {
		if !inc.State.Ended() {
			list = append(list, inc)
		}
	}
	return list
}

// TestWhatBeganTogetherJoins: the fifth time that two alerts begin together they
// are one case, though a server that saw one of the times, and read of the others,
// was killed since.
func TestWhatBeganTogetherJoins(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  loop.Options
		cases int // the fifth time
	}{{"learnt", loop.Options{}, 1}, {"switched off", loop.Options{Together: -1}, 2}, {"remembered for two days", loop.Options{Together: 48 * time.Hour}, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			inRigOf(t, nil, tt.opts, func(t *testing.T, r *rig) {
				jam, lag := two()
				for day := range 3 {
					r.happened(day+1, jam, lag)
				}
				again := func() {
					r.halt()
					r.open(-1)
					r.start()
				}
				again()
				r.begin(jam, lag)
				if n := len(r.standing()); n != 2 {
					t.Fatalf("after three times: got %d cases, want 2, as three are too few:\n%s", n, r.dump())
				}
				r.settle(jam, lag)
				again()
				r.pass(70 * time.Minute)
				r.begin(jam, lag)
				list := r.standing()
				if len(list) != tt.cases {
					t.Fatalf("after four times: got %d cases, want %d:\n%s", len(list), tt.cases, r.dump())
				}
				if tt.cases == 1 {
					r.wantStory(list[0].ID, "MailsLate on service/mailer and QueueJammed on service/orders, which is in this case, began together 4 of 4 times in the last 30 days")
				}
				r.settle(jam, lag)
			})
		})
	}
}

// TestServersLearnFromEachOther: what began together while one server brought
// signals into cases is known to the one that takes over.
func TestServersLearnFromEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, loop.Options{})
		defer r.close()
		jam, lag := two()
		for day := range 3 {
			r.happened(day+1, jam, lag)
		}
		one, other := r.peer("one", -1), r.peer("two", -1)
		one.start()
		other.start()
		r.until("one of them to bring signals into cases", func() bool { return one.share.Holds("signals") || other.share.Holds("signals") })
		if other.share.Holds("signals") {
			one, other = other, one
		}
		one.begin(jam, lag)
		one.settle(jam, lag)
		one.stop()
		other.pass(70 * time.Minute)
		other.begin(jam, lag)
		if list := r.standing(); len(list) != 1 {
			t.Errorf("after one took over: got %d cases, want 1:\n%s", len(list), r.dump())
		}
		other.settle(jam, lag)
		other.stop()
	})
}
