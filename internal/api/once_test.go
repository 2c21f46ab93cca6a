package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestOnce(t *testing.T) {
	const runs, key = "/api/v1/playbooks/touch/runs", "Idempotency-Key: k1"
	d := open(t, nil)
	first := d.ask("admin", "POST", runs, `{"target":"service/cart"}`, key)
	run := read[form.Run](t, first, http.StatusCreated)

	again := d.ask("admin", "POST", runs, `{"target":"service/cart"}`, key)
	if diff := cmp.Diff(again.body, first.body); diff != "" || again.status != first.status || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same request: %d %v %s", again.status, again.header, diff)
	}
	problem(t, d.ask("admin", "POST", runs, `{"target":"service/pay"}`, key), 409, "another request")
	problem(t, d.ask("admin", "POST", "/api/v1/runs/"+run.ID+"/cancel", "", key), 409, "another request")

	// The key is one's own.
	other := read[form.Run](t, d.ask("operator", "POST", runs, `{"target":"service/late"}`, key), http.StatusCreated)
	if other.ID == run.ID {
		t.Errorf("two people share a key")
	}

	// Refusals are answered the same; passing ones are asked anew.
	for range 2 {
		problem(t, d.ask("admin", "POST", runs, `{"target":"*/x"}`, "Idempotency-Key: k2"), 422)
	}
	problem(t, d.ask("viewer", "POST", runs, `{"target":"service/cart"}`, "Idempotency-Key: k3"), 403)

	list := read[form.Page[form.RunSummary]](t, d.ask("admin", "GET", "/api/v1/runs?playbook=touch", ""), 200)
	if got, want := len(list.Items), 2; got != want {
		t.Errorf("%d runs were started, want %d", got, want)
	}
	problem(t, d.ask("admin", "POST", runs, `{"target":"service/cart"}`, "Idempotency-Key: a\tb"), 400, "Idempotency-Key")
}

// A write that is cut short is never begun again.
func TestOnceCutShort(t *testing.T) {
	cases := &cutShort{}
	d := open(t, func(o *api.Options) { cases.Cases = o.Cases; o.Cases = cases })
	const path, key = "/api/v1/incidents/" + apitest.PayCase + "/notes", "Idempotency-Key: k"
	problem(t, d.ask("admin", "POST", path, `{"text":"x"}`, key), 500)
	problem(t, d.ask("admin", "POST", path, `{"text":"x"}`, key), 409, "being carried out")
	if cases.asked != 1 {
		t.Errorf("asked %d times, want 1", cases.asked)
	}
}

// cutShort does what it is asked for, and dies.
type cutShort struct {
	api.Cases
	asked int
}

func (c *cutShort) Note(ctx context.Context, id heal.IncidentID, by, text string) error {
	c.asked++
	if err := c.Cases.Note(ctx, id, by, text); err != nil {
		return err
	}
	panic("the power failed")
}
