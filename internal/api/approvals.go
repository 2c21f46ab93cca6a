package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

type answerCall struct {
	ID string `path:"id" maxLength:"128" doc:"Of a run, or of a case with one run that waits."`
	Write
	Body *form.Answer
}

func (s *server) approvals() {
	handle(s, route{
		method: http.MethodGet, path: "/approvals", id: "list-approvals", tag: "approvals", errors: []int{http.StatusUnprocessableEntity},
		summary: "What waits for a person", about: "Approvals of runs and of tasks, and tasks nobody is sure of. Of the newest run first.",
	}, s.waiting)
	for _, w := range []struct{ verb, word, title string }{{"approve", heal.Approved, "Approve"}, {"deny", heal.DeniedBy, "Deny"}} {
		verb, word := w.verb, w.word
		call := func(ctx context.Context, in *answerCall) (*body[form.Run], error) { return s.answerWith(ctx, in, word) }
		about := "With the id of a case, the run of it that waits is meant. Needs to be whom the question names: the person, or one who holds the role there; an admin holds every role. Where a quorum is asked for, each yes counts once for each person; one no is a no."
		errors := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
		handle(s, route{
			method: http.MethodPost, path: "/approvals/{id}/" + verb, id: verb, tag: "approvals", errors: errors,
			summary: w.title + " what waits", about: about,
		}, call)
		handle(s, route{
			method: http.MethodPost, path: "/runs/{id}/" + verb, id: verb + "-run", tag: "runs", errors: errors,
			summary: w.title + " a run or one of its tasks", about: about,
		}, call)
	}
}

func (s *server) waiting(ctx context.Context, in *Paging) (*body[form.Page[form.Waiting]], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	out := form.Page[form.Waiting]{Items: []form.Waiting{}}
	err = s.Store.View(ctx, func(r store.Reader) error {
		out.Items = []form.Waiting{}
		rows, cursor, err := store.RunKind.List(r, in.query(filters{going}, "created", true))
		out.Cursor, out.Revision = cursor, int64(r.Revision())
		for i := range rows {
			if may(rows[i].Value.Scope) {
				out.Items = append(out.Items, form.WaitingOf(rows[i].Value)...)
			}
		}
		return err
	})
	return answer(out), err
}

// going are runs that have not ended.
var going = store.Cond{Column: "ended", Op: store.Eq, Value: int64(0)}

func (s *server) answerWith(ctx context.Context, in *answerCall, word string) (*body[form.Run], error) {
	var given form.Answer
	if in.Body != nil {
		given = *in.Body
	}
	run, err := s.waitingRun(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	question, err := questionOf(run, given.Task)
	if err != nil {
		return nil, err
	}
	said := engine.Answered{Task: question.Task, Answer: word, By: caller(ctx), As: namesOf(ctx, run.Scope), Note: given.Note}
	err = s.Engine.Answer(ctx, run.ID, said)
	if err != nil {
		return nil, err
	}
	return done(s.run(ctx, string(run.ID)))
}

// waitingRun finds a run by its own id or by that of its case.
func (s *server) waitingRun(ctx context.Context, id string) (*heal.Run, error) {
	got, err := runShelf.get(ctx, s, id, auth.Read)
	if !heal.Is(err, heal.NotFound) {
		return &got.Value, err
	}
	if _, err := incidentShelf.get(ctx, s, id, auth.Read); heal.Is(err, heal.NotFound) {
		return nil, heal.Errorf(heal.NotFound, "", "there is neither a run nor an incident %q", clip(id, 80))
	} else if err != nil {
		return nil, err
	}
	var found []heal.Run
	err = s.Store.View(ctx, func(r store.Reader) error {
		found = nil
		rows, err := store.RunKind.All(r, store.Query{Where: filters{{Column: "incident", Op: store.Eq, Value: id}, going}})
		for i := range rows {
			if len(form.WaitingOf(rows[i].Value)) > 0 {
				found = append(found, rows[i].Value)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, heal.Errorf(heal.Conflict, "", "incident %s waits for nobody", id)
	case len(found) > 1:
		return nil, heal.Errorf(heal.Conflict, "", "%d runs of incident %s wait; name one of them, the newest is %s", len(found), id, found[len(found)-1].ID)
	}
	return &found[0], nil
}

// questionOf picks the question that is answered: the one of the task, or the
// only one there is.
func questionOf(run *heal.Run, task string) (form.Waiting, error) {
	var open []form.Waiting
	for _, w := range form.WaitingOf(*run) {
		if w.Kind == form.WaitApprove {
			open = append(open, w)
		}
	}
	if task != "" {
		for _, w := range open {
			if w.Task == task {
				return w, nil
			}
		}
		return form.Waiting{}, heal.Errorf(heal.Conflict, "", "task %q of run %s waits for no approval", clip(task, 80), run.ID)
	}
	switch len(open) {
	case 0:
		return form.Waiting{}, heal.Errorf(heal.Conflict, "", "run %s waits for no approval, it is %s", run.ID, run.State)
	case 1:
		return open[0], nil
	}
	var tasks []string
	for _, w := range open {
		tasks = append(tasks, w.Task)
	}
	return form.Waiting{}, heal.Errorf(heal.Conflict, "", "%d tasks of run %s wait; name one: %s", len(open), run.ID, strings.Join(tasks, ", "))
}

// mayAnswer lets those settle who may do the verb, and whom the question names:
// as a person, or by a role they hold there.
func mayAnswer(ctx context.Context, asked *heal.Approval, verb auth.Verb, scope heal.Scope) error {
	p, _ := auth.From(ctx)
	err := p.Can(verb, scope)
	if err == nil || asked == nil {
		return err
	}
	if asked.Asks(namesOf(ctx, scope)) {
		return nil
	}
	return err
}

// namesOf are the names the caller may answer under.
func namesOf(ctx context.Context, scope heal.Scope) []string {
	p, _ := auth.From(ctx)
	return p.Names(scope)
}
