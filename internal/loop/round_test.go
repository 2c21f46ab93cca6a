package loop_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// heard is what a storm made of one service.
type heard struct {
	Cases    int
	Members  int
	Evidence int
	Cleared  bool
	Story    []string
}

// storm tells of more services than one transaction of the incident stage
// writes: that they are down, the same again by another alert, and that half
// of them are well. With a crash after so many commits the server is stopped
// there and started again; crashed is false if it took fewer.
func storm(t *testing.T, commits int, silent bool) (got map[heal.EntityID]heard, crashed bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const services = 160
		r := newRig(t, nil, loop.Options{})
		defer r.close()
		var down, again, well []heal.Alert
		for i := range services {
			service := fmt.Sprintf("service-%03d", i)
			down = append(down, bare(service))
			again = append(again, alert.New(alert.Observed{
				Source: "pager", Name: "ServiceDown", Labels: map[string]string{"service": service, "instance": "a"}, Severity: heal.Critical,
			}))
			if i%2 == 0 {
				well = append(well, over(bare(service)))
			}
		}
		for _, alerts := range [][]heal.Alert{down, again, well} {
			r.accept(alerts...)
		}
		r.halt()
		r.open(commits)
		r.disk.silent = silent
		r.start()
		taken := func() bool { return r.countOf(store.Deliveries)+r.countOf(store.Faults) == 0 }
		if commits > 0 {
			select {
			case <-r.disk.crashed:
				crashed = true
			case <-time.After(10 * time.Minute): // it took fewer
			}
		}
		if crashed {
			r.halt()
			r.open(-1)
			r.start()
		}
		r.until("every signal to be taken", taken)
		got = map[heal.EntityID]heard{}
		for _, inc := range r.cases() {
			f := inc.PrimaryFault()
			h := heard{Cases: got[f.Key.Entity].Cases + 1, Members: len(inc.Members), Evidence: len(f.Evidence), Cleared: !f.ClearedAt.IsZero()}
			for _, line := range r.story(inc.ID) {
				if strings.HasPrefix(line, "sense: ") {
					h.Story = append(h.Story, line)
				}
			}
			got[f.Key.Entity] = h
		}
	})
	return got, crashed
}

// TestStormSurvivesCrashes: signals that are in their cases are not brought in
// again, and none is forgotten, wherever between the transactions of a round
// the server dies.
func TestStormSurvivesCrashes(t *testing.T) {
	want, _ := storm(t, -1, false)
	one := want["service/service-000"]
	if len(want) != 160 || one.Cases != 1 || one.Members != 1 || one.Evidence != 2 || !one.Cleared || len(one.Story) != 2 || want["service/service-001"].Cleared {
		t.Fatalf("got %d entities, the first %+v, want 160, each one case of one fault with two pieces of evidence, half of them cleared", len(want), one)
	}
	for _, silent := range []bool{false, true} {
		// What comes later are commits of the case stage.
		for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12} {
			t.Run(fmt.Sprintf("after commit %d, silent %v", n, silent), func(t *testing.T) {
				t.Parallel()
				got, crashed := storm(t, n, silent)
				if !crashed {
					t.Errorf("it did not crash: the storm took fewer than %d commits", n)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-without a crash +with):\n%s", diff[:min(len(diff), 3000)])
				}
			})
		}
	}
}
