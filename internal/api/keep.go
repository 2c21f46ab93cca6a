package api

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/danielgtaylor/huma/v2"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// Keeper looks after the store as a whole.
type Keeper interface {
	// Backup writes a consistent copy to a file that does not exist yet.
	Backup(ctx context.Context, path string) error

	// Check reads everything and gives the first faults found.
	Check(ctx context.Context) error
}

// keeper registers what is done with the store as a whole. Its answers take as
// long as the store is large.
func (s *server) keeper() {
	handle(s, route{
		method: http.MethodGet, path: "/store/check", id: "check-store", tag: "system",
		summary: "Whether the store is undamaged", about: "Reads all of it. Needs admin of the whole installation.",
	}, func(ctx context.Context, _ *struct{}) (*body[form.StoreCheck], error) {
		if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
			return nil, err
		}
		err := s.Keeper.Check(ctx)
		if heal.Is(err, heal.Internal) {
			return answer(form.StoreCheck{Text: err.Error()}), nil
		}
		return answer(form.StoreCheck{OK: err == nil, Text: "the store is undamaged"}), err
	})
	huma.Register(s.api, huma.Operation{
		Method: http.MethodGet, Path: prefix + "/store/backup", OperationID: "back-up-store", Tags: []string{"system"},
		Summary: "A consistent copy of the store", Description: "Made while others read and write. Needs admin of the whole installation: a copy holds everything.",
		Errors:   []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable},
		Security: []map[string][]string{{"token": {}}},
	}, s.backUp)
}

func (s *server) backUp(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	const op = "back-up-store"
	e := audit.Entry{Actor: caller(ctx), Act: op, Result: audit.Done, Text: "A consistent copy of the store"}
	if err := auth.Can(ctx, auth.Administer, heal.Scope{}); err != nil {
		e.Result = audit.Denied
		if kept := s.keep(ctx, e); kept != nil {
			err = kept
		}
		return nil, s.problem(ctx, op, err)
	}
	if err := s.keep(ctx, e); err != nil {
		return nil, s.problem(ctx, op, err)
	}
	dir, err := os.MkdirTemp(s.Scratch, "backup-*")
	if err != nil {
		return nil, s.problem(ctx, op, heal.Errorf(heal.Transient, "make room for the copy", "%w", err))
	}
	file := filepath.Join(dir, "store")
	if err := s.Keeper.Backup(ctx, file); err != nil {
		_ = os.RemoveAll(dir) // the error that matters is the first
		return nil, s.problem(ctx, op, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { _ = os.RemoveAll(dir) }()
		hc.SetHeader("Content-Type", "application/octet-stream")
		f, err := os.Open(file)
		if err == nil {
			_, err = io.Copy(hc.BodyWriter(), f)
			_ = f.Close() // it was read
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the reader must not take a part for the whole
		}
	}}, nil
}
