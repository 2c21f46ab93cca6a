package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
)

// signInView is the page for those nobody knows yet.
type signInView struct {
	Next    string
	Problem string
	Issuer  string // name of who signs people in elsewhere; empty: nobody
}

func (s *site) signInPage(w http.ResponseWriter, r *http.Request) {
	s.showSignIn(w, r, http.StatusOK, signInView{Next: safeNext(r.URL.Query().Get("next"))})
}

func (s *site) showSignIn(w http.ResponseWriter, r *http.Request, status int, v signInView) {
	if s.abroad != nil {
		v.Issuer = s.abroad.Name
	}
	s.pages.show(w, r, s.Logger, status, "signin", &view{Title: "Sign in", Body: v})
}

// signIn takes a token and, if it is good, seals it into the session's cookie.
func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	next := safeNext(r.PostFormValue("next"))
	token := strings.TrimSpace(r.PostFormValue("token"))
	var me form.Me
	err := s.door.ask(r.Context(), token, http.MethodGet, "/me", nil, &me)
	if err != nil {
		status, text := http.StatusServiceUnavailable, "Tokens cannot be checked now. Try again in a moment."
		if statusOf(err) == http.StatusUnauthorized {
			status, text = http.StatusUnauthorized, "This token is not known, was revoked, or has expired."
		}
		s.Logger.LogAttrs(r.Context(), slog.LevelWarn, "sign-in refused", slog.String("remote", r.RemoteAddr), slog.Int("status", status))
		s.showSignIn(w, r, status, signInView{Next: next, Problem: text})
		return
	}
	if err := s.begin(w, token, false); err != nil {
		s.Logger.LogAttrs(r.Context(), slog.LevelError, "a session could not be made", slog.Any("error", err))
		s.showSignIn(w, r, http.StatusInternalServerError, signInView{Next: next, Problem: "Something is wrong inside the server; its log says what."})
		return
	}
	s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "signed in", slog.String("by", me.Name), slog.String("remote", r.RemoteAddr))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// begin gives the browser a session with the token; lent says that it was made
// for the session.
func (s *site) begin(w http.ResponseWriter, token string, lent bool) error {
	id, err := s.seal.random()
	if err != nil {
		return err
	}
	now := session{ID: id, Token: token, Lent: lent, Until: s.Clock().Add(s.Session)}
	text, err := s.seal.put("session", now)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(text, now.Until))
	return nil
}

// signOut forgets the session, and ends the token that was made for it. It is
// asked with the session's form, so that no other page can do it.
func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	now, ok := s.sessionOf(r)
	if ok && !s.seal.csrfOK(now.ID, r.PostFormValue("csrf")) {
		http.Error(w, "the form is not of this session; load the page again", http.StatusForbidden)
		return
	}
	if ok && now.Lent && s.abroad != nil {
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		if err := s.abroad.Leave(ctx, now.Token); err != nil {
			// The session stays, so that the person can try again.
			s.Logger.LogAttrs(r.Context(), slog.LevelError, "the token of a session could not be revoked", slog.Any("error", err))
			http.Error(w, "You are still signed in: the session could not be ended. Try again in a moment.", http.StatusServiceUnavailable)
			return
		}
	}
	http.SetCookie(w, s.cookie("", s.Clock()))
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// safeNext keeps a path of this page only: nobody is sent elsewhere.
func safeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") || ofDoor(u.Path) {
		return "/"
	}
	return next
}

// toSignIn sends whoever is not signed in to where they can be, and back here
// after. A browser that came by a link of another site did not show its cookie,
// which is meant for requests from here: it is made to ask once more from here.
func (s *site) toSignIn(w http.ResponseWriter, r *http.Request) {
	here := r.URL.RequestURI()
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		s.pages.show(w, r, s.Logger, http.StatusOK, "again", &view{Title: "One moment", Body: safeNext(here)})
		return
	}
	to := "/sign-in" + query("next", safeNext(here))
	if r.Header.Get("HX-Request") != "" {
		if u, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil {
			to = "/sign-in" + query("next", safeNext(u.RequestURI()))
		}
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
