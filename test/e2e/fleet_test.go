//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/form"
)

var fleet = []string{"cart", "payment", "email"}

// TestE2ELoopOverAFleet kills the server in the middle of a loop that starts
// three processes, or in the middle of one within a called playbook that tells of
// each. The server that comes after goes on; the run then fails, and all that was
// done is undone in reverse order, each entry once.
func TestE2ELoopOverAFleet(t *testing.T) {
	for _, tt := range []struct{ name, kill string }{
		{"killed while the second process starts", "ready/payment"},
		{"killed in the second call", "announce/service/payment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t)
			var once atomic.Bool
			f.world.whenCalled(func(c call, gone <-chan struct{}) {
				f.written(c, gone)
				if c.task == tt.kill && once.CompareAndSwap(false, true) {
					f.crash()
					<-gone
				}
			})
			f.start()
			id := f.started("fleet", "service/shop").ID
			select {
			case <-f.server.ended:
			case <-time.After(30 * time.Second):
				t.Fatal("the moment to kill the server did not come")
			}
			f.start()
			f.check(id)
		})
	}
}

// fleetHouse is a server with three processes and a world to tell of them.
type fleetHouse struct {
	*house
	world *target
	logs  map[string]string // of the starts of each process
}

func newFleet(t *testing.T) *fleetHouse {
	t.Helper()
	f := &fleetHouse{world: newTarget(t), logs: map[string]string{}}
	var processes []settings
	for _, name := range fleet {
		f.logs[name] = filepath.Join(t.TempDir(), name+".log")
		p := patient(t, name, "service/"+name, f.logs[name])
		p["ready_url"] = f.world.URL + "/ready/" + name
		processes = append(processes, p)
	}
	values := map[string]string{"target": f.world.URL}
	f.house = newHouse(t, settings{"drivers": settings{"processes": processes}}, book(t, "fleet", values), book(t, "announce-all", values))
	return f
}

// written holds the answer that a process is ready until it has written its log,
// so that it may be stopped from then on without a trace being lost.
func (f *fleetHouse) written(c call, gone <-chan struct{}) {
	name, asked := strings.CutPrefix(c.task, "ready/")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for asked && len(starts(f.t, f.logs[name])) == 0 {
		select {
		case <-tick.C:
		case <-gone: // it will be asked again
			return
		}
	}
}

// check waits for the end of the run and compares what was done with what is
// promised.
func (f *fleetHouse) check(id string) {
	t := f.t
	t.Helper()
	var end form.Run
	eventually(t, 60*time.Second, "the run is rolled back", func() bool {
		end = f.run(id)
		if len(end.Waits) > 0 {
			t.Fatalf("a person is asked %q; nothing here can be in doubt", end.Waits[0].Question)
		}
		return !end.EndedAt.IsZero()
	})
	if end.State != "rolled_back" || end.Rollback != "rolled_back" {
		t.Errorf("run: %s (%s), rollback %s, want rolled back", end.State, end.Reason, end.Rollback)
	}
	undo := map[time.Time]string{}
	var at []time.Time
	for _, task := range end.Tasks {
		if task.Undo != nil {
			undo[task.Undo.StartedAt], at = task.ID, append(at, task.Undo.StartedAt)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	var order []string
	for _, moment := range at {
		order = append(order, undo[moment])
	}
	want := []string{"announce.each.3", "announce.each.2", "announce.each.1", "start.3", "start.2", "start.1"}
	if diff := cmp.Diff(order, want); diff != "" {
		t.Errorf("undone, in this order (-got +want):\n%s", diff)
	}
	for i, name := range fleet {
		if got, want := starts(t, f.logs[name]), []string{fmt.Sprintf("%s/start.%d/1", id, i+1)}; !slices.Equal(got, want) {
			t.Errorf("process %s was started under the keys %q, want %q", name, got, want)
		}
		for _, what := range []string{"announce", "withdraw"} {
			keys := distinct(f.world.keys(what + "/service/" + name))
			if len(keys) != 1 || !strings.HasPrefix(keys[0], id+"/") || !strings.HasSuffix(keys[0], fmt.Sprintf("announce.each.%d/1", i+1)) {
				t.Errorf("%s of %s came under the keys %q, want one", what, name, keys)
			}
		}
	}
	eventually(t, 10*time.Second, "every process is stopped again", func() bool { return len(holding(t, f.dir)) == 0 })
	if shown := f.cli("runs", "show", id); !strings.Contains(shown, "start.2") || !strings.Contains(shown, "service/payment") {
		t.Errorf("runs show: want the entries of the loop:\n%s", tail(shown))
	}
}
