//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// ward is a house that watches a scope of 20 services, of which the first few
// fall ill together.
type ward struct {
	*house
	world *target
	phone *phone
	sick  atomic.Int64
}

func newWard(t *testing.T, beds int, more settings) *ward {
	t.Helper()
	w := &ward{world: newTarget(t), phone: newPhone(t)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var n int64
		if _, err := fmt.Sscanf(r.URL.Path, "/bed-%d", &n); err != nil || n <= w.sick.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	var monitors []settings
	for _, name := range numbered("bed", beds) {
		monitors = append(monitors, settings{"name": name, "entity": "service/" + name, "kind": "http", "target": server.URL + "/" + name, "interval": "300ms", "failures": 2})
	}
	all := settings{
		"monitors": monitors, "loop": settings{"settle": "3s", "verify_window": "2s", "min_confidence": 0}, "notify": settings{"webhook_url": w.phone.URL},
	}
	maps.Copy(all, more)
	w.house = newHouse(t, all, reviving("MonitorFailed", w.world.URL))
	w.start()
	return w
}

// cli runs a command against the house and gives what it printed.
func (h *house) cli(args ...string) string {
	h.t.Helper()
	code, stdout, stderr := run(h.t, 20*time.Second, append(args, "--server", "http://"+h.api, "--token-file", h.tokenFile())...)
	if code != 0 {
		h.t.Fatalf("homeostat %v: got %d\n%s", args, code, stderr)
	}
	return stdout
}

// explained is what the guards say of a target, by the command.
func (h *house) explained(target string) (e form.GuardExplanation) {
	h.t.Helper()
	must(h.t, json.Unmarshal([]byte(h.cli("guard", "explain", "--target", target, "-o", "json")), &e))
	return e
}

// held are the guards that hold the open cases back, one for each case: before
// they begin a run, or in it.
func (h *house) held() (rules []string) {
	h.t.Helper()
	for _, c := range all[form.IncidentSummary](h, incidents) {
		if c.Held != "" {
			rules = append(rules, c.Held)
			continue
		}
		if c.State != "acting" {
			continue
		}
		for _, a := range h.incident(c.ID).History {
			for _, task := range h.run(a.Run).Tasks {
				if task.Refusal != nil {
					rules = append(rules, strings.TrimPrefix(task.Refusal.Code, "guard_"))
				}
			}
		}
	}
	return rules
}

// touched are the different targets that were acted on.
func (w *target) touched() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, c := range w.calls {
		names = append(names, c.task)
	}
	return distinct(names)
}

// times counts the messages that say something.
func (p *phone) times(what string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.texts {
		if strings.Contains(text, what) {
			n++
		}
	}
	return n
}

// count is how often a word stands in a list.
func count(list []string, word string) (n int) {
	for _, w := range list {
		if w == word {
			n++
		}
	}
	return n
}

// TestE2EPartOfAScopeIsBad: of 20 services, 8 fall ill and a tenth is acted on,
// the others wait their turn.
func TestE2EPartOfAScopeIsBad(t *testing.T) {
	w := newWard(t, 20, nil)
	w.sick.Store(8)
	defer func() {
		if t.Failed() {
			t.Logf("acted on %v, held by %v", w.world.touched(), w.held())
			for _, c := range all[form.IncidentSummary](w.house, incidents) {
				t.Logf("%s: %s, held by %q", c.Title, c.State, c.Held)
				w.tell(c.ID)
			}
		}
	}()
	eventually(t, 60*time.Second, "two are acted on and six wait", func() bool {
		return len(w.world.touched()) >= 2 && count(w.held(), "blast_radius") >= 6
	})
	if got := w.world.touched(); len(got) != 2 {
		t.Errorf("acted on: got %v, want two of 20", got)
	}
	var free string
	for _, name := range numbered("bed", 8) {
		if !slices.Contains(w.world.touched(), name) {
			free = name
		}
	}
	e := w.explained("service/" + free)
	if e.Allowed || e.Rule != "blast_radius" || e.Case == "" {
		t.Errorf("%s: got %+v, want its case held back by the blast radius", free, e)
	}
	cluster := e.Scopes[len(e.Scopes)-1]
	if cluster.Instances != 20 || cluster.Bad != 8 || len(cluster.Acted) != 2 {
		t.Errorf("the cluster: got %d instances, %d bad, %d acted on, want 20, 8, 2", cluster.Instances, cluster.Bad, len(cluster.Acted))
	}
	if n := w.phone.times("sensor"); n != 0 {
		t.Errorf("pages of a storm: got %d, want none", n)
	}
	w.windowsSurvive(free)
}

// windowsSurvive looks whether a restart gives no budget back.
func (w *ward) windowsSurvive(free string) {
	w.t.Helper()
	before := w.world.touched()
	w.crash()
	w.start()
	if e := w.explained("service/" + free); e.Allowed || e.Rule != "blast_radius" {
		w.t.Errorf("after a restart: got %+v, want the window as it was", e.Reason)
	}
	if got := w.world.touched(); !slices.Equal(got, before) {
		w.t.Errorf("after a restart: acted on %v, before on %v", got, before)
	}
}

// TestE2EMostOfAScopeIsBad: of 20 services, 12 fall ill, nothing is acted on,
// and a person is paged, once.
func TestE2EMostOfAScopeIsBad(t *testing.T) {
	w := newWard(t, 20, nil)
	w.sick.Store(12)
	eventually(t, 60*time.Second, "twelve cases are held back by the storm", func() bool { return count(w.held(), "storm") == 12 })
	eventually(t, 10*time.Second, "the page", func() bool { return w.phone.heard("sensor may be wrong") != "" })
	if e := w.explained("service/bed-1"); e.Allowed || e.Rule != "storm" {
		t.Errorf("a sick one: got %+v, want it held back by the storm", e.Reason)
	}
	if e := w.explained("service/bed-20"); e.Allowed || e.Rule != "storm" {
		t.Errorf("a healthy one: got %+v, want it held back by the storm", e.Reason)
	}
	if got := w.world.touched(); len(got) != 0 {
		t.Errorf("acted on: got %v, want nothing", got)
	}
	if n := w.phone.times("sensor may be wrong"); n != 1 {
		t.Errorf("pages: got %d, want one", n)
	}

	w.sick.Store(8) // the storm passes: what is left is acted on, a tenth of it
	eventually(t, 60*time.Second, "two are acted on", func() bool { return len(w.world.touched()) == 2 })
}

// TestE2EBreaker lets three actions not help, and looks whether the breaker that
// opens stays open until a person closes it.
func TestE2EBreaker(t *testing.T) {
	w := newWard(t, 1, settings{"guard": settings{"spacing": []string{"1s", "1s"}}})
	w.sick.Store(1)
	w.theCase(120*time.Second, "the case is given to a person", func(c form.IncidentSummary) bool { return c.State == "escalated" })
	scope := "default/default/default/bed-1"
	open := func() (is []string) {
		var list form.Breakers
		must(t, json.Unmarshal([]byte(w.cli("guard", "breaker", "list", "-o", "json")), &list))
		for _, b := range list.Items {
			if b.Open {
				is = append(is, b.Scope)
			}
		}
		return is
	}
	if got := open(); !slices.Equal(got, []string{scope}) {
		t.Fatalf("open breakers: got %v, want that of the service", got)
	}
	eventually(t, 10*time.Second, "the word of the breaker", func() bool { return w.phone.times("breaker of "+scope+" opened") == 1 })

	w.crash()
	w.start()
	if got := open(); !slices.Equal(got, []string{scope}) {
		t.Errorf("after a restart: got %v open, want it still", got)
	}
	if e := w.explained("service/bed-1"); e.Rule != "breaker" {
		t.Errorf("while it is open: got %q, want breaker", e.Rule)
	}
	w.cli("guard", "breaker", "close", scope, "--reason", "the bed was mended")
	if got := open(); len(got) != 0 {
		t.Errorf("after a person closed it: got %v open", got)
	}
	if e := w.explained("service/bed-1"); e.Rule == "breaker" {
		t.Errorf("after a person closed it: got %q", e.Reason.Text)
	}
}

// TestE2EKillSwitchDuringAStep turns the switch on while one run is inside a
// step and another waits for an hour: the step ends, and nothing after it.
func TestE2EKillSwitchDuringAStep(t *testing.T) {
	world := newTarget(t)
	books := []playbook{
		{"steps", `
playbook_id: steps
name: Two steps
tasks:
  - {id: first, action: http.request_idempotent, parameters: {url: "` + world.URL + `/first"}, timeout: 60s}
  - {id: second, action: http.request_idempotent, depends_on: first, parameters: {url: "` + world.URL + `/second"}, timeout: 10s}
`},
		{"linger", `
playbook_id: linger
name: Wait, then act
tasks:
  - {id: pause, type: wait, parameters: {duration: 1h}}
  - {id: after, action: http.request_idempotent, depends_on: pause, parameters: {url: "` + world.URL + `/after"}, timeout: 10s}
`},
	}
	h := newHouse(t, nil, books...)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	world.whenCalled(func(c call, gone <-chan struct{}) {
		if c.task == "first" {
			entered <- struct{}{}
			select {
			case <-release:
			case <-gone:
			}
		}
	})
	h.start()
	inside, waiting, other := h.started("steps", "service/cart"), h.started("linger", "service/payment"), h.started("linger", "service/web")
	select {
	case <-entered:
	case <-time.After(20 * time.Second):
		t.Fatal("the first step was not called")
	}
	eventually(t, 10*time.Second, "the others wait", func() bool { return h.run(waiting.ID).State == "running" && h.run(other.ID).State == "running" })

	h.cli("kill-switch", "on", "--scope", "default/default/default/cart", "--reason", "the cart is looked at")
	eventually(t, time.Second, "the run inside a step is held", func() bool { return h.run(inside.ID).State == "paused" })
	if got := h.run(other.ID).State; got != "running" {
		t.Errorf("a run in another scope: got %s, want running", got)
	}
	h.cli("kill-switch", "on", "--reason", "all stop")
	eventually(t, time.Second, "the run that waits is held", func() bool { return h.run(waiting.ID).State == "paused" && h.run(other.ID).State == "paused" })

	close(release)
	eventually(t, 10*time.Second, "the step in flight ends", func() bool { return h.run(inside.ID).Tasks[0].State == "succeeded" })
	after := h.run(inside.ID)
	if after.State != "paused" || after.Tasks[1].State != "pending" || len(world.keys("second")) != 0 {
		t.Errorf("after the step in flight: got %s, the next %s and called %d times, want paused and untouched", after.State, after.Tasks[1].State, len(world.keys("second")))
	}
	refused := ask[form.Page[form.Refusal]](h, "/api/v1/runs/"+inside.ID+"/refusals").Items
	if len(refused) != 1 || refused[0].Rule != "kill_switch" {
		t.Errorf("refusals: got %+v, want that of the kill switch", refused)
	}

	h.cli("kill-switch", "off", "--reason", "over")
	h.cli("kill-switch", "off", "--scope", "default/default/default/cart", "--reason", "over")
	if r := h.post("/api/v1/runs/"+inside.ID+"/resume", struct{}{}); !r.ok() {
		t.Fatalf("resume: %s", r)
	}
	eventually(t, 20*time.Second, "the run ends", func() bool { return h.run(inside.ID).State == "succeeded" })
	if got := len(world.keys("second")); got != 1 {
		t.Errorf("second step: called %d times, want once", got)
	}
}
