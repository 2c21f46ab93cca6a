package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Changes writes down what was changed in the systems looked after, once for
// each id; loop.Loop is one.
type Changes interface {
	Changed(ctx context.Context, c heal.Change) (heal.Change, error)
	// ChangesAround gives what was changed about what a case leads to, around its
	// beginning, the newest first; more says that some are left out.
	ChangesAround(ctx context.Context, inc *heal.Incident) (list []heal.Change, more bool, err error)
}

type changeList struct {
	Paging
	Entity  string    `query:"entity" maxLength:"512" doc:"Only of this entity." example:"service/cart"`
	Service string    `query:"service" maxLength:"256" doc:"Only of this service." example:"cart"`
	Kind    string    `query:"kind" enum:"deploy,configuration,feature_flag,schema,other"`
	Source  string    `query:"source" enum:"api,telemetry" doc:"telemetry: what nobody told of."`
	From    time.Time `query:"from" doc:"Only what took effect then or later."`
	To      time.Time `query:"to" doc:"Only what took effect before."`
}

type newChange struct {
	Write
	Body form.NewChange
}

// changeShelf shows changes with the cases that the reader may see.
func changeShelf(may func(heal.Scope) bool) shelf[heal.Change, form.ChangeMade] {
	return shelf[heal.Change, form.ChangeMade]{
		"change", store.ChangeKind, func(c *heal.Change) heal.Scope { return c.Scope },
		func(c heal.Change, _ int64) form.ChangeMade { return form.OfChange(c, may) },
	}
}

// changesMade registers what was changed in the systems looked after.
func (s *server) changesMade() {
	handle(s, route{
		method: http.MethodGet, path: "/changes", id: "list-changes", tag: "changes", errors: []int{http.StatusUnprocessableEntity},
		summary: "Deploys, settings, feature flags and schemas that were changed", about: "The newest first. They are suspects of the cases that begin within the hour after.",
	}, func(ctx context.Context, in *changeList) (*body[form.Page[form.ChangeMade]], error) {
		var where filters
		where.text("entity", in.Entity)
		if in.Service != "" {
			where.text("entity", string(heal.ServiceID(in.Service)))
		}
		where.text("kind", in.Kind)
		where.text("source", in.Source)
		if !in.From.IsZero() {
			where = append(where, store.Cond{Column: "at", Op: store.Ge, Value: store.Nanos(in.From)})
		}
		if !in.To.IsZero() {
			where = append(where, store.Cond{Column: "at", Op: store.Lt, Value: store.Nanos(in.To)})
		}
		may, err := reader(ctx)
		if err != nil {
			return nil, err
		}
		return changeShelf(may).page(ctx, s, in.query(where, "at", true))
	})
	handle(s, route{
		method: http.MethodGet, path: "/incidents/{id}/changes", id: "list-incident-changes", tag: "incidents", errors: []int{http.StatusNotFound},
		summary: "What was changed around a case",
		about:   "About the entities that it leads to, from an hour before it began until it ended, the newest first. Suspects are those that the diagnosis counts.",
	}, s.changesAround)
	handle(s, route{
		method: http.MethodPost, path: "/changes", id: "add-change", tag: "changes", errors: []int{http.StatusUnprocessableEntity},
		summary: "Say what was changed", about: "200 means that it is on disk. The same id with the same content is written once; with another content it is refused with 409. Needs sender or operator.",
	}, func(ctx context.Context, in *newChange) (*body[form.ChangeMade], error) {
		c, err := s.changeOf(&in.Body, caller(ctx))
		if err != nil {
			return nil, err
		}
		if err := auth.Can(ctx, auth.Send, c.Scope); err != nil {
			return nil, err
		}
		kept, err := s.Changes.Changed(ctx, c)
		if err != nil {
			return nil, err
		}
		may, err := reader(ctx)
		if err != nil { // who may only send sees no cases
			may = func(heal.Scope) bool { return false }
		}
		return answer(form.OfChange(kept, may)), nil
	})
}

// changesAround lists what was changed around a case, of what the caller may see.
func (s *server) changesAround(ctx context.Context, in *ByID) (*body[form.ChangesAround], error) {
	got, err := incidentShelf.get(ctx, s, in.ID, auth.Read)
	if err != nil {
		return nil, err
	}
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	list, more, err := s.Changes.ChangesAround(ctx, &got.Value)
	if err != nil {
		return nil, err
	}
	out := form.ChangesAround{Items: []form.ChangeAround{}, Complete: !more}
	for i := range list {
		if c := &list[i]; may(c.Scope) {
			out.Items = append(out.Items, form.ChangeAround{
				ChangeMade: form.OfChange(*c, may), BeforeSeconds: got.Value.BeganAt.Sub(c.At).Seconds(),
				Suspect: slices.ContainsFunc(c.Suspected, func(s heal.Suspicion) bool { return s.Incident == got.Value.ID }),
			})
		}
	}
	return answer(out), nil
}

// changeOf reads what a caller says was changed.
func (s *server) changeOf(in *form.NewChange, by string) (heal.Change, error) {
	c := heal.Change{
		ID: heal.ChangeID(in.ID), Kind: heal.ChangeKind(cmp.Or(in.Kind, string(heal.ChangeDeploy))), Entity: heal.EntityID(in.Entity), Scope: s.Scope,
		At: in.At, By: cmp.Or(in.By, by), Summary: in.Summary, Link: in.Link, Version: in.Version, Source: heal.FromCaller,
	}
	switch {
	case in.Entity != "" && in.Service != "" && in.Entity != string(heal.ServiceID(in.Service)):
		return c, refusal(http.StatusUnprocessableEntity, "entity is %q and service %q, expected one of them", clip(in.Entity, 80), clip(in.Service, 80))
	case in.Entity == "" && in.Service == "":
		return c, refusal(http.StatusUnprocessableEntity, "it says nothing of what was changed, expected service or entity")
	case in.Entity == "":
		c.Entity = heal.ServiceID(in.Service)
	}
	if in.Scope != "" {
		scope, err := heal.ParseScope(in.Scope)
		if err != nil {
			return c, refusal(http.StatusUnprocessableEntity, "%v", err)
		}
		c.Scope = scope
	}
	switch c.Entity.Kind() {
	case heal.KindService, heal.KindProcess:
		c.Scope = c.Scope.WithService(c.Entity.Name())
	case heal.KindHost, heal.KindPod, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
	}
	if c.ID == "" {
		c.ID = heal.ChangeID(heal.NewID(s.Clock(), rand.Reader))
	}
	return c, nil
}
