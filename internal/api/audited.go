package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// toldOfBody are the fields of a body that the audit keeps, where they are
// there: what was asked for and why. Parameters of playbooks are not among
// them, they may hold what only the target must know.
var toldOfBody = []string{"reason", "note", "task", "as", "on", "scope", "target", "role", "label", "dry_run", "name", "from", "entity", "service", "kind", "summary", "matchers", "starts", "ends", "seconds"}

// audited has the audit tell what was asked for and by whom: in the
// transaction that does it, or, if it was refused, in one of its own.
func audited[I, O any](s *server, r route, f func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		e := askedFor(ctx, r, reflect.ValueOf(in).Elem())
		asked := audit.With(ctx, e)
		out, err := f(asked, in)
		denied := heal.Is(err, heal.Denied)
		if err != nil && !denied || audit.Recorded(asked) {
			return out, err
		}
		if denied {
			e.Result, e.Text = audit.Denied, e.Text+": "+err.Error()
		}
		if kept := s.keep(ctx, e); kept != nil && denied {
			return nil, kept
		} else if kept != nil {
			return nil, refusal(http.StatusInternalServerError, "it was done, but the audit could not be written; look at it")
		}
		return out, err
	}
}

// keep writes an entry by itself.
func (s *server) keep(ctx context.Context, e audit.Entry) error {
	return s.Store.Update(ctx, func(tx store.Tx) error { return s.Audit.Record(tx, e) })
}

// askedFor is the entry for a request.
func askedFor(ctx context.Context, r route, in reflect.Value) audit.Entry {
	e := audit.Entry{Actor: caller(ctx), Act: audit.Act(r.id), Result: audit.Done, Text: r.summary, Details: map[string]string{}}
	if id := in.FieldByName("ID"); id.IsValid() && id.Kind() == reflect.String {
		e.Subject = clip(id.String(), maxEcho)
		e.Text += ": " + e.Subject
	}
	body := in.FieldByName("Body")
	if !body.IsValid() {
		return e
	}
	data, err := json.Marshal(body.Interface())
	fields := map[string]any{}
	if err != nil || json.Unmarshal(data, &fields) != nil {
		return e
	}
	for _, name := range toldOfBody {
		switch v := fields[name].(type) {
		case string:
			if v != "" {
				e.Details[name] = clip(v, 1000)
			}
		case []any:
			var all []string
			for _, one := range v {
				all = append(all, fmt.Sprint(one))
			}
			e.Details[name] = clip(strings.Join(all, ", "), 1000)
		case bool, float64:
			e.Details[name] = fmt.Sprint(v)
		}
	}
	if scope, err := heal.ParseScope(e.Details["scope"]); err == nil {
		e.Scope = scope
	}
	return e
}
