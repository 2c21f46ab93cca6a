package setting_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/action/setting"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rollback is what a service remembers of its newest one.
type rollback struct {
	Key      string `json:"key"`
	Refused  int    `json:"refused"`
	Restored int    `json:"restored"`
}

// service keeps settings in versions, as the driver asks of one.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	state struct {
		Version  int       `json:"version"`
		Previous int       `json:"previous"`
		Rollback *rollback `json:"rollback,omitempty"`
	}
	answer func(w http.ResponseWriter, r *http.Request) bool // true: it answered instead
	posts  int
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.state.Version, s.state.Previous = 2, 1
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil && s.answer(w, r) {
		return
	}
	if r.Method == http.MethodPost && r.URL.Path == "/settings/rollback" {
		var ask struct{ Version int }
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if ask.Version != s.state.Version {
			http.Error(w, "another version is in force", http.StatusConflict)
			return
		}
		s.posts++
		s.state.Rollback = &rollback{r.Header.Get("Idempotency-Key"), s.state.Version, s.state.Previous}
		s.state.Version, s.state.Previous = s.state.Version+1, 0
	}
	if err := json.NewEncoder(w).Encode(s.state); err != nil {
		panic(err)
	}
}

func (s *service) world() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []any{s.posts, s.state.Version}
}

func (s *service) options() setting.Options {
	return setting.Options{Settings: []setting.Setting{{Entity: "service/pay", URL: s.URL + "/settings"}}}
}

func call(attempt int) action.Call {
	return action.Call{
		Key: heal.StepKey{Run: "r", Task: "t", Attempt: attempt}, Action: setting.Rollback, Target: "service/pay", Params: map[string]any{},
	}
}

func open(t *testing.T, opts setting.Options) *setting.Driver {
	t.Helper()
	d, err := setting.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestContract(t *testing.T) {
	actiontest.Run(t, func(t *testing.T) actiontest.Subject {
		s := newService(t)
		v, err := setting.NewPreviewer(s.options())
		if err != nil {
			t.Fatal(err)
		}
		return actiontest.Subject{Driver: open(t, s.options()), Previewer: v, Calls: []action.Call{call(1)}, World: s.world}
	})
}

func TestDeadline(t *testing.T) {
	s := newService(t)
	s.answer = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	actiontest.Deadline(t, open(t, s.options()), call(1))
}

func TestRollback(t *testing.T) {
	s := newService(t)
	d := open(t, s.options())
	got, err := d.Do(t.Context(), call(1))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"refused": int64(2), "restored": int64(1), "version": int64(3)}
	if diff := cmp.Diff(got.Output, want); diff != "" {
		t.Errorf("output (-got +want):\n%s", diff)
	}
	if _, err := d.Do(t.Context(), call(2)); !heal.Is(err, heal.NotFound) {
		t.Errorf("another roll back with nothing to go back to: got %v, want kind not found", err)
	}
}

func TestFailures(t *testing.T) {
	post := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.WriteHeader(code)
			}
			return r.Method == http.MethodPost
		}
	}
	every := func(code int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			if _, err := w.Write([]byte(text)); err != nil {
				panic(err)
			}
			return true
		}
	}
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		want   heal.Kind
	}{
		{"changed meanwhile", post(409), heal.Conflict},
		{"refused", post(403), heal.Denied},
		{"fails before", post(503), heal.Transient},
		{"cannot be read", every(200, "not JSON"), heal.Transient},
		{"no version", every(200, "{}"), heal.Transient},
		{"nothing there", every(404, ""), heal.NotFound},
		{"hangs up", func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				panic(http.ErrAbortHandler)
			}
			return false
		}, heal.Unknown},
		{"a redirect", every(302, ""), heal.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			s.answer = tt.answer
			if _, err := open(t, s.options()).Do(t.Context(), call(1)); !heal.Is(err, tt.want) {
				t.Errorf("got %v, want kind %v", err, tt.want)
			}
		})
	}
	d := open(t, setting.Options{})
	if _, err := d.Do(context.Background(), call(1)); !heal.Is(err, heal.NotFound) {
		t.Errorf("a target without settings: got %v, want kind not found", err)
	}
}

func TestOptions(t *testing.T) {
	for _, list := range [][]setting.Setting{
		{{Entity: "pay", URL: "http://127.0.0.1:1/s"}},
		{{Entity: "service/pay", URL: "127.0.0.1:1/s"}},
		{{Entity: "service/pay", URL: "http://u:p@127.0.0.1:1/s"}},
		{{Entity: "service/pay", URL: "http://127.0.0.1:1/s?x=1"}},
		{{Entity: "service/pay", URL: "http://127.0.0.1:1/a"}, {Entity: "service/pay", URL: "http://127.0.0.1:1/b"}},
	} {
		if _, err := setting.New(setting.Options{Settings: list}); !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "entry") {
			t.Errorf("%v: got %v, want kind invalid and which entry", list, err)
		}
	}
}
