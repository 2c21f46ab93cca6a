package api

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

const changesPath = prefix + "/watch"

// changes is one stream for those who show many things at once: it says what
// changed, not how; ask for what matters.
func (s *server) changes() {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[form.Change](), true, "Change")
	s.stream(huma.Operation{
		Method: http.MethodGet, Path: changesPath, OperationID: "watch", Tags: []string{"system"},
		Summary: "Stream what changes",
		Description: "Server-sent events as of the watch of cases, for cases, runs, alerts, silences, kill switches and what was changed. Each has the revision as its id, " +
			"the name incident, run, alert, silence, switch or change, and a Change as its data. It names what changed; ask for it to see how it is now.",
		Errors:   []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusGone, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Security: []map[string][]string{{"token": {}}},
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream of changes, without end.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
		}},
	}, []topic{
		{store.Incidents, changeOf("incident", store.IncidentKind, func(i *heal.Incident, _ *form.Change) heal.Scope { return i.Scope })},
		{store.Runs, changeOf("run", store.RunKind, func(r *heal.Run, c *form.Change) heal.Scope { c.Incident = string(r.IncidentID); return r.Scope })},
		{store.Alerts, changeOf("alert", alertKind, func(a *heal.Alert, _ *form.Change) heal.Scope { return a.Scope })},
		{store.Changes, changeOf("change", store.ChangeKind, func(m *heal.Change, c *form.Change) heal.Scope { c.ID = string(m.ID); return m.Scope })},
		{store.Silences, reaching("silence")},
		{store.Switches, reaching("switch")},
	})
}

// changeOf tells of what lies in a scope; the scope is what tell gives, which
// may add to the change.
func changeOf[T any](name string, kind store.Kind[T], tell func(*T, *form.Change) heal.Scope) func(*watcher, store.Change) (string, any, error) {
	return func(w *watcher, c store.Change) (string, any, error) {
		change := form.Change{Revision: int64(c.Record.Revision), ID: c.Record.Key, Deleted: c.Deleted}
		if c.Deleted {
			return name, change, nil
		}
		value, err := kind.Decode(c.Record)
		if err != nil || !w.may(tell(&value, &change)) {
			return "", nil, err
		}
		return name, change, nil
	}
}

// reaching tells of what may reach wider than what a reader sees, and concerns
// them then too, as a kill switch, a breaker or a silence: everyone hears of it,
// and nothing but that there was a change.
func reaching(name string) func(*watcher, store.Change) (string, any, error) {
	return func(_ *watcher, c store.Change) (string, any, error) {
		return name, form.Change{Revision: int64(c.Record.Revision), Deleted: c.Deleted}, nil
	}
}
