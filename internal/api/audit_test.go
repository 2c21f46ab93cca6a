package api_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/store"
)

func TestAuditTellsWhatPeopleAskedFor(t *testing.T) {
	d := open(t, nil)
	read[form.Switch](t, d.ask("operator", "PUT", "/api/v1/kill-switch", `{"on":true,"reason":"maintenance","scope":"default/default"}`), 200)
	problem(t, d.ask("viewer", "PUT", "/api/v1/kill-switch", `{"on":false,"reason":"let it run"}`), 403)
	problem(t, d.ask("operator", "PUT", "/api/v1/kill-switch", `{"on":true}`), 422)                         // not understood: nobody asked for anything
	read[form.PlaybookCheck](t, d.ask("operator", "POST", "/api/v1/playbook-check", `{"source":"x"}`), 200) // changes nothing

	list := read[form.Page[form.AuditEntry]](t, d.ask("viewer", "GET", "/api/v1/audit?act=turn-kill-switch", ""), 200)
	var got []string
	for _, e := range list.Items {
		got = append(got, strings.Join([]string{e.Actor, e.Act, e.Result, e.Details["on"], e.Details["reason"]}, " "))
	}
	if diff := cmp.Diff(got, []string{"viewer turn-kill-switch denied false let it run", "operator turn-kill-switch done true maintenance"}); diff != "" {
		t.Errorf("entries (-got +want):\n%s", diff)
	}
	if list := read[form.Page[form.AuditEntry]](t, d.ask("viewer", "GET", "/api/v1/audit", ""), 200); len(list.Items) != 2 {
		t.Errorf("got %d entries, want the two: %+v", len(list.Items), list.Items)
	}
	problem(t, d.ask("sender", "GET", "/api/v1/audit", ""), 403)
}

func TestAuditVerifyAndExport(t *testing.T) {
	head := filepath.Join(t.TempDir(), "audit.head")
	d := open(t, func(o *api.Options) { o.AuditHead = head })
	id := d.start("touch", "service/cart")
	d.Until(t, id, isState("succeeded"))
	read[form.Switch](t, d.ask("admin", "PUT", "/api/v1/kill-switch", `{"on":true,"reason":"x"}`), 200)
	sealer := audit.NewSealer(audit.SealerOptions{Store: d.Store, Anchor: head, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	var seen store.Revision
	must(t, sealer.Seal(t.Context(), &seen))

	report := read[form.AuditReport](t, d.ask("viewer", "GET", "/api/v1/audit/verify", ""), 200)
	if !report.Intact || report.Entries != 2 || report.Head == "" || report.Unsealed != 0 {
		t.Errorf("verify: got %+v, want two entries intact", report)
	}
	same := read[form.AuditReport](t, d.ask("viewer", "GET", "/api/v1/audit/verify?head="+report.Head, ""), 200)
	if !same.Intact {
		t.Errorf("verify with its own head: got %+v", same)
	}
	other := "1:" + strings.Repeat("0", 64)
	if got := read[form.AuditReport](t, d.ask("viewer", "GET", "/api/v1/audit/verify?head="+other, ""), 200); got.Intact {
		t.Error("verify with another head: got intact")
	}
	problem(t, d.ask("viewer", "GET", "/api/v1/audit/verify?head=x", ""), 422, "number:hash")
	problem(t, d.ask("cart", "GET", "/api/v1/audit/verify", ""), 403)

	export := d.ask("viewer", "GET", "/api/v1/audit/export", "")
	lines := strings.Split(strings.TrimSpace(export.body), "\n")
	var first form.AuditEntry
	if export.status != 200 || len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &first) != nil || first.Act != "run-playbook" || first.Actor != "admin" {
		t.Errorf("export: got %d with %q, want the two entries, the start of the run first", export.status, export.body)
	}
	problem(t, d.ask("cart", "GET", "/api/v1/audit/export", ""), 403)
}

func TestPrincipals(t *testing.T) {
	const path = "/api/v1/principals/"
	d := open(t, nil)
	problem(t, d.ask("operator", "GET", "/api/v1/principals", ""), 403)
	problem(t, d.ask("operator", "POST", path+"bob", `{"grants":[{"role":"admin"}]}`), 403)
	made := read[form.Principal](t, d.ask("admin", "POST", path+"bob@example.com", `{"grants":[{"role":"viewer","scope":"default/prod"}]}`), 201)
	if diff := cmp.Diff(made.Grants, []form.Grant{{Role: "viewer", Scope: "default/prod"}}); diff != "" {
		t.Errorf("grants (-got +want):\n%s", diff)
	}
	problem(t, d.ask("admin", "POST", path+"bob@example.com", `{"grants":[{"role":"viewer"}]}`), 409)
	problem(t, d.ask("admin", "POST", path+"eve", `{"grants":[{"role":"root"}]}`), 422, "role")
	problem(t, d.ask("admin", "POST", path+"eve", `{"grants":[{"role":"viewer","scope":"a//b"}]}`), 422, "part 2 is empty")
	problem(t, d.ask("admin", "PUT", path+"nobody", `{"grants":[{"role":"viewer"}]}`), 404)

	token := read[form.NewToken](t, d.ask("admin", "POST", path+"bob@example.com/tokens", `{"label":"laptop"}`), 201)
	d.Tokens["bob"] = token.Secret
	problem(t, d.ask("bob", "PUT", "/api/v1/kill-switch", `{"on":true,"reason":"x","scope":"default/prod"}`), 403)
	read[form.Principal](t, d.ask("admin", "PUT", path+"bob@example.com", `{"grants":[{"role":"operator","scope":"default/prod"}]}`), 200)
	read[form.Switch](t, d.ask("bob", "PUT", "/api/v1/kill-switch", `{"on":true,"reason":"x","scope":"default/prod"}`), 200)

	read[form.Gone](t, d.ask("admin", "DELETE", path+"bob@example.com/tokens/"+token.ID, ""), 200)
	problem(t, d.ask("bob", "GET", "/api/v1/kill-switch", ""), 401)
	read[form.Gone](t, d.ask("admin", "DELETE", path+"bob@example.com", ""), 200)
	problem(t, d.ask("admin", "DELETE", path+"bob@example.com", ""), 404)

	for _, e := range read[form.Page[form.AuditEntry]](t, d.ask("admin", "GET", "/api/v1/audit", ""), 200).Items {
		text, err := json.Marshal(e)
		must(t, err)
		if strings.Contains(string(text), token.Secret) {
			t.Errorf("the audit tells the secret of a token: %s", text)
		}
	}
}
