package auth

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// Authenticator turns a token into a principal.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

// GateOptions of Gate.
type GateOptions struct {
	// Open are paths that anyone may ask, exactly these: /healthz and /readyz,
	// and doors with a secret of their own such as webhooks.
	Open []string
	// OpenBelow are folders, each ending in "/", below which anyone may ask.
	OpenBelow []string
	Logger    *slog.Logger // told about refusals; none if nil
}

// Gate lets requests through that carry a good token in "Authorization: Bearer",
// with the principal in their context. There is no anonymous access, not even
// from loopback: other users and every page in a browser can reach it too.
func Gate(a Authenticator, next http.Handler, o GateOptions) http.Handler {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(o, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		token, ok := Bearer(r.Header)
		if !ok {
			refuse(w, http.StatusUnauthorized, "send a token: Authorization: Bearer hst_...")
			return
		}
		p, err := a.Authenticate(r.Context(), token)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(With(r.Context(), p)))
		case heal.Is(err, heal.Denied):
			logger.LogAttrs(r.Context(), slog.LevelWarn, "request refused",
				slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr))
			refuse(w, http.StatusUnauthorized, "the token is not known, was revoked, or has expired")
		default:
			logger.LogAttrs(r.Context(), slog.LevelError, "tokens cannot be checked", slog.Any("error", err))
			refuse(w, http.StatusServiceUnavailable, "tokens cannot be checked now; try again")
		}
	})
}

// open compares the path as it came: what is not clean is not open.
func open(o GateOptions, path string) bool {
	if slices.Contains(o.Open, path) {
		return true
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return false
	}
	return slices.ContainsFunc(o.OpenBelow, func(folder string) bool {
		return strings.HasSuffix(folder, "/") && strings.HasPrefix(path, folder)
	})
}

// Bearer gives the token of an Authorization header.
func Bearer(h http.Header) (string, bool) {
	scheme, token, ok := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// refuse answers with a problem document (RFC 9457), as the API does.
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="homeostat"`)
	}
	w.WriteHeader(status)
	// An error here means that the client is gone: nobody is left to tell.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": detail,
	})
}
