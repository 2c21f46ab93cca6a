//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/api/form"
)

// TestE2ETelemetryCut exhausts the pool of a service that no monitor watches.
// The remedy is the same and it helps both times; only what is known of it
// differs.
func TestE2ETelemetryCut(t *testing.T) {
	tests := []struct {
		name                   string
		cut                    bool
		state, result, verdict string
	}{
		{"telemetry flows", false, "healed", "healed", "cleared"},
		{"cut right after acting", true, "escalated", "unknown", "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t)
			s.exhaust()
			const sick = "service/inventory"
			s.caseOf(sick, 60*time.Second, "verifying")
			if tt.cut {
				s.line.cut()
			}
			c := s.caseOf(sick, 60*time.Second, "healed", "escalated")
			if c.State != tt.state || len(c.History) != 1 || c.History[0].Result != tt.result {
				s.tell(c.ID)
				t.Fatalf("case: got %s (%s) after %+v, want %s after one attempt that ended %s", c.State, c.Outcome, c.History, tt.state, tt.result)
			}
			if c.Verification == nil || c.Verification.Verdict != tt.verdict || len(c.Verification.Reasons) == 0 {
				t.Fatalf("verification: got %+v, want %s with its reasons", c.Verification, tt.verdict)
			}
			t.Logf("%s because %s", c.Verification.Verdict, c.Verification.Reasons[0].Text)
			if got := s.calledHealed(c); got == tt.cut {
				s.tell(c.ID)
				t.Errorf("the story speaks of a heal: got %t, want %t", got, !tt.cut)
			}
		})
	}
}

// caseOf waits until the case of a cause is in one of the states.
func (s *shopHouse) caseOf(cause string, within time.Duration, states ...string) form.Incident {
	s.t.Helper()
	var list []form.IncidentSummary
	var found string
	defer func() {
		for _, c := range list {
			if found == "" {
				s.t.Logf("%s: %s, caused by %s", c.Title, c.State, c.Cause)
				s.tell(c.ID)
			}
		}
	}()
	eventually(s.t, within, fmt.Sprintf("the case of %s is one of %v", cause, states), func() bool {
		list = all[form.IncidentSummary](s.house, incidents)
		for _, c := range list {
			if c.Cause == cause && slices.Contains(states, c.State) {
				found = c.ID
			}
		}
		return found != ""
	})
	return s.incident(found)
}

// calledHealed reports whether any part of the story speaks of a heal.
func (s *shopHouse) calledHealed(c form.Incident) bool {
	s.t.Helper()
	return c.State == "healed" ||
		slices.ContainsFunc(c.History, func(a form.Attempt) bool { return a.Result == "healed" }) ||
		slices.ContainsFunc(s.story(c.ID), func(e form.TimelineEntry) bool { return e.Stage == "verify" && strings.HasPrefix(e.Text, "cleared") })
}

// shopHouse is an installation with a shop, whose telemetry comes through a
// line that can be cut.
type shopHouse struct {
	*house
	shop shop.Config
	line *line
}

// openStore starts a shop and its watcher, and waits until all of it is known.
// The service that will be healed is a process of the watcher's.
func openStore(t *testing.T) *shopHouse {
	t.Helper()
	ports, err := shop.FreePorts(shop.DefaultPorts)
	must(t, err)
	s := &shopHouse{line: newLine(t)}
	s.shop = shop.Default("http://"+s.line.address(), func() int { p := ports[0]; ports = ports[1:]; return p })
	file := filepath.Join(t.TempDir(), "shop.yaml")
	text, err := s.shop.Marshal()
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
	inventory := s.shop.Services[0]
	s.house = newHouse(t, settings{
		"metrics":   settings{"flush_interval": "1s"},
		"rules":     settings{"interval": "1s", "resend": "10s", "files": []string{absolutePath(t, repository+"/internal/demo/rules.yaml")}},
		"loop":      settings{"verify_window": "6s"},
		"playbooks": settings{"shipped": true, "trust": settings{"relieve-exhausted-pool": "auto", "restart-unhealthy-service": "auto"}},
		"drivers": settings{"processes": []settings{{
			"name": inventory.Name, "entity": "service/" + inventory.Name, "command": []string{binary, "shop-process", file, inventory.Name},
			"dir": filepath.Dir(file), "ready_url": "http://" + inventory.Listen + "/healthz", "grace": "5s",
		}}},
	}, playbook{"open", "playbook_id: open\nname: Open\ntasks: [{id: open, action: process.start, timeout: 30s}]\n"})
	s.start()
	s.line.to(s.otlp)
	opened := s.started("open", "service/"+inventory.Name)
	var state string
	eventually(t, 40*time.Second, "the run that starts the inventory ends", func() bool {
		state = s.run(opened.ID).State
		return slices.Contains([]string{"succeeded", "failed", "timed_out", "unknown", "cancelled"}, state)
	})
	if state != "succeeded" {
		t.Fatalf("the run that starts the inventory: got %s, want succeeded: %+v", state, s.run(opened.ID))
	}
	for _, service := range s.shop.Services[1:] {
		spawn(t, exec.Command(binary, "shop-process", file, service.Name))
	}
	s.settled()
	return s
}

func absolutePath(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	must(t, err)
	return full
}

// settled waits until every service that is called has been heard of for some
// seconds, so that there is a time when all was well to compare with.
func (s *shopHouse) settled() {
	s.t.Helper()
	const normal = 10 * time.Second
	want := map[string]bool{"frontend": true, "cart": true, "payment": true, "inventory": true}
	var since time.Time
	eventually(s.t, 60*time.Second, "telemetry of the whole shop", func() bool {
		missing := maps.Clone(want)
		for _, known := range ask[form.Services](s.house, "/api/v1/services").Entities {
			if known.RED != nil {
				delete(missing, known.Name)
			}
		}
		if len(missing) > 0 {
			return false
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) >= normal
	})
}

// exhaust takes every connection of the inventory and gives none back.
func (s *shopHouse) exhaust() {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+s.shop.Services[0].Admin+"/fault", strings.NewReader(`{"kind":"pool_leak"}`))
	must(s.t, err)
	if r := send(req); !r.ok() {
		s.t.Fatalf("exhaust the pool: %s", r)
	}
}

// line carries TCP connections to where it leads, until it is cut.
type line struct {
	listener net.Listener
	mu       sync.Mutex
	ends     []net.Conn
	target   string
	isCut    bool
	work     sync.WaitGroup
}

func newLine(t *testing.T) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &line{listener: l}
	w.work.Go(w.accept)
	t.Cleanup(func() {
		w.cut()
		w.work.Wait()
	})
	return w
}

func (w *line) address() string { return w.listener.Addr().String() }

func (w *line) to(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
}

// cut ends every connection and takes no new one.
func (w *line) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	w.listener.Close()
	for _, c := range w.ends {
		c.Close()
	}
}

func (w *line) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		far, err := net.Dial("tcp", w.target)
		if err != nil || w.isCut {
			near.Close()
			if err == nil {
				far.Close()
			}
			w.mu.Unlock()
			continue
		}
		w.ends = append(w.ends, near, far)
		w.mu.Unlock()
		w.work.Go(func() { carry(near, far) })
		w.work.Go(func() { carry(far, near) })
	}
}

// carry copies one direction; its end is the end of both.
func carry(from, to net.Conn) {
	_, _ = io.Copy(to, from) // how it ended is nothing to anybody
	from.Close()
	to.Close()
}

// TestE2ENeverClears pushes a value that stays over its limit whatever is done,
// with fresh samples all the time. Nothing but its rule says that something is
// wrong, so the diagnosis is unsure; it acts because min_confidence is 0.
func TestE2ENeverClears(t *testing.T) {
	world, phone := newTarget(t), newPhone(t)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	must(t, os.WriteFile(rules, []byte(`
groups:
  - name: queues
    interval: 500ms
    rules:
      - alert: QueueGrows
        expr: queue_depth > 100
        labels: {severity: critical}
`), 0o600))
	spacing := []time.Duration{2 * time.Second, 4 * time.Second}
	h := newHouse(t, settings{
		"rules":  settings{"files": []string{rules}, "resend": "1s"},
		"loop":   settings{"settle": "100ms", "verify_window": "2s", "min_confidence": 0},
		"guard":  settings{"spacing": []string{spacing[0].String(), spacing[1].String()}},
		"notify": settings{"webhook_url": phone.URL},
	}, reviving("QueueGrows", world.URL))
	h.start()
	h.pushGauge("queue_depth", "worker", 500)
	c := h.theCase(90*time.Second, "the case is given to a person", func(c form.IncidentSummary) bool { return c.State == "escalated" })
	defer func() {
		if t.Failed() {
			h.tell(c.ID)
		}
	}()

	calls := world.times("worker")
	if len(calls) != 3 || len(c.History) != 3 {
		t.Fatalf("attempts: got %d with %d effects, want 3 with 3", len(c.History), len(calls))
	}
	for i, a := range c.History {
		if a.N != i+1 || a.Result != "ineffective" || a.Note == "" {
			t.Errorf("attempt %d: got %d, %s (%s), want it ineffective and why", i+1, a.N, a.Result, a.Note)
		}
	}
	for i, want := range spacing {
		ended, began := c.History[i].EndedAt, c.History[i+1].StartedAt
		gap := began.Sub(ended)
		t.Logf("attempt %d: %s after the end of the one before, its effect %s after the other's", i+2, gap.Round(time.Millisecond), calls[i+1].Sub(calls[i]).Round(time.Millisecond))
		if gap < want || gap > want+3*time.Second {
			t.Errorf("attempt %d began %s after the one before, want %s", i+2, gap, want)
		}
	}
	h.foundIsTold(c, phone)
	h.restsFor(c, 3, world)
}

// foundIsTold checks that a person gets everything: by the API, and in the
// message.
func (h *house) foundIsTold(c form.Incident, phone *phone) {
	h.t.Helper()
	if c.Diagnosis == nil || len(c.Diagnosis.Causes) == 0 || c.Decision == nil || c.Verification == nil || c.Verification.Verdict != "persists" {
		h.t.Errorf("what was found is not whole: diagnosis %+v, decision %+v, verification %+v", c.Diagnosis, c.Decision, c.Verification)
	}
	if decisions := all[form.Decision](h, incidents+"/"+c.ID+"/decisions"); len(decisions) < 3 {
		h.t.Errorf("decisions: got %d, want one an attempt at least", len(decisions))
	}
	eventually(h.t, 10*time.Second, "the word to a person", func() bool { return phone.heard("needs a person") != "" })
	word := phone.heard("needs a person")
	for _, part := range []string{"Most likely cause", "service/worker", "Attempt 1", "Attempt 2", "Attempt 3", "ineffective"} {
		if !strings.Contains(word, part) {
			h.t.Errorf("the message does not say %q: %s", part, word)
		}
	}
}

// restsFor looks whether the case stays with its person although its alert is
// told again and again.
func (h *house) restsFor(c form.Incident, attempts int, world *target) {
	h.t.Helper()
	count := func() int {
		list := all[form.Alert](h, "/api/v1/alerts")
		if len(list) != 1 {
			h.t.Fatalf("alerts: got %d, want 1", len(list))
		}
		return list[0].Count
	}
	before := count()
	eventually(h.t, 20*time.Second, "the alert is told three times more", func() bool { return count() >= before+3 })
	after := h.theCase(time.Second, "the case stays with its person", func(c form.IncidentSummary) bool { return c.State == "escalated" })
	if calls := world.times("worker"); len(after.History) != attempts || len(calls) != attempts || after.ID != c.ID {
		h.t.Errorf("after the escalation: got %d attempts and %d effects, want %d", len(after.History), len(calls), attempts)
	}
}

// times are when a task was called.
func (w *target) times(task string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var times []time.Time
	for _, c := range w.calls {
		if c.task == task {
			times = append(times, c.at)
		}
	}
	return times
}

// pushGauge sends one value of a service by OTLP, four times a second, until
// the test ends.
func (h *house) pushGauge(name, service string, value float64) {
	h.t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	h.t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case at := <-tick.C:
				resp, err := client.Post("http://"+h.otlp+"/v1/metrics", "application/json", strings.NewReader(gauge(name, service, value, at)))
				if err == nil { // the server may be gone by now
					resp.Body.Close()
				}
			}
		}
	}()
}

func gauge(name, service string, value float64, at time.Time) string {
	return fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},
		"scopeMetrics":[{"metrics":[{"name":%q,"gauge":{"dataPoints":[{"timeUnixNano":%q,"asDouble":%g}]}}]}]}]}`,
		service, name, strconv.FormatInt(at.UnixNano(), 10), value)
}

// phone is where messages to people go.
type phone struct {
	*httptest.Server
	mu    sync.Mutex
	texts []string
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	p := &phone{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ Text string }
		var body bytes.Buffer
		_, err := io.Copy(&body, io.LimitReader(r.Body, 1<<20))
		if err == nil {
			err = json.Unmarshal(body.Bytes(), &message)
		}
		if err != nil {
			message.Text = err.Error()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.texts = append(p.texts, message.Text)
	}))
	t.Cleanup(p.Close)
	return p
}

// heard is the first message that says something, "" if none did.
func (p *phone) heard(what string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.texts {
		if strings.Contains(text, what) {
			return text
		}
	}
	return ""
}
