package api

import (
	"context"
	"net/http"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
)

type runList struct {
	Paging
	State    string `query:"state" enum:"pending,waiting_approval,running,paused,succeeded,failed,timed_out,unknown,skipped,rolled_back,cancelled"`
	Incident string `query:"incident" maxLength:"128"`
	Playbook string `query:"playbook" maxLength:"128"`
	Target   string `query:"target" maxLength:"512" example:"service/cart"`
	Ended    string `query:"ended" enum:"true,false"`
}

type runJournal struct {
	ByID
	Cursor string `query:"cursor" maxLength:"4096" doc:"From the page before. A page holds 500."`
}

type runWhy struct {
	ByID
	Write
	Body *form.Why
}

func (r *runWhy) why() string {
	if r.Body == nil {
		return ""
	}
	return r.Body.Reason
}

type runRerun struct {
	ByID
	Write
	Body *form.Rerun
}

type runSettle struct {
	ByID
	Write
	Body form.Settlement
}

func (s *server) runs() {
	handle(s, route{
		method: http.MethodGet, path: "/runs", id: "list-runs", tag: "runs", errors: []int{http.StatusUnprocessableEntity},
		summary: "List runs", about: "The newest come first.",
	}, func(ctx context.Context, in *runList) (*body[form.Page[form.RunSummary]], error) {
		var where filters
		where.text("state", in.State)
		where.text("incident", in.Incident)
		where.text("playbook", in.Playbook)
		where.text("target", in.Target)
		where.flag("ended", in.Ended)
		return runShelf.page(ctx, s, in.query(where, "created", true))
	})
	handle(s, route{
		method: http.MethodGet, path: "/runs/{id}", id: "get-run", tag: "runs", errors: []int{http.StatusNotFound},
		summary: "One run, whole",
	}, func(ctx context.Context, in *ByID) (*body[form.Run], error) {
		return s.run(ctx, in.ID)
	})
	handle(s, route{
		method: http.MethodGet, path: "/runs/{id}/journal", id: "get-run-journal", tag: "runs", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "What was intended and what came of it", about: "Oldest first.",
	}, s.journal)
	handle(s, route{
		method: http.MethodGet, path: "/runs/{id}/refusals", id: "list-run-refusals", tag: "runs", errors: []int{http.StatusNotFound},
		summary: "What a guard refused", about: "Which guard, why, on what evidence.",
	}, s.refusals)
	s.runWrites()
}

func (s *server) runWrites() {
	writes := []struct {
		verb, summary, about string
		do                   func(ctx context.Context, id heal.RunID, by, why string) error
	}{
		{"pause", "Hold a run", "What is in flight ends; nothing new starts until it is resumed.", s.Engine.Pause},
		{"resume", "Let a paused run go on", "", func(ctx context.Context, id heal.RunID, by, _ string) error { return s.Engine.Resume(ctx, id, by) }},
		{"cancel", "End a run", "It ends once what is in flight has ended.", s.Engine.Cancel},
		{"rollback", "Undo what a run completed", "In reverse order; also of a run that has ended.", s.Engine.Rollback},
	}
	for _, w := range writes {
		handle(s, route{
			method: http.MethodPost, path: "/runs/{id}/" + w.verb, id: w.verb + "-run", tag: "runs", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
			summary: w.summary, about: w.about,
		}, func(ctx context.Context, in *runWhy) (*body[form.Run], error) {
			if _, err := runShelf.get(ctx, s, in.ID, auth.Operate); err != nil {
				return nil, err
			}
			if err := w.do(ctx, heal.RunID(in.ID), caller(ctx), in.why()); err != nil {
				return nil, err
			}
			return done(s.run(ctx, in.ID))
		})
	}
	handle(s, route{
		method: http.MethodPost, path: "/runs/{id}/rerun", id: "rerun-run", tag: "runs", status: http.StatusCreated, errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Go on with an ended run where it broke",
		about:   "201 with a new run of the same playbook, as it was then. What was completed is kept; the tasks begun at, what depends on them and what was not completed are done. The guards hold for it as for a person's run.",
	}, s.rerun)
	handle(s, route{
		method: http.MethodPost, path: "/runs/{id}/settle", id: "settle-run", tag: "runs", errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Say what became of a task nobody is sure of",
	}, s.settle)
}

func (s *server) rerun(ctx context.Context, in *runRerun) (*startedRun, error) {
	got, err := runShelf.get(ctx, s, in.ID, auth.Operate)
	if err != nil {
		return nil, err
	}
	order := engine.Rerun{By: caller(ctx)}
	if in.Body != nil {
		order.From, order.Why = in.Body.From, in.Body.Reason
	}
	run, err := s.Engine.Rerun(ctx, got.Value.ID, order)
	if err != nil {
		return nil, err
	}
	now, err := done(s.run(ctx, string(run.ID)))
	if err != nil {
		return nil, err
	}
	return &startedRun{Status: http.StatusCreated, Body: now.Body}, nil
}

func (s *server) run(ctx context.Context, id string) (*body[form.Run], error) {
	got, err := runShelf.get(ctx, s, id, auth.Read)
	if err != nil {
		return nil, err
	}
	out := form.OfRun(got.Value, int64(got.Revision))
	var source []byte
	err = s.Store.View(ctx, func(r store.Reader) (err error) {
		source, err = engine.Source(r, got.Value.Digest)
		return err
	})
	if heal.Is(err, heal.NotFound) {
		return answer(out), nil // a run from elsewhere, whose playbook was never kept
	}
	if err != nil {
		return nil, err
	}
	if p, problems := playbook.Parse("pinned", source); len(problems) == 0 {
		for i := range out.Tasks {
			if t := p.Task(out.Tasks[i].ID); t != nil {
				out.Tasks[i].DependsOn = t.DependsOn
			}
		}
	}
	return answer(out), nil
}

func (s *server) journal(ctx context.Context, in *runJournal) (*body[form.Page[form.JournalEntry]], error) {
	if _, err := runShelf.get(ctx, s, in.ID, auth.Read); err != nil {
		return nil, err
	}
	out := form.Page[form.JournalEntry]{Items: []form.JournalEntry{}}
	err := s.Store.View(ctx, func(r store.Reader) error {
		entries, cursor, err := engine.Journal(r, heal.RunID(in.ID), in.Cursor)
		out.Cursor, out.Revision = cursor, int64(r.Revision())
		for _, e := range entries {
			out.Items = append(out.Items, form.JournalEntry{
				At: e.At.UTC(), Phase: string(e.Phase), Step: e.Step, Action: e.Action, Target: string(e.Target), By: e.By, Text: e.Text, Params: e.Params,
			})
		}
		return err
	})
	return answer(out), err
}

func (s *server) refusals(ctx context.Context, in *ByID) (*body[form.Page[form.Refusal]], error) {
	if _, err := runShelf.get(ctx, s, in.ID, auth.Read); err != nil {
		return nil, err
	}
	out := form.Page[form.Refusal]{Items: []form.Refusal{}}
	err := s.Store.View(ctx, func(r store.Reader) error {
		refused, err := guard.Refusals(r, heal.RunID(in.ID))
		out.Revision = int64(r.Revision())
		for _, f := range refused {
			out.Items = append(out.Items, form.Refusal{Task: f.Task, Target: string(f.Target), At: f.At.UTC(), Rule: string(f.Rule), Reason: form.OfReason(f.Reason)})
		}
		return err
	})
	return answer(out), err
}

func (s *server) settle(ctx context.Context, in *runSettle) (*body[form.Run], error) {
	got, err := runShelf.get(ctx, s, in.ID, auth.Read)
	if err != nil {
		return nil, err
	}
	run := &got.Value
	task := run.Task(in.Body.Task)
	if task == nil {
		return nil, missing("task", in.Body.Task)
	}
	if err := mayAnswer(ctx, task.Approval, auth.Operate, run.Scope); err != nil {
		return nil, err
	}
	word := engine.Settled{Task: in.Body.Task, As: engine.Settlement(in.Body.As), By: caller(ctx), Note: in.Body.Note}
	if err := s.Engine.Settle(ctx, run.ID, word); err != nil {
		return nil, err
	}
	return done(s.run(ctx, in.ID))
}
