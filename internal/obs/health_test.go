package obs_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/obs"
)

func TestHealth(t *testing.T) {
	fine := func(context.Context) error { return nil }
	down := func(context.Context) error { return errDown }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tests := []struct {
		name        string
		checks      []obs.Check
		stopping    string
		live, ready int
		say         string // what the readiness says
	}{
		{"no checks", nil, "", 200, 200, `"ready"`},
		{"all well", []obs.Check{{Name: "store", Ask: fine, Live: true}}, "", 200, 200, `"name":"store","ok":true,"text":"ok"`},
		{"not ready but alive", []obs.Check{{Name: "store", Ask: down}}, "", 200, 503, "the disk is full"},
		{"a minor thing", []obs.Check{{Name: "clock", Ask: down, Minor: true}, {Name: "store", Ask: fine}}, "", 200, 200, `"ok":true,"text":"ready, but something is wrong"`},
		{"a minor thing and a major", []obs.Check{{Name: "clock", Ask: down, Minor: true}, {Name: "store", Ask: down}}, "", 200, 503, "not ready"},
		{"only a restart helps", []obs.Check{{Name: "store", Ask: down, Live: true}}, "", 503, 503, "the disk is full"},
		{"hangs", []obs.Check{{Name: "store", Ask: hangs}}, "", 200, 503, "no answer within 2s"},
		{"panics", []obs.Check{{Name: "store", Ask: func(context.Context) error { panic("oh") }}}, "", 200, 503, "panicked: oh"},
		{"stopping", []obs.Check{{Name: "store", Ask: fine}}, "the server is stopping", 200, 503, "the server is stopping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := obs.NewHealth()
				for _, c := range tt.checks {
					if err := h.Add(c); err != nil {
						t.Fatal(err)
					}
				}
				if tt.stopping != "" {
					h.Stopping(tt.stopping)
				}
				if got := get(t, h.LiveHandler()); got.Code != tt.live {
					t.Errorf("healthz: got %d %s, want %d", got.Code, got.Body, tt.live)
				}
				got := get(t, h.ReadyHandler())
				if got.Code != tt.ready || !strings.Contains(got.Body.String(), tt.say) {
					t.Errorf("readyz: got %d %s, want %d that says %q", got.Code, got.Body, tt.ready, tt.say)
				}
			})
		})
	}
}

func TestHealthAsksAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		h := obs.NewHealth()
		err := h.Add(obs.Check{Name: "store", Live: true, Ask: func(context.Context) error { asked.Add(1); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			go h.Ready(t.Context())
			go h.Live(t.Context())
		}
		synctest.Wait()
		if got := asked.Load(); got != 1 {
			t.Errorf("got %d questions for 200 requests at once, want 1", got)
		}
		time.Sleep(time.Second)
		h.Ready(t.Context())
		if got := asked.Load(); got != 2 {
			t.Errorf("got %d questions a second later, want 2", got)
		}
	})
}

func TestHealthRefuses(t *testing.T) {
	h := obs.NewHealth()
	ask := func(context.Context) error { return nil }
	if err := h.Add(obs.Check{Name: "store", Ask: ask}); err != nil {
		t.Fatal(err)
	}
	if err := h.Add(obs.Check{Name: "store", Ask: ask}); !heal.Is(err, heal.Conflict) {
		t.Errorf("second check of a name: got %v, want kind conflict", err)
	}
	if err := h.Add(obs.Check{Ask: ask}); !heal.Is(err, heal.Invalid) {
		t.Errorf("check without a name: got %v, want kind invalid", err)
	}
	w := httptest.NewRecorder()
	h.LiveHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/healthz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthz: got %d, want 405", w.Code)
	}
}
