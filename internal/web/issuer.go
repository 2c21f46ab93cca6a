package web

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/homeostat/homeostat/internal/heal"
)

// Issuer signs people in elsewhere, by OpenID Connect: the authorization code
// flow with PKCE. It says who somebody is and in which groups, by its identity
// token or, where that has no such claim, by its user info endpoint; what they may
// do is said here.
type Issuer struct {
	URL          string // as its discovery document says
	ClientID     string
	ClientSecret string // empty: a public client
	Page         string // address of this page, as browsers know it
	Name         string // on the button; default its host
	Claim        string // that names the principal; default email
	Groups       string // claim with the groups; empty: groups are not asked for

	Wait time.Duration // bounds every call to it; default 10 s

	// Enter makes a token for a session, good until then. Kind NotFound means
	// that they are nobody here.
	Enter func(ctx context.Context, who Person, until time.Time) (string, error)
	// Leave makes a token of Enter useless.
	Leave func(ctx context.Context, token string) error
}

// Person is whom an issuer names.
type Person struct {
	Name   string
	Groups []string
}

// Paths of the sign-in elsewhere.
const (
	awayPath = "/sign-in/oidc"
	backPath = awayPath + "/back"
)

const (
	// attemptLife is how long somebody may take at the issuer.
	attemptLife = 10 * time.Minute
	// issuerWait bounds every call to the issuer.
	issuerWait = 10 * time.Second
	// issuerAnswer is how long an answer of the issuer may be, in bytes.
	issuerAnswer = 1 << 20
	// maxName is the longest name of a principal, in bytes.
	maxName = 64
	// maxGroups is how many groups of somebody are looked at.
	maxGroups = 1000
)

// abroad is the issuer once it was asked what it can.
type abroad struct {
	Issuer
	client *http.Client
	mu     sync.Mutex
	known  *oidc.Provider
}

func newAbroad(i Issuer) (*abroad, error) {
	const op = "use an issuer"
	for _, at := range []string{i.URL, i.Page} {
		u, err := url.Parse(at)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, heal.Errorf(heal.Invalid, op, "the address is %q, expected one as https://example.com", at)
		}
	}
	if i.ClientID == "" || i.Enter == nil || i.Leave == nil {
		return nil, heal.Errorf(heal.Invalid, op, "the client id is missing")
	}
	if i.Name == "" {
		u, _ := url.Parse(i.URL) // was read above
		i.Name = u.Host
	}
	if i.Claim == "" {
		i.Claim = "email"
	}
	i.Wait = cmp.Or(i.Wait, issuerWait)
	return &abroad{Issuer: i, client: &http.Client{Timeout: i.Wait, Transport: bounded{http.DefaultTransport}}}, nil
}

// provider asks the issuer what it can, until it answered once.
func (a *abroad) provider(ctx context.Context) (*oidc.Provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known != nil {
		return a.known, nil
	}
	// The provider goes on to fetch keys by the client of this context, after
	// this request.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), a.client), a.URL)
	if err != nil {
		return nil, heal.Errorf(heal.Transient, "ask the issuer "+a.URL, "%w", err)
	}
	a.known = p
	return p, nil
}

func (a *abroad) config(p *oidc.Provider) *oauth2.Config {
	scopes := []string{oidc.ScopeOpenID, "email", "profile"}
	var can struct {
		Scopes []string `json:"scopes_supported"`
	}
	// Some issuers tell of groups only when asked; others refuse what they do not
	// know.
	if a.Groups != "" && p.Claims(&can) == nil && slices.Contains(can.Scopes, "groups") {
		scopes = append(scopes, "groups")
	}
	return &oauth2.Config{
		ClientID: a.ClientID, ClientSecret: a.ClientSecret, Endpoint: p.Endpoint(),
		RedirectURL: strings.TrimRight(a.Page, "/") + backPath, Scopes: scopes,
	}
}

// attempt is a sign-in that went to the issuer. It lies sealed in the browser
// that began it.
type attempt struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Next     string    `json:"x"`
	Until    time.Time `json:"u"`
}

// attemptCookie comes along when the issuer sends the browser back, which is a
// request from another site.
func (s *site) attemptCookie(value string) *http.Cookie {
	c := &http.Cookie{Name: "homeostat_oidc", Value: value, Path: awayPath, HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode, MaxAge: int(attemptLife.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// goAway sends the browser to the issuer.
func (s *site) goAway(w http.ResponseWriter, r *http.Request) {
	p, err := s.abroad.provider(r.Context())
	if err != nil {
		s.notBack(w, r, "/", err)
		return
	}
	now := attempt{Verifier: oauth2.GenerateVerifier(), Next: safeNext(r.URL.Query().Get("next")), Until: s.Clock().Add(attemptLife)}
	for _, into := range []*string{&now.State, &now.Nonce} {
		if *into, err = s.seal.random(); err != nil {
			s.notBack(w, r, now.Next, err)
			return
		}
	}
	text, err := s.seal.put("attempt", now)
	if err != nil {
		s.notBack(w, r, now.Next, err)
		return
	}
	http.SetCookie(w, s.attemptCookie(text))
	http.Redirect(w, r, s.abroad.config(p).AuthCodeURL(now.State, oidc.Nonce(now.Nonce), oauth2.S256ChallengeOption(now.Verifier)), http.StatusSeeOther)
}

// back takes what the issuer says and, if that is somebody here, signs them in.
func (s *site) back(w http.ResponseWriter, r *http.Request) {
	var begun attempt
	c, err := r.Cookie("homeostat_oidc")
	q := r.URL.Query()
	if err != nil || !s.seal.take("attempt", c.Value, &begun) || !s.Clock().Before(begun.Until) || q.Get("state") != begun.State {
		s.notBack(w, r, "/", heal.Errorf(heal.Denied, "", "this sign-in was not begun here, or too long ago"))
		return
	}
	http.SetCookie(w, s.attemptCookie(""))
	if said := q.Get("error"); said != "" {
		s.notBack(w, r, begun.Next, heal.Errorf(heal.Denied, "", "%s said no: %.80s", s.abroad.Name, said))
		return
	}
	who, err := s.abroad.personOf(r.Context(), q.Get("code"), begun)
	if err != nil {
		s.notBack(w, r, begun.Next, err)
		return
	}
	token, err := s.abroad.Enter(r.Context(), who, s.Clock().Add(s.Session))
	switch {
	case err == nil:
		err = s.begin(w, token, true)
	case heal.Is(err, heal.NotFound) && s.abroad.Groups != "":
		err = heal.Errorf(heal.Denied, "", "%s is nobody here, and no group of theirs stands for a role; an admin makes principals with: homeostat principals create", who.Name)
	case heal.Is(err, heal.NotFound):
		err = heal.Errorf(heal.Denied, "", "%s is nobody here; an admin makes principals with: homeostat principals create", who.Name)
	}
	if err != nil {
		s.notBack(w, r, begun.Next, err)
		return
	}
	s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "signed in", slog.String("by", who.Name), slog.String("issuer", s.abroad.URL), slog.String("remote", r.RemoteAddr))
	http.Redirect(w, r, begun.Next, http.StatusSeeOther)
}

// personOf gives whom the issuer's token is about.
func (a *abroad) personOf(ctx context.Context, code string, begun attempt) (Person, error) {
	op := "sign in by " + a.Name
	p, err := a.provider(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, a.client), a.Wait)
	defer cancel()
	got, err := a.config(p).Exchange(ctx, code, oauth2.VerifierOption(begun.Verifier))
	if err != nil {
		return Person{}, heal.Errorf(heal.Denied, op, "it did not take its own code: %w", err)
	}
	raw, ok := got.Extra("id_token").(string)
	if !ok {
		return Person{}, heal.Errorf(heal.Denied, op, "its answer has no identity token")
	}
	token, err := p.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), a.client), &oidc.Config{ClientID: a.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Person{}, heal.Errorf(heal.Denied, op, "its identity token is not good: %w", err)
	}
	if token.Nonce != begun.Nonce {
		return Person{}, heal.Errorf(heal.Denied, op, "its identity token is of another sign-in")
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return Person{}, heal.Errorf(heal.Denied, op, "its identity token cannot be read: %w", err)
	}
	if err := a.complete(ctx, p, got, token.Subject, claims); err != nil {
		return Person{}, heal.Wrap(op, err)
	}
	name, _ := claims[a.Claim].(string)
	if name == "" || len(name) > maxName {
		return Person{}, heal.Errorf(heal.Denied, op, "it names no %s of 1 to %d bytes", a.Claim, maxName)
	}
	if verified, _ := claims["email_verified"].(bool); a.Claim == "email" && !verified {
		return Person{}, heal.Errorf(heal.Denied, op, "it does not vouch for the address %.80s", name)
	}
	return Person{Name: strings.ToLower(name), Groups: textsOf(claims[a.Groups])}, nil
}

// textsOf are the texts of a claim: a list of them, or one.
func textsOf(claim any) (out []string) {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v[:min(len(v), maxGroups)] {
			if text, ok := one.(string); ok {
				out = append(out, text)
			}
		}
	}
	return out
}

// notBack shows the sign-in again with what went wrong.
func (s *site) notBack(w http.ResponseWriter, r *http.Request, next string, err error) {
	status, text := http.StatusServiceUnavailable, "Signing in by "+s.abroad.Name+" does not work now. Try again in a moment."
	if heal.Is(err, heal.Denied) {
		status, text = http.StatusUnauthorized, "Not signed in: "+err.Error()+"."
	}
	s.Logger.LogAttrs(r.Context(), slog.LevelWarn, "sign-in refused", slog.String("issuer", s.abroad.URL), slog.String("remote", r.RemoteAddr), slog.Any("error", err))
	s.showSignIn(w, r, status, signInView{Next: next, Problem: text})
}
