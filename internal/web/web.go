// Package web is the page: what happened, why, what comes next, and what waits
// for a person, rendered on the server and kept fresh by server-sent events.
//
// Its one invariant: it knows and does nothing that the API would not tell and
// let do the same person: every page is made of answers of the API, asked for
// with the token of whoever looks. It is not for judgement, and it keeps no
// state but the session in the browser's cookie.
package web

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options are what the page works with.
type Options struct {
	Door    http.Handler // the API; asked for everything, and given what is not the page's
	Key     []byte       // seals sessions, 32 bytes
	Issuer  *Issuer      // signs people in elsewhere; nil: by token only
	Secure  bool         // browsers reach the page by TLS: cookies are sent over it only
	Session time.Duration
	Clock   func() time.Time // default time.Now
	Entropy io.Reader        // default crypto/rand.Reader
	Logger  *slog.Logger
}

// defaultSession is how long one may stay signed in: a working day.
const defaultSession = 12 * time.Hour

// site is the page behind its door.
type site struct {
	Options
	door   door
	seal   *seal
	assets *assets
	abroad *abroad // nil: nobody signs in elsewhere
	pages  pages
}

// New makes the handler of the whole door, the page included.
func New(o Options) (http.Handler, error) {
	const op = "make the page"
	if o.Door == nil {
		return nil, heal.Errorf(heal.Internal, op, "Door is missing")
	}
	if o.Session == 0 {
		o.Session = defaultSession
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Entropy == nil {
		o.Entropy = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &site{Options: o, door: door{o.Door}}
	var err error
	if s.seal, err = newSeal(o.Key, o.Entropy); err != nil {
		return nil, heal.Wrap(op, err)
	}
	if o.Issuer != nil {
		if s.abroad, err = newAbroad(*o.Issuer); err != nil {
			return nil, heal.Wrap(op, err)
		}
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, heal.Wrap(op, err)
	}
	if s.pages, err = parsePages(s.assets); err != nil {
		return nil, heal.Wrap(op, err)
	}
	return s.handler(), nil
}

// handler is the site's routes, and the door for the paths of the API.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", s.assets)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.assets.url("icon.svg"), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /sign-in", s.signInPage)
	mux.HandleFunc("POST /sign-in", s.signIn)
	if s.abroad != nil {
		mux.HandleFunc("GET "+awayPath, s.goAway)
		mux.HandleFunc("GET "+backPath, s.back)
	}
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.HandleFunc("GET /live", s.live)
	for pattern, f := range s.views() {
		mux.HandleFunc("GET "+pattern, s.signedIn(f))
	}
	for pattern, f := range s.deeds() {
		mux.HandleFunc("POST "+pattern, s.deed(f))
	}
	mux.HandleFunc("/", s.signedIn(func(*visit) error { return &refusal{Status: http.StatusNotFound, Detail: "There is no such page."} }))
	page := http.NewCrossOriginProtection().Handler(s.guarded(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ofDoor(r.URL.Path) {
			s.Door.ServeHTTP(w, r)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// ofDoor reports the paths that are not the page's.
func ofDoor(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi.yaml", "/api":
		return true
	}
	return strings.HasPrefix(path, "/api/")
}

// maxForm is the longest body of a form, in bytes: a playbook, quoted.
const maxForm = 4 << 20

// guarded bounds requests and tells browsers to load nothing from elsewhere, to
// run nothing that is written into a page, and to be framed by nobody.
func (s *site) guarded(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}
