package api

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

type alertList struct {
	Paging
	Status   string `query:"status" enum:"firing,silenced,acknowledged,resolved" doc:"silenced: fires while a silence holds it, acknowledged or not; firing and acknowledged leave those out."`
	Severity string `query:"severity" enum:"info,warning,critical"`
	Service  string `query:"service" maxLength:"256" example:"cart"`
	Entity   string `query:"entity" maxLength:"512" example:"service/cart"`
	Name     string `query:"name" maxLength:"256" doc:"Of the alert." example:"HighLatency"`
	Search   string `query:"q" maxLength:"256" doc:"Words that name, service, entity, description or labels hold, whatever the case."`
	Source   string `query:"source" maxLength:"64" doc:"System it came from." example:"alertmanager"`
}

type alertHistory struct {
	ByID
	Paging
}

type alertRemark struct {
	ByID
	Write
	Body *form.Remark
}

func (r *alertRemark) note() string {
	if r.Body == nil {
		return ""
	}
	return r.Body.Note
}

func (s *server) alerts() {
	handle(s, route{
		method: http.MethodGet, path: "/alerts", id: "list-alerts", tag: "alerts", errors: []int{http.StatusUnprocessableEntity},
		summary: "List alerts", about: "The ones heard of last come first. The raw payload is left out; ask for one alert to see it.",
	}, func(ctx context.Context, in *alertList) (*body[form.Page[form.Alert]], error) {
		var where filters
		where.text("status", in.Status)
		where.text("severity", in.Severity)
		where.text("service", in.Service)
		where.text("entity", in.Entity)
		where.text("name", in.Name)
		where.text("source", in.Source)
		if in.Search == "" {
			return alertShelf.page(ctx, s, in.query(where, "updated", true))
		}
		return s.searchAlerts(ctx, in, where)
	})
	handle(s, route{
		method: http.MethodGet, path: "/alerts/{id}", id: "get-alert", tag: "alerts", errors: []int{http.StatusNotFound},
		summary: "One alert, with its raw payload",
	}, func(ctx context.Context, in *ByID) (*body[form.Alert], error) {
		return s.alert(ctx, in.ID, auth.Read)
	})
	handle(s, route{
		method: http.MethodGet, path: "/alerts/{id}/history", id: "get-alert-history", tag: "alerts", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "What happened to an alert", about: "Oldest first.",
	}, func(ctx context.Context, in *alertHistory) (*body[form.Page[form.AlertEvent]], error) {
		if _, err := alertShelf.get(ctx, s, in.ID, auth.Read); err != nil {
			return nil, err
		}
		// Keys of events are alert/sequence; the sign after a slash is a zero.
		q := in.query(filters{{Column: "key", Op: store.Gt, Value: in.ID + "/"}, {Column: "key", Op: store.Lt, Value: in.ID + "0"}}, "key", false)
		return listed(ctx, s, q, store.AlertEventKind, form.OfAlertEvent)
	})
	writes := []struct {
		verb, id, summary, about string
		do                       func(context.Context, heal.AlertID, string, string) error
	}{
		{"ack", "acknowledge-alert", "Say that somebody looks after an alert", "It stays so until the alert is resolved.", s.Alerts.Acknowledge},
		{"unack", "unacknowledge-alert", "Take an acknowledgement back", "", s.Alerts.Unacknowledge},
		{"resolve", "resolve-alert", "Resolve an alert by hand", "It reopens if its source goes on reporting it.", s.Alerts.Resolve},
	}
	for _, w := range writes {
		handle(s, route{
			method: http.MethodPost, path: "/alerts/{id}/" + w.verb, id: w.id, tag: "alerts", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
			summary: w.summary, about: w.about,
		}, func(ctx context.Context, in *alertRemark) (*body[form.Alert], error) {
			if _, err := alertShelf.get(ctx, s, in.ID, auth.Operate); err != nil {
				return nil, err
			}
			if err := w.do(ctx, heal.AlertID(in.ID), caller(ctx), in.note()); err != nil {
				return nil, err
			}
			return done(s.alert(ctx, in.ID, auth.Operate))
		})
	}
	s.sendAlerts()
}

// searched bounds the alerts that one search reads; the cursor goes on after
// them.
const searched = 10_000

// searchAlerts reads alerts in their order, page by page, each page in a
// snapshot of its own, until enough are found.
func (s *server) searchAlerts(ctx context.Context, in *alertList, where filters) (*body[form.Page[form.Alert]], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(strings.ToLower(in.Search))
	out := form.Page[form.Alert]{Items: []form.Alert{}, Cursor: in.Cursor}
	q := in.query(where, "updated", true)
	q.Table = store.Alerts
	// A cursor stands between pages, never within one: what a page may hold must
	// still fit into the answer. Half an answer will do.
	for read := 0; read < searched && 2*len(out.Items) <= in.Limit && len(out.Items) < in.Limit; {
		q.Cursor, q.Limit = out.Cursor, in.Limit-len(out.Items)
		err := s.Store.View(ctx, func(r store.Reader) error {
			page, err := r.List(q)
			if err != nil {
				return err
			}
			if out.Revision == 0 {
				out.Revision = int64(r.Revision())
			}
			out.Cursor, read = page.Cursor, read+len(page.Records)
			for _, rec := range page.Records {
				if !mayHold(rec.Body, words) {
					continue
				}
				a, err := alertKind.Decode(rec)
				if err != nil {
					return err
				}
				if may(a.Scope) && holds(&a, words) {
					out.Items = append(out.Items, form.OfAlert(a, int64(rec.Revision)))
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if out.Cursor == "" {
			break
		}
	}
	return answer(out), nil
}

// mayHold is false only of the stored form of an alert that holds does not
// find: most need not be read then. A word stands in it as it is, unless a
// character of the word or of the form is written in another way.
func mayHold(body []byte, words []string) bool {
	if bytes.Contains(body, []byte(`\u`)) {
		return true
	}
	lower := bytes.ToLower(body)
	return !slices.ContainsFunc(words, func(w string) bool {
		plain := !strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\\<>&=`, r) })
		return plain && !bytes.Contains(lower, []byte(w))
	})
}

// holds reports whether every word is somewhere in what people read of an alert.
func holds(a *heal.Alert, words []string) bool {
	var text strings.Builder
	for _, part := range []string{a.Name, a.ServiceName, string(a.Entity), a.Description, a.SourceSystem} {
		text.WriteString(strings.ToLower(part) + "\n")
	}
	for name, value := range a.Labels {
		text.WriteString(strings.ToLower(name + "=" + value + "\n"))
	}
	all := text.String()
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(all, w) })
}

func (s *server) alert(ctx context.Context, id string, verb auth.Verb) (*body[form.Alert], error) {
	got, err := alertShelf.get(ctx, s, id, verb)
	if err != nil {
		return nil, err
	}
	out := form.OfAlert(got.Value, int64(got.Revision))
	out.Raw = got.Value.Raw
	return answer(out), nil
}
