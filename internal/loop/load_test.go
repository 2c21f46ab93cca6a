package loop_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// TestBurst plays 500 alerts on 500 unrelated entities, in groups of 50 as
// Alertmanager sends them, in real time.
func TestBurst(t *testing.T) {
	const n = 500
	r := newRig(t, []string{"restart"}, loop.Options{})
	defer r.close()
	r.start()
	var alerts []heal.Alert
	for i := range n {
		service := fmt.Sprintf("service-%03d", i)
		r.world.breaks("fix.restart", service)
		alerts = append(alerts, down(service))
	}
	began := time.Now()
	for group := range slices.Chunk(alerts, 50) {
		r.accept(group...)
	}
	accepted := time.Now()
	r.until("every effect", func() bool { return len(r.world.done()) >= n })

	runs := r.runs()
	var waits []time.Duration
	for _, run := range runs {
		waits = append(waits, run.Tasks[0].StartedAt.Sub(accepted))
	}
	slices.Sort(waits)
	t.Logf("%d alerts accepted in %s; first steps started after p50 %s, p99 %s, last %s, of which %s is for signals that belong together",
		n, accepted.Sub(began).Round(time.Millisecond), waits[n/2].Round(time.Millisecond), waits[n*99/100].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond), 2*time.Second)
	if cases := r.countOf(store.Incidents); cases != n || len(runs) != n {
		t.Errorf("got %d cases and %d runs, want %d and %d", cases, len(runs), n, n)
	}
	targets := map[string]bool{}
	for _, e := range r.world.done() {
		targets[e] = true
	}
	if len(targets) != n || len(r.world.done()) != n {
		t.Errorf("got %d effects on %d targets, want one on each of %d", len(r.world.done()), len(targets), n)
	}
}

func (r *rig) countOf(table store.Table) (n int) {
	r.view(func(v store.Reader) error {
		count, err := v.Count(table)
		n = int(count)
		return err
	})
	return n
}
