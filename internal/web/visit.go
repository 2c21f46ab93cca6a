package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// visit is one request of somebody who is signed in.
type visit struct {
	site    *site
	w       http.ResponseWriter
	r       *http.Request
	session session
	who     auth.Principal
}

// view is what every page shows, and its own Body.
type view struct {
	Title   string
	Section string // of the navigation
	Here    string // path and query of this page
	Who     auth.Principal
	CSRF    string
	Once    string // key of the forms of this rendering: sent twice, they are carried out once
	Live    string // path of the stream that says when to look again; empty: nothing changes
	Stops   []form.Switch
	Now     time.Time
	Said    string // what the page says to somebody who only hears it
	Body    any
}

// deadline is how long one page may take to make.
const deadline = 20 * time.Second

// signedIn makes a visit of a request, or sends it to the sign-in.
func (s *site) signedIn(f func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now, ok := s.sessionOf(r)
		if !ok {
			s.toSignIn(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		v := &visit{site: s, w: w, r: r.WithContext(ctx), session: now}
		err := v.identify()
		if statusOf(err) == http.StatusUnauthorized {
			http.SetCookie(w, s.cookie("", s.Clock()))
			s.toSignIn(w, r)
			return
		}
		if err == nil {
			err = f(v)
		}
		if err != nil {
			v.refuse(err)
		}
	}
}

// deed makes a visit of a form that was sent, with the proof that it was a form
// of this session.
func (s *site) deed(f func(*visit) error) http.HandlerFunc {
	return s.signedIn(func(v *visit) error {
		if err := v.r.ParseForm(); err != nil {
			return &refusal{Status: http.StatusBadRequest, Detail: "The form could not be read."}
		}
		if !s.seal.csrfOK(v.session.ID, v.r.PostForm.Get("csrf")) {
			return &refusal{Status: http.StatusForbidden, Detail: "The form is not of this session. Load the page again."}
		}
		return f(v)
	})
}

// identify asks who the token is of.
func (v *visit) identify() error {
	var me form.Me
	if err := v.get("/me", &me); err != nil {
		return err
	}
	v.who.Name = me.Name
	for _, g := range me.Grants {
		scope, err := heal.ParseScope(g.Scope)
		if err != nil {
			return heal.Wrap("read who is signed in", err)
		}
		v.who.Grants = append(v.who.Grants, auth.Grant{Role: auth.Role(g.Role), Scope: scope})
	}
	return nil
}

func (v *visit) get(path string, out any) error {
	return v.site.door.ask(v.r.Context(), v.session.Token, http.MethodGet, path, nil, out)
}

// send writes, once for each form that was shown.
func (v *visit) send(method, path string, body, out any) error {
	return v.site.door.ask(v.r.Context(), v.session.Token, method, path, body, out, "Idempotency-Key", v.r.PostForm.Get("once"))
}

// field is a value of the form that was sent.
func (v *visit) field(name string) string { return v.r.PostForm.Get(name) }

// at is a value of the query.
func (v *visit) at(name string) string { return v.r.URL.Query().Get(name) }

// show renders a page.
func (v *visit) show(name string, page view) error { return v.showAs(http.StatusOK, name, page) }

func (v *visit) showAs(status int, name string, page view) error {
	once, err := v.site.seal.random()
	if err != nil {
		return err
	}
	page.Here, page.Who, page.CSRF, page.Once = v.r.URL.RequestURI(), v.who, v.site.seal.csrfOf(v.session.ID), once
	page.Now = v.site.Clock().UTC()
	var switches form.Switches
	if err := v.get("/kill-switch", &switches); err == nil {
		for _, sw := range switches.Items {
			if sw.On {
				page.Stops = append(page.Stops, sw)
			}
		}
	}
	v.site.pages.show(v.w, v.r, v.site.Logger, status, name, &page)
	return nil
}

// done goes back to where the form was, with what there is now.
func (v *visit) done(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// refuse says what went wrong. Into a page that is already there only the
// message is put.
func (v *visit) refuse(err error) {
	r, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		r = &refusal{Status: http.StatusServiceUnavailable, Detail: "It took too long. Look whether it took effect before trying again."}
	default:
		v.site.Logger.LogAttrs(v.r.Context(), slog.LevelError, "page went wrong", slog.String("path", v.r.URL.Path), slog.Any("error", err))
		r = &refusal{Status: http.StatusInternalServerError, Detail: "Something is wrong inside the server; its log says what."}
	}
	if v.r.Header.Get("HX-Request") != "" {
		v.w.Header().Set("HX-Retarget", "#notice")
		v.w.Header().Set("HX-Reswap", "innerHTML")
		v.w.Header().Set("HX-Reselect", "#problem")
	}
	if err := v.showAs(r.Status, "problem", view{Title: http.StatusText(r.Status), Body: r}); err != nil {
		v.site.Logger.LogAttrs(v.r.Context(), slog.LevelError, "page went wrong", slog.Any("error", err))
		http.Error(v.w, r.Detail, r.Status)
	}
}

// statusOf is the status of a refusal, 0 of anything else.
func statusOf(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.Status
	}
	return 0
}

// may reports whether the visitor may do the verb in a scope.
func (v *visit) may(verb auth.Verb, scope string) bool {
	where, err := heal.ParseScope(scope)
	return err == nil && v.who.Can(verb, where) == nil
}

// mayAnswer reports whether a question is put to the visitor.
func (v *visit) mayAnswer(w form.Waiting) bool {
	scope, err := heal.ParseScope(w.Scope)
	if err != nil {
		return false
	}
	asked := heal.Approval{Owner: w.Owner}
	if w.Kind == form.WaitSettle && v.who.Can(auth.Operate, scope) == nil {
		return true
	}
	return asked.Asks(v.who.Names(scope))
}
