package action_test

import (
	"context"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// echo is a driver of one action that gives its parameters back.
type echo struct{ specs []action.Spec }

func (e echo) Specs() []action.Spec { return e.specs }

func (e echo) Do(_ context.Context, call action.Call) (action.Result, error) {
	call, err := action.CheckCall(e.specs, call)
	return action.Result{Output: call.Params}, err
}

func (e echo) Observe(context.Context, action.Call) (action.Observation, error) {
	return action.Observation{State: action.CannotTell}, nil
}

func (e echo) Preview(context.Context, action.Call) (action.Preview, error) {
	return action.Preview{Text: "would echo"}, nil
}

func spec(name string) action.Spec {
	return action.Spec{Name: name, Doc: "Echoes.", Effect: action.ReadOnly, Impact: action.Harmless}
}

func TestSetDispatches(t *testing.T) {
	set, err := action.NewSet(echo{[]action.Spec{spec("a.echo")}}, echo{[]action.Spec{every}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.Do(t.Context(), action.Call{Action: "test.every", Params: map[string]any{"text": "hi"}})
	if err != nil || got.Output["text"] != "hi" {
		t.Errorf("Do: got %v, %v, want the text back", got, err)
	}
	if got := len(set.Specs()); got != 2 {
		t.Errorf("Specs: got %d, want 2", got)
	}
	_, err = set.Do(t.Context(), action.Call{Action: "test.evry"})
	if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), `did you mean "test.every"?`) {
		t.Errorf("unknown action: got %v, want kind invalid with a hint", err)
	}
	if _, err := set.Observe(t.Context(), action.Call{Action: "x.y"}); !heal.Is(err, heal.Invalid) {
		t.Errorf("Observe of an unknown action: got %v, want kind invalid", err)
	}
}

func TestPreviewSetDispatches(t *testing.T) {
	set, err := action.NewPreviewSet(echo{[]action.Spec{spec("a.echo")}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.Preview(t.Context(), action.Call{Action: "a.echo"})
	if err != nil || got.Text != "would echo" {
		t.Errorf("Preview: got %v, %v", got, err)
	}
	if _, err := set.Preview(t.Context(), action.Call{Action: "a.ecko"}); !heal.Is(err, heal.Invalid) {
		t.Errorf("unknown action: got %v, want kind invalid", err)
	}
}

func TestSetRefusesBadSpecs(t *testing.T) {
	with := func(change func(*action.Spec)) action.Spec {
		s := spec("a.echo")
		change(&s)
		return s
	}
	for _, tc := range []struct {
		name string
		spec action.Spec
		want string
	}{
		{"name without verb", with(func(s *action.Spec) { s.Name = "echo" }), "form driver.verb"},
		{"no doc", with(func(s *action.Spec) { s.Doc = "" }), "no doc"},
		{"no effect", with(func(s *action.Spec) { s.Effect = "" }), "effect"},
		{"no impact", with(func(s *action.Spec) { s.Impact = "" }), "impact"},
		{"reader that hurts", with(func(s *action.Spec) { s.Impact = action.Destructive }), "reads only"},
		{"untyped parameter", with(func(s *action.Spec) { s.Params = []action.Param{{Name: "p", Doc: "P."}} }), "unknown type"},
		{"wrong default", with(func(s *action.Spec) {
			s.Params = []action.Param{{Name: "p", Doc: "P.", Type: action.Int, Default: "x"}}
		}), "default"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := action.NewSet(echo{[]action.Spec{tc.spec}})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to contain %q", err, tc.want)
			}
		})
	}
	if _, err := action.NewSet(echo{[]action.Spec{spec("a.b")}}, echo{[]action.Spec{spec("a.b")}}); err == nil {
		t.Error("one action declared twice: got no error")
	}
}
