package api_test

import (
	"testing"

	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

func isState(state heal.RunState) func(*heal.Run) bool {
	return func(r *heal.Run) bool { return r.State == state }
}

// of makes a run belong to a case.
func (d *door) of(t *testing.T, run, incident string) {
	t.Helper()
	must(t, d.Store.Update(t.Context(), func(tx store.Tx) error {
		got, err := store.RunKind.Get(tx, run)
		if err != nil {
			return err
		}
		got.Value.IncidentID = heal.IncidentID(incident)
		_, err = store.RunKind.Put(tx, &got.Value, got.Revision)
		return err
	}))
}

func TestApproveByCase(t *testing.T) {
	const approve = "/api/v1/approvals/" + apitest.CartCase + "/approve"
	d := open(t, nil)
	problem(t, d.ask("approver", "POST", approve, ""), 409, "waits for nobody")
	problem(t, d.ask("approver", "POST", "/api/v1/approvals/none/approve", ""), 404, "neither a run nor an incident")
	first := d.start("ask-first", "service/cart")
	d.of(t, first, apitest.CartCase)

	list := read[form.Page[form.Waiting]](t, d.ask("viewer", "GET", "/api/v1/approvals", ""), 200)
	if len(list.Items) != 1 || list.Items[0].Run != first || list.Items[0].Incident != apitest.CartCase || list.Items[0].Kind != "approve" || list.Items[0].Owner != "approver" {
		t.Errorf("waiting: %+v", list.Items)
	}
	second := d.start("ask-first", "service/cart")
	d.of(t, second, apitest.CartCase)
	problem(t, d.ask("approver", "POST", approve, ""), 409, "2 runs", second)

	run := read[form.Run](t, d.ask("approver", "POST", "/api/v1/approvals/"+second+"/deny", `{"note":"not now"}`), 200)
	if run.State != "cancelled" || run.Approval.By != "approver" || run.Approval.Note != "not now" {
		t.Errorf("denied: %+v", run)
	}
	read[form.Run](t, d.ask("approver", "POST", approve, ""), 200)
	d.Until(t, first, isState(heal.RunSucceeded))
	problem(t, d.ask("approver", "POST", approve, ""), 409)
}

// A question that names a role or a person may be answered by them.
func TestWhoIsAskedMayAnswer(t *testing.T) {
	d := open(t, nil)
	id := d.start("confirm-two", "service/pay")
	d.Until(t, id, func(r *heal.Run) bool { return len(form.WaitingOf(*r)) == 2 })
	path := "/api/v1/runs/" + id + "/approve"
	problem(t, d.ask("operator", "POST", path, `{"task":"right"}`), 403, "operator may not answer")
	read[form.Run](t, d.ask("operator", "POST", path, `{"task":"left"}`), 200)
	problem(t, d.ask("cart", "POST", path, `{"task":"right"}`), 403)
	read[form.Run](t, d.ask("approver", "POST", path, ""), 200)
	d.Until(t, id, isState(heal.RunSucceeded))
	problem(t, d.ask("approver", "POST", path, `{"task":"left"}`), 409, "waits for no approval")
}

// The owner of a question is a person or a role; an approver is not an operator.
func TestWrongRoleMayNotAnswer(t *testing.T) {
	d := open(t, nil)
	id := d.start("confirm-two", "service/pay")
	d.Until(t, id, func(r *heal.Run) bool { return len(form.WaitingOf(*r)) == 2 })
	path := "/api/v1/runs/" + id + "/approve"
	problem(t, d.ask("approver", "POST", path, `{"task":"left"}`), 403, "approver may not answer", "operator is asked")
	problem(t, d.ask("viewer", "POST", path, `{"task":"left"}`), 403)
	read[form.Run](t, d.ask("admin", "POST", path, `{"task":"left"}`), 200)
}

func TestQuorum(t *testing.T) {
	d := open(t, nil)
	id := d.start("two-say-yes", "service/cart")
	path := "/api/v1/runs/" + id + "/approve"
	run := read[form.Run](t, d.ask("approver", "POST", path, `{"note":"fine"}`), 200)
	if run.State != "waiting_approval" || len(run.Approval.Votes) != 1 {
		t.Fatalf("after one yes of two: %s, %+v", run.State, run.Approval)
	}
	problem(t, d.ask("approver", "POST", path, `{"note":"again"}`), 409, "has the yes of approver already", "1 more")
	list := read[form.Page[form.Waiting]](t, d.ask("viewer", "GET", "/api/v1/approvals", ""), 200)
	if len(list.Items) != 1 || list.Items[0].Quorum != 2 || len(list.Items[0].Approved) != 1 {
		t.Errorf("waiting: %+v", list.Items)
	}
	read[form.Run](t, d.ask("operator", "POST", path, ""), 200)
	done := d.Until(t, id, isState(heal.RunSucceeded))
	if by := done.Approval.By; by != "approver, operator" {
		t.Errorf("approved by %q", by)
	}

	denied := d.start("two-say-yes", "service/pay")
	read[form.Run](t, d.ask("approver", "POST", "/api/v1/runs/"+denied+"/approve", ""), 200)
	run = read[form.Run](t, d.ask("operator", "POST", "/api/v1/runs/"+denied+"/deny", ""), 200)
	if run.State != "cancelled" || run.Reason != "denied by operator" {
		t.Errorf("one no of two: %s (%s), want cancelled", run.State, run.Reason)
	}
}

func TestSettle(t *testing.T) {
	d := open(t, nil)
	run := read[form.Run](t, d.ask("admin", "POST", "/api/v1/playbooks/touch/runs", `{"target":"service/cart","params":{"end":"unknown"}}`), 201)
	d.Until(t, run.ID, func(r *heal.Run) bool { return r.Tasks[0].State == heal.RunUnknown })
	list := read[form.Page[form.Waiting]](t, d.ask("viewer", "GET", "/api/v1/approvals", ""), 200)
	if len(list.Items) != 1 || list.Items[0].Kind != "settle" || list.Items[0].Task != "touch" {
		t.Fatalf("waiting: %+v", list.Items)
	}
	path := "/api/v1/runs/" + run.ID + "/settle"
	problem(t, d.ask("operator", "POST", path, `{"task":"none","as":"happened"}`), 404, `no task \"none\"`)
	problem(t, d.ask("operator", "POST", path, `{"task":"touch","as":"maybe"}`), 422, "body.as")
	read[form.Run](t, d.ask("cart", "POST", path, `{"task":"touch","as":"happened","note":"seen"}`), 200)
	done := d.Until(t, run.ID, isState(heal.RunSucceeded))
	if by := done.Tasks[0].Approval.By; by != "cart" {
		t.Errorf("settled by %q, want cart", by)
	}
}

func TestJournalSaysWho(t *testing.T) {
	d := open(t, nil)
	id := d.start("ask-first", "service/cart")
	read[form.Run](t, d.ask("approver", "POST", "/api/v1/runs/"+id+"/approve", ""), 200)
	d.Until(t, id, isState(heal.RunSucceeded))
	journal := read[form.Page[form.JournalEntry]](t, d.ask("viewer", "GET", "/api/v1/runs/"+id+"/journal", ""), 200)
	said := map[string]string{}
	for _, e := range journal.Items {
		said[e.Phase] = e.By
	}
	if said["proposed"] != "admin" || said["approved"] != "approver" || len(journal.Items) != 4 {
		t.Errorf("journal: %+v", journal.Items)
	}
}
