package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
)

type playbookCheck struct {
	Body form.PlaybookSource
}

type playbookRun struct {
	ByID
	Write
	Body form.RunOrder
}

type startedRun struct {
	Status int
	Body   form.Run
}

func (s *server) playbooks() {
	handle(s, route{
		method: http.MethodGet, path: "/playbooks", id: "list-playbooks", tag: "playbooks", summary: "List playbooks",
	}, func(ctx context.Context, _ *struct{}) (*body[form.Page[form.Playbook]], error) {
		if _, err := reader(ctx); err != nil {
			return nil, err
		}
		out := form.Page[form.Playbook]{Items: []form.Playbook{}}
		for _, p := range s.Playbooks.List() {
			out.Items = append(out.Items, ofPlaybook(p.Playbook))
		}
		return answer(out), nil
	})
	handle(s, route{
		method: http.MethodGet, path: "/playbooks/{id}", id: "get-playbook", tag: "playbooks", errors: []int{http.StatusNotFound},
		summary: "One playbook, with its source",
	}, func(ctx context.Context, in *ByID) (*body[form.Playbook], error) {
		if _, err := reader(ctx); err != nil {
			return nil, err
		}
		for _, p := range s.Playbooks.List() {
			if p.ID == in.ID {
				out := ofPlaybook(p.Playbook)
				out.Source = string(p.Source)
				return answer(out), nil
			}
		}
		return nil, missing("playbook", in.ID)
	})
	handle(s, route{
		method: http.MethodGet, path: "/playbook-schema", id: "get-playbook-schema", tag: "playbooks",
		summary: "The format of playbooks as a JSON Schema", about: "For editors.",
	}, func(ctx context.Context, _ *struct{}) (*body[map[string]any], error) {
		if _, err := reader(ctx); err != nil {
			return nil, err
		}
		var schema map[string]any
		err := json.Unmarshal(playbook.Schema(), &schema)
		return answer(schema), err
	})
	handle(s, route{
		method: http.MethodPost, path: "/playbook-check", id: "check-playbook", tag: "playbooks", unaudited: true, errors: []int{http.StatusUnprocessableEntity},
		summary: "Check the source of a playbook", about: "Every mistake at once, against the actions this server has. Nothing is kept.",
	}, s.checkPlaybook)
	handle(s, route{
		method: http.MethodPost, path: "/playbooks/{id}/runs", id: "run-playbook", tag: "playbooks", status: http.StatusCreated,
		errors:  []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		summary: "Run a playbook by hand",
		about:   "201 with the run, which goes on by itself. With dry_run, 200 with a run that says what would be done; nothing is touched. The guards hold for a person's run too.",
	}, s.runPlaybook)
	s.versions()
}

func (s *server) checkPlaybook(ctx context.Context, in *playbookCheck) (*body[form.PlaybookCheck], error) {
	if _, err := reader(ctx); err != nil {
		return nil, err
	}
	return answer(checkOf(s.Playbooks.Check(in.Body.File, []byte(in.Body.Source)))), nil
}

func (s *server) runPlaybook(ctx context.Context, in *playbookRun) (*startedRun, error) {
	// Whoever may act nowhere learns nothing about playbooks and targets.
	p, _ := auth.From(ctx)
	if len(p.Scopes(auth.Operate)) == 0 {
		return nil, p.Can(auth.Operate, s.Scope)
	}
	target := heal.EntityID(in.Body.Target)
	if err := target.Validate(); err != nil {
		return nil, err
	}
	order, err := s.Playbooks.Order(ctx, in.ID, target, in.Body.Params, caller(ctx))
	if err != nil {
		return nil, err
	}
	if err := auth.Can(ctx, auth.Operate, order.Scope); err != nil {
		return nil, err
	}
	if in.Body.DryRun {
		run, err := s.Playbooks.DryRun(ctx, order)
		if err != nil {
			return nil, err
		}
		return &startedRun{Status: http.StatusOK, Body: form.OfRun(run, 0)}, nil
	}
	run, err := s.Engine.StartNow(ctx, order)
	if err != nil {
		return nil, err
	}
	now, err := done(s.run(ctx, string(run.ID)))
	if err != nil {
		return nil, err
	}
	return &startedRun{Status: http.StatusCreated, Body: now.Body}, nil
}

func ofPlaybook(p *playbook.Playbook) form.Playbook {
	out := form.Playbook{
		ID: p.ID, Name: p.Name, Description: p.Description, File: p.File, Digest: p.Digest, Tier: string(p.Tier), Trust: string(p.Trust),
		Risk: string(p.Risk), Approval: string(p.Approval.Required), Params: []form.Param{}, Tasks: len(p.Tasks),
		TimeoutSeconds: p.Timeout.Seconds(), EstimatedSeconds: p.EstimatedTime.Seconds(),
	}
	for _, param := range p.Params {
		out.Params = append(out.Params, form.Param{
			Name: param.Name, Type: string(param.Type), Default: param.Default, Required: param.Required, Description: param.Description,
		})
	}
	return out
}
