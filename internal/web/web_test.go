package web_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a page before a whole door, served on a port.
type house struct {
	*apitest.House
	base string
	now  time.Time
	wait time.Duration // of calls to an issuer; 0: as long as usual
}

func open(t testing.TB) *house {
	t.Helper()
	return openWith(t, nil)
}

// openWith is open with other options of the API behind the page.
func openWith(t testing.TB, change func(*api.Options)) *house {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "house.db")})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	h := &house{House: apitest.New(t, db, change), now: time.Now()}
	page, err := web.New(web.Options{
		Door: h.Handler, Key: []byte(strings.Repeat("k", web.KeyBytes)), Clock: func() time.Time { return h.now }, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	h.base = server.URL
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// browser is somebody's browser: it keeps cookies and follows no redirects by
// itself.
type browser struct {
	t testing.TB
	h *house
	c *http.Client
}

func (h *house) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	c := &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(c.CloseIdleConnections)
	return &browser{t, h, c}
}

// as is a browser in which somebody is signed in.
func (h *house) as(t testing.TB, role string) *browser {
	t.Helper()
	b := h.browser(t)
	if r := b.post("/sign-in", "token", h.Tokens[role]); r.status != http.StatusSeeOther {
		t.Fatalf("sign in as %s: %d %s", role, r.status, r.body)
	}
	return b
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(r *http.Request) reply {
	b.t.Helper()
	resp, err := b.c.Do(r)
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(path string, header ...string) reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.h.base+path, nil)
	must(b.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.do(r)
}

func (b *browser) post(path string, pairs ...string) reply {
	b.t.Helper()
	return b.do(b.form(path, pairs...))
}

func (b *browser) form(path string, pairs ...string) *http.Request {
	b.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.h.base+path, strings.NewReader(v.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the proof that forms of this session carry.
func (b *browser) csrf() string {
	b.t.Helper()
	found := csrfField.FindStringSubmatch(b.get("/").body)
	if found == nil {
		b.t.Fatal("the overview has no form")
	}
	return found[1]
}

func TestSignIn(t *testing.T) {
	h := open(t)
	tests := []struct {
		name, token, next string
		status            int
		to                string
	}{
		{"good", h.Tokens["viewer"], "", 303, "/"},
		{"to where one wanted to be", h.Tokens["viewer"], "/cases?open=true", 303, "/cases?open=true"},
		{"with blanks around", " " + h.Tokens["viewer"] + "\n", "/", 303, "/"},
		{"to another site", h.Tokens["viewer"], "https://example.com/", 303, "/"},
		{"to another site without a scheme", h.Tokens["viewer"], "//example.com/", 303, "/"},
		{"to another site by a backslash", h.Tokens["viewer"], `/\example.com`, 303, "/"},
		{"to the API", h.Tokens["viewer"], "/api/v1/me", 303, "/"},
		{"wrong token", h.Tokens["viewer"] + "x", "/", 401, ""},
		{"no token", "", "/", 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.browser(t).post("/sign-in", "token", tt.token, "next", tt.next)
			if got.status != tt.status || got.header.Get("Location") != tt.to {
				t.Errorf("got %d to %q, want %d to %q", got.status, got.header.Get("Location"), tt.status, tt.to)
			}
			cookie := got.header.Get("Set-Cookie")
			if signed := tt.status == 303; signed != (cookie != "") {
				t.Errorf("the cookie is %q", cookie)
			}
			if cookie != "" && (!strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict")) {
				t.Errorf("the cookie is %q, want HttpOnly and SameSite=Strict", cookie)
			}
			if strings.Contains(got.body+cookie, strings.TrimSpace(h.Tokens["viewer"])) {
				t.Error("the answer shows the token")
			}
		})
	}
}

func TestSessionEnds(t *testing.T) {
	toSignIn := "/sign-in?next=%2Fcases"
	t.Run("never began", func(t *testing.T) {
		h := open(t)
		if got := h.browser(t).get("/cases"); got.status != 303 || got.header.Get("Location") != toSignIn {
			t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
		}
	})
	t.Run("after its time", func(t *testing.T) {
		h := open(t)
		b := h.as(t, "viewer")
		h.now = h.now.Add(12*time.Hour - time.Minute)
		if got := b.get("/cases"); got.status != 200 {
			t.Fatalf("a minute before: %d", got.status)
		}
		h.now = h.now.Add(2 * time.Minute)
		if got := b.get("/cases"); got.status != 303 || got.header.Get("Location") != toSignIn {
			t.Errorf("a minute after: %d to %q", got.status, got.header.Get("Location"))
		}
	})
	t.Run("with the token", func(t *testing.T) {
		h := open(t)
		b := h.as(t, "viewer")
		must(t, h.Store.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(store.Principals, "viewer") }))
		if got := b.get("/cases"); got.status != 303 || got.header.Get("Location") != toSignIn {
			t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
		}
	})
	t.Run("by signing out", func(t *testing.T) {
		h := open(t)
		b := h.as(t, "viewer")
		if got := b.post("/sign-out", "csrf", "guessed"); got.status != 403 {
			t.Errorf("signed out by a form of another: %d", got.status)
		}
		b.post("/sign-out", "csrf", b.csrf())
		if got := b.get("/cases"); got.status != 303 {
			t.Errorf("got %d", got.status)
		}
	})
	t.Run("of a refresh within a page", func(t *testing.T) {
		h := open(t)
		got := h.browser(t).get("/cases", "HX-Request", "true", "HX-Current-URL", h.base+"/cases?open=true")
		if want := "/sign-in?next=%2Fcases%3Fopen%3Dtrue"; got.status != 401 || got.header.Get("HX-Redirect") != want {
			t.Errorf("got %d to %q, want 401 to %q", got.status, got.header.Get("HX-Redirect"), want)
		}
	})
	t.Run("by a link of another site it only seems to", func(t *testing.T) {
		h := open(t)
		got := h.browser(t).get("/cases", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
		if got.status != 200 || !strings.Contains(got.body, `http-equiv="refresh"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

func TestForgedForms(t *testing.T) {
	h := open(t)
	b := h.as(t, "operator")
	good := []string{"csrf", b.csrf(), "on", "true", "reason", "test"}
	crossSite := b.form("/kill-switch", good...)
	crossSite.Header.Set("Sec-Fetch-Site", "cross-site")
	tests := []struct {
		name string
		r    *http.Request
		want int
	}{
		{"without the proof", b.form("/kill-switch", good[2:]...), 403},
		{"with the proof of another session", b.form("/kill-switch", append([]string{"csrf", h.as(t, "operator").csrf()}, good[2:]...)...), 403},
		{"from another site", crossSite, 403},
		{"its own", b.form("/kill-switch", good...), 303},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(tt.r)
			if got.status != tt.want {
				t.Errorf("got %d, want %d: %s", got.status, tt.want, got.body)
			}
			on := strings.Contains(b.get("/").body, "Kill switch on for everything")
			if on != (tt.want == 303) {
				t.Errorf("the switch is on: %v", on)
			}
		})
	}
}

func TestFormsAreCarriedOutOnce(t *testing.T) {
	h := open(t)
	b := h.as(t, "operator")
	for range 2 {
		if got := b.post("/kill-switch", "csrf", b.csrf(), "once", "the same", "on", "true", "reason", "test"); got.status != 303 {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	var n int
	must(t, h.Store.View(t.Context(), func(r store.Reader) error {
		page, err := r.List(store.Query{Table: store.Audit, Where: []store.Cond{{Column: "act", Op: store.Eq, Value: "turn-kill-switch"}}})
		n = len(page.Records)
		return err
	}))
	if n != 1 {
		t.Errorf("the audit tells of %d turns, want 1", n)
	}
}

// waitingRun starts a run that asks approvers.
func (h *house) waitingRun(t testing.TB) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/playbooks/ask-first/runs", strings.NewReader(`{"target":"service/cart"}`))
	r.Header.Set("Authorization", "Bearer "+h.Tokens["operator"])
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.Handler.ServeHTTP(w, r)
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusCreated || id == nil {
		t.Fatalf("start a run: %d %s", w.Code, w.Body)
	}
	h.Until(t, id[1], func(r *heal.Run) bool { return r.State == heal.RunWaiting })
	return id[1]
}

func TestAnswersByRole(t *testing.T) {
	tests := []struct {
		role    string
		offered bool
		status  int
	}{
		{"viewer", false, 403},
		{"operator", false, 403},
		{"approver", true, 303},
		{"admin", true, 303},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			h := open(t)
			run := h.waitingRun(t)
			b := h.as(t, tt.role)
			overview := b.get("/").body
			if !strings.Contains(overview, "/runs/"+run) {
				t.Error("the overview does not show what waits")
			}
			if offered := strings.Contains(overview, `value="approve"`); offered != tt.offered {
				t.Errorf("approval is offered: %v, want %v", offered, tt.offered)
			}
			got := b.post("/answer", "csrf", b.csrf(), "run", run, "verb", "approve")
			if got.status != tt.status {
				t.Errorf("got %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status == 303 {
				h.Until(t, run, func(r *heal.Run) bool { return r.State == heal.RunSucceeded })
			}
		})
	}
}

// inline finds what the content security policy would refuse.
var inline = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)

// everyPage is a path of each page.
var everyPage = []string{
	"/", "/part/trend", "/nowhere", "/cases", "/cases?open=true&severity=critical", "/cases/" + apitest.CartCase, "/part/cases/" + apitest.CartCase + "/signals",
	"/cases/" + apitest.PayCase, "/runs", "/runs?state=waiting_approval", "/playbooks", "/playbooks/touch", "/playbooks/touch?tab=versions", "/playbooks/touch?tab=try",
	"/playbooks/touch?tab=edit", "/alerts", "/alerts?q=cart+down", "/alerts/" + apitest.CartAlert, "/silences", "/silences?over=true", "/silences?alert=" + apitest.CartAlert, "/services", "/services?entity=service/cart", "/audit", "/audit?verify=yes",
	"/changes", "/changes?service=cart&kind=deploy&from=2024-01-01T00:00", "/changes?entity=database/orders",
	"/audit?actor=nobody",
}

// outside is where a person told to read more, which the page says.
var outside = regexp.MustCompile(`<a href="https://ci\.example/7" rel="external noreferrer"`)

func TestPages(t *testing.T) {
	h := open(t)
	h.Seed(t)
	h.SeedChanges(t)
	h.waitingRun(t)
	b := h.as(t, "admin")
	for _, path := range everyPage {
		t.Run(path, func(t *testing.T) {
			got := b.get(path)
			want := 200
			if path == "/nowhere" {
				want = 404
			}
			if got.status != want {
				t.Errorf("got %d, want %d: %s", got.status, want, got.body)
			}
			if bad := inline.FindString(strings.ReplaceAll(got.body, `<script type="application/json"`, `<data `)); bad != "" {
				t.Errorf("the page has %q, which the policy refuses", bad)
			}
			if back := `<p><a href="/">To the overview</a></p>`; strings.Contains(got.body, back) != (want == 404) {
				t.Errorf("a way back is there: %v", want != 404)
			}
			policy := got.header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "style-src 'self';") || strings.Contains(policy, "unsafe") {
				t.Errorf("the policy is %q", policy)
			}
			own := outside.ReplaceAllString(got.body, "")
			if foreign := regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//[^"]*`).FindString(own); foreign != "" {
				t.Errorf("the page loads or leads elsewhere: %s", foreign)
			}
		})
	}
}

func TestDoorStaysOpen(t *testing.T) {
	b := open(t).browser(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/openapi.json": 200, "/api/v1/incidents": 401, "/api/v1/nowhere": 401} {
		if got := b.get(path); got.status != want {
			t.Errorf("%s: got %d, want %d", path, got.status, want)
		}
	}
}

func TestHostileTextIsText(t *testing.T) {
	h := open(t)
	const hostile = `<img src=x onerror=alert(1)></title><script>alert(1)</script>`
	must(t, h.Store.Update(t.Context(), func(tx store.Tx) error {
		_, err := store.IncidentKind.Put(tx, &heal.Incident{ID: "x", Scope: heal.DefaultScope, State: heal.CaseOpen, Severity: heal.Critical, Title: hostile, UpdatedAt: h.now}, store.Absent)
		return err
	}))
	for _, path := range []string{"/", "/cases"} {
		body := h.as(t, "viewer").get(path).body
		if strings.Contains(body, "<img src=x") || strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;img src=x") {
			t.Errorf("%s shows a title as markup", path)
		}
	}
}
