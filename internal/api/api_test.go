package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a house that is asked over HTTP without a network.
type door struct {
	*apitest.House
	t  *testing.T
	db *sqlite.DB
}

func open(t *testing.T, change func(*api.Options)) *door {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "house.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	d := &door{House: apitest.New(t, db, change), t: t, db: db}
	d.Seed(t)
	return d
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request in the name of a role; "" sends no token. Header lines
// are "Name: value".
func (d *door) ask(role, method, path, body string, header ...string) reply {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, path, strings.NewReader(body))
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+d.Tokens[role])
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	d.Handler.ServeHTTP(w, r)
	data, err := io.ReadAll(w.Result().Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{w.Code, w.Header(), string(data)}
}

// read decodes an answer that must have the status.
func read[T any](t *testing.T, r reply, status int) T {
	t.Helper()
	var v T
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return v
}

// problem holds that an answer is a whole problem document.
func problem(t *testing.T, r reply, status int, words ...string) {
	t.Helper()
	p := read[form.ProblemDetails](t, r, status)
	if got, want := r.header.Get("Content-Type"), "application/problem+json"; got != want {
		t.Errorf("content type %q, want %q", got, want)
	}
	if p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("not a whole problem document: %s", r.body)
	}
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			t.Errorf("%q is not in %s", word, r.body)
		}
	}
	if len(r.body) > 32<<10 {
		t.Errorf("a problem of %d bytes", len(r.body))
	}
}

// TestRoles asks every operation in the name of every role. What is asked is
// not there or not possible, so that nothing changes from one role to the next.
func TestRoles(t *testing.T) {
	const (
		all   = "admin operator approver viewer cart"
		act   = "admin operator"
		reply = "admin approver"
		hand  = "admin operator sender"
	)
	tests := []struct {
		method, path, body string
		allowed            string
	}{
		{"GET", "/incidents", "", all},
		{"GET", "/incidents/" + apitest.PayCase, "", "admin operator approver viewer"},
		{"GET", "/incidents/" + apitest.CartCase, "", all},
		{"GET", "/incidents/" + apitest.PayCase + "/timeline", "", "admin operator approver viewer"},
		{"GET", "/incidents/" + apitest.CartCase + "/decisions", "", all},
		{"POST", "/incidents/" + apitest.PayCase + "/notes", `{"text":"x"}`, act},
		{"POST", "/incidents/" + apitest.PayCase + "/close", `{"reason":"x"}`, act},
		{"POST", "/incidents/" + apitest.PayCase + "/escalate", `{"reason":"x"}`, act},
		{"GET", "/alerts", "", all},
		{"GET", "/alerts/" + apitest.PayAlert, "", "admin operator approver viewer"},
		{"GET", "/alerts/" + apitest.CartAlert + "/history", "", all},
		{"POST", "/alerts/" + apitest.PayAlert + "/ack", "", act},
		{"POST", "/alerts/" + apitest.PayAlert + "/unack", "", act},
		{"POST", "/alerts/" + apitest.PayAlert + "/resolve", "", act},
		{"POST", "/alerts", `{"alerts":[{"alert_name":"x","service_name":"pay"}]}`, hand},
		{"GET", "/silences", "", all},
		{"POST", "/silences", order("", "x", "service=pay"), act},
		{"POST", "/silences", order("default/default/default/cart", "x", "service=cart"), act + " cart"},
		{"POST", "/alerts", `{"alerts":[{"alert_name":"x","service_name":"cart"}]}`, hand + " cart"},
		{"POST", "/webhooks/open", `{"alerts":[]}`, hand},
		{"GET", "/changes", "", all},
		{"POST", "/changes", `{"id":"x","service":"pay"}`, hand},
		{"POST", "/changes", `{"id":"y","service":"cart"}`, hand + " cart"},
		{"GET", "/runs", "", all},
		{"GET", "/runs/RUN", "", "admin operator approver viewer"},
		{"GET", "/runs/RUN/journal", "", "admin operator approver viewer"},
		{"GET", "/runs/RUN/refusals", "", "admin operator approver viewer"},
		{"POST", "/runs/RUN/pause", "", act},
		{"POST", "/runs/RUN/resume", "", act},
		{"POST", "/runs/RUN/cancel", "", act},
		{"POST", "/runs/RUN/settle", `{"task":"touch","as":"happened"}`, act},
		{"POST", "/runs/RUN/approve", "", reply},
		{"POST", "/runs/RUN/deny", "", reply},
		{"POST", "/approvals/RUN/approve", "", reply},
		{"POST", "/approvals/RUN/deny", "", reply},
		{"GET", "/approvals", "", all},
		{"GET", "/playbooks", "", all},
		{"GET", "/playbooks/touch", "", all},
		{"GET", "/playbook-schema", "", all},
		{"POST", "/playbook-check", `{"source":"x"}`, all},
		{"POST", "/playbooks/touch/runs", `{"target":"service/pay","dry_run":true}`, act},
		{"POST", "/playbooks/touch/runs", `{"target":"service/cart","dry_run":true}`, act + " cart"},
		{"GET", "/kill-switch", "", all},
		{"PUT", "/kill-switch", `{"on":false,"reason":"x"}`, act},
		{"PUT", "/kill-switch", `{"on":false,"reason":"x","scope":"default/default/default/cart"}`, act + " cart"},
		{"GET", "/services", "", all},
		{"GET", "/knowledge", "", all},
		{"GET", "/report", "", all},
		{"GET", "/version", "", all + " sender"},
	}
	d := open(t, nil)
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path+" "+tt.body, func(t *testing.T) {
			for _, role := range []string{"", "sender", "viewer", "cart", "approver", "operator", "admin"} {
				before, after, needsRun := strings.Cut(tt.path, "RUN")
				path := tt.path
				if needsRun { // a new one for each: some end it
					path = before + d.start("ask-first", "service/pay") + after
				}
				got := d.ask(role, tt.method, "/api/v1"+path, tt.body)
				switch {
				case role == "":
					problem(t, got, http.StatusUnauthorized)
				case strings.Contains(" "+tt.allowed+" ", " "+role+" "):
					if got.status == http.StatusForbidden || got.status == http.StatusUnauthorized || got.status >= 500 {
						t.Errorf("%s: status %d: %s", role, got.status, got.body)
					}
				default:
					problem(t, got, http.StatusForbidden, role+" may not")
				}
			}
		})
	}
}

// start starts a run as admin and gives its id.
func (d *door) start(book, target string) string {
	d.t.Helper()
	r := d.ask("admin", "POST", "/api/v1/playbooks/"+book+"/runs", `{"target":"`+target+`"}`)
	return read[form.Run](d.t, r, http.StatusCreated).ID
}

func TestListsShowWhatTheirReaderMaySee(t *testing.T) {
	d := open(t, nil)
	seen := 0
	for cursor := ""; ; {
		p := read[form.Page[form.IncidentSummary]](t, d.ask("cart", "GET", "/api/v1/incidents?limit=7&cursor="+cursor, ""), 200)
		for _, i := range p.Items {
			seen++
			if !strings.HasSuffix(i.Scope, "/cart") {
				t.Errorf("shows %s", i.Scope)
			}
		}
		if cursor = p.Cursor; cursor == "" {
			break
		}
	}
	if want := 41; seen != want {
		t.Errorf("saw %d cases, want %d", seen, want)
	}
	s := read[form.Services](t, d.ask("cart", "GET", "/api/v1/services", ""), 200)
	if len(s.Entities) != 1 || len(s.Edges) != 0 {
		t.Errorf("services: %+v", s)
	}
}

func TestPages(t *testing.T) {
	d := open(t, nil)
	for _, path := range []string{"/incidents?", "/incidents?state=closed&", "/alerts?", "/alerts?service=pay&status=resolved&", "/incidents?open=false&severity=info&"} {
		t.Run(path, func(t *testing.T) {
			whole := read[form.Page[struct {
				ID      string `json:"id"`
				AlertID string `json:"alert_id"`
			}]](t, d.ask("viewer", "GET", "/api/v1"+path+"limit=500", ""), 200)
			if whole.Cursor != "" || len(whole.Items) < 20 || whole.Revision == 0 {
				t.Fatalf("%d items, cursor %q, revision %d", len(whole.Items), whole.Cursor, whole.Revision)
			}
			at := 0
			for cursor := ""; ; {
				part := read[form.Page[struct {
					ID      string `json:"id"`
					AlertID string `json:"alert_id"`
				}]](t, d.ask("viewer", "GET", "/api/v1"+path+"limit=7&cursor="+cursor, ""), 200)
				for _, item := range part.Items {
					if item != whole.Items[at] {
						t.Fatalf("item %d is %v, want %v", at, item, whole.Items[at])
					}
					at++
				}
				if cursor = part.Cursor; cursor == "" {
					break
				}
			}
			if at != len(whole.Items) {
				t.Errorf("pages hold %d items, want %d", at, len(whole.Items))
			}
		})
	}
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents?limit=501", ""), 422, "query.limit")
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents?cursor=nonsense", ""), 422, "cursor")
	other := read[form.Page[form.Alert]](t, d.ask("viewer", "GET", "/api/v1/alerts?limit=1", ""), 200)
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents?cursor="+other.Cursor, ""), 422, "another query")
}

func TestBadInput(t *testing.T) {
	const notes = "/api/v1/incidents/" + apitest.PayCase + "/notes"
	d := open(t, nil)
	many := `{"text":"x"` + strings.Repeat(`,"unknown_field_of_some_length":{"a":[1,2,3]}`, 20_000) + `}`
	distinct := bytes.NewBufferString(`{"text":"x"`)
	for i := range 20_000 {
		distinct.WriteString(`,"field` + strings.Repeat("a", i%7) + string(rune('a'+i%26)) + `":` + strings.Repeat("9", 20))
	}
	distinct.WriteString("}")
	tests := []struct {
		name, path, body string
		status           int
		words            []string
	}{
		{"empty", notes, "", 400, []string{"body"}},
		{"malformed", notes, "{\"text\":\n  nope}", 400, []string{"line 2, column 4"}},
		{"cut short", notes, `{"text":"x`, 400, []string{"not JSON"}},
		{"two values", notes, `{"text":"x"} {"text":"y"}`, 400, []string{"not JSON"}},
		{"no object", notes, `[1]`, 422, []string{"expected object"}},
		{"null", notes, `null`, 422, []string{"body"}},
		{"unknown field", notes, `{"text":"x","txt":"y"}`, 422, []string{"body.txt", "unexpected property"}},
		{"wrong type", notes, `{"text":7}`, 422, []string{"body.text", "expected string"}},
		{"missing field", notes, `{}`, 422, []string{"required property text"}},
		{"too long", notes, `{"text":"` + strings.Repeat("x", 4001) + `"}`, 422, []string{"body.text"}},
		{"invalid UTF-8", notes, "{\"text\":\"a\xffb\"}", 400, []string{"UTF-8", "line 1, column 11"}},
		{"deeply nested", notes, `{"text":` + strings.Repeat("[", 100_000), 400, []string{"more than 32 levels"}},
		{"10 MB", notes, `{"text":"` + strings.Repeat("x", 10<<20) + `"}`, 413, []string{"at most"}},
		{"many unknown fields", notes, many, 422, nil},
		{"many other fields", notes, distinct.String(), 422, nil},
		{"a NUL in an id", "/api/v1/incidents/a%00b/notes", `{"text":"x"}`, 400, []string{"control characters"}},
		{"no UTF-8 in an id", "/api/v1/incidents/a%ffb/notes", `{"text":"x"}`, 400, []string{"UTF-8"}},
		{"a long id", "/api/v1/incidents/" + strings.Repeat("a", 5000) + "/notes", `{"text":"x"}`, 422, []string{"path.id"}},
		{"alerts of 10 MB", "/api/v1/alerts", `{"alerts":["` + strings.Repeat("x", 10<<20) + `"]}`, 413, nil},
		{"alert without a name", "/api/v1/alerts", `{"alerts":[{"severity":"critical"}]}`, 422, []string{"alert_name"}},
		{"alert about everything", "/api/v1/alerts", `{"alerts":[{"alert_name":"x"},{"alert_name":"x","entity":"service/*"}]}`, 422, []string{"body.alerts[1]", "wildcard", "none was taken"}},
		{"alert in a wrong scope", "/api/v1/alerts", `{"alerts":[{"alert_name":"x","scope":"a//b"}]}`, 422, []string{"part 2 is empty"}},
		{"alert of a wrong severity", "/api/v1/alerts", `{"alerts":[{"alert_name":"x","severity":"worst"}]}`, 422, []string{"body.alerts[0].severity"}},
		{"null list", "/api/v1/alerts", `{"alerts":null}`, 422, []string{"body.alerts"}},
		{"run of everything", "/api/v1/playbooks/touch/runs", `{"target":"*/*"}`, 422, nil},
		{"run of nothing", "/api/v1/playbooks/touch/runs", `{"target":"service/"}`, 422, nil},
		{"no such playbook", "/api/v1/playbooks/none/runs", `{"target":"service/cart"}`, 404, nil},
		{"no such incident", "/api/v1/incidents/none/notes", `{"text":"x"}`, 404, []string{`no incident \"none\"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem(t, d.ask("admin", "POST", tt.path, tt.body), tt.status, tt.words...)
		})
	}
	problem(t, d.ask("admin", "POST", notes, `{"text":"x"}`, "Content-Type: text/plain"), 415, "application/json")
	problem(t, d.ask("admin", "GET", "/api/v1/incidents?open=true&open=false", ""), 400, "2 times")
	problem(t, d.ask("admin", "GET", "/api/v1/incidents?stat=open", ""), 422, "query.stat")
	problem(t, d.ask("admin", "GET", "/api/v1/incidents?service=%ff", ""), 400, "UTF-8")
	problem(t, d.ask("admin", "GET", "/api/v1/nothing", ""), 404, "openapi.json")
	if got := d.ask("admin", "DELETE", "/api/v1/incidents", ""); got.status != 405 || got.header.Get("Allow") != "GET" {
		t.Errorf("DELETE: %d, Allow %q", got.status, got.header.Get("Allow"))
	}
}

func TestOpenPaths(t *testing.T) {
	d := open(t, nil)
	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready", "/metrics": "metrics", "/openapi.json": "openapi", "/openapi.yaml": "openapi"} {
		if got := d.ask("", "GET", path, ""); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %.80s", path, got.status, got.body)
		}
	}
}
