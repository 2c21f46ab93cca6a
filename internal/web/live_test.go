package web_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// events opens the live stream and gives the names of its events.
func (b *browser) events(ctx context.Context, path string) func() string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.h.base+path, nil)
	must(b.t, err)
	resp, err := b.c.Do(r)
	must(b.t, err)
	b.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				return name
			}
		}
		return ""
	}
}

// revision is where a stream goes on from: without it, a stream tells of
// what comes after it was opened, whenever that is.
func (h *house) revision(t *testing.T) string {
	t.Helper()
	at := ""
	must(t, h.Store.View(t.Context(), func(r store.Reader) error { at = fmt.Sprint(r.Revision()); return nil }))
	return at
}

func TestLive(t *testing.T) {
	put := func(h *house, id string) {
		must(t, h.Store.Update(t.Context(), func(tx store.Tx) error {
			_, err := store.IncidentKind.Put(tx, &heal.Incident{ID: heal.IncidentID(id), Scope: heal.DefaultScope, State: heal.CaseOpen, Severity: heal.Info, Title: "t"}, store.Any)
			return err
		}))
	}
	t.Run("tells of what changes", func(t *testing.T) {
		h := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := h.as(t, "viewer").events(ctx, "/live?what=incident&since="+h.revision(t))
		for i := range 3 {
			put(h, fmt.Sprint("case", i))
			if got := next(); got != "change" {
				t.Fatalf("event %d is %q", i, got)
			}
		}
	})
	t.Run("tells of what was changed", func(t *testing.T) {
		h := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := h.as(t, "cart").events(ctx, "/live?what=change&since="+h.revision(t))
		put(h, "a case")
		h.SeedChanges(t)
		if got := next(); got != "change" {
			t.Fatalf("got %q", got)
		}
	})
	t.Run("tells of one case only", func(t *testing.T) {
		h := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := h.as(t, "viewer").events(ctx, "/live?id=mine&since="+h.revision(t))
		put(h, "other")
		put(h, "mine")
		if got := next(); got != "change" {
			t.Fatalf("got %q", got)
		}
	})
	t.Run("says when one is not signed in", func(t *testing.T) {
		h := open(t)
		if got := h.browser(t).events(t.Context(), "/live")(); got != "signedout" {
			t.Errorf("got %q, want signedout", got)
		}
	})
	t.Run("says when the token is gone", func(t *testing.T) {
		h := open(t)
		b := h.as(t, "viewer")
		must(t, h.Store.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(store.Principals, "viewer") }))
		if got := b.events(t.Context(), "/live")(); got != "signedout" {
			t.Errorf("got %q, want signedout", got)
		}
	})
}
