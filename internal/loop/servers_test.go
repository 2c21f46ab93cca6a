package loop_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// peer is another server on the store of a rig; its disk takes so many commits,
// -1 for any number.
func (r *rig) peer(name string, commits int) *rig {
	r.t.Helper()
	p := &rig{
		t: r.t, dir: r.dir, opts: r.opts, books: r.books, world: r.world, phone: r.phone, board: r.board, graph: r.graph,
		series: r.series, db: r.db, name: name,
	}
	p.wire(commits, func(s store.Store) *lease.Share {
		return lease.NewShare(s, lease.ShareOptions{Member: name, Duties: loop.Duties(), Clock: p.clock})
	})
	return p
}

// Servers come, die and go while alerts come in at all of them: every service
// gets one case and one action, and is healed.
func TestServersShareCases(t *testing.T) {
	for _, tt := range []struct {
		commits int
		silent  bool // the last one is durable, and the server never hears of it
	}{{7, true}, {25, false}, {50, true}} {
		t.Run(fmt.Sprintf("dies after %d commits, silently %v", tt.commits, tt.silent), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { serversShareCases(t, tt.commits, tt.silent) })
		})
	}
}

func serversShareCases(t *testing.T, commits int, silent bool) {
	t.Helper()
	limits := guard.DefaultLimits()
	limits.Small = guard.Small{} // which would stretch it over an hour
	r := newRig(t, []string{"restart"}, loop.Options{Limits: limits})
	defer r.close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.scrape(ctx)
	mortal := r.peer("mortal", commits)
	mortal.disk.silent = silent
	one, two := r.peer("one", -1), r.peer("two", -1)
	mortal.start()
	one.start()
	two.start()
	defer two.stop()

	var services []string
	const each = 3
	for wave, at := range [][]*rig{{one, two}, {two, one}, {two}} {
		for i := range each {
			services = append(services, fmt.Sprintf("s%d%d", wave, i))
		}
		for i, s := range services[wave*each:] {
			r.world.breaks("fix.restart", s)
			at[i%len(at)].accept(down(s))
			at[(i+1)%len(at)].accept(down(s)) // senders say it to more than one
		}
		r.pass(40 * time.Second)
		if wave == 1 {
			one.stop() // goes in order
		}
	}
	select {
	case <-mortal.disk.crashed:
	default:
		t.Errorf("it took only %d commits; nothing died", mortal.disk.count())
	}
	mortal.stop()
	r.until("every case to be healed", func() bool {
		list := r.cases()
		return len(list) >= len(services) && !slices.ContainsFunc(list, func(inc heal.Incident) bool { return !inc.State.Ended() || len(inc.Owed) > 0 })
	})
	for _, inc := range r.cases() {
		if inc.State != heal.CaseHealed {
			t.Errorf("case %s of %s: got %s (%s), want healed", inc.ID, inc.Cause, inc.State, inc.Outcome)
		}
	}
	got := r.world.done()
	slices.Sort(got)
	var want []string
	for _, s := range services {
		want = append(want, "fix.restart service/"+s)
	}
	if !slices.Equal(got, want) {
		t.Errorf("actions: got %q, want each once: %q", got, want)
	}
}
