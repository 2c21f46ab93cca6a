package api_test

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// three is a census of a service with three instances.
type three struct{}

func (three) Standing(_ heal.Scope, _ time.Duration, now time.Time) guard.Standing {
	return guard.Standing{Known: true, Instances: 3, At: now}
}

func TestBreaker(t *testing.T) {
	d := open(t, nil)
	limits := guard.DefaultLimits()
	limits.Census = three{}
	scope := heal.DefaultScope.WithService("cart")
	for _, run := range []heal.RunID{"r1", "r2", "r3"} {
		must(t, d.Store.Update(t.Context(), func(tx store.Tx) error {
			_, err := guard.Report(tx, guard.Ending{Run: run, Target: "service/cart", Scope: scope}, limits, time.Now())
			return err
		}))
	}
	const at = "/api/v1/guard/breakers"
	list := read[form.Breakers](t, d.ask("cart", "GET", at, ""), 200)
	if len(list.Items) != 1 || !list.Items[0].Open || list.Items[0].Scope != scope.String() || list.Items[0].By != "homeostat" {
		t.Fatalf("breakers: got %+v, want that of cart open", list.Items)
	}
	const explain = "/api/v1/guard/explain?target=service/cart"
	if e := read[form.GuardExplanation](t, d.ask("viewer", "GET", explain, ""), 200); e.Allowed || e.Rule != "breaker" || len(e.Rules) != 14 {
		t.Errorf("while it is open: got %+v, want it refused by the breaker, and every rule told", e)
	}
	order := `{"scope":"` + scope.String() + `","reason":"rolled back"}`
	problem(t, d.ask("viewer", "POST", at+"/close", order), 403)
	problem(t, d.ask("operator", "POST", at+"/close", `{"scope":"default","reason":"x"}`), 404, "not open")
	problem(t, d.ask("operator", "POST", at+"/close", `{"scope":"default"}`), 422, "reason")
	problem(t, d.ask("operator", "POST", at+"/close", `{"scope":"a//b","reason":"x"}`), 422, "part 2 is empty")
	if closed := read[form.Breaker](t, d.ask("operator", "POST", at+"/close", order), 200); closed.Open || closed.By != "operator" {
		t.Errorf("got %+v, want it closed by the operator", closed)
	}
	if e := read[form.GuardExplanation](t, d.ask("viewer", "GET", explain, ""), 200); !e.Allowed {
		t.Errorf("after it was closed: got %s, want it allowed", e.Reason.Text)
	}
	// Breakers are no kill switches.
	if list := read[form.Switches](t, d.ask("admin", "GET", "/api/v1/kill-switch", ""), 200); len(list.Items) != 0 {
		t.Errorf("kill switches: got %+v, want none", list.Items)
	}
}

func TestExplainIsForThoseWhoMaySee(t *testing.T) {
	d := open(t, nil)
	problem(t, d.ask("cart", "GET", "/api/v1/guard/explain?target=service/pay", ""), 403)
	problem(t, d.ask("viewer", "GET", "/api/v1/guard/explain", ""), 422, "target")
	problem(t, d.ask("viewer", "GET", "/api/v1/guard/explain?target=service/pay&action=x", ""), 422, "no action")
	if e := read[form.GuardExplanation](t, d.ask("viewer", "GET", "/api/v1/guard/explain?target=*", ""), 200); e.Rule != "target" {
		t.Errorf("every target: got rule %q, want target", e.Rule)
	}
}
