package api

import (
	"context"
	"net/http"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

type incidentList struct {
	Paging
	State    string `query:"state" enum:"open,diagnosing,deciding,waiting_approval,acting,verifying,healed,escalated,closed"`
	Severity string `query:"severity" enum:"info,warning,critical"`
	Service  string `query:"service" maxLength:"256" doc:"Name of the service the case is about." example:"cart"`
	Cause    string `query:"cause" maxLength:"512" doc:"Entity of the root cause." example:"service/cart"`
	Open     string `query:"open" enum:"true,false" doc:"true: neither healed nor closed."`
}

type incidentPart struct {
	ByID
	Paging
}

type incidentNote struct {
	ByID
	Write
	Body form.Note
}

type incidentEnd struct {
	ByID
	Write
	Body form.Because
}

func (s *server) incidents() {
	handle(s, route{
		method: http.MethodGet, path: "/incidents", id: "list-incidents", tag: "incidents", errors: []int{http.StatusUnprocessableEntity},
		summary: "List cases", about: "The ones changed last come first.",
	}, func(ctx context.Context, in *incidentList) (*body[form.Page[form.IncidentSummary]], error) {
		var where filters
		where.text("state", in.State)
		where.text("severity", in.Severity)
		where.text("service", in.Service)
		where.text("cause", in.Cause)
		where.flag("open", in.Open)
		return incidentShelf.page(ctx, s, in.query(where, "updated", true))
	})
	handle(s, route{
		method: http.MethodGet, path: "/incidents/{id}", id: "get-incident", tag: "incidents", errors: []int{http.StatusNotFound},
		summary: "One case, whole", about: "State, cause with the evidence for and against it, the newest decision with its reasons, attempts and verification.",
	}, func(ctx context.Context, in *ByID) (*body[form.Incident], error) {
		return s.incident(ctx, in.ID, auth.Read)
	})
	handle(s, route{
		method: http.MethodGet, path: "/incidents/{id}/timeline", id: "get-incident-timeline", tag: "incidents", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "The story of a case", about: "Oldest line first.",
	}, func(ctx context.Context, in *incidentPart) (*body[form.Page[form.TimelineEntry]], error) {
		q := in.query(filters{{Column: "incident", Op: store.Eq, Value: in.ID}}, "seq", false)
		return partOf(ctx, s, in.ID, q, store.TimelineKind, form.OfTimelineEntry)
	})
	handle(s, route{
		method: http.MethodGet, path: "/incidents/{id}/decisions", id: "list-incident-decisions", tag: "incidents", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Every decision of a case", about: "Oldest first, with votes, reasons and the plans that were not chosen.",
	}, func(ctx context.Context, in *incidentPart) (*body[form.Page[form.Decision]], error) {
		q := in.query(filters{{Column: "incident", Op: store.Eq, Value: in.ID}}, "at", false)
		return partOf(ctx, s, in.ID, q, store.DecisionKind, form.OfDecision)
	})
	s.incidentWrites()
}

func (s *server) incidentWrites() {
	handle(s, route{
		method: http.MethodPost, path: "/incidents/{id}/notes", id: "note-incident", tag: "incidents", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Add a remark to the story of a case",
	}, func(ctx context.Context, in *incidentNote) (*body[form.Incident], error) {
		return s.onIncident(ctx, in.ID, func(id heal.IncidentID, by string) error { return s.Cases.Note(ctx, id, by, in.Body.Text) })
	})
	handle(s, route{
		method: http.MethodPost, path: "/incidents/{id}/close", id: "close-incident", tag: "incidents", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Close a case by hand",
	}, func(ctx context.Context, in *incidentEnd) (*body[form.Incident], error) {
		return s.onIncident(ctx, in.ID, func(id heal.IncidentID, by string) error { return s.Cases.Close(ctx, id, by, in.Body.Reason) })
	})
	handle(s, route{
		method: http.MethodPost, path: "/incidents/{id}/escalate", id: "escalate-incident", tag: "incidents", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Take a case away from automation", about: "A person has it from then on; nothing more is done by itself.",
	}, func(ctx context.Context, in *incidentEnd) (*body[form.Incident], error) {
		return s.onIncident(ctx, in.ID, func(id heal.IncidentID, by string) error { return s.Cases.Escalate(ctx, id, by, in.Body.Reason) })
	})
}

func (s *server) incident(ctx context.Context, id string, verb auth.Verb) (*body[form.Incident], error) {
	got, err := incidentShelf.get(ctx, s, id, verb)
	if err != nil {
		return nil, err
	}
	return answer(form.OfIncident(got.Value, int64(got.Revision))), nil
}

// onIncident does something to a case the caller may act on.
func (s *server) onIncident(ctx context.Context, id string, do func(heal.IncidentID, string) error) (*body[form.Incident], error) {
	if _, err := incidentShelf.get(ctx, s, id, auth.Operate); err != nil {
		return nil, err
	}
	if err := do(heal.IncidentID(id), caller(ctx)); err != nil {
		return nil, err
	}
	return done(s.incident(ctx, id, auth.Operate))
}

// partOf lists what belongs to a case.
func partOf[T, F any](ctx context.Context, s *server, id string, q store.Query, kind store.Kind[T], show func(T) F) (*body[form.Page[F]], error) {
	if _, err := incidentShelf.get(ctx, s, id, auth.Read); err != nil {
		return nil, err
	}
	return listed(ctx, s, q, kind, show)
}

// listed lists what the caller was found to be allowed to see.
func listed[T, F any](ctx context.Context, s *server, q store.Query, kind store.Kind[T], show func(T) F) (*body[form.Page[F]], error) {
	out := form.Page[F]{Items: []F{}}
	err := s.Store.View(ctx, func(r store.Reader) error {
		rows, cursor, err := kind.List(r, q)
		out.Cursor, out.Revision = cursor, int64(r.Revision())
		for i := range rows {
			out.Items = append(out.Items, show(rows[i].Value))
		}
		return err
	})
	return answer(out), err
}
