package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// order is the body that asks for a silence of an hour.
func order(scope, reason string, matchers ...string) string {
	return fmt.Sprintf(`{"scope":%q,"reason":%q,"matchers":["%s"],"ends":%q}`, scope, reason, strings.Join(matchers, `","`), time.Now().UTC().Add(time.Hour).Format(time.RFC3339))
}

func TestSilences(t *testing.T) {
	const path = "/api/v1/silences"
	d := open(t, nil)
	made := read[form.Silence](t, d.ask("operator", "POST", path, order("", "they know", `service=~\"cart|pay\"`, "severity!=info"), "Idempotency-Key: one"), 201)
	if made.State != "active" || made.Author != "operator" || made.Matchers[0] != `service=~"cart|pay"` || made.Matchers[1] != `severity!="info"` {
		t.Errorf("made: %+v", made)
	}
	mine := read[form.Silence](t, d.ask("cart", "POST", path, order("default/default/default/cart", "mine", "alertname=~.+")), 201)
	theirs := read[form.Silence](t, d.ask("admin", "POST", path, order("default/default/default/pay", "theirs", "alertname=~.+")), 201)

	for role, want := range map[string]int{"viewer": 3, "cart": 2} {
		list := read[form.Page[form.Silence]](t, d.ask(role, "GET", path+"?over=false", ""), 200)
		if len(list.Items) != want {
			t.Errorf("%s sees %+v, want %d", role, list.Items, want)
		}
	}
	problem(t, d.ask("cart", "GET", path+"/"+theirs.ID, ""), 403)
	problem(t, d.ask("cart", "DELETE", path+"/"+made.ID, ""), 403, "cart may not")
	read[form.Silence](t, d.ask("cart", "GET", path+"/"+made.ID, ""), 200)

	ended := read[form.Silence](t, d.ask("cart", "DELETE", path+"/"+mine.ID, "", "Idempotency-Key: two"), 200)
	again := read[form.Silence](t, d.ask("cart", "DELETE", path+"/"+mine.ID, "", "Idempotency-Key: two"), 200)
	if ended.State != "ended" || ended.EndedBy != "cart" || again.Revision != ended.Revision {
		t.Errorf("ended %+v, the same asked again %+v", ended, again)
	}
	problem(t, d.ask("cart", "DELETE", path+"/"+mine.ID, ""), 409, "ended since")
	problem(t, d.ask("admin", "DELETE", path+"/nothing", ""), 404, "no silence")
	over := read[form.Page[form.Silence]](t, d.ask("viewer", "GET", path+"?over=true", ""), 200)
	if len(over.Items) != 1 || over.Items[0].ID != mine.ID {
		t.Errorf("over: %+v, want the one that ended", over.Items)
	}

	entries := read[form.Page[form.AuditEntry]](t, d.ask("admin", "GET", "/api/v1/audit", ""), 200).Items
	told := map[string]form.AuditEntry{}
	for _, e := range entries {
		told[e.Act+" "+e.Actor+" "+e.Result] = e
	}
	if e := told["add-silence operator done"]; e.Details["reason"] != "they know" || e.Details["matchers"] != `service=~"cart|pay", severity!=info` || e.Details["ends"] == "" {
		t.Errorf("the audit tells of the silence as %+v", e)
	}
	if e := told["end-silence cart done"]; e.Subject != mine.ID {
		t.Errorf("the audit tells of its end as %+v", e)
	}
	if e := told["end-silence cart denied"]; e.Subject != made.ID {
		t.Errorf("the audit tells of what was denied as %+v", e)
	}
}

func TestSilenceIsRefused(t *testing.T) {
	const path = "/api/v1/silences"
	d := open(t, nil)
	in := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(time.RFC3339) }
	tests := []struct{ name, body, says string }{
		{"no end", `{"reason":"x","matchers":["a=b"]}`, "ends"},
		{"two ends", `{"reason":"x","matchers":["a=b"],"seconds":60,"ends":"` + in(time.Hour) + `"}`, "either ends or seconds"},
		{"an end that is past", `{"reason":"x","matchers":["a=b"],"ends":"` + in(-time.Hour) + `"}`, "ends at"},
		{"a far end", `{"reason":"x","matchers":["a=b"],"ends":"` + in(91*24*time.Hour) + `"}`, "at most 90 days"},
		{"no reason", `{"matchers":["a=b"],"ends":"` + in(time.Hour) + `"}`, "reason"},
		{"no matcher", `{"reason":"x","matchers":[],"ends":"` + in(time.Hour) + `"}`, "matchers"},
		{"a matcher that cannot be read", order("", "x", `a=~(`), "cannot be read"},
		{"everything", order("", "x", `a!=b`), "matches what is not there"},
		{"a scope with a hole", order("a//b", "x", `a=b`), "part 2 is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { problem(t, d.ask("admin", "POST", path, tt.body), 422, tt.says) })
	}
}
