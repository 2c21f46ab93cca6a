package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/library"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
)

type playbookChange struct {
	ByID
	Write
	Body form.PlaybookChange
}

type playbookRollback struct {
	ByID
	Write
	Body form.PlaybookRollback
}

type playbookVersion struct {
	ByID
	Number int `path:"number" minimum:"1"`
}

type playbookDiff struct {
	ByID
	From int `query:"from" minimum:"0" doc:"0: the version before the other."`
	To   int `query:"to" minimum:"0" doc:"0: the newest."`
}

func (s *server) versions() {
	const tag = "playbooks"
	wrong := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	handle(s, route{
		method: http.MethodGet, path: "/playbook-problems", id: "list-playbook-problems", tag: tag,
		summary: "Mistakes in playbooks that are not in force", about: "Of each such playbook the last good version is in force, if there is one.",
	}, func(ctx context.Context, _ *struct{}) (*body[form.PlaybookCheck], error) {
		if _, err := reader(ctx); err != nil {
			return nil, err
		}
		return answer(checkOf(s.Playbooks.Problems())), nil
	})
	handle(s, route{
		method: http.MethodPut, path: "/playbooks/{id}", id: "change-playbook", tag: tag, errors: wrong,
		summary: "Make a source the newest version of a playbook", about: "In force at once. Needs admin of the whole installation, as rolling back does: it changes what is done to everything.",
	}, s.changePlaybook)
	handle(s, route{
		method: http.MethodPost, path: "/playbooks/{id}/rollback", id: "rollback-playbook", tag: tag, errors: wrong,
		summary: "Make an earlier version of a playbook the newest again", about: "In force at once, and until somebody changes the playbook or its file.",
	}, func(ctx context.Context, in *playbookRollback) (*body[form.PlaybookVersion], error) {
		if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
			return nil, err
		}
		v, err := s.Playbooks.Rollback(ctx, in.ID, in.Body.To, caller(ctx), in.Body.Reason)
		return answer(ofVersion(v)), err
	})
	handle(s, route{
		method: http.MethodGet, path: "/playbooks/{id}/versions", id: "list-playbook-versions", tag: tag, errors: []int{http.StatusNotFound},
		summary: "Every version of a playbook", about: "The newest first, without the sources.",
	}, s.listVersions)
	handle(s, route{
		method: http.MethodGet, path: "/playbooks/{id}/versions/{number}", id: "get-playbook-version", tag: tag, errors: wrong,
		summary: "One version of a playbook, with its source",
	}, func(ctx context.Context, in *playbookVersion) (*body[form.PlaybookVersion], error) {
		v, err := s.version(ctx, in.ID, in.Number)
		out := ofVersion(v)
		out.Source = string(v.Source)
		return answer(out), err
	})
	handle(s, route{
		method: http.MethodGet, path: "/playbooks/{id}/diff", id: "diff-playbook", tag: tag, errors: wrong,
		summary: "What changed between two versions of a playbook", about: "As a unified diff; empty if they read the same.",
	}, s.diffVersions)
}

func (s *server) changePlaybook(ctx context.Context, in *playbookChange) (*body[form.PlaybookVersion], error) {
	if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
		return nil, err
	}
	source := []byte(in.Body.Source)
	if p, problems := playbook.Parse("", source); len(problems) == 0 && p.ID != in.ID {
		return nil, heal.Errorf(heal.Invalid, "playbook "+clip(in.ID, 80), "the source is of playbook %q", p.ID)
	}
	v, err := s.Playbooks.Publish(ctx, source, caller(ctx), in.Body.Reason)
	return answer(ofVersion(v)), err
}

func (s *server) listVersions(ctx context.Context, in *ByID) (*body[form.Page[form.PlaybookVersion]], error) {
	if _, err := reader(ctx); err != nil {
		return nil, err
	}
	out := form.Page[form.PlaybookVersion]{Items: []form.PlaybookVersion{}}
	err := s.Store.View(ctx, func(r store.Reader) error {
		all, err := library.Versions(r, in.ID)
		out.Revision = int64(r.Revision())
		for _, v := range slices.Backward(all) {
			out.Items = append(out.Items, ofVersion(v))
		}
		return err
	})
	return answer(out), err
}

func (s *server) version(ctx context.Context, id string, number int) (v library.Version, err error) {
	if _, err := reader(ctx); err != nil {
		return v, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		v, err = library.VersionOf(r, id, number)
		return err
	})
	return v, err
}

func (s *server) diffVersions(ctx context.Context, in *playbookDiff) (*body[form.PlaybookDiff], error) {
	to, err := s.version(ctx, in.ID, in.To)
	if err != nil {
		return nil, err
	}
	from := library.Version{Playbook: in.ID}
	if in.From == 0 {
		in.From = to.Number - 1
	}
	if in.From > 0 {
		if from, err = s.version(ctx, in.ID, in.From); err != nil {
			return nil, err
		}
	}
	name := func(number int) string { return fmt.Sprintf("%s version %d", in.ID, number) }
	return answer(form.PlaybookDiff{
		From: in.From, To: to.Number, Diff: playbook.Diff(name(in.From), from.Source, name(to.Number), to.Source),
	}), nil
}

func ofVersion(v library.Version) form.PlaybookVersion {
	return form.PlaybookVersion{
		Number: v.Number, At: v.At.UTC(), Author: v.Author, Reason: v.Reason, File: v.File, Digest: v.Digest, Withdrawn: v.Withdrawn,
	}
}

func checkOf(problems playbook.Problems) form.PlaybookCheck {
	out := form.PlaybookCheck{OK: len(problems) == 0, Problems: []form.Problem{}}
	for _, p := range problems {
		out.Problems = append(out.Problems, form.Problem{File: p.File, Line: p.Line, Column: p.Column, Key: p.Key, Text: p.Text, Hint: p.Hint})
	}
	return out
}
