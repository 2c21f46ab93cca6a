package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// world is a run with the tries its effects have made due: what the shell
// keeps, in its smallest form.
type world struct {
	run    heal.Run
	queued map[string]heal.StepKey // due, not started
	flying map[string]heal.StepKey // started, no result yet
	done   map[string]int          // effects in the world, by task
	undone []string
	past   []heal.StepKey // tries whose result is recorded
	left   budget
}

// budget bounds how often each disturbance happens, so that the walk ends.
type budget struct{ fail, pause, cancel, rollback, doubt, tick, skip int }

// people are those who answer: two who may, one of them twice over, and one who
// may not.
var people = []struct {
	name string
	as   []string
}{{"ann", []string{"approver"}}, {"bob", []string{"approver", "operator"}}, {"eve", []string{"viewer"}}}

var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w world) fork() world {
	c := w
	c.queued, c.flying, c.done = map[string]heal.StepKey{}, map[string]heal.StepKey{}, map[string]int{}
	maps.Copy(c.queued, w.queued)
	maps.Copy(c.flying, w.flying)
	maps.Copy(c.done, w.done)
	c.undone, c.past = slices.Clone(w.undone), slices.Clone(w.past)
	return c
}

func (w world) id() string {
	data, err := json.Marshal([]any{w.run, w.queued, w.flying, w.undone, w.left.fail, w.left.pause, w.left.cancel, w.left.rollback, w.left.doubt, w.left.tick, w.left.skip})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// send steps the run and keeps the queue as the shell would.
func (w world) send(t *testing.T, plan *Plan, ev Event, at time.Time) (world, bool) {
	t.Helper()
	next := w.fork()
	run, effects, err := Step(w.run, plan, ev, at)
	if err != nil {
		if !heal.Is(err, heal.Conflict) && !heal.Is(err, heal.Denied) {
			t.Fatalf("%T: %v", ev, err)
		}
		return w, false
	}
	next.run = run
	for _, e := range effects {
		switch e := e.(type) {
		case Queue:
			next.queued[e.Key.String()] = e.Key
		case Over:
			next.queued = map[string]heal.StepKey{}
		case Wake, Interrupt, Tell, Escalate:
		}
	}
	return next, true
}

// successors are all worlds one event away.
func (w world) successors(t *testing.T, plan *Plan) []world {
	var out []world
	add := func(n world, ok bool, change func(*world)) {
		if ok {
			change(&n)
			out = append(out, n)
		}
	}
	for name, key := range w.queued {
		n, ok := w.send(t, plan, w.opening(key), epoch0)
		if ok {
			n.begun(name, key)
		} else { // not wanted now: the shell drops it
			n = w.fork()
			delete(n.queued, name)
		}
		out = append(out, n)
		if w.left.skip > 0 && !key.Undo {
			n, ok := w.send(t, plan, Skipped{Key: key, Why: "not now"}, epoch0)
			add(n, ok, func(n *world) { delete(n.queued, name); n.past = append(n.past, key); n.left.skip-- })
		}
	}
	for name, key := range w.flying {
		n, ok := w.send(t, plan, Finished{Key: key}, epoch0)
		add(n, ok, func(n *world) {
			delete(n.flying, name)
			n.past = append(n.past, key)
			if key.Undo {
				n.undone = append(n.undone, key.Task)
			} else {
				n.done[key.Task]++
			}
		})
		if w.left.fail > 0 {
			n, ok := w.send(t, plan, Failed{Key: key, Kind: heal.Transient, Error: "no"}, epoch0)
			add(n, ok, func(n *world) { delete(n.flying, name); n.past = append(n.past, key); n.left.fail-- })
		}
		if w.left.doubt > 0 {
			n, ok := w.send(t, plan, Uncertain{Key: key, Error: "?", Ask: Ask{Question: "?", Owner: "operator", Within: time.Hour}}, epoch0)
			add(n, ok, func(n *world) { delete(n.flying, name); n.past = append(n.past, key); n.left.doubt-- })
		}
	}
	for _, task := range w.run.Tasks {
		if task.State == heal.RunWaiting {
			for _, answer := range []string{heal.Approved, heal.DeniedBy} {
				for _, by := range people {
					n, ok := w.send(t, plan, Answered{Task: task.ID, Answer: answer, By: by.name, As: by.as}, epoch0)
					add(n, ok, func(*world) {})
				}
			}
		}
		if task.State == heal.RunUnknown {
			for _, as := range []Settlement{SettleHappened, SettleRetry, SettleGiveUp} {
				n, ok := w.send(t, plan, Settled{Task: task.ID, As: as, By: "op"}, epoch0)
				add(n, ok, func(*world) {})
			}
		}
	}
	if w.run.State == heal.RunWaiting && w.run.StartedAt.IsZero() {
		for _, by := range people {
			n, ok := w.send(t, plan, Answered{Answer: heal.Approved, By: by.name, As: by.as}, epoch0)
			add(n, ok, func(*world) {})
		}
	}
	if w.left.pause > 0 {
		n, ok := w.send(t, plan, PauseAsked{By: "op"}, epoch0)
		add(n, ok, func(n *world) { n.left.pause-- })
	}
	n, ok := w.send(t, plan, ResumeAsked{By: "op"}, epoch0)
	add(n, ok, func(*world) {})
	if w.left.cancel > 0 {
		n, ok := w.send(t, plan, CancelAsked{By: "op"}, epoch0)
		add(n, ok, func(n *world) { n.left.cancel-- })
	}
	if w.left.rollback > 0 {
		n, ok := w.send(t, plan, RollbackAsked{By: "op"}, epoch0)
		add(n, ok, func(n *world) { n.left.rollback-- })
	}
	if w.left.tick > 0 {
		n, ok := w.send(t, plan, Tick{}, epoch0.Add(24*time.Hour))
		add(n, ok, func(n *world) { n.left.tick-- })
	}
	return out
}

// check holds the promises against one world.
func (w world) check(t *testing.T, plan *Plan) {
	t.Helper()
	for _, task := range w.run.Tasks {
		for _, need := range plan.task(task.ID).Needs {
			n := w.run.Task(need)
			began := !task.StartedAt.IsZero()
			if began && !n.State.Ended() && n.State != heal.RunRolledBack {
				t.Fatalf("task %s began before %s ended (%s)", task.ID, need, n.State)
			}
		}
		if task.State == heal.RunSkipped && !task.StartedAt.IsZero() && task.Attempt <= 1 && task.Group == "" {
			t.Fatalf("task %s is skipped though it started", task.ID)
		}
	}
	w.checkGroups(t, plan)
	w.checkOnce(t, plan)
	w.checkAnswers(t, plan)
	if !w.run.State.Ended() {
		if !w.live() {
			t.Fatalf("run is %s (ending %q, rollback %q) and nothing can move it: %s", w.run.State, w.run.Ending, w.run.Rollback, w.id())
		}
		return
	}
	if len(w.flying) > 0 {
		t.Fatalf("run ended as %s with tries in flight", w.run.State)
	}
	if w.run.EndedAt.IsZero() {
		t.Fatal("run ended without a time")
	}
	for i := range w.run.Tasks {
		s := w.run.Tasks[i].State
		if slices.Contains([]heal.RunState{heal.RunPending, heal.RunWaiting, heal.RunRunning, heal.RunPaused}, s) {
			t.Fatalf("run ended as %s with task %s %s", w.run.State, w.run.Tasks[i].ID, s)
		}
	}
	w.checkOrder(t, plan)
	for i := range w.run.Tasks {
		w.checkRerun(t, plan, w.run.Tasks[i].ID)
	}
}

// checkOnce: no task is done twice, and a try whose result is recorded takes no
// second one. After a crash two servers may bring one each: the one that was
// thought dead, and the one that took over. Every other event of a try finds it
// the way one of these two does.
func (w world) checkOnce(t *testing.T, plan *Plan) {
	t.Helper()
	for task, n := range w.done {
		if n > 1 {
			t.Fatalf("task %s was done %d times", task, n)
		}
	}
	for _, key := range w.past {
		for _, ev := range []Event{Started{Key: key}, Entered{Key: key, Items: []string{`"z"`}}, Finished{Key: key}} {
			if _, _, err := Step(w.run, plan, ev, epoch0); !heal.Is(err, heal.Conflict) {
				t.Fatalf("%T of %s after its result: got %v, want a conflict", ev, key, err)
			}
		}
	}
}

// checkAnswers: nothing that was asked for began without every yes it needs,
// each of another person who is asked, and nothing behind a no began at all.
func (w world) checkAnswers(t *testing.T, plan *Plan) {
	t.Helper()
	agreed := func(a *heal.Approval, ask *Ask, what string) {
		if a == nil || len(a.Votes) != max(ask.Quorum, 1) || a.Answer != heal.Approved {
			t.Fatalf("%s began with the answer %+v", what, a)
		}
		said := map[string]bool{"eve": true} // who is not asked
		for _, v := range a.Votes {
			if said[v.By] {
				t.Fatalf("%s began with the yes of %s in %+v", what, v.By, a.Votes)
			}
			said[v.By] = true
		}
	}
	if plan.Approval != nil && !w.run.StartedAt.IsZero() {
		agreed(w.run.Approval, plan.Approval, "the run")
	}
	for i := range w.run.Tasks {
		tr := &w.run.Tasks[i]
		if tr.StartedAt.IsZero() {
			continue
		}
		spec := plan.task(tr.ID)
		if tr.Item != "" { // the loop is asked about as a whole
			tr = w.run.Task(tr.Of)
		}
		if spec.Confirm != nil && tr.ErrorKind != heal.Unknown.String() && tr.Approval.Answer != string(SettleHappened) && tr.Approval.Answer != string(SettleRetry) && tr.Approval.Answer != string(SettleGiveUp) {
			agreed(tr.Approval, spec.Confirm, "task "+tr.ID)
		}
		for _, need := range spec.Needs {
			if w.run.Task(need).State != heal.RunUnknown && w.refusedWithin(need) {
				t.Fatalf("task %s began though %s got a no", tr.ID, need)
			}
		}
	}
}

// checkOrder: compensations ran in the reverse order of completion, only of
// completed tasks.
func (w world) checkOrder(t *testing.T, plan *Plan) {
	t.Helper()
	last := 1 << 30
	for _, id := range w.undone {
		task := w.run.Task(id)
		if plan.task(id).UndoAction == "" || task.Order == 0 {
			t.Fatalf("undo of %s, which has nothing to undo", id)
		}
		if task.Order > last {
			t.Fatalf("undo out of order: %v", w.undone)
		}
		last = task.Order
	}
	if w.run.State == heal.RunRolledBack {
		for i := range w.run.Tasks {
			task := &w.run.Tasks[i]
			if plan.task(task.ID).UndoAction != "" && task.State == heal.RunSucceeded && (task.Group == "" || len(w.run.Parts(task.ID)) > 0) {
				t.Fatalf("rolled back, but %s was not undone", task.ID)
			}
		}
	}
}

// live reports whether something is due, in flight, or asked of a person.
func (w world) live() bool {
	if len(w.queued)+len(w.flying) > 0 || w.run.State == heal.RunPaused {
		return true
	}
	if w.run.Approval != nil && w.run.Approval.Answer == "" {
		return true
	}
	for i := range w.run.Tasks {
		if a := w.run.Tasks[i].Approval; a != nil && a.Answer == "" {
			return true
		}
	}
	return false
}

func begin(t *testing.T, plan *Plan, left budget) world {
	t.Helper()
	w := world{run: heal.Run{ID: "r", State: heal.RunPending, Tasks: newTasks(plan)}, queued: map[string]heal.StepKey{}, flying: map[string]heal.StepKey{}, done: map[string]int{}, left: left}
	w, ok := w.send(t, plan, Begin{}, epoch0)
	if !ok {
		t.Fatal("a pending run does not begin")
	}
	return w
}

// explore walks every world reachable and checks each.
func explore(t *testing.T, plan *Plan, left budget) int {
	t.Helper()
	seen := map[string]bool{}
	stack := []world{begin(t, plan, left)}
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		id := w.id()
		if seen[id] {
			continue
		}
		seen[id] = true
		w.check(t, plan)
		stack = append(stack, w.successors(t, plan)...)
	}
	return len(seen)
}

func task(id string, needs ...string) Task {
	return Task{ID: id, Needs: needs, Tries: 2, Backoff: time.Second, Touches: true, UndoAction: "undo"}
}

func TestStepKeepsPromisesInEveryInterleaving(t *testing.T) {
	rollback := func(t Task) Task { t.OnFailure.Rollback = true; return t }
	carryOn := func(t Task) Task { t.OnFailure.Continue = true; return t }
	confirmed := func(t Task) Task {
		t.Confirm = &Ask{Question: "sure?", Owner: "approver", Within: time.Hour}
		return t
	}
	twice := func(t Task) Task {
		t.Confirm = &Ask{Question: "sure?", Owner: "approver, operator", Quorum: 2, Within: time.Hour}
		return t
	}
	loop := func(t Task, parallel int) Task {
		t.Group, t.Parallel = heal.GroupLoop, parallel
		return t
	}
	call := func(t Task) Task { t.Group, t.UndoAction, t.Touches = heal.GroupPlaybook, "", false; return t }
	in := func(of string, t Task) Task { t.Of = of; return t }
	plans := map[string]Plan{
		"chain":          {Tasks: []Task{task("a"), task("b", "a"), rollback(task("c", "b"))}},
		"diamond":        {Tasks: []Task{task("a"), task("b", "a"), carryOn(task("c", "a")), rollback(task("d", "b", "c"))}},
		"parallel":       {Tasks: []Task{rollback(task("a")), task("b"), rollback(task("c"))}},
		"confirmed":      {Tasks: []Task{task("a"), confirmed(task("b", "a")), rollback(task("c", "b"))}},
		"approved first": {Tasks: []Task{task("a"), rollback(task("b", "a"))}, Approval: &Ask{Question: "go?", Owner: "approver", Within: time.Hour}},
		"quorum":         {Tasks: []Task{task("a"), rollback(task("b", "a"))}, Approval: &Ask{Question: "go?", Owner: "approver", Quorum: 2, Within: time.Hour}},
		"branches":       {Tasks: []Task{carryOn(twice(task("a"))), task("b", "a"), carryOn(confirmed(task("c")))}},
		"timeout":        {Tasks: []Task{task("a"), task("b")}, Timeout: time.Hour},

		"loop, one at a time":  {Tasks: []Task{rollback(loop(task("a"), 1)), task("b", "a")}},
		"loop, two at once":    {Tasks: []Task{rollback(loop(task("a"), 2)), task("b", "a")}},
		"loop that carries on": {Tasks: []Task{task("a"), carryOn(loop(task("b", "a"), 2)), task("c", "b")}},
		"confirmed loop":       {Tasks: []Task{carryOn(confirmed(loop(task("a"), 1))), task("b", "a")}},
		"call":                 {Tasks: []Task{call(task("a")), in("a", task("a.x")), in("a", rollback(task("a.y", "a.x"))), task("b", "a")}},
		"call that may fail":   {Tasks: []Task{carryOn(call(task("a"))), in("a", task("a.x")), in("a", task("a.y")), task("b", "a")}},
		"call that asks":       {Tasks: []Task{carryOn(call(task("a"))), in("a", confirmed(task("a.x"))), in("a", carryOn(confirmed(task("a.y")))), task("b", "a")}},
		"loop within calls": {Tasks: []Task{
			carryOn(call(task("a"))), in("a", call(task("a.b"))), in("a.b", loop(task("a.b.c"), 1)), task("d", "a"),
		}},
	}
	disturbances := []budget{
		{},
		{fail: 2, rollback: 1},
		{fail: 1, cancel: 1, tick: 1},
		{pause: 1, fail: 1, cancel: 1},
		{doubt: 1, pause: 1, tick: 1},
		{doubt: 1, rollback: 1, cancel: 1},
		{skip: 1, fail: 1, rollback: 1},
	}
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			worlds := 0
			for _, left := range disturbances {
				worlds += explore(t, &plan, left)
			}
			t.Logf("%d worlds", worlds)
		})
	}
}

func TestStepKeepsPromisesAtRandom(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for trial := range 3000 {
		plan := randomPlan(rng, 6)
		w := begin(t, plan, budget{fail: 3, pause: 2, cancel: rng.Intn(2), rollback: rng.Intn(2), doubt: 1, tick: rng.Intn(2), skip: rng.Intn(2)})
		for range 200 {
			next := w.successors(t, plan)
			if len(next) == 0 {
				break
			}
			w = next[rng.Intn(len(next))]
			w.check(t, plan)
		}
		if t.Failed() {
			t.Fatalf("trial %d, plan %+v", trial, plan)
		}
	}
}

// randomPlan makes a graph of n tasks: some of them loops, some calls, and some
// within a call, where they need only each other.
func randomPlan(rng *rand.Rand, n int) *Plan {
	plan := &Plan{}
	calls := []string{""}
	for i := range n {
		tk := task(fmt.Sprintf("t%d", i))
		tk.Of = calls[rng.Intn(len(calls))]
		for j := range i {
			if plan.Tasks[j].Of == tk.Of && rng.Intn(3) == 0 {
				tk.Needs = append(tk.Needs, fmt.Sprintf("t%d", j))
			}
		}
		tk.OnFailure = Reaction{Continue: rng.Intn(3) == 0, Rollback: rng.Intn(3) == 0, Notify: rng.Intn(2) == 0}
		if rng.Intn(4) == 0 {
			tk.UndoAction = ""
		}
		if rng.Intn(5) == 0 {
			tk.Confirm = &Ask{Question: "sure?", Owner: "approver", Quorum: 1 + rng.Intn(2), Within: time.Hour}
		}
		switch rng.Intn(5) {
		case 0:
			tk.Group, tk.Parallel = heal.GroupLoop, 1+rng.Intn(2)
		case 1:
			if i < n-1 {
				tk.Group, tk.UndoAction, tk.Touches = heal.GroupPlaybook, "", false
				calls = append(calls, tk.ID)
			}
		}
		plan.Tasks = append(plan.Tasks, tk)
	}
	return plan
}
