package api

import (
	"context"
	"net/http"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

type alertList struct {
	Paging
	Status   string `query:"status" enum:"firing,acknowledged,resolved"`
	Severity string `query:"severity" enum:"info,warning,critical"`
	Service  string `query:"service" maxLength:"256" example:"cart"`
	Entity   string `query:"entity" maxLength:"512" example:"service/cart"`
	Name     string `query:"name" maxLength:"256" doc:"Of the alert." example:"HighLatency"`
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
		return alertShelf.page(ctx, s, in.query(where, "updated", true))
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

func (s *server) alert(ctx context.Context, id string, verb auth.Verb) (*body[form.Alert], error) {
	got, err := alertShelf.get(ctx, s, id, verb)
	if err != nil {
		return nil, err
	}
	out := form.OfAlert(got.Value, int64(got.Revision))
	out.Raw = got.Value.Raw
	return answer(out), nil
}
