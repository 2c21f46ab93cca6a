package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
)

func TestChangesMade(t *testing.T) {
	const path = "/api/v1/changes"
	d := open(t, nil)
	deploy := `{"id":"ci-7","service":"cart","version":"1.4.2","by":"ci","summary":"new cart","link":"https://ci.example/7"}`
	made := read[form.ChangeMade](t, d.ask("sender", "POST", path, deploy), 200)
	if made.Entity != "service/cart" || made.Kind != "deploy" || made.Scope != "default/default/default/cart" || made.Source != "api" || made.Text != "deploy of 1.4.2 by ci: new cart" || made.At.IsZero() {
		t.Errorf("got %+v", made)
	}
	again := read[form.ChangeMade](t, d.ask("sender", "POST", path, deploy), 200)
	if diff := cmp.Diff(again, made); diff != "" {
		t.Errorf("sent again (-got +want):\n%s", diff)
	}
	problem(t, d.ask("sender", "POST", path, strings.Replace(deploy, "new cart", "old cart", 1)), http.StatusConflict, "ci-7", "another change")
	schema := read[form.ChangeMade](t, d.ask("operator", "POST", path, `{"kind":"schema","entity":"database/orders"}`), 200)
	if schema.ID == "" || schema.By != "operator" {
		t.Errorf("a change without an id: got %+v, want one, and who told", schema)
	}

	tests := []struct {
		name, body string
		words      []string
	}{
		{"nothing named", `{"summary":"x"}`, []string{"expected service or entity"}},
		{"two things named", `{"service":"cart","entity":"service/pay"}`, []string{"expected one of them"}},
		{"a wildcard", `{"entity":"service/*"}`, []string{"wildcard"}},
		{"an unknown kind", `{"service":"cart","kind":"magic"}`, nil},
		{"a script", `{"service":"cart","link":"javascript:alert(1)"}`, []string{"link"}},
		{"long ago", `{"service":"cart","at":"2020-01-01T00:00:00Z"}`, []string{"last 90 days"}},
		{"to come", `{"service":"cart","at":"2999-01-01T00:00:00Z"}`, []string{"not after now"}},
		{"an unknown field", `{"service":"cart","when":"now"}`, nil},
		{"a scope with a hole", `{"service":"cart","scope":"a//c"}`, []string{"scope"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem(t, d.ask("operator", "POST", path, tt.body), http.StatusUnprocessableEntity, tt.words...)
		})
	}

	lists := []struct {
		name, role, query string
		want              []string
	}{
		{"all, the newest first", "viewer", "", []string{"database/orders", "service/cart"}},
		{"of a service", "viewer", "?service=cart", []string{"service/cart"}},
		{"of an entity", "viewer", "?entity=database/orders", []string{"database/orders"}},
		{"of a kind", "viewer", "?kind=schema", []string{"database/orders"}},
		{"that nobody told of", "viewer", "?source=telemetry", nil},
		{"of a time", "viewer", "?to=2020-01-01T00:00:00Z", nil},
		{"what the reader may see", "cart", "", []string{"service/cart"}},
	}
	for _, tt := range lists {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range read[form.Page[form.ChangeMade]](t, d.ask(tt.role, "GET", path+tt.query, ""), 200).Items {
				got = append(got, c.Entity)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("-got +want:\n%s", diff)
			}
		})
	}
	first := read[form.Page[form.ChangeMade]](t, d.ask("viewer", "GET", path+"?limit=1", ""), 200)
	if len(first.Items) != 1 || first.Cursor == "" {
		t.Fatalf("the first page: got %+v, want one and more", first)
	}
	second := read[form.Page[form.ChangeMade]](t, d.ask("viewer", "GET", path+"?limit=1&cursor="+first.Cursor, ""), 200)
	if len(second.Items) != 1 || second.Cursor != "" || second.Items[0].Entity != "service/cart" {
		t.Errorf("the second page: got %+v, want the other and the end", second)
	}
	told := read[form.Page[form.AuditEntry]](t, d.ask("admin", "GET", "/api/v1/audit?act=add-change&actor=sender", ""), 200)
	if len(told.Items) == 0 || told.Items[0].Details["service"] != "cart" {
		t.Errorf("the audit: got %+v, want what was handed in", told.Items)
	}
}

// TestChangesAround: a case tells of what was changed around it, to who may see
// both.
func TestChangesAround(t *testing.T) {
	d := open(t, nil)
	d.SeedChanges(t)
	path := "/api/v1/incidents/" + apitest.CartCase + "/changes"
	got := read[form.ChangesAround](t, d.ask("viewer", "GET", path, ""), 200)
	if len(got.Items) != 2 || !got.Complete {
		t.Fatalf("got %+v, want two and no more", got)
	}
	if c := got.Items[0]; c.ID != "more" || c.BeforeSeconds != -20 || c.Suspect || len(c.Suspected) != 0 {
		t.Errorf("got %+v, want the setting 20 s after, which is no suspect", c)
	}
	if c := got.Items[1]; c.ID != "ci-7" || c.BeforeSeconds != 240 || !c.Suspect {
		t.Errorf("got %+v, want the deploy 4 min before, which is one", c)
	}
	want := []form.Suspicion{{Incident: apitest.PayCase, Title: "pay is slow"}, {Incident: apitest.CartCase, Title: "cart is not reachable"}}
	if diff := cmp.Diff(got.Items[1].Suspected, want); diff != "" {
		t.Errorf("cases (-got +want):\n%s", diff)
	}
	mine := read[form.ChangesAround](t, d.ask("cart", "GET", path, ""), 200)
	if len(mine.Items) != 1 || len(mine.Items[0].Suspected) != 1 || mine.Items[0].Suspected[0].Incident != apitest.CartCase {
		t.Errorf("an operator of cart sees %+v, want the deploy of cart and the case of cart", mine.Items)
	}
	problem(t, d.ask("cart", "GET", "/api/v1/incidents/"+apitest.PayCase+"/changes", ""), http.StatusForbidden)
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents/none/changes", ""), http.StatusNotFound)
	problem(t, d.ask("sender", "GET", path, ""), http.StatusForbidden)
}
