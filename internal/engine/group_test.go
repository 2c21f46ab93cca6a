package engine_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
)

const (
	outer = `
playbook_id: outer
name: Outer
params: {hosts: {type: strings, default: [service/a, service/b, service/c]}}
tasks:
  - {id: first, action: world.put, rollback: {action: world.undo}}
  - id: each
    depends_on: first
    action: world.see
    for_each: params.hosts
    max_parallel: 2
    target: "{{ item }}"
    rollback: {action: world.undo}
  - {id: inner, depends_on: each, playbook: inner, target: "{{ outputs.each.items[2].item }}", params: {from: "{{ outputs.each.items[0].output.task }}"}}
  - {id: last, depends_on: inner, action: world.see, on_failure: rollback}
`
	inner = `
playbook_id: inner
name: Inner
params: {from: {required: true}}
tasks:
  - {id: one, action: world.put, conditions: params.from == "each.1", rollback: {action: world.undo}}
  - id: two
    depends_on: one
    action: world.put
    for_each: [1, 2, 3]
    as: n
    conditions: n != 2
    rollback: {action: world.undo}
`
)

// speak gives the rig an engine that reads the playbook language, and the order
// for the first of the playbooks.
func (r *rig) speak(sources ...string) engine.Order {
	r.t.Helper()
	var files []playbook.File
	for i, s := range sources {
		files = append(files, playbook.File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(s)})
	}
	books, problems := playbook.Load(files, specs)
	if err := problems.Err(); err != nil {
		r.t.Fatal(err)
	}
	r.eng = r.speaking(r.db, "one")
	return engine.Order{Name: books[0].ID, Digest: books[0].Pin.Digest, Source: books[0].Pin.Source, Target: "service/main", Scope: heal.DefaultScope, RequestedBy: "test"}
}

func (r *rig) speaking(s store.Store, owner string) *engine.Engine {
	return engine.New(s, r.world, engine.Playbooks{Specs: specs}, engine.Options{
		Owner: owner, Sole: true, Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Drain: time.Millisecond, Limits: r.limit,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// checkUndone: every effect happened once, and what was completed was undone in
// the reverse order of completion.
func (r *rig) checkUndone(run heal.Run, want []string) {
	r.t.Helper()
	effects := r.world.tasksOf(r.t)
	var done, undone []string
	for _, e := range effects {
		if task, ok := strings.CutPrefix(e, "~"); ok {
			undone = append(undone, task)
		} else {
			done = append(done, e)
		}
	}
	slices.Sort(done)
	if diff := cmp.Diff(done, want); diff != "" {
		r.t.Errorf("effects (-got +want):\n%s", diff)
	}
	order := slices.Clone(want)
	slices.SortFunc(order, func(a, b string) int { return run.Task(b).Order - run.Task(a).Order })
	if diff := cmp.Diff(undone, order); diff != "" {
		r.t.Errorf("undone (-got, +reverse order of completion):\n%s", diff)
	}
}

var everything = []string{"each.1", "each.2", "each.3", "first", "inner.one", "inner.two.1", "inner.two.3"}

func TestLoopAndCalledPlaybook(t *testing.T) {
	r := newRig(t)
	order := r.speak(outer, inner)
	r.start()
	got, err := r.eng.StartNow(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	run := r.ended(got.ID)
	want := map[string]heal.RunState{
		"first": heal.RunSucceeded, "each": heal.RunSucceeded, "each.1": heal.RunSucceeded, "each.2": heal.RunSucceeded, "each.3": heal.RunSucceeded,
		"inner": heal.RunSucceeded, "inner.one": heal.RunSucceeded, "inner.two": heal.RunSucceeded,
		"inner.two.1": heal.RunSucceeded, "inner.two.2": heal.RunSkipped, "inner.two.3": heal.RunSucceeded, "last": heal.RunSucceeded,
	}
	if diff := cmp.Diff(states(run), want); diff != "" || run.State != heal.RunSucceeded {
		t.Fatalf("%s (%s), tasks (-got +want):\n%s", run.State, run.Reason, diff)
	}
	if got := r.world.targetOf("inner.one"); got != "service/c" {
		t.Errorf("target within the call: got %s, want service/c", got)
	}
	if got := r.world.targetOf("each.2"); got != "service/b" {
		t.Errorf("target of the second entry: got %s, want service/b", got)
	}
}

// TestCrashInLoopAfterEveryCommit stops the engine before and in each commit of
// a run with loops and a call that ends with a rollback, and lets another finish.
func TestCrashInLoopAfterEveryCommit(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "before the commit", true: "in the commit"}[silent], func(t *testing.T) {
			for n := 1; ; n++ {
				if n > 200 {
					t.Fatal("the run was not over after 200 commits")
				}
				r := newRig(t)
				order := r.speak(outer, inner)
				r.world.fail["last"] = 99
				crashed := r.untilCommit(order, n, silent)
				r.eng = r.speaking(r.db, fmt.Sprintf("after %d", n))
				r.start()
				run := r.ended(r.only())
				if run.State != heal.RunRolledBack || run.Rollback != heal.RunRolledBack {
					t.Fatalf("stopped at commit %d: run is %s (%s), rollback %s, want rolled back", n, run.State, run.Reason, run.Rollback)
				}
				r.checkUndone(run, everything)
				r.stop()
				if t.Failed() {
					t.Fatalf("stopped at commit %d", n)
				}
				if !crashed {
					t.Logf("%d commits", n-1)
					break
				}
			}
		})
	}
}

// untilCommit orders a run and lets an engine work on it until it has made n
// commits, or the run is over.
func (r *rig) untilCommit(o engine.Order, n int, silent bool) (crashed bool) {
	r.t.Helper()
	ctx, crash := context.WithCancel(context.Background())
	defer crash()
	if _, err := r.eng.StartNow(r.t.Context(), o); err != nil {
		r.t.Fatal(err)
	}
	dying := &dyingAfter{Store: r.db, left: n, silent: silent, die: crash}
	over := make(chan error, 1)
	go func() { over <- r.speaking(dying, "dead").Run(ctx) }()
	var last store.Revision
	for ctx.Err() == nil && !r.get(r.only()).State.Ended() {
		next, err := r.db.Wait(ctx, last)
		if err != nil {
			break
		}
		last = next
	}
	crash()
	if err := <-over; err != nil {
		r.t.Fatal(err)
	}
	return dying.dead()
}

// only is the id of the one run there is.
func (r *rig) only() heal.RunID {
	r.t.Helper()
	var id heal.RunID
	err := r.db.View(r.t.Context(), func(rd store.Reader) error {
		rows, err := store.RunKind.All(rd, store.Query{})
		if err == nil && len(rows) != 1 {
			err = fmt.Errorf("%d runs, want one", len(rows))
		}
		if err == nil {
			id = rows[0].Value.ID
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

var errDead = errors.New("the process was killed")

// dyingAfter is the store of a process that is killed before the commit after
// the n-th, or in the n-th, whose outcome it then never hears.
type dyingAfter struct {
	store.Store
	silent bool
	die    func()

	mu   sync.Mutex
	left int
}

func (d *dyingAfter) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left < 0
}

func (d *dyingAfter) Update(ctx context.Context, f func(store.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left < 0 || d.left == 0 && !d.silent {
		d.left = -1
		d.die()
		return errDead
	}
	if d.left--; d.left > 0 || !d.silent {
		return d.Store.Update(ctx, f)
	}
	d.left = -1
	_ = d.Store.Update(ctx, f) // nobody hears of it
	d.die()
	return errDead
}

// TestLoopOfManyEntries: no more entries are in flight than may
// be; one that fails holds the others that have not begun, unless it says that
// they go on.
func TestLoopOfManyEntries(t *testing.T) {
	source := func(more string) string {
		return "playbook_id: many\nname: Many\ntasks:\n  - {id: each, action: world.put, for_each: [1, 2, 3, 4, 5, 6], max_parallel: 2, " + more + "rollback: {action: world.undo}}\n  - {id: after, depends_on: each, action: world.put}\n"
	}
	t.Run("two at once", func(t *testing.T) {
		r := newRig(t)
		order := r.speak(source(""))
		r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 20)
		r.start()
		got, err := r.eng.StartNow(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		<-r.world.entered
		<-r.world.entered
		for range 6 {
			flying := 0
			for _, task := range r.get(got.ID).Tasks {
				if task.Of == "each" && task.State == heal.RunRunning {
					flying++
				}
			}
			if flying > 2 {
				t.Errorf("entries in flight: got %d, want at most 2", flying)
			}
			r.world.gate <- struct{}{}
		}
		r.world.gate <- struct{}{}
		if run := r.ended(got.ID); run.State != heal.RunSucceeded || len(r.world.tasksOf(t)) != 7 {
			t.Errorf("run: got %s with %v, want succeeded with all", run.State, r.world.tasksOf(t))
		}
	})
	t.Run("one fails", func(t *testing.T) {
		r := newRig(t)
		order := r.speak(strings.Replace(source(""), "max_parallel: 2", "max_parallel: 1", 1))
		r.world.fail["each.3"] = 9
		r.start()
		got, err := r.eng.StartNow(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		run := r.ended(got.ID)
		want := map[string]heal.RunState{
			"each": heal.RunFailed, "each.1": heal.RunSucceeded, "each.2": heal.RunSucceeded, "each.3": heal.RunFailed,
			"each.4": heal.RunSkipped, "each.5": heal.RunSkipped, "each.6": heal.RunSkipped, "after": heal.RunSkipped,
		}
		if diff := cmp.Diff(states(run), want); diff != "" || run.State != heal.RunFailed {
			t.Errorf("%s, tasks (-got +want):\n%s", run.State, diff)
		}
		again, err := r.eng.Rerun(t.Context(), got.ID, engine.Rerun{By: "op"})
		if err != nil {
			t.Fatal(err)
		}
		r.world.mu.Lock()
		r.world.fail["each.3"] = 0
		r.world.mu.Unlock()
		if run := r.ended(again.ID); run.State != heal.RunSucceeded || !run.Task("each.2").Kept {
			t.Errorf("run again: got %s, each.2 kept: %v", run.State, run.Task("each.2").Kept)
		}
		if diff := cmp.Diff(r.world.tasksOf(t), []string{"each.1", "each.2", "each.3", "each.4", "each.5", "each.6", "after"}); diff != "" {
			t.Errorf("effects of both runs (-got +want):\n%s", diff)
		}
	})
	t.Run("the others go on", func(t *testing.T) {
		r := newRig(t)
		order := r.speak(source("on_failure: continue, "))
		r.world.fail["each.3"] = 9
		r.start()
		got, err := r.eng.StartNow(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		run := r.ended(got.ID)
		if run.State != heal.RunSucceeded || run.Task("each").State != heal.RunFailed || run.Task("each").Error != "1 of 6 entries failed" || run.Task("after").State != heal.RunSucceeded {
			t.Errorf("run: got %s, loop %s (%s), after it %s", run.State, run.Task("each").State, run.Task("each").Error, run.Task("after").State)
		}
	})
	t.Run("too many", func(t *testing.T) {
		r := newRig(t)
		order := r.speak("playbook_id: many\nname: Many\nparams: {list: {type: strings}}\ntasks: [{id: each, action: world.put, for_each: params.list}]\n")
		order.Params = map[string]string{"list": strings.Repeat("x,", 100) + "x"}
		r.start()
		got, err := r.eng.StartNow(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		if run := r.ended(got.ID); run.State != heal.RunFailed || !strings.Contains(run.Reason, "gives a list of 101 entries, at most 100 are taken") {
			t.Errorf("run: got %s: %s", run.State, run.Reason)
		}
	})
	t.Run("none", func(t *testing.T) {
		r := newRig(t)
		order := r.speak("playbook_id: many\nname: Many\ntasks: [{id: each, action: world.put, for_each: \"[1].filter(n, n > 1)\"}, {id: after, depends_on: each, action: world.put}]\n")
		r.start()
		got, err := r.eng.StartNow(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		if run := r.ended(got.ID); run.State != heal.RunSucceeded || run.Task("after").State != heal.RunSucceeded {
			t.Errorf("run: got %s: %v", run.State, states(run))
		}
	})
}

// previews say what would be done to the world.
type previews struct{}

func (previews) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	return action.Preview{Text: "Would do " + call.Action + " to " + string(call.Target) + "."}, nil
}

func TestDryRunGoesThroughLoopsAndCalls(t *testing.T) {
	r := newRig(t)
	order := r.speak(outer, inner)
	dry := engine.DryRunner{Store: r.db, Previews: previews{}, Library: engine.Playbooks{Specs: specs}, Specs: specs, Options: engine.Options{Clock: time.Now, Entropy: rand.Reader, Limits: r.limit}}
	run, err := dry.DryRun(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range run.Tasks {
		first, _, _ := strings.Cut(task.Preview, "\n")
		if !strings.HasPrefix(first, "depends on") && task.Group == "" && len(task.Guards) == 0 {
			t.Errorf("task %s: no guard was asked", task.ID)
		}
		got = append(got, task.ID+": "+first[:min(len(first), 60)])
	}
	want := []string{
		"first: Would do world.put to service/main.", "each: Would do this for each of 3 entries, 2 at once.",
		"each.1: Would do world.see to service/a.", "each.2: Would do world.see to service/b.", "each.3: Would do world.see to service/c.",
		"inner: Would carry out the tasks of playbook inner.", "inner.one: depends on what happens before: params of task inner: from: ",
		"inner.two: depends on what happens before: params of task inner: from: ", "last: Would do world.see to service/main.",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if len(r.world.tasksOf(t)) > 0 {
		t.Errorf("a dry run did %v", r.world.tasksOf(t))
	}
}
