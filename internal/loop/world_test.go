package loop_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/verify"
)

// world is what the loop watches and acts on: services that are down or not,
// and the actions that bring them back. It outlives every restart of the loop.
type world struct {
	mu      sync.Mutex
	down    map[string]bool
	cure    map[string]string // service -> the action that brings it back; "" none does
	effects []string          // "action target", in the order they happened
	keys    map[string]bool   // of the effects
	mute    bool              // no telemetry leaves it
	onAct   func()            // called after each effect; may be nil
}

func newWorld() *world {
	return &world{down: map[string]bool{}, cure: map[string]string{}, keys: map[string]bool{}}
}

// breaks brings services down; the action named brings them back.
func (w *world) breaks(cure string, services ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range services {
		w.down[s], w.cure[s] = true, cure
	}
}

// heals brings services up, or says that they are.
func (w *world) heals(services ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range services {
		w.down[s] = false
	}
}

func (w *world) done() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.effects)
}

// Specs declares the actions.
func (w *world) Specs() []action.Spec {
	spec := func(verb string, e action.Effect, i action.Impact) action.Spec {
		return action.Spec{Name: "fix." + verb, Doc: "Does " + verb + ".", Effect: e, Impact: i, Duration: time.Second}
	}
	return []action.Spec{
		spec("restart", action.Observable, action.Disruptive),
		spec("rebuild", action.Observable, action.Disruptive),
		spec("scale", action.Idempotent, action.Reversible),
		spec("unscale", action.Idempotent, action.Reversible),
		spec("lose", action.Once, action.Disruptive),
	}
}

// Do carries an action out; one that is idempotent happens once for a key.
func (w *world) Do(_ context.Context, call action.Call) (action.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key := call.Key.String(); !w.keys[key] || call.Action == "fix.restart" || call.Action == "fix.rebuild" {
		w.keys[key] = true
		w.effects = append(w.effects, call.Action+" "+string(call.Target))
	}
	if service := call.Target.Name(); w.cure[service] == call.Action {
		w.down[service] = false
	}
	if w.onAct != nil {
		w.onAct()
	}
	if call.Action == "fix.lose" {
		return action.Result{}, heal.Errorf(heal.Unknown, "lose", "the answer never came")
	}
	return action.Result{}, nil
}

// Observe looks for the effect of a key.
func (w *world) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys[call.Key.String()] {
		return action.Observation{State: action.Happened}, nil
	}
	return action.Observation{State: action.NotHappened}, nil
}

// Preview says what Do would do.
func (w *world) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	return action.Preview{Text: "would do " + call.Action + " on " + string(call.Target)}, nil
}

// samples is the telemetry of the world.
func (w *world) samples(at time.Time) []heal.Sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mute {
		return nil
	}
	var all []heal.Sample
	for service, down := range w.down {
		value := 0.0
		if down {
			value = 1
		}
		all = append(all, heal.Sample{Metric: "world_down", Labels: []heal.Label{{Name: "service_name", Value: service}}, At: at, Value: value})
	}
	return all
}

// metrics answers the loop from the embedded store, as the server does.
type metrics struct {
	db    *series.DB
	known bool // whoever is asked about has series
}

func (m metrics) Value(ctx context.Context, expr string, at time.Time) (value float64, ok bool, err error) {
	found, err := m.db.Instant(ctx, expr, at)
	if err != nil || len(found) == 0 {
		return 0, false, err
	}
	return found[0].Points[0].Value, true, nil
}

func (m metrics) Samples(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]cause.Sample, error) {
	found, err := m.db.Range(ctx, expr, from, to, step)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var samples []cause.Sample
	for _, p := range found[0].Points {
		samples = append(samples, cause.Sample{At: p.At, Value: p.Value})
	}
	return samples, nil
}

func (m metrics) Holds(ctx context.Context, expr string, labels map[string]string, at time.Time) (bool, error) {
	return m.db.Holds(ctx, expr, labels, at)
}

func (m metrics) Fresh(ctx context.Context, expr string, labels map[string]string, from, to time.Time) ([]verify.Freshness, error) {
	found, err := m.db.Newest(ctx, expr, labels, from, to)
	var fresh []verify.Freshness
	for _, f := range found {
		fresh = append(fresh, verify.Freshness{Selector: f.Selector, Newest: f.Newest})
	}
	return fresh, err
}

func (m metrics) Lookback(expr string) (time.Duration, error) { return m.db.Lookback(expr) }

func (m metrics) Knows(context.Context, heal.EntityID) (bool, error) { return m.known, nil }

// noLogs is a world that writes none.
type noLogs struct{}

func (noLogs) Records(context.Context, heal.EntityID, time.Time, time.Time) ([]heal.LogRecord, error) {
	return nil, nil
}

func (noLogs) Spans(context.Context, heal.EntityID, time.Time, time.Time) ([]heal.Span, error) {
	return nil, nil
}

// board holds the monitors.
type board struct {
	mu     sync.Mutex
	probes map[heal.EntityID]func() verify.Probe
}

func (b *board) Of(id heal.EntityID) []verify.Probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.probes[id]; p != nil {
		return []verify.Probe{p()}
	}
	return nil
}

func (b *board) Named(name string) (verify.Probe, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.probes {
		if p := p(); p.Name == name {
			return p, true
		}
	}
	return verify.Probe{}, false
}

// phone remembers what people were told. While it is dead nobody hears a thing.
type phone struct {
	mu    sync.Mutex
	dead  bool
	heard []heal.Message
}

func (p *phone) Tell(_ context.Context, _ heal.IncidentID, m heal.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return heal.Errorf(heal.Transient, "call", "no line")
	}
	p.heard = append(p.heard, m)
	return nil
}

func (p *phone) kill(dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = dead
}

// texts gives what was heard with that severity.
func (p *phone) texts(s heal.Severity) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.heard {
		if m.Severity == s {
			all = append(all, m.Text)
		}
	}
	return all
}

var (
	_ loop.Metrics  = metrics{}
	_ loop.Logs     = noLogs{}
	_ loop.Probes   = (*board)(nil)
	_ loop.Notifier = (*phone)(nil)
	_ action.Driver = (*world)(nil)
)
