package api_test

import (
	"log/slog"
	"strconv"
	"testing"

	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
)

var quiet = slog.New(slog.DiscardHandler)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKillSwitch(t *testing.T) {
	const path = "/api/v1/kill-switch"
	d := open(t, nil)
	problem(t, d.ask("admin", "PUT", path, `{"on":true,"reason":"x"}`, `If-Match: *`), 412)
	on := d.ask("operator", "PUT", path, `{"on":true,"reason":"maintenance","scope":"default/default"}`)
	first := read[form.Switch](t, on, 200)
	if etag := on.header.Get("ETag"); etag == "" || etag != first.ETag || first.By != "operator" || first.Scope != "default/default" {
		t.Errorf("ETag %q, %+v", etag, first)
	}
	off := `{"on":false,"reason":"over","scope":"default/default"}`
	problem(t, d.ask("admin", "PUT", path, off, `If-Match: "other"`), 412, "look again")
	read[form.Switch](t, d.ask("admin", "PUT", path, off, "If-Match: "+first.ETag), 200)
	problem(t, d.ask("admin", "PUT", path, off, "If-Match: "+first.ETag), 412)

	list := read[form.Switches](t, d.ask("cart", "GET", path, ""), 200)
	if len(list.Items) != 1 || list.Items[0].On || list.Items[0].Reason != "over" {
		t.Errorf("cart sees %+v, want the switch that reaches it", list)
	}
	problem(t, d.ask("admin", "PUT", path, `{"on":true}`), 422, "reason")
	problem(t, d.ask("admin", "PUT", path, `{"on":true,"reason":"x","scope":"a//b"}`), 422, "part 2 is empty")
}

// The switch holds runs that people start, too.
func TestKillSwitchHoldsRuns(t *testing.T) {
	d := open(t, nil)
	read[form.Switch](t, d.ask("admin", "PUT", "/api/v1/kill-switch", `{"on":true,"reason":"all stop"}`), 200)
	id := d.start("touch", "service/cart")
	d.Until(t, id, isState("paused"))
	refused := read[form.Page[form.Refusal]](t, d.ask("viewer", "GET", "/api/v1/runs/"+id+"/refusals", ""), 200)
	if len(refused.Items) != 1 || refused.Items[0].Rule != "kill_switch" {
		t.Errorf("refusals: %+v", refused.Items)
	}
	if touched := d.World.Touched(); len(touched) != 0 {
		t.Errorf("touched %v", touched)
	}
}

func TestReport(t *testing.T) {
	d := open(t, nil)
	r := read[form.Report](t, d.ask("viewer", "GET", "/api/v1/report?from=2024-01-01T00:00:00Z&until=2024-02-01T00:00:00Z", ""), 200)
	if r.Cases != 62 || r.Closed != 60 || r.Escalated != 1 || r.Open != 1 || !r.Complete || r.Signals != 1 {
		t.Errorf("%+v", r)
	}
	mine := read[form.Report](t, d.ask("cart", "GET", "/api/v1/report?from=2024-01-01T00:00:00Z&until=2024-02-01T00:00:00Z", ""), 200)
	if mine.Cases != 41 {
		t.Errorf("cart's report has %d cases, want 41", mine.Cases)
	}
	none := read[form.Report](t, d.ask("viewer", "GET", "/api/v1/report", ""), 200)
	if none.Cases != 0 {
		t.Errorf("the last week has %d cases, want 0", none.Cases)
	}
	problem(t, d.ask("viewer", "GET", "/api/v1/report?from=2024-02-01T00:00:00Z&until=2024-01-01T00:00:00Z", ""), 422, "expected before until")
	problem(t, d.ask("viewer", "GET", "/api/v1/report?from=yesterday", ""), 422, "query.from")
}

func TestAlertKeepsWhatWasSent(t *testing.T) {
	d := open(t, nil)
	a := read[form.Alert](t, d.ask("viewer", "GET", "/api/v1/alerts/"+apitest.CartAlert, ""), 200)
	if got, want := string(a.Raw), `{"as":"sent"}`; got != want {
		t.Errorf("raw %s, want %s", got, want)
	}
}
