package loop_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the whole loop over a real store, a real engine and a real metric
// store, in a bubble of time of its own: minutes pass as soon as nothing is
// left to do.
type rig struct {
	t     *testing.T
	dir   string
	opts  loop.Options
	books []string

	world *world
	board *board
	phone *phone
	graph *topology.Map
	skew  atomic.Int64 // how far the clock is off

	series *series.DB
	db     *sqlite.DB
	disk   *disk
	engine *engine.Engine
	loop   *loop.Loop
	stop   func() // set while it runs

	measured bool // the loop may ask the metrics about entities

	name  string       // of one server among several
	share *lease.Share // nil: it is alone
}

// inRig runs f in a bubble with a rig that has the playbooks and is running.
func inRig(t *testing.T, books []string, f func(*testing.T, *rig)) {
	t.Helper()
	inRigOf(t, books, loop.Options{}, f)
}

// inMeasuredRig is inRig without playbooks, with metrics about entities.
func inMeasuredRig(t *testing.T, f func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, loop.Options{})
		defer r.close()
		r.measured = true
		r.wire(-1, nil)
		r.start()
		f(t, r)
	})
}

func inRigOf(t *testing.T, books []string, opts loop.Options, f func(*testing.T, *rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, books, opts)
		defer r.close()
		r.start()
		f(t, r)
	})
}

func newRig(t *testing.T, books []string, opts loop.Options) *rig {
	t.Helper()
	r := &rig{
		t: t, dir: t.TempDir(), opts: opts, books: books, world: newWorld(), phone: &phone{},
		board: &board{probes: map[heal.EntityID]func() verify.Probe{}}, graph: topology.New(topology.Options{}),
	}
	var err error
	r.series, err = series.Open(series.Options{Dir: filepath.Join(r.dir, "series"), MaxAhead: 3 * time.Hour, OutOfOrder: 3 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r.open(-1)
	return r
}

// open makes a store, an engine and a loop over what is on disk; the disk takes
// so many commits, -1 for any number.
func (r *rig) open(commits int) {
	r.t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(r.dir, "state.db")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.db = db
	r.wire(commits, nil)
}

// wire makes an engine and a loop over the store.
func (r *rig) wire(commits int, share func(store.Store) *lease.Share) {
	r.t.Helper()
	r.disk = newDisk(r.db, commits)
	if share != nil {
		r.share = share(r.disk)
	}
	drivers, err := action.NewSet(r.world)
	if err != nil {
		r.t.Fatal(err)
	}
	previews, err := action.NewPreviewSet(r.world)
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("LOOP_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	library := engine.Playbooks{Specs: drivers.Specs()}
	late := &listener{}
	opts := engine.Options{
		Owner: fmt.Sprintf("server-%s-%d", r.name, r.clock().UnixNano()), Sole: share == nil, Clock: r.clock, Entropy: rand.Reader,
		Limits: r.opts.Limits, Listener: late, Logger: log, Poll: 10 * time.Second,
	}
	r.engine = engine.New(r.disk, drivers, library, opts)
	o := r.opts
	o.Clock, o.Entropy, o.Logger = r.clock, rand.Reader, log
	r.loop = loop.New(loop.Parts{
		Store: r.disk, Engine: runner{r.engine, &engine.DryRunner{Store: r.disk, Previews: previews, Library: library, Specs: drivers.Specs(), Options: opts}},
		Catalog: loop.NewCatalog(r.compile(drivers.Specs())), Topology: r.graph, Metrics: metrics{r.series, r.measured}, Logs: noLogs{}, Probes: r.board, Notifier: r.phone, Share: r.share,
	}, o)
	late.Loop = r.loop
}

func (r *rig) compile(specs map[string]action.Spec) []*playbook.Compiled {
	r.t.Helper()
	var books []*playbook.Compiled
	for _, name := range r.books {
		file := filepath.Join("testdata", "playbooks", name+".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		p, problems := playbook.Parse(file, text)
		if err := problems.Err(); err != nil {
			r.t.Fatal(err)
		}
		c, err := playbook.Compile(p, specs)
		if err != nil {
			r.t.Fatal(err)
		}
		books = append(books, c)
	}
	return books
}

// listener breaks the circle between the engine and the loop.
type listener struct{ *loop.Loop }

// runner is the engine with its dry runs.
type runner struct {
	*engine.Engine
	dry *engine.DryRunner
}

func (r runner) DryRun(ctx context.Context, o engine.Order) (heal.Run, error) {
	return r.dry.DryRun(ctx, o)
}

func (r *rig) clock() time.Time { return time.Now().Add(time.Duration(r.skew.Load())) }

// scrape is how often the world's telemetry arrives.
const scrape = 5 * time.Second

// start runs everything until stop or close.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	if r.share == nil {
		wg.Go(func() { r.scrape(ctx) })
	}
	run := func(what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				r.t.Errorf("%s: got %v, want nil", what, err)
			}
		})
	}
	run("engine", r.engine.Run)
	run("loop", r.loop.Run)
	if r.share != nil {
		run("share", r.share.Run)
	}
	r.stop = func() { cancel(); wg.Wait(); r.stop = nil }
}

// scrape brings the world's telemetry in until ctx ends.
func (r *rig) scrape(ctx context.Context) {
	for ctx.Err() == nil {
		_ = r.series.Append(ctx, r.world.samples(r.clock())) // samples the store rejects are as good as lost
		select {
		case <-time.After(scrape):
		case <-ctx.Done():
		}
	}
}

// halt stops everything and closes the state.
func (r *rig) halt() {
	r.t.Helper()
	if r.stop != nil {
		r.stop()
	}
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) close() {
	r.halt()
	if err := r.series.Close(); err != nil {
		r.t.Error(err)
	}
}

// history writes samples of services that were well for 70 minutes.
func (r *rig) history(services ...string) {
	r.t.Helper()
	r.world.heals(services...)
	for at := r.clock().Add(-70 * time.Minute); at.Before(r.clock()); at = at.Add(scrape) {
		if err := r.series.Append(context.Background(), r.world.samples(at)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// down is the alert that a service is down, with a condition that can be asked.
func down(service string) heal.Alert {
	return alert.New(alert.Observed{
		Source: "rules", Name: "ServiceDown", Labels: map[string]string{"service": service}, Severity: heal.Critical,
		Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: "world_down == 1", Labels: map[string]string{"service_name": service}, Interval: scrape},
	})
}

// bare is the alert of a source that says nothing that could be asked.
func bare(service string) heal.Alert {
	return alert.New(alert.Observed{Source: "pager", Name: "ServiceDown", Labels: map[string]string{"service": service}, Severity: heal.Critical})
}

// slow is the alert that a service is slow, which its dependencies may explain.
func slow(service string) heal.Alert {
	return alert.New(alert.Observed{
		Source: "rules", Name: "HighLatency", Labels: map[string]string{"service": service}, Severity: heal.Warning,
		Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: "world_down == 1", Labels: map[string]string{"service_name": service}, Interval: scrape},
	})
}

func over(a heal.Alert) heal.Alert {
	a.Status = heal.Resolved
	return a
}

func (r *rig) accept(alerts ...heal.Alert) {
	r.t.Helper()
	if err := r.loop.Accept(context.Background(), "test", alerts); err != nil {
		r.t.Fatal(err)
	}
}

// patience is how long, in the bubble's time, anything may take to come about.
const patience = 2 * time.Hour

// until waits for something to be true of the store.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		at := r.revision()
		if ok() {
			return
		}
		if _, err := r.db.Wait(ctx, at); err != nil {
			r.t.Fatalf("waited %s for %s; there is:\n%s", patience, what, r.dump())
		}
	}
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) { <-time.After(d) }

func (r *rig) revision() (at store.Revision) {
	r.view(func(v store.Reader) error { at = v.Revision(); return nil })
	return at
}

func (r *rig) view(f func(store.Reader) error) {
	r.t.Helper()
	if err := r.db.View(context.Background(), f); err != nil {
		r.t.Fatal(err)
	}
}

// cases lists every case, oldest first.
func (r *rig) cases() []heal.Incident {
	return all(r, store.IncidentKind)
}

func (r *rig) runs() []heal.Run { return all(r, store.RunKind) }

func all[T any](r *rig, kind store.Kind[T]) []T {
	r.t.Helper()
	var list []T
	r.view(func(v store.Reader) error {
		list = nil
		rows, err := kind.All(v, store.Query{})
		for _, row := range rows {
			list = append(list, row.Value)
		}
		return err
	})
	return list
}

// untilCase waits for the only case, or the newest, to be in a state.
func (r *rig) untilCase(state heal.CaseState) heal.Incident {
	r.t.Helper()
	var inc heal.Incident
	r.until("a case that is "+string(state), func() bool {
		list := r.cases()
		if len(list) == 0 {
			return false
		}
		inc = list[len(list)-1]
		return inc.State == state
	})
	return inc
}

// untilCaseN waits for the case with that number, by age from 0, to be in a
// state.
func (r *rig) untilCaseN(n int, state heal.CaseState) heal.Incident {
	r.t.Helper()
	var inc heal.Incident
	r.until(fmt.Sprintf("case %d to be %s", n, state), func() bool {
		list := r.cases()
		if len(list) <= n {
			return false
		}
		inc = list[n]
		return inc.State == state
	})
	return inc
}

// story gives the texts of a case's timeline, in order.
func (r *rig) story(id heal.IncidentID) []string {
	var lines []string
	for _, e := range all(r, store.TimelineKind) {
		if e.IncidentID == id {
			lines = append(lines, e.Stage+": "+e.Text)
		}
	}
	return lines
}

// dump shows every case and its story.
func (r *rig) dump() string {
	var b strings.Builder
	for _, inc := range r.cases() {
		fmt.Fprintf(&b, "case %s %s (%s)\n", inc.ID, inc.State, inc.Outcome)
		for _, line := range r.story(inc.ID) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}

// holdsOrder reports the first wanted part that does not follow in the lines.
func holdsOrder(lines []string, want ...string) (missing string, ok bool) {
	for _, line := range lines {
		if len(want) > 0 && strings.Contains(line, want[0]) {
			want = want[1:]
		}
	}
	if len(want) == 0 {
		return "", true
	}
	return want[0], false
}

func (r *rig) wantStory(id heal.IncidentID, want ...string) {
	r.t.Helper()
	lines := r.story(id)
	if missing, ok := holdsOrder(lines, want...); !ok {
		r.t.Errorf("story: got\n  %s\nwant, in its place: %s", strings.Join(lines, "\n  "), missing)
	}
}
