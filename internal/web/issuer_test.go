package web_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/web"
)

// abroad is a page whose people sign in elsewhere. Signing in for good is shown
// with a real issuer and a real browser, in test/page; here is what is refused.
func (h *house) abroad(t *testing.T, issuer string) *house {
	t.Helper()
	out := &house{House: h.House, now: h.now}
	page, err := web.New(web.Options{
		Door: h.Handler, Key: []byte(strings.Repeat("k", web.KeyBytes)), Clock: func() time.Time { return out.now }, Logger: slog.New(slog.DiscardHandler),
		Issuer: &web.Issuer{
			URL: issuer, ClientID: "page", Page: "http://page.example", Name: "the issuer",
			Token: func(context.Context, string, time.Time) (string, error) {
				return "", heal.Errorf(heal.NotFound, "", "nobody")
			},
		},
	})
	must(t, err)
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	out.base = server.URL
	return out
}

func TestSignInElsewhere(t *testing.T) {
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/openid-configuration" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(strings.ReplaceAll(`{"issuer":"@","authorization_endpoint":"@/auth","token_endpoint":"@/token","jwks_uri":"@/keys","response_types_supported":["code"]}`, "@", issuer.URL)))
	}))
	t.Cleanup(issuer.Close)
	h := open(t).abroad(t, issuer.URL)
	begin := func(b *browser) (state string) {
		away := b.get("/sign-in/oidc?next=/cases")
		at := away.header.Get("Location")
		if away.status != 303 || !strings.HasPrefix(at, issuer.URL+"/auth?") {
			t.Fatalf("got %d to %q", away.status, at)
		}
		for _, need := range []string{"code_challenge_method=S256", "nonce=", "redirect_uri=http%3A%2F%2Fpage.example%2Fsign-in%2Foidc%2Fback", "scope=openid"} {
			if !strings.Contains(at, need) {
				t.Errorf("the issuer is asked without %s: %s", need, at)
			}
		}
		cookie := away.header.Get("Set-Cookie")
		if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Path=/sign-in/oidc") {
			t.Errorf("the cookie is %q", cookie)
		}
		_, rest, _ := strings.Cut(at, "state=")
		state, _, _ = strings.Cut(rest, "&")
		return state
	}
	tests := []struct {
		name  string
		begun bool
		query func(state string) string
		want  string
	}{
		{"never begun", false, func(string) string { return "state=x&code=y" }, "was not begun here"},
		{"begun with another state", true, func(string) string { return "state=x&code=y" }, "was not begun here"},
		{"the issuer says no", true, func(s string) string { return "state=" + s + "&error=access_denied" }, "the issuer said no: access_denied"},
		{"a code the issuer does not know", true, func(s string) string { return "state=" + s + "&code=made-up" }, "did not take its own code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, state := h.browser(t), ""
			if tt.begun {
				state = begin(b)
			}
			got := b.get("/sign-in/oidc/back?" + tt.query(state))
			if got.status != 401 || !strings.Contains(got.body, tt.want) {
				t.Errorf("got %d, want 401 with %q: %s", got.status, tt.want, got.body)
			}
			if again := b.get("/cases"); again.status != 303 {
				t.Errorf("signed in all the same: %d", again.status)
			}
		})
	}
	t.Run("begun too long ago", func(t *testing.T) {
		b := h.browser(t)
		state := begin(b)
		h.now = h.now.Add(11 * time.Minute)
		if got := b.get("/sign-in/oidc/back?state=" + state + "&code=y"); got.status != 401 {
			t.Errorf("got %d", got.status)
		}
	})
	t.Run("the issuer is away", func(t *testing.T) {
		h := open(t).abroad(t, "http://127.0.0.1:1")
		if got := h.browser(t).get("/sign-in/oidc"); got.status != 503 || !strings.Contains(got.body, "does not work now") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}
