package engine_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// world is what actions touch: it remembers every effect by its key, as a real
// target that can be observed does.
type world struct {
	mu      sync.Mutex
	effects []string                 // keys in the order they happened
	targets map[string]heal.EntityID // of the last call of a task
	happens map[string]bool          // by key
	fail    map[string]int           // task -> failures still to come
	gate    chan struct{}            // when not nil, every call waits for it
	entered chan string              // when not nil, hears each call
	lost    map[string]bool          // task -> the effect happens but the answer is lost, once
}

func newWorld() *world {
	return &world{happens: map[string]bool{}, fail: map[string]int{}, lost: map[string]bool{}, targets: map[string]heal.EntityID{}}
}

// targetOf is what the last call of a task was on.
func (w *world) targetOf(task string) heal.EntityID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.targets[task]
}

var specs = map[string]action.Spec{
	"world.put":   {Name: "world.put", Effect: action.Idempotent, Impact: action.Reversible},
	"world.see":   {Name: "world.see", Effect: action.Observable, Impact: action.Disruptive},
	"world.once":  {Name: "world.once", Effect: action.Once, Impact: action.Destructive},
	"world.undo":  {Name: "world.undo", Effect: action.Idempotent, Impact: action.Reversible},
	"world.read":  {Name: "world.read", Effect: action.ReadOnly, Impact: action.Harmless},
	"wait.for":    {Name: "wait.for", Effect: action.ReadOnly, Impact: action.Harmless},
	"world.block": {Name: "world.block", Effect: action.Once, Impact: action.Disruptive},
}

func (w *world) Spec(name string) (action.Spec, bool) {
	s, ok := specs[name]
	return s, ok
}

func (w *world) Do(ctx context.Context, call action.Call) (action.Result, error) {
	if w.entered != nil {
		w.entered <- call.Key.String()
	}
	if call.Action == "world.block" {
		<-ctx.Done()
		return action.Result{}, heal.Errorf(heal.Unknown, "block", "%w", ctx.Err())
	}
	if w.gate != nil {
		select {
		case <-w.gate:
		case <-ctx.Done():
			return action.Result{}, heal.Errorf(heal.Unknown, "do", "%w", ctx.Err())
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[call.Key.Task] = call.Target
	if w.fail[call.Key.Task] > 0 {
		w.fail[call.Key.Task]--
		return action.Result{}, heal.Errorf(heal.Transient, "do", "not now")
	}
	key := call.Key.String()
	if !(specs[call.Action].Effect == action.Idempotent && w.happens[key]) {
		w.effects = append(w.effects, key)
		w.happens[key] = true
	}
	if w.lost[call.Key.Task] {
		delete(w.lost, call.Key.Task)
		return action.Result{}, heal.Errorf(heal.Unknown, "do", "connection reset")
	}
	return action.Result{Output: map[string]any{"task": call.Key.Task}}, nil
}

func (w *world) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.happens[call.Key.String()] {
		return action.Observation{State: action.Happened, Result: action.Result{Output: map[string]any{"task": call.Key.Task}}}, nil
	}
	return action.Observation{State: action.NotHappened}, nil
}

// tasksOf lists the tasks whose effects happened, in order.
func (w *world) tasksOf(t *testing.T) []string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var tasks []string
	for _, e := range w.effects {
		key, err := heal.ParseStepKey(e)
		if err != nil {
			t.Fatal(err)
		}
		name := key.Task
		if key.Undo {
			name = "~" + name
		}
		tasks = append(tasks, name)
	}
	return tasks
}

// library reads plans in JSON: the engine's tests need no playbook language.
type library struct{}

func (library) Open(source []byte) (engine.Book, error) {
	var b book
	if err := json.Unmarshal(source, &b.plan); err != nil {
		return nil, heal.Errorf(heal.Invalid, "open book", "%w", err)
	}
	return b, nil
}

type book struct{ plan engine.Plan }

func (b book) Plan() *engine.Plan { return &b.plan }

func (b book) Work(run *heal.Run, task string, undo bool) (engine.Work, error) {
	for _, t := range b.plan.Tasks {
		if t.ID != task {
			continue
		}
		w := engine.Work{Action: t.Action, Target: run.Target, Timeout: 5 * time.Second, Owner: "operator"}
		if undo {
			w.Action = t.UndoAction
		}
		if t.Action == "wait.for" {
			w.Params = map[string]any{"duration": 50 * time.Millisecond}
		}
		return w, nil
	}
	return engine.Work{}, heal.Errorf(heal.NotFound, "work", "no task %s", task)
}

func (b book) Items(*heal.Run, string) ([]string, error) { return nil, nil }

func (b book) Conditional(_ *heal.Run, task string) bool { return task == "never" }

func (b book) Conditions(_ context.Context, _ *heal.Run, task string, _ engine.Live) (ok bool, why string, err error) {
	if task == "never" {
		return false, "the condition does not hold", nil
	}
	return true, "", nil
}

// rig is a store, a world and engines over them.
type rig struct {
	t     *testing.T
	path  string
	db    *sqlite.DB
	world *world
	stop  func()
	eng   *engine.Engine
	limit guard.Limits
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "homeostat.db"), world: newWorld(), limit: guard.DefaultLimits()}
	r.limit.Recheck = 5 * time.Millisecond
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	db, err := sqlite.Open(r.t.Context(), sqlite.Options{Path: r.path})
	if err != nil {
		r.t.Fatal(err)
	}
	r.db = db
	r.eng = r.engine("one")
}

func (r *rig) engine(owner string) *engine.Engine {
	return engine.New(r.db, r.world, library{}, engine.Options{
		Owner: owner, Sole: true, Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Limits: r.limit,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// start runs the engine until the returned function, or the end of the test.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.eng.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("engine: %v", err)
		}
		r.stop = nil
	}
}

func (r *rig) close() {
	if r.stop != nil {
		r.stop()
	}
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

// order makes an order for a plan.
func (r *rig) order(target heal.EntityID, plan engine.Plan) engine.Order {
	r.t.Helper()
	source, err := json.Marshal(plan)
	if err != nil {
		r.t.Fatal(err)
	}
	return engine.Order{Name: "test", Digest: fmt.Sprintf("%x", sha256.Sum256(source)), Source: source, Target: target, Scope: heal.DefaultScope, RequestedBy: "test"}
}

func (r *rig) run(target heal.EntityID, plan engine.Plan) heal.RunID {
	r.t.Helper()
	run, err := r.eng.StartNow(r.t.Context(), r.order(target, plan))
	if err != nil {
		r.t.Fatal(err)
	}
	return run.ID
}

func (r *rig) get(id heal.RunID) heal.Run {
	r.t.Helper()
	var run heal.Run
	err := r.db.View(r.t.Context(), func(rd store.Reader) error {
		got, err := store.RunKind.Get(rd, string(id))
		run = got.Value
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return run
}

// until waits for the run to meet a condition, woken by commits.
func (r *rig) until(id heal.RunID, what string, met func(heal.Run) bool) heal.Run {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var last store.Revision
	for {
		run := r.get(id)
		if met(run) {
			return run
		}
		next, err := r.db.Wait(ctx, last)
		if err != nil {
			r.t.Fatalf("run is %s (%s) and not yet %s: %v; %+v", run.State, run.Reason, what, err, run.Tasks)
		}
		last = next
	}
}

func (r *rig) ended(id heal.RunID) heal.Run {
	r.t.Helper()
	return r.until(id, "ended", func(run heal.Run) bool { return run.State.Ended() })
}

func step(id, act string, needs ...string) engine.Task {
	return engine.Task{ID: id, Action: act, Needs: needs, Tries: 1, Touches: act != "world.read" && act != "wait.for"}
}

func states(run heal.Run) map[string]heal.RunState {
	m := map[string]heal.RunState{}
	for _, t := range run.Tasks {
		m[t.ID] = t.State
	}
	return m
}
