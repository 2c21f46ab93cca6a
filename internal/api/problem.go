package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// problem turns an error into what the caller is told. What only matters to
// whoever runs the server is logged instead.
func (s *server) problem(ctx context.Context, op string, err error) error {
	if _, ok := errors.AsType[huma.StatusError](err); ok {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return later(http.StatusServiceUnavailable, time.Second, "it took too long; try again, and look first whether it took effect")
	}
	if errors.Is(err, store.ErrCompacted) {
		return refusal(http.StatusGone, "%s", store.ErrCompacted.Error())
	}
	switch heal.KindOf(err) {
	case heal.Invalid:
		return refusal(http.StatusUnprocessableEntity, "%s", err.Error())
	case heal.NotFound:
		return refusal(http.StatusNotFound, "%s", err.Error())
	case heal.Conflict:
		return refusal(http.StatusConflict, "%s", err.Error())
	case heal.Denied:
		return refusal(http.StatusForbidden, "%s", err.Error())
	case heal.Transient:
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "request cannot be served now", slog.String("op", op), slog.Any("error", err))
		return later(http.StatusServiceUnavailable, time.Second, "the server cannot do this now; try again")
	case heal.Unknown:
		s.Logger.LogAttrs(ctx, slog.LevelError, "request with unknown effect", slog.String("op", op), slog.Any("error", err))
		return refusal(http.StatusInternalServerError, "it is not known whether this took effect; look before trying again")
	case heal.Internal:
	}
	s.Logger.LogAttrs(ctx, slog.LevelError, "request went wrong", slog.String("op", op), slog.Any("error", err))
	return refusal(http.StatusInternalServerError, "something is wrong inside the server; its log says what")
}

// refusal is a problem document as an error.
func refusal(status int, format string, args ...any) *huma.ErrorModel {
	return &huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: clip(fmt.Sprintf(format, args...), 4000)}
}

// later is a refusal that says when to try again.
func later(status int, after time.Duration, format string, args ...any) error {
	header := http.Header{"Retry-After": {strconv.Itoa(max(1, int(after.Seconds())))}}
	return huma.ErrorWithHeaders(refusal(status, format, args...), header)
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// An error here means that the client is gone: nobody is left to tell.
	_ = json.NewEncoder(w).Encode(refusal(status, format, args...))
}

// Bounds of what a problem document repeats of the request: without them a
// small body could ask for a huge answer.
const (
	maxDetails = 50
	maxEcho    = 120
)

// tidy bounds problem documents made by the validation of requests.
func tidy(_ huma.Context, _ string, v any) (any, error) {
	problem, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	out := *problem
	out.Errors = nil
	for i, e := range problem.Errors {
		if e == nil {
			continue
		}
		if len(out.Errors) == maxDetails {
			out.Errors = append(out.Errors, &huma.ErrorDetail{Message: fmt.Sprintf("and %d more", len(problem.Errors)-i)})
			break
		}
		out.Errors = append(out.Errors, &huma.ErrorDetail{Message: clip(e.Message, 400), Location: clip(e.Location, 200), Value: echo(e.Value)})
	}
	return &out, nil
}

// echo repeats small values only.
func echo(v any) any {
	switch v := v.(type) {
	case string:
		return clip(v, maxEcho)
	case bool, float64, int, int64:
		return v
	}
	return nil
}

// clip shortens text at the border of a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}

// notThere answers paths and methods that do not exist.
func notThere(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(probe); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			writeProblem(w, http.StatusNotFound, "there is no %q here; /openapi.json lists what is", clip(r.URL.Path, 200))
			return
		}
		for _, method := range allowed {
			w.Header().Add("Allow", method)
		}
		writeProblem(w, http.StatusMethodNotAllowed, "%s is not taken here, only %v", clip(r.Method, 20), allowed)
	}
}
