//go:build e2e

package e2e_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/form"
)

// stopWithin is how long a graceful stop may take.
const stopWithin = 10 * time.Second

// TestE2EStop tells the server to stop while a call of a run is under way that
// would take a minute, a case watches, somebody reads a stream and a sender of
// telemetry stays connected. It must end in time, and lose nothing.
func TestE2EStop(t *testing.T) {
	world := newTarget(t)
	h := newHouse(t, settings{"loop": settings{"settle": "0s", "verify_window": "60s"}},
		reviving("Down", world.URL),
		playbook{"long", strings.ReplaceAll(`
playbook_id: long
name: A long call, then another
tasks:
  - id: long
    action: http.request_idempotent
    parameters: {url: "@world@/long", timeout: 60s}
    timeout: 60s
    retries: {attempts: 5, backoff: 100ms}
  - id: last
    action: http.request_idempotent
    depends_on: long
    parameters: {url: "@world@/last"}
`, "@world@", world.URL)})
	h.start()
	h.post(webhook, firing("Down", "service/cart"))
	watching := h.theCase(20*time.Second, "a case watches", func(c form.IncidentSummary) bool { return c.State == "verifying" })
	h.staysConnected()
	h.reads("/api/v1/incidents/watch")
	called := make(chan struct{}, 10) // more than there are tries
	world.whenCalled(func(c call, gone <-chan struct{}) {
		if c.task == "long" {
			called <- struct{}{}
			<-gone
		}
	})
	id := h.started("long", "service/search").ID
	<-called

	began := time.Now()
	code := h.stop()
	took := time.Since(began)
	t.Logf("stopped in %s with work in flight", took.Round(time.Millisecond))
	if code != 0 || took > stopWithin {
		t.Errorf("got exit code %d after %s, want 0 within %s\n%s", code, took, stopWithin, tail(h.server.out.String()))
	}

	world.whenCalled(nil)
	h.start()
	eventually(t, 30*time.Second, "the run goes on to its end", func() bool { return h.run(id).State == "succeeded" })
	if keys := distinct(world.keys("long")); len(keys) != 1 {
		t.Errorf("keys of the interrupted call: got %q, want one", keys)
	}
	if keys := world.keys("last"); len(keys) != 1 {
		t.Errorf("calls after it: got %q, want one", keys)
	}
	if got := h.incident(watching.ID); got.State != "verifying" || got.Attempts != 1 {
		t.Errorf("the case: got %s after %d attempts, want it to watch on after 1", got.State, got.Attempts)
	}
}

// staysConnected opens a connection for telemetry and sends half a request.
func (h *house) staysConnected() {
	h.t.Helper()
	c, err := net.Dial("tcp", h.otlp)
	must(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("POST /v1/logs HTTP/1.1\r\nHost: homeostat\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
	must(h.t, err)
}

// reads opens a stream and leaves it open.
func (h *house) reads(path string) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.api+path, nil)
	must(h.t, err)
	req.Header.Set("Authorization", "Bearer "+h.token())
	resp, err := http.DefaultClient.Do(req)
	must(h.t, err)
	h.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		h.t.Fatalf("GET %s: got %s", path, resp.Status)
	}
}

func TestE2EPortInUse(t *testing.T) {
	for _, tt := range []struct {
		key     string
		setting func(address string) settings
	}{
		{"server.listen", func(a string) settings { return settings{"server": settings{"listen": a}} }},
		{"otlp.http_listen", func(a string) settings { return settings{"otlp": settings{"http_listen": a}} }},
		{"otlp.grpc_listen", func(a string) settings { return settings{"otlp": settings{"grpc_listen": a}} }},
	} {
		t.Run(tt.key, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			h := newHouse(t, tt.setting(l.Addr().String()))
			h.launch(nil)
			code := h.server.exit(15 * time.Second)
			word := h.server.out.String()
			if code != 1 || !strings.Contains(word, tt.key) || !strings.Contains(word, l.Addr().String()) || !strings.Contains(word, "in use") {
				t.Errorf("got exit code %d and %q; want 1 and that %s of %s is in use", code, tail(word), l.Addr(), tt.key)
			}
		})
	}
}

// TestE2EConfigCheck looks whether every mistake is told at once, of the file,
// the environment and the files the configuration names, and whether the
// server refuses to start with the same words.
func TestE2EConfigCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "homeostat.yaml")
	must(t, os.WriteFile(file, []byte(`server:
  listen: 8080
  lisen: x
log: {level: loud}
metrics:
  flush_interval: 1ms
monitors:
  - name: a
    entity: cart
    kind: icmp
    target: x
guard: {attempts: none}
drivers:
  processes:
    - {name: p, entity: service/*, command: [sleep]}
`), 0o600))
	want := []string{
		`:2: server.listen: is "8080"`, ":3: server.lisen: is not known", `:4: log.level: is "loud"`, ":6: metrics.flush_interval: is 1ms",
		`:9: monitors[0].entity: is "cart"`, `:10: monitors[0].kind: is "icmp"`, `:12: guard.attempts: is "none"`, `:15: drivers.processes[0].entity: is "service/*"`,
	}
	code, stdout, stderr := runIn(t, dir, 20*time.Second, "config", "check")
	if code != 2 {
		t.Errorf("exit code: got %d, want 2\n%s%s", code, stdout, stderr)
	}
	for _, line := range want {
		if !strings.Contains(stdout, "homeostat.yaml"+line) {
			t.Errorf("does not say %q:\n%s", line, stdout)
		}
	}
	for line := range strings.Lines(stdout) {
		if !strings.Contains(line, "expected ") {
			t.Errorf("does not say what was expected: %s", line)
		}
	}
	code, _, told := runIn(t, dir, 20*time.Second, "up")
	if diff := cmp.Diff(told, stdout); diff != "" || code != 2 {
		t.Errorf("up: got exit code %d, want 2; words, got (-) and want (+):\n%s", code, diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "homeostat-data")); !os.IsNotExist(err) {
		t.Errorf("a refused start left data behind: %v", err)
	}
}

// TestE2EConfigCheckNamedFiles looks into the files a configuration names.
func TestE2EConfigCheckNamedFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "books"), 0o700))
	for name, text := range map[string]string{
		"homeostat.yaml":     "rules: {files: [rules.yaml, none.yaml]}\nplaybooks: {dir: books}\nintake: {mappings: [{name: sky, file: sky.yaml}]}\n",
		"rules.yaml":         "groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]\n",
		"sky.yaml":           "source: sky\nfields: {name: 'item.(check'}\nlabels: {x: item.x}\n",
		"books/colour.yaml":  "playbook_id: colour\nname: Colour\ncolour: red\ntasks: [{id: a, type: wait, parameters: {duration: 1s}}]\n",
		"books/explode.yaml": "playbook_id: explode\nname: Explode\ntasks: [{id: a, action: process.explode}]\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	code, stdout, stderr := runIn(t, dir, 20*time.Second, "config", "check")
	if code != 2 {
		t.Errorf("exit code: got %d, want 2\n%s%s", code, stdout, stderr)
	}
	for _, word := range []string{"rules.yaml", "none.yaml", "sky.yaml:2", "colour.yaml:3: colour: unknown key (there are", "explode.yaml:3: tasks[0].action: there is no action"} {
		if !strings.Contains(stdout, word) {
			t.Errorf("does not say %q:\n%s", word, stdout)
		}
	}
}

// TestE2EConfigDefault checks the configuration that everybody begins with.
func TestE2EConfigDefault(t *testing.T) {
	dir := t.TempDir()
	code, text, _ := runIn(t, dir, 20*time.Second, "config", "default")
	if code != 0 {
		t.Fatalf("config default: got exit code %d, want 0", code)
	}
	must(t, os.WriteFile(filepath.Join(dir, "homeostat.yaml"), []byte(text), 0o600))
	if code, stdout, stderr := runIn(t, dir, 20*time.Second, "config", "check"); code != 0 {
		t.Errorf("config check of it: got exit code %d, want 0\n%s%s", code, stdout, stderr)
	}
}
