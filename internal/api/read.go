package api

import (
	"context"
	"net/http"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// shelf says how values of a table are shown, and to whom.
type shelf[T, F any] struct {
	what string // for people: incident, run
	kind store.Kind[T]
	in   func(*T) heal.Scope
	show func(T, int64) F
}

var (
	incidentShelf = shelf[heal.Incident, form.IncidentSummary]{"incident", store.IncidentKind, func(i *heal.Incident) heal.Scope { return i.Scope }, form.OfIncidentSummary}
	alertShelf    = shelf[heal.Alert, form.Alert]{"alert", alertKind, func(a *heal.Alert) heal.Scope { return a.Scope }, form.OfAlert}
	runShelf      = shelf[heal.Run, form.RunSummary]{"run", store.RunKind, func(r *heal.Run) heal.Scope { return r.Scope }, form.OfRunSummary}
)

// alertKind is the store's, read fast: lists of alerts are long.
var alertKind = func() store.Kind[heal.Alert] {
	k := store.AlertKind
	k.Read = alert.Read
	return k
}()

// page lists what the caller may see of one page.
func (b shelf[T, F]) page(ctx context.Context, s *server, q store.Query) (*body[form.Page[F]], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	out := form.Page[F]{Items: []F{}}
	err = s.Store.View(ctx, func(r store.Reader) error {
		rows, cursor, err := b.kind.List(r, q)
		if err != nil {
			return err
		}
		out.Cursor, out.Revision = cursor, int64(r.Revision())
		for i := range rows {
			if may(b.in(&rows[i].Value)) {
				out.Items = append(out.Items, b.show(rows[i].Value, int64(rows[i].Revision)))
			}
		}
		return nil
	})
	return answer(out), err
}

// get reads one value if the caller may do the verb to it.
func (b shelf[T, F]) get(ctx context.Context, s *server, id string, verb auth.Verb) (store.Stored[T], error) {
	var got store.Stored[T]
	err := s.Store.View(ctx, func(r store.Reader) (err error) {
		got, err = b.kind.Get(r, id)
		return err
	})
	if heal.Is(err, heal.NotFound) {
		if _, denied := reader(ctx); denied != nil {
			return got, denied
		}
		return got, missing(b.what, id)
	}
	if err != nil {
		return got, err
	}
	return got, auth.Can(ctx, verb, b.in(&got.Value))
}

// reader gives what the caller may see; Denied if that is nothing at all.
func reader(ctx context.Context) (func(heal.Scope) bool, error) {
	p, _ := auth.From(ctx)
	scopes := p.Scopes(auth.Read)
	if len(scopes) == 0 {
		return nil, p.Can(auth.Read, heal.Scope{})
	}
	return func(scope heal.Scope) bool {
		for _, s := range scopes {
			if s.Contains(scope) {
				return true
			}
		}
		return false
	}, nil
}

// caller is the name of who asks, for the record.
func caller(ctx context.Context) string {
	p, _ := auth.From(ctx)
	return p.Name
}

// filters collects the conditions that were asked for.
type filters []store.Cond

func (f *filters) text(column, value string) {
	if value != "" {
		*f = append(*f, store.Cond{Column: column, Op: store.Eq, Value: value})
	}
}

func (f *filters) flag(column, value string) {
	switch value {
	case "true":
		*f = append(*f, store.Cond{Column: column, Op: store.Eq, Value: int64(1)})
	case "false":
		*f = append(*f, store.Cond{Column: column, Op: store.Eq, Value: int64(0)})
	}
}

func (p Paging) query(where filters, order string, desc bool) store.Query {
	return store.Query{Where: where, Order: order, Desc: desc, Cursor: p.Cursor, Limit: p.Limit}
}

// done answers a write that took effect with what is there now.
func done[T any](now *body[T], err error) (*body[T], error) {
	if err != nil {
		return nil, refusal(http.StatusInternalServerError, "it was done, but what came of it could not be read; look at it")
	}
	return now, nil
}
