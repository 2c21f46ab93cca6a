package api

import (
	"context"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Silences holds alerts back, and lets them go.
type Silences interface {
	Silence(ctx context.Context, s heal.Silence) (heal.Silence, error)
	EndSilence(ctx context.Context, id heal.SilenceID, by string) (heal.Silence, error)
}

type silenceList struct {
	Paging
	Over string `query:"over" enum:"true,false" doc:"true: those that are over; false: those that hold, or will."`
}

type silenceCall struct {
	Write
	Body form.SilenceOrder
}

type silenceEnd struct {
	ByID
	Write
}

func (s *server) silences() {
	const tag = "silences"
	handle(s, route{
		method: http.MethodGet, path: "/silences", id: "list-silences", tag: tag, errors: []int{http.StatusUnprocessableEntity},
		summary: "List silences", about: "Those that end last come first; those that are over stay.",
	}, s.listSilences)
	handle(s, route{
		method: http.MethodGet, path: "/silences/{id}", id: "get-silence", tag: tag, errors: []int{http.StatusNotFound}, summary: "One silence",
	}, func(ctx context.Context, in *ByID) (*body[form.Silence], error) {
		got, err := s.oneSilence(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if !seesScope(ctx, got.Value.Scope) {
			return nil, auth.Can(ctx, auth.Read, got.Value.Scope)
		}
		return answer(form.OfSilence(&got.Value, int64(got.Revision), s.Clock())), nil
	})
	handle(s, route{
		method: http.MethodPost, path: "/silences", id: "add-silence", tag: tag, status: http.StatusCreated, errors: []int{http.StatusUnprocessableEntity},
		summary: "Silence alerts",
		about: "While it holds, alerts that match it are kept and shown, but open no case and call nobody; cases that are open already go on. " +
			"One that still fires when it ends counts as if it came then. Needs operator in the whole scope.",
	}, s.addSilence)
	handle(s, route{
		method: http.MethodDelete, path: "/silences/{id}", id: "end-silence", tag: tag, errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "End a silence early", about: "It stays in the list. Needs operator in its whole scope.",
	}, func(ctx context.Context, in *silenceEnd) (*body[form.Silence], error) {
		got, err := s.oneSilence(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := auth.Can(ctx, auth.Operate, got.Value.Scope); err != nil {
			return nil, err
		}
		if _, err := s.Silences.EndSilence(ctx, heal.SilenceID(in.ID), caller(ctx)); err != nil {
			return nil, err
		}
		return done(s.silence(ctx, in.ID))
	})
}

// seesScope reports whether something that holds in a scope concerns the
// caller: it lies in what they see, or reaches it.
func seesScope(ctx context.Context, scope heal.Scope) bool {
	may, err := reader(ctx)
	return err == nil && (may(scope) || reachesCaller(ctx, scope))
}

func (s *server) listSilences(ctx context.Context, in *silenceList) (*body[form.Page[form.Silence]], error) {
	if _, err := reader(ctx); err != nil {
		return nil, err
	}
	now := s.Clock()
	var where filters
	switch in.Over {
	case "true":
		where = filters{{Column: "ends", Op: store.Le, Value: store.Nanos(now)}}
	case "false":
		where = filters{{Column: "ends", Op: store.Gt, Value: store.Nanos(now)}}
	}
	out := form.Page[form.Silence]{Items: []form.Silence{}}
	err := s.Store.View(ctx, func(r store.Reader) error {
		rows, cursor, err := store.SilenceKind.List(r, in.query(where, "ends", true))
		out.Cursor, out.Revision = cursor, int64(r.Revision())
		for i := range rows {
			if seesScope(ctx, rows[i].Value.Scope) {
				out.Items = append(out.Items, form.OfSilence(&rows[i].Value, int64(rows[i].Revision), now))
			}
		}
		return err
	})
	return answer(out), err
}

func (s *server) addSilence(ctx context.Context, in *silenceCall) (*body[form.Silence], error) {
	scope, err := heal.ParseScope(in.Body.Scope)
	if err != nil {
		return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
	}
	if err := auth.Can(ctx, auth.Operate, scope); err != nil {
		return nil, err
	}
	if (in.Body.Seconds > 0) != in.Body.Ends.IsZero() {
		return nil, refusal(http.StatusUnprocessableEntity, "expected either ends or seconds: a silence has one end")
	}
	order := heal.Silence{Scope: scope, Starts: in.Body.Starts, Ends: in.Body.Ends, Reason: in.Body.Reason, Author: caller(ctx)}
	for _, text := range in.Body.Matchers {
		m, err := alert.ParseMatcher(text)
		if err != nil {
			return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
		}
		order.Matchers = append(order.Matchers, m)
	}
	if now := s.Clock(); in.Body.Seconds > 0 {
		from := now
		if order.Starts.After(now) {
			from = order.Starts
		}
		order.Ends = from.Add(time.Duration(in.Body.Seconds) * time.Second)
	}
	made, err := s.Silences.Silence(ctx, order)
	if heal.Is(err, heal.Invalid) {
		return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return done(s.silence(ctx, string(made.ID)))
}

func (s *server) silence(ctx context.Context, id string) (*body[form.Silence], error) {
	got, err := s.oneSilence(ctx, id)
	if err != nil {
		return nil, err
	}
	return answer(form.OfSilence(&got.Value, int64(got.Revision), s.Clock())), nil
}

func (s *server) oneSilence(ctx context.Context, id string) (got store.Stored[heal.Silence], err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		got, err = store.SilenceKind.Get(r, id)
		return err
	})
	if heal.Is(err, heal.NotFound) {
		if _, denied := reader(ctx); denied != nil {
			return got, denied
		}
		return got, missing("silence", id)
	}
	return got, err
}
