// Package actiontest is the suite every driver of package action passes: what
// the engine takes for granted about a driver is checked here, against the real
// driver and a real world.
//
// Its one invariant: it holds a driver to nothing but the contract of package
// action. It is not for what a single driver does; that stands in its own tests.
package actiontest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Subject is a driver in a fresh world.
type Subject struct {
	Driver    action.Driver
	Previewer action.Previewer

	// Calls holds one call for each action, each with a key of its own. Each
	// must succeed in the fresh world.
	Calls []action.Call

	// World gives what can be seen of the world, in a form cmp can compare.
	// Observe and Preview must leave it as it is.
	World func() any

	// Slow are calls that take longer than a second if nobody stops them.
	Slow []action.Call
}

// Run holds the driver to the contract. open makes a fresh world each time and
// cleans up by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	t.Run("specs", func(t *testing.T) { specs(t, open(t)) })
	for i, call := range open(t).Calls {
		t.Run(call.Action, func(t *testing.T) {
			one := func(t *testing.T) (Subject, action.Call, action.Spec) {
				s := open(t)
				return s, s.Calls[i], find(t, s.Driver.Specs(), s.Calls[i].Action)
			}
			t.Run("refuses bad input", func(t *testing.T) { refuses(t, one) })
			t.Run("stops with its context", func(t *testing.T) { cancelled(t, one) })
			t.Run("preview changes nothing", func(t *testing.T) { previews(t, one) })
			t.Run("does and observes", func(t *testing.T) { observes(t, one) })
		})
	}
	for i, call := range open(t).Slow {
		t.Run(call.Action+" keeps its deadline", func(t *testing.T) {
			s := open(t)
			Deadline(t, s.Driver, s.Slow[i])
		})
	}
}

type opener func(t *testing.T) (Subject, action.Call, action.Spec)

func specs(t *testing.T, s Subject) {
	if _, err := action.NewSet(s.Driver); err != nil {
		t.Errorf("specs of the driver: %v", err)
	}
	if _, err := action.NewPreviewSet(s.Previewer); err != nil {
		t.Errorf("specs of the previewer: %v", err)
	}
	if diff := cmp.Diff(s.Previewer.Specs(), s.Driver.Specs()); diff != "" {
		t.Errorf("previewer(-) and driver(+) declare different actions:\n%s", diff)
	}
	tried := map[string]bool{}
	for _, call := range s.Calls {
		tried[call.Action] = true
	}
	for _, spec := range s.Driver.Specs() {
		if !tried[spec.Name] {
			t.Errorf("the subject has no call for %s", spec.Name)
		}
	}
}

func refuses(t *testing.T, open opener) {
	s, call, spec := open(t)
	before := s.World()
	bad := map[string]action.Call{
		"unknown action":    with(call, func(c *action.Call) { c.Action += "_not" }),
		"unknown parameter": with(call, func(c *action.Call) { c.Params["no_such_parameter"] = 1 }),
	}
	for _, p := range spec.Params {
		if p.Required {
			bad["without "+p.Name] = with(call, func(c *action.Call) { delete(c.Params, p.Name) })
		}
		bad["wrong type of "+p.Name] = with(call, func(c *action.Call) { c.Params[p.Name] = struct{}{} })
	}
	for name, c := range bad {
		if _, err := s.Driver.Do(t.Context(), c); !heal.Is(err, heal.Invalid) {
			t.Errorf("Do %s: got %v, want kind invalid", name, err)
		}
		if _, err := s.Driver.Observe(t.Context(), c); !heal.Is(err, heal.Invalid) {
			t.Errorf("Observe %s: got %v, want kind invalid", name, err)
		}
		if _, err := s.Previewer.Preview(t.Context(), c); !heal.Is(err, heal.Invalid) {
			t.Errorf("Preview %s: got %v, want kind invalid", name, err)
		}
	}
	same(t, s, before, "refused calls")
}

func cancelled(t *testing.T, open opener) {
	s, call, _ := open(t)
	before := s.World()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Driver.Do(ctx, call); err == nil {
		t.Error("Do with a cancelled context: got no error")
	} else if kind := heal.KindOf(err); kind != heal.Transient && kind != heal.Unknown {
		t.Errorf("Do with a cancelled context: got kind %v (%v), want transient or unknown", kind, err)
	}
	same(t, s, before, "Do with a cancelled context")
}

// Deadline holds Do to its deadline with a call that takes longer than a second
// if nobody stops it.
func Deadline(t *testing.T, d action.Driver, call action.Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := d.Do(ctx, call)
	if kind := heal.KindOf(err); err == nil || kind != heal.Transient && kind != heal.Unknown {
		t.Errorf("got %v, want kind transient or unknown", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Do came back %v after the start, its deadline was 200 ms", took)
	}
}

func previews(t *testing.T, open opener) {
	s, call, _ := open(t)
	before := s.World()
	got, err := s.Previewer.Preview(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text == "" {
		t.Error("the preview has no text")
	}
	same(t, s, before, "Preview")
}

func observes(t *testing.T, open opener) {
	s, call, spec := open(t)
	before := s.World()
	if seen := observe(t, s, call); spec.Effect == action.Observable && seen.State != action.NotHappened {
		t.Errorf("Observe before Do: got %s (%s), want not_happened", seen.State, seen.Detail)
	}
	same(t, s, before, "Observe before Do")

	result, err := s.Driver.Do(t.Context(), call)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	for name := range result.Output {
		if !slices.Contains(spec.Outputs, name) {
			t.Errorf("output %q is not declared", name)
		}
	}
	after := s.World()
	if spec.Effect == action.ReadOnly && !cmp.Equal(after, before) {
		t.Errorf("a read-only action changed the world, got(-) want(+):\n%s", cmp.Diff(after, before))
	}
	seen := observe(t, s, call)
	same(t, s, after, "Observe after Do")
	if spec.Effect != action.Observable {
		return
	}
	if seen.State != action.Happened {
		t.Errorf("Observe after Do: got %s (%s), want happened", seen.State, seen.Detail)
	}
	if diff := cmp.Diff(seen.Result, result); diff != "" {
		t.Errorf("outputs of Observe(-) and Do(+) differ:\n%s", diff)
	}
	again, err := s.Driver.Do(t.Context(), call)
	if err != nil {
		t.Errorf("Do again with the same key: %v", err)
	}
	if diff := cmp.Diff(again, result); diff != "" {
		t.Errorf("outputs of the second Do(-) and the first(+) differ:\n%s", diff)
	}
	same(t, s, after, "Do again with the same key")
}

func observe(t *testing.T, s Subject, call action.Call) action.Observation {
	t.Helper()
	seen, err := s.Driver.Observe(t.Context(), call)
	if err != nil {
		t.Fatalf("Observe: %v", err)
	}
	switch seen.State {
	case action.Happened, action.NotHappened, action.CannotTell:
	default:
		t.Errorf("Observe: got the unknown state %q", seen.State)
	}
	return seen
}

func same(t *testing.T, s Subject, before any, what string) {
	t.Helper()
	if diff := cmp.Diff(s.World(), before); diff != "" {
		t.Errorf("%s changed the world, got(-) want(+):\n%s", what, diff)
	}
}

func find(t *testing.T, specs []action.Spec, name string) action.Spec {
	t.Helper()
	for _, spec := range specs {
		if spec.Name == name {
			return spec
		}
	}
	t.Fatalf("the driver does not declare %s", name)
	return action.Spec{}
}

// with gives a changed copy of the call.
func with(call action.Call, change func(*action.Call)) action.Call {
	params := make(map[string]any, len(call.Params))
	maps.Copy(params, call.Params)
	call.Params = params
	change(&call)
	return call
}
