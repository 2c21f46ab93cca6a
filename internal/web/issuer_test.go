package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/web"
)

// stand are the roles that groups of the issuer stand for.
var stand = map[string]auth.Role{"staff": auth.Viewer, "sre": auth.Operator}

// abroad is a page whose people sign in elsewhere. A real issuer and a real
// browser are in test/page.
func (h *house) abroad(t *testing.T, issuer string) *house {
	t.Helper()
	accounts := auth.New(h.Store, auth.Options{})
	out := &house{House: h.House, now: h.now}
	page, err := web.New(web.Options{
		Door: h.Handler, Key: []byte(strings.Repeat("k", web.KeyBytes)), Clock: func() time.Time { return out.now }, Logger: slog.New(slog.DiscardHandler),
		Issuer: &web.Issuer{
			URL: issuer, Wait: h.wait, ClientID: "page", Page: "http://page.example", Name: "the issuer", Groups: "teams",
			Enter: func(ctx context.Context, who web.Person, until time.Time) (string, error) {
				return accounts.Visit(ctx, who.Name, auth.RolesOf(who.Groups, stand), until)
			},
			Leave: accounts.Leave,
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

// issuer vouches for whoever the code of a sign-in says, in the groups it says.
type issuer struct {
	*httptest.Server
	t      *testing.T
	key    *ecdsa.PrivateKey
	claims map[string]any   // of the next sign-in
	info   http.HandlerFunc // its user info endpoint; nil: it has none
	begun  url.Values       // what the page asked for
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	i := &issuer{t: t, key: key}
	keys := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}}}
	mux := http.NewServeMux()
	mux.Handle("/keys", keys)
	mux.HandleFunc("/token", i.token)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		can := map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"response_types_supported": []string{"code"}, "id_token_signing_alg_values_supported": []string{"ES256"}, "scopes_supported": []string{"openid", "groups"},
		}
		if i.info != nil {
			can["userinfo_endpoint"] = i.URL + "/me"
		}
		answer(w, can)
	})
	mux.HandleFunc("/me", func(w http.ResponseWriter, r *http.Request) { i.info(w, r) })
	i.Server = httptest.NewServer(mux)
	keys.SetIssuer(i.URL)
	t.Cleanup(i.Close)
	return i
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// token gives the identity token to who proves that they began the sign-in.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != i.begun.Get("code_challenge") {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	claims, err := json.Marshal(i.claims)
	must(i.t, err)
	answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": oidctest.SignIDToken(i.key, "k", "ES256", string(claims))})
}

// signIn signs somebody in by the issuer.
func (i *issuer) signIn(b *browser, email string, groups any) reply {
	i.t.Helper()
	at, err := url.Parse(b.get("/sign-in/oidc?next=/runs").header.Get("Location"))
	must(i.t, err)
	i.begun = at.Query()
	i.claims = map[string]any{
		"iss": i.URL, "aud": "page", "sub": email, "email": email, "email_verified": true, "nonce": i.begun.Get("nonce"),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "teams": groups,
	}
	for name, claim := range i.claims {
		if claim == absent && name != "sub" {
			delete(i.claims, name)
		}
	}
	return b.get("/sign-in/oidc/back?code=c&state=" + i.begun.Get("state"))
}

// absent is a claim that an identity token does not have.
const absent = "absent"

// TestSignInByUserInfo: what the identity token does not say is asked for at the
// user info endpoint, and nobody is signed in by what is not theirs or does not
// end.
func TestSignInByUserInfo(t *testing.T) {
	said := func(claims map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer a" {
				http.Error(w, "whose?", http.StatusUnauthorized)
				return
			}
			answer(w, claims)
		}
	}
	const alice = "alice@example.com"
	tests := []struct {
		name   string
		email  string // of the identity token
		groups any    // of the identity token
		info   http.HandlerFunc
		want   string // who is signed in, and as what
		status int    // if nobody is
		says   string // then
	}{
		{name: "groups", email: alice, groups: absent, info: said(map[string]any{"sub": alice, "teams": []string{"sre"}}), want: alice + " operator"},
		{name: "the token's groups, if it has any", email: alice, groups: []string{"staff"}, info: said(map[string]any{"sub": alice, "teams": []string{"sre"}}), want: alice + " viewer"},
		{name: "the token's groups, if there are none", email: alice, groups: []string{}, info: said(map[string]any{"sub": alice, "teams": []string{"sre"}}), status: 401, says: "no group of theirs"},
		{name: "no groups there either", email: alice, groups: absent, info: said(map[string]any{"sub": alice}), status: 401, says: "no group of theirs"},
		{name: "no such endpoint", email: alice, groups: absent, status: 401, says: "no group of theirs"},
		{name: "name and groups", email: absent, groups: absent, info: said(map[string]any{"sub": absent, "email": "Alice@example.com", "email_verified": true, "teams": "sre"}), want: alice + " operator"},
		{name: "an address that is not verified", email: absent, groups: absent, info: said(map[string]any{"sub": absent, "email": alice, "teams": "sre"}), status: 401, says: "does not vouch for the address " + alice},
		{name: "another's address is not vouched for", email: alice, groups: absent, info: said(map[string]any{"sub": alice, "email": "root@example.com", "email_verified": true, "teams": "sre"}), want: alice + " operator"},
		{name: "no name at all", email: absent, groups: absent, info: said(map[string]any{"sub": absent, "teams": "sre"}), status: 401, says: "names no email"},
		{name: "of somebody else", email: alice, groups: absent, info: said(map[string]any{"sub": "bob@example.com", "teams": []string{"sre"}}), status: 401, says: "speaks of somebody else"},
		{name: "of nobody", email: alice, groups: absent, info: said(map[string]any{"teams": []string{"sre"}}), status: 401, says: "speaks of somebody else"},
		{name: "refused", email: alice, groups: absent, info: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, status: 503, says: "does not work now"},
		{name: "no JSON", email: alice, groups: absent, info: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, status: 503, says: "does not work now"},
		{name: "without end", email: alice, groups: absent, info: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"sub":"` + alice + `","teams":["sre"],"more":"` + strings.Repeat("x", 2<<20) + `"}`))
		}, status: 503, says: "does not work now"},
		{name: "never", email: alice, groups: absent, info: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, status: 503, says: "does not work now"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := newIssuer(t)
			i.info = tt.info
			h := open(t)
			if tt.name == "never" {
				h.wait = 2 * time.Second
			}
			b := h.abroad(t, i.URL).browser(t)
			got := i.signIn(b, tt.email, tt.groups)
			if tt.want == "" {
				if got.status != tt.status || !strings.Contains(got.body, tt.says) {
					t.Errorf("got %d, want %d with %q: %s", got.status, tt.status, tt.says, got.body)
				}
				if again := b.get("/runs"); again.status != 303 {
					t.Errorf("signed in all the same: %d", again.status)
				}
				return
			}
			if got.status != 303 {
				t.Fatalf("got %d: %s", got.status, got.body)
			}
			found := may.FindStringSubmatch(b.get("/runs").body)
			if found == nil || found[1]+" "+found[2] != tt.want {
				t.Errorf("got %q, want %q", found, tt.want)
			}
		})
	}
}

// may is what the page says its visitor is.
var may = regexp.MustCompile(`<summary>([^<]*)</summary>\s*<div>\s*<p>([^<]*)</p>`)

// TestSignInByGroups: who is a principal is that, whatever their groups; anybody
// else is what their groups stand for, or stays outside.
func TestSignInByGroups(t *testing.T) {
	i := newIssuer(t)
	h := open(t).abroad(t, i.URL)
	accounts := auth.New(h.Store, auth.Options{})
	must(t, accounts.Create(t.Context(), "own@example.com", []auth.Grant{{Role: auth.Approver}}))
	tests := []struct {
		name, email string
		groups      any
		want        string // empty: outside
	}{
		{"a group with a role", "alice@example.com", []string{"staff", "sales"}, "alice@example.com viewer"},
		{"the highest of several", "bo@example.com", []string{"staff", "sre"}, "bo@example.com operator"},
		{"one group that is no list", "cy@example.com", "sre", "cy@example.com operator"},
		{"nobody's groups", "di@example.com", []string{"sales"}, ""},
		{"no groups", "ed@example.com", nil, ""},
		{"groups that are no texts", "flo@example.com", []int{1}, ""},
		{"a principal", "Own@example.com", []string{"sre"}, "own@example.com approver"},
		{"a name that none can have", "a b@example.com", []string{"sre"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := h.browser(t)
			got := i.signIn(b, tt.email, tt.groups)
			if i.begun.Get("scope") != "openid email profile groups" {
				t.Errorf("the issuer is asked for %q, want its groups too", i.begun.Get("scope"))
			}
			if tt.want == "" {
				if got.status != 401 || !strings.Contains(got.body, "is nobody here, and no group of theirs stands for a role") {
					t.Errorf("got %d, want 401: %s", got.status, got.body)
				}
				return
			}
			if got.status != 303 || got.header.Get("Location") != "/runs" {
				t.Fatalf("got %d to %q: %s", got.status, got.header.Get("Location"), got.body)
			}
			found := may.FindStringSubmatch(b.get("/runs").body)
			if found == nil || found[1]+" "+found[2] != tt.want {
				t.Errorf("got %q, want %q", found, tt.want)
			}
		})
	}
}

// TestAuditNamesGuests: what somebody does who is here by a group is in the
// audit under their name.
func TestAuditNamesGuests(t *testing.T) {
	i := newIssuer(t)
	h := open(t).abroad(t, i.URL)
	h.Seed(t)
	b := h.browser(t)
	i.signIn(b, "bo@example.com", []string{"sre"})
	if got := b.post("/silences", "csrf", b.csrf(), "matchers", "service=cart", "for", "1h", "reason", "x"); got.status != 303 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if body := h.as(t, "admin").get("/audit?actor=bo@example.com").body; !strings.Contains(body, "Silence alerts") {
		t.Errorf("the audit does not tell: %s", body)
	}
}

// TestSignOutEndsTheToken: a cookie that was kept is worth nothing after signing
// out by an issuer; a token somebody brought along stays theirs.
func TestSignOutEndsTheToken(t *testing.T) {
	i := newIssuer(t)
	h := open(t).abroad(t, i.URL)
	leave := func(b *browser) int {
		u, err := url.Parse(h.base)
		must(t, err)
		kept := b.c.Jar.Cookies(u)
		if got := b.post("/sign-out", "csrf", b.csrf()); got.status != 303 || got.header.Get("Location") != "/sign-in" {
			t.Fatalf("sign out: got %d %s", got.status, got.body)
		}
		thief := h.browser(t)
		thief.c.Jar.SetCookies(u, kept)
		return thief.get("/runs").status
	}
	abroad := h.browser(t)
	i.signIn(abroad, "bo@example.com", []string{"sre"})
	if got := leave(abroad); got != 303 {
		t.Errorf("signed in by the issuer: a kept cookie gets %d, want to be sent to the sign-in", got)
	}
	if got := leave(h.as(t, "operator")); got != 200 {
		t.Errorf("signed in by a token: got %d, want the token still good", got)
	}
}
