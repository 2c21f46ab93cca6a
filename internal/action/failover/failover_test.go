package failover_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/action/failover"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a switch and the two it stands between.
type world struct {
	*httptest.Server
	mu     sync.Mutex
	active string
	stuck  bool            // the switch takes orders and does not move
	moved  []string        // orders it took
	down   map[string]bool // sides that are not healthy
	onPut  func()          // called with mu held
	asked  chan struct{}   // a look at the primary's health, if somebody waits for it
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{active: failover.Primary, down: map[string]bool{}, asked: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /switch", func(rw http.ResponseWriter, _ *http.Request) { w.tell(rw) })
	mux.HandleFunc("PUT /switch", func(rw http.ResponseWriter, r *http.Request) {
		var want struct{ Active string }
		if err := json.NewDecoder(r.Body).Decode(&want); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		w.mu.Lock()
		w.moved = append(w.moved, want.Active)
		if !w.stuck {
			w.active = want.Active
		}
		if w.onPut != nil {
			w.onPut()
		}
		w.mu.Unlock()
		w.tell(rw)
	})
	mux.HandleFunc("GET /health/{side}", func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		select {
		case w.asked <- struct{}{}:
		default:
		}
		if w.down[r.PathValue("side")] {
			http.Error(rw, "the ledger is damaged", http.StatusServiceUnavailable)
		}
	})
	w.Server = httptest.NewServer(mux)
	t.Cleanup(w.Close)
	return w
}

func (w *world) tell(rw http.ResponseWriter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := json.NewEncoder(rw).Encode(map[string]string{"active": w.active}); err != nil {
		panic(err)
	}
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) state() (active, moved string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active, strings.Join(w.moved, " ")
}

func (w *world) options() failover.Options {
	return failover.Options{Interval: 10 * time.Millisecond, Pairs: []failover.Pair{{
		Entity: "service/pay", BackupEntity: "service/pay-2", Switch: w.URL + "/switch",
		Primary: w.URL + "/health/primary", Backup: w.URL + "/health/backup",
	}}}
}

func (w *world) driver(t *testing.T) *failover.Driver {
	t.Helper()
	d, err := failover.New(w.options())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func call(act string, params map[string]any) action.Call {
	return action.Call{Key: heal.StepKey{Run: "r", Task: "t", Attempt: 1}, Action: act, Target: "service/pay", Params: params}
}

func TestContract(t *testing.T) {
	actiontest.Run(t, func(t *testing.T) actiontest.Subject {
		w := newWorld(t)
		v, err := failover.NewPreviewer(w.options())
		if err != nil {
			t.Fatal(err)
		}
		return actiontest.Subject{
			Driver: w.driver(t), Previewer: v,
			Calls: []action.Call{call(failover.Switch, map[string]any{}), call(failover.Await, map[string]any{"for": "20ms", "timeout": "10s"})},
			Slow:  []action.Call{call(failover.Await, map[string]any{"for": "1m", "timeout": "1h"})},
			World: func() any { active, moved := w.state(); return []string{active, moved} },
		}
	})
}

func TestSwitch(t *testing.T) {
	tests := []struct {
		name   string
		before func(w *world)
		to     string
		want   heal.Kind // 0: it works
		active string
		moved  string
	}{
		{"to the backup", func(*world) {}, "backup", 0, "backup", "backup"},
		{"there already", func(*world) {}, "primary", 0, "primary", ""},
		{"not to what is not healthy", func(w *world) { w.down["backup"] = true }, "backup", heal.Transient, "primary", ""},
		{"back if it fails right after", func(w *world) { w.onPut = func() { w.down["backup"] = true } }, "backup", heal.Transient, "primary", "backup primary"},
		{"a switch that does not move", func(w *world) { w.stuck = true }, "backup", heal.Transient, "primary", "backup primary"},
		{"a side there is not", func(*world) {}, "third", heal.Invalid, "primary", ""},
		{"a switch that says nothing known", func(w *world) { w.active = "both" }, "backup", heal.Transient, "both", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.before(w)
			_, err := w.driver(t).Do(t.Context(), call(failover.Switch, map[string]any{"to": tt.to}))
			if (err == nil) != (tt.want == 0) || err != nil && !heal.Is(err, tt.want) {
				t.Errorf("got %v, want kind %v", err, tt.want)
			}
			if active, moved := w.state(); active != tt.active || moved != tt.moved {
				t.Errorf("the switch stands at %q after orders %q, want %q after %q", active, moved, tt.active, tt.moved)
			}
		})
	}
}

func TestAwaitUntilHealthy(t *testing.T) {
	w := newWorld(t)
	w.set(func() { w.down["primary"] = true })
	ended := make(chan error, 1)
	go func() {
		_, err := w.driver(t).Do(t.Context(), call(failover.Await, map[string]any{"for": "0s", "timeout": "1m"}))
		ended <- err
	}()
	for range 3 {
		<-w.asked
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended while the primary is not healthy: %v", err)
	default:
	}
	w.set(func() { w.down["primary"] = false })
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAwaitGivesUp(t *testing.T) {
	w := newWorld(t)
	w.set(func() { w.down["primary"] = true })
	_, err := w.driver(t).Do(t.Context(), call(failover.Await, map[string]any{"for": "0s", "timeout": "50ms"}))
	if !heal.Is(err, heal.Transient) {
		t.Errorf("got %v, want kind transient", err)
	}
	if _, err := w.driver(t).Do(t.Context(), call(failover.Await, map[string]any{"for": "2s", "timeout": "1s"})); !heal.Is(err, heal.Invalid) {
		t.Errorf("a wait that cannot end: got %v, want kind invalid", err)
	}
}

func TestTargetWithoutBackup(t *testing.T) {
	d, err := failover.New(failover.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Do(t.Context(), call(failover.Switch, nil)); !heal.Is(err, heal.NotFound) {
		t.Errorf("got %v, want kind not found", err)
	}
}

func TestOptions(t *testing.T) {
	good := func() failover.Pair {
		return failover.Pair{Entity: "service/a", BackupEntity: "service/b", Switch: "http://h/s", Primary: "http://h/p", Backup: "http://h/b"}
	}
	for name, change := range map[string]func(*failover.Pair){
		"no entity":      func(p *failover.Pair) { p.Entity = "a" },
		"its own backup": func(p *failover.Pair) { p.BackupEntity = p.Entity },
		"no switch":      func(p *failover.Pair) { p.Switch = "" },
		"no health":      func(p *failover.Pair) { p.Backup = "h:1" },
	} {
		p := good()
		change(&p)
		if _, err := failover.New(failover.Options{Pairs: []failover.Pair{p}}); !heal.Is(err, heal.Invalid) {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}
	if _, err := failover.New(failover.Options{Pairs: []failover.Pair{good(), good()}}); !heal.Is(err, heal.Invalid) {
		t.Errorf("twice: got %v, want kind invalid", err)
	}
}
