package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

type auditCall struct {
	Paging
	Actor    string `query:"actor" maxLength:"256" doc:"Only what this principal did; homeostat for the product itself."`
	Act      string `query:"act" maxLength:"64" doc:"Only acts of this name."`
	Subject  string `query:"subject" maxLength:"512" doc:"Only what was done to this entity or id." example:"service/cart"`
	Incident string `query:"incident" maxLength:"128" doc:"Only what was done for this case."`
	Run      string `query:"run" maxLength:"128" doc:"Only what was done in this run."`
}

type verifyCall struct {
	Head string `query:"head" maxLength:"128" doc:"A head of the chain that was kept elsewhere, as number:hash."`
}

type exportCall struct {
	From time.Time `query:"from" doc:"Default: the beginning."`
}

var auditShelf = shelf[audit.Entry, form.AuditEntry]{"entry of the audit", audit.Kind, func(e *audit.Entry) heal.Scope { return e.Scope }, ofAuditEntry}

func (s *server) audit() {
	handle(s, route{
		method: http.MethodGet, path: "/audit", id: "list-audit", tag: "audit", errors: []int{http.StatusUnprocessableEntity},
		summary: "Who or what did what, and why", about: "Every decision, action, approval, refusal and write, the newest first.",
	}, func(ctx context.Context, in *auditCall) (*body[form.Page[form.AuditEntry]], error) {
		var where filters
		for column, value := range map[string]string{"actor": in.Actor, "act": in.Act, "subject": in.Subject, "incident": in.Incident, "run": in.Run} {
			where.text(column, value)
		}
		return auditShelf.page(ctx, s, in.query(where, "at", true))
	})
	handle(s, route{
		method: http.MethodGet, path: "/audit/verify", id: "verify-audit", tag: "audit", errors: []int{http.StatusUnprocessableEntity},
		summary: "Whether the audit is what it was",
		about:   "Reads every entry and the chain of hashes over them. Names what was edited, deleted, put in or cut off. Needs to see the whole installation.",
	}, s.verifyAudit)
	huma.Register(s.api, huma.Operation{
		Method: http.MethodGet, Path: prefix + "/audit/export", OperationID: "export-audit", Tags: []string{"audit"},
		Summary: "The audit as lines of JSON", Description: "One entry a line, the oldest first. Needs to see the whole installation.",
		Errors:   []int{http.StatusUnauthorized, http.StatusForbidden},
		Security: []map[string][]string{{"token": {}}},
	}, s.exportAudit)
}

func (s *server) verifyAudit(ctx context.Context, in *verifyCall) (*body[form.AuditReport], error) {
	if err := auth.Can(ctx, auth.Read, heal.Scope{}); err != nil {
		return nil, err
	}
	anchors, err := s.heads(in.Head)
	if err != nil {
		return nil, err
	}
	var report audit.Report
	err = s.Store.View(ctx, func(r store.Reader) (err error) {
		report, err = audit.Verify(r, anchors...)
		return err
	})
	return answer(ofAuditReport(report)), err
}

// heads are the ends of the chain that were kept outside the store: the
// server's own, and the caller's.
func (s *server) heads(given string) ([]audit.Head, error) {
	var list []audit.Head
	if s.AuditHead != "" {
		h, err := audit.ReadAnchor(s.AuditHead)
		if err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	if given == "" {
		return list, nil
	}
	h, err := audit.ParseHead(given)
	return append(list, h), err
}

// exportAudit streams entries in pages, each read from a snapshot of its own:
// entries are never changed, and new ones come last.
func (s *server) exportAudit(ctx context.Context, in *exportCall) (*huma.StreamResponse, error) {
	if err := auth.Can(ctx, auth.Read, heal.Scope{}); err != nil {
		return nil, s.problem(ctx, "export-audit", err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/jsonl")
		lines := json.NewEncoder(hc.BodyWriter())
		q := store.Query{Order: "revision", Where: []store.Cond{{Column: "at", Op: store.Ge, Value: store.Nanos(in.From)}}}
		for {
			var rows []store.Stored[audit.Entry]
			err := s.Store.View(hc.Context(), func(r store.Reader) (err error) {
				rows, q.Cursor, err = audit.Kind.List(r, q)
				return err
			})
			for i := range rows {
				if err == nil {
					err = lines.Encode(ofAuditEntry(rows[i].Value, int64(rows[i].Revision)))
				}
			}
			if err != nil {
				panic(http.ErrAbortHandler) // the reader must not take a part for the whole
			}
			if q.Cursor == "" {
				return
			}
		}
	}}, nil
}

// longAnswer reports whether a request may outlast the deadline of others.
func longAnswer(path string) bool {
	return path == watchPath || path == changesPath || strings.HasPrefix(path, prefix+"/audit/") || strings.HasPrefix(path, prefix+"/store/")
}

// ofAuditEntry converts an entry.
func ofAuditEntry(e audit.Entry, revision int64) form.AuditEntry {
	out := form.AuditEntry{
		ID: e.ID, Revision: revision, At: e.At.UTC(), Actor: e.Actor, Act: string(e.Act), Subject: e.Subject, Incident: string(e.Incident),
		Run: string(e.Run), Decision: string(e.Decision), Result: e.Result, Text: e.Text, Reasons: form.Reasons(e.Reasons), Details: e.Details,
	}
	if e.Scope.Tenant != "" {
		out.Scope = e.Scope.String()
	}
	return out
}

// ofAuditReport converts a report.
func ofAuditReport(r audit.Report) form.AuditReport {
	out := form.AuditReport{
		Intact: r.Intact, Entries: r.Entries, Unsealed: r.Unsealed, Seals: r.Seals, Since: r.Since.UTC(), Faults: []form.AuditFault{},
	}
	for _, f := range r.Faults {
		out.Faults = append(out.Faults, form.AuditFault{Seal: f.Seal, Entry: f.ID, Text: f.Text})
	}
	if r.Head.Number > 0 {
		out.Head = r.Head.String()
	}
	return out
}
