// Package apitest is a whole door for tests of the API and of what talks to it:
// the real engine and the real loop on the store of the test, playbooks of its
// own, and a driver whose world is a list.
//
// Its one invariant: nothing in it answers instead of the product; only the
// world at the end of the chain is made up. It is not for tests of the loop.
package apitest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
)

// WebhookSecret is the secret of the webhook alertmanager; the webhook open has
// none and needs a token.
const WebhookSecret = "0123456789abcdef-webhook"

// House is a door with everything behind it.
type House struct {
	Store    store.Store
	Engine   *engine.Engine
	World    *World
	Topology *topology.Map
	Handler  http.Handler
	Tokens   map[string]string // by the name of the role; "cart" is an operator of service cart only
}

// New builds a house on the store and runs its engine until the test ends.
// change may alter the options of the API.
func New(t testing.TB, s store.Store, change func(*api.Options)) *House {
	t.Helper()
	recorder := audit.NewRecorder(time.Now, rand.Reader)
	keeper, _ := s.(api.Keeper) // the engines are
	s = recorder.Wrap(s)
	h := &House{Store: s, World: &World{}, Topology: topology.New(topology.Options{}), Tokens: map[string]string{}}
	drivers, err := action.NewSet(h.World)
	must(t, err)
	previews, err := action.NewPreviewSet(h.World)
	must(t, err)
	logger := slog.New(slog.DiscardHandler)
	options := engine.Options{
		Owner: "house", Sole: true, Clock: time.Now, Entropy: rand.Reader, Logger: logger, Poll: 20 * time.Millisecond,
		Limits: guard.Limits{Attempts: 3, Recheck: 20 * time.Millisecond},
	}
	library := engine.Playbooks{Specs: drivers.Specs()}
	h.Engine = engine.New(s, drivers, library, options)
	l := loop.New(loop.Parts{Store: s, Topology: h.Topology}, loop.Options{Clock: time.Now, Entropy: rand.Reader, Logger: logger, Backlog: 10})
	h.accounts(t)
	o := api.Options{
		Store: s, Audit: recorder, Accounts: auth.New(s, auth.Options{}), Principals: auth.New(s, auth.Options{}), Keeper: keeper, Engine: h.Engine, Cases: l, Alerts: l, Silences: l, Intake: l, Changes: l,
		Playbooks: newShelf(t, s, drivers.Specs(), &engine.DryRunner{Store: s, Previews: previews, Library: library, Specs: drivers.Specs(), Options: options}),
		Topology:  h.Topology, Knowledge: known{}, Traffic: traffic{}, Guard: explainer(s, drivers.Specs(), options.Limits),
		Webhooks: map[string]api.Webhook{
			"alertmanager": {Adapter: alert.NewAlertmanager(alert.Options{}), Verify: api.Secret(WebhookSecret), Busy: http.StatusServiceUnavailable},
			"open":         {Adapter: alert.NewAlertmanager(alert.Options{Source: "open"})},
		},
		Live: says("alive"), Ready: says("ready"), Metrics: says("metrics 1"), Version: form.Version{Version: "1.2.3", Go: "go1.26"},
	}
	if change != nil {
		change(&o)
	}
	h.Handler, err = api.New(o)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Engine.Run(ctx); err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return h
}

func explainer(s store.Store, specs map[string]action.Spec, l guard.Limits) *guard.Explainer {
	return &guard.Explainer{
		Store: s, Limits: l, Clock: time.Now,
		Impact: func(name string) (action.Impact, bool) { spec, ok := specs[name]; return spec.Impact, ok },
		Scope:  func(id heal.EntityID) heal.Scope { return heal.DefaultScope.WithService(id.Name()) },
	}
}

func (h *House) accounts(t testing.TB) {
	t.Helper()
	a := auth.New(h.Store, auth.Options{})
	grants := map[string]auth.Grant{"cart": {Role: auth.Operator, Scope: heal.DefaultScope.WithService("cart")}}
	for _, r := range auth.Roles() {
		grants[string(r)] = auth.Grant{Role: r}
	}
	for name, g := range grants {
		must(t, a.Create(t.Context(), name, []auth.Grant{g}))
		token, _, err := a.IssueToken(t.Context(), name, "", time.Time{})
		must(t, err)
		h.Tokens[name] = token
	}
}

// Until waits until the run is as wanted, and gives it.
func (h *House) Until(t testing.TB, id string, want func(*heal.Run) bool) heal.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		var run heal.Run
		var at store.Revision
		must(t, h.Store.View(ctx, func(r store.Reader) error {
			at = r.Revision()
			got, err := store.RunKind.Get(r, id)
			run = got.Value
			return err
		}))
		if want(&run) {
			return run
		}
		if _, err := h.Store.Wait(ctx, at); err != nil {
			t.Fatalf("run %s stays %s (%s): %v", id, run.State, run.Reason, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

type known struct{}

func (known) Knowledge(context.Context) ([]learn.Knowledge, error) {
	return []learn.Knowledge{
		{Pattern: heal.PatternProcessDown, Playbook: "touch", Uses: 8, Successes: 7, TotalTime: 80 * time.Second, LastUsed: Began},
		{Pattern: heal.PatternPoolExhausted, Playbook: "ask-first", Uses: 1, Partial: 1, TotalTime: 20 * time.Second, LastUsed: Began},
	}, nil
}

type traffic struct{}

func (traffic) RED(context.Context) (map[heal.EntityID]form.RED, error) {
	return map[heal.EntityID]form.RED{"service/cart": {WindowSeconds: 300, Rate: 12.5, ErrorShare: 0.02, P50Seconds: 0.01, P99Seconds: 0.2}}, nil
}
