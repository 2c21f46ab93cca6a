package apitest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/library"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
)

// World is the end of the chain: what was touched, in order.
type World struct {
	mu      sync.Mutex
	touched []string
}

var worldSpecs = []action.Spec{
	{
		Name: "world.touch", Doc: "Touches its target.", Effect: action.Once, Impact: action.Reversible,
		Params: []action.Param{{Name: "end", Type: action.String, Default: "well", Doc: "well, unknown or badly"}},
	},
	{Name: "world.untouch", Doc: "Takes it back.", Effect: action.Idempotent, Impact: action.Reversible},
	{
		Name: "wait.for", Doc: "Waits.", Effect: action.ReadOnly, Impact: action.Harmless,
		Params: []action.Param{{Name: "duration", Type: action.Duration, Required: true, Doc: "how long"}},
	},
}

// Specs lists what can be done to the world.
func (w *World) Specs() []action.Spec { return worldSpecs }

// Do touches.
func (w *World) Do(_ context.Context, call action.Call) (action.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch call.Params["end"] {
	case "unknown":
		return action.Result{}, heal.Errorf(heal.Unknown, "touch", "the connection broke after the request was sent")
	case "badly":
		return action.Result{}, heal.Errorf(heal.Invalid, "touch", "the target does not want it")
	}
	w.touched = append(w.touched, call.Action+" "+string(call.Target))
	return action.Result{Output: map[string]any{"touched": string(call.Target)}}, nil
}

// Observe cannot tell.
func (w *World) Observe(context.Context, action.Call) (action.Observation, error) {
	return action.Observation{State: action.CannotTell}, nil
}

// Preview says what would be touched.
func (w *World) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	return action.Preview{Text: "Would do " + call.Action + " to " + string(call.Target) + "."}, nil
}

// Touched lists what was done.
func (w *World) Touched() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.touched)
}

var books = []string{`
playbook_id: touch
name: Touch it
risk: low
trust: auto
params:
  end: {default: well, description: how it ends}
tasks:
  - id: touch
    name: Touch the target
    action: world.touch
    parameters: {end: "{{ params.end }}"}
    rollback: {action: world.untouch}
`, `
playbook_id: ask-first
name: Ask, then touch
risk: high
approval: {required: always, owner: approver, deadline: 1h}
tasks:
  - id: touch
    action: world.touch
`, `
playbook_id: confirm-two
name: Two tasks that ask
tasks:
  - id: left
    action: world.touch
    confirm: {question: "touch it on the left?", owner: operator, deadline: 1h}
  - id: right
    action: world.touch
    confirm: {question: "touch it on the right?", deadline: 1h}
`, `
playbook_id: two-say-yes
name: Touch once two agree
approval: {required: always, owner: [approver, operator], quorum: 2, deadline: 1h}
tasks:
  - id: touch
    action: world.touch
`, `
playbook_id: long-wait
name: Wait, then touch
tasks:
  - id: wait
    type: wait
    parameters: {duration: 1h}
  - id: touch
    action: world.touch
    depends_on: wait
`}

// shelf holds the playbooks, in a library like the product's.
type shelf struct {
	*library.Library
	catalog *loop.Catalog
	specs   map[string]action.Spec
	dry     *engine.DryRunner
}

func newShelf(t testing.TB, db store.Store, specs map[string]action.Spec, dry *engine.DryRunner) *shelf {
	t.Helper()
	s := &shelf{catalog: loop.NewCatalog(nil), specs: specs, dry: dry}
	var files []playbook.File
	for i, text := range books {
		files = append(files, playbook.File{Name: fmt.Sprintf("house%d.yaml", i), Data: []byte(text)})
	}
	s.Library = library.New(library.Options{
		Store: db, Specs: specs, Files: func() ([]playbook.File, error) { return files, nil }, Use: s.catalog.Replace,
		Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, s.Sync(t.Context()))
	must(t, s.Problems().Err())
	return s
}

func (s *shelf) List() []*playbook.Compiled { return s.catalog.All() }

func (s *shelf) Check(file string, source []byte) playbook.Problems {
	_, problems := playbook.Examine(file, source, s.specs, s.catalog.All()...)
	return problems
}

func (s *shelf) Order(_ context.Context, id string, target heal.EntityID, params map[string]string, by string) (engine.Order, error) {
	b, err := s.catalog.Find(id)
	if err != nil {
		return engine.Order{}, heal.Errorf(heal.NotFound, "", "there is no playbook %q", id)
	}
	if _, err := b.ParamValues(params); err != nil {
		return engine.Order{}, err
	}
	return engine.Order{
		Scope: heal.DefaultScope.WithService(target.Name()), Name: b.ID, Digest: b.Pin.Digest, Source: b.Pin.Source, Target: target, Params: params, RequestedBy: by,
	}, nil
}

func (s *shelf) DryRun(ctx context.Context, o engine.Order) (heal.Run, error) {
	return s.dry.DryRun(ctx, o)
}
