package api

import (
	"context"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// Principals manages who may ask for what; auth.Accounts is one.
type Principals interface {
	List(ctx context.Context) ([]auth.Account, error)
	Create(ctx context.Context, name string, grants []auth.Grant) error
	Grant(ctx context.Context, name string, grants []auth.Grant) error
	Remove(ctx context.Context, name string) error
	IssueToken(ctx context.Context, name, label string, expires time.Time) (secret string, kept auth.Token, err error)
	RevokeToken(ctx context.Context, name, id string) error
}

// principalCall names a principal by its name.
type principalCall struct {
	ByID
	Write
}

type grantsCall struct {
	ByID
	Write
	Body form.Grants
}

type tokenCall struct {
	ByID
	Write
	Body form.TokenOrder
}

type revokeCall struct {
	ByID
	Write
	Token string `path:"token" maxLength:"64" doc:"The token's id."`
}

func (s *server) principals() {
	const tag = "principals"
	wrong := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	handle(s, route{
		method: http.MethodGet, path: "/principals", id: "list-principals", tag: tag, summary: "Who may ask for what", about: "Needs admin of the whole installation, as every operation on principals does.",
	}, func(ctx context.Context, _ *struct{}) (*body[form.Principals], error) {
		if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
			return nil, err
		}
		accounts, err := s.Principals.List(ctx)
		out := form.Principals{Items: []form.Principal{}}
		for _, a := range accounts {
			out.Items = append(out.Items, ofAccount(a))
		}
		return answer(out), err
	})
	handle(s, route{
		method: http.MethodPost, path: "/principals/{id}", id: "create-principal", tag: tag, errors: wrong, status: http.StatusCreated, summary: "Make a principal",
	}, func(ctx context.Context, in *grantsCall) (*body[form.Principal], error) {
		return s.grant(ctx, in, s.Principals.Create)
	})
	handle(s, route{
		method: http.MethodPut, path: "/principals/{id}", id: "grant-principal", tag: tag, errors: wrong, summary: "Replace what a principal may do",
	}, func(ctx context.Context, in *grantsCall) (*body[form.Principal], error) {
		return s.grant(ctx, in, s.Principals.Grant)
	})
	handle(s, route{
		method: http.MethodDelete, path: "/principals/{id}", id: "remove-principal", tag: tag, errors: wrong, summary: "Remove a principal with all tokens",
	}, func(ctx context.Context, in *principalCall) (*body[form.Gone], error) {
		return s.gone(ctx, in.ID, func() error { return s.Principals.Remove(ctx, in.ID) })
	})
	handle(s, route{
		method: http.MethodPost, path: "/principals/{id}/tokens", id: "issue-token", tag: tag, errors: wrong, status: http.StatusCreated, summary: "Make a token", about: "The answer is the only copy of its secret.",
	}, func(ctx context.Context, in *tokenCall) (*body[form.NewToken], error) {
		if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
			return nil, err
		}
		secret, kept, err := s.Principals.IssueToken(ctx, in.ID, in.Body.Label, in.Body.Expires)
		return answer(form.NewToken{Token: ofToken(kept), Secret: secret}), err
	})
	handle(s, route{
		method: http.MethodDelete, path: "/principals/{id}/tokens/{token}", id: "revoke-token", tag: tag, errors: wrong, summary: "Make a token useless at once",
	}, func(ctx context.Context, in *revokeCall) (*body[form.Gone], error) {
		return s.gone(ctx, in.Token, func() error { return s.Principals.RevokeToken(ctx, in.ID, in.Token) })
	})
}

// grant makes or changes a principal.
func (s *server) grant(ctx context.Context, in *grantsCall, do func(context.Context, string, []auth.Grant) error) (*body[form.Principal], error) {
	if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
		return nil, err
	}
	var grants []auth.Grant
	for _, g := range in.Body.Grants {
		scope, err := heal.ParseScope(g.Scope)
		if err != nil {
			return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
		}
		grants = append(grants, auth.Grant{Role: auth.Role(g.Role), Scope: scope})
	}
	if err := do(ctx, in.ID, grants); err != nil {
		return nil, err
	}
	accounts, err := s.Principals.List(ctx)
	if err != nil {
		return done[form.Principal](nil, err)
	}
	for _, a := range accounts {
		if a.Name == in.ID {
			return answer(ofAccount(a)), nil
		}
	}
	return nil, missing("principal", in.ID)
}

func (s *server) gone(ctx context.Context, id string, do func() error) (*body[form.Gone], error) {
	if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
		return nil, err
	}
	return answer(form.Gone{Removed: id}), do()
}

// ofAccount converts a principal; what is stored of its secrets stays behind.
func ofAccount(a auth.Account) form.Principal {
	out := form.Principal{Name: a.Name, Created: a.Created.UTC(), Guest: a.Guest, Grants: []form.Grant{}, Tokens: []form.Token{}}
	for _, g := range a.Grants {
		out.Grants = append(out.Grants, form.Grant{Role: string(g.Role), Scope: whereOf(g.Scope)})
	}
	for _, t := range a.Tokens {
		out.Tokens = append(out.Tokens, ofToken(t))
	}
	return out
}

func ofToken(t auth.Token) form.Token {
	out := form.Token{ID: t.ID, Label: t.Label, Created: t.Created.UTC()}
	if !t.Expires.IsZero() {
		out.Expires = t.Expires.UTC()
	}
	return out
}
