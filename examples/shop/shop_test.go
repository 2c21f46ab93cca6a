package shop

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver takes OTLP and keeps it.
type receiver struct {
	mu     sync.Mutex
	bodies map[string][]string // by path
	traces map[string]map[string]bool
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies[req.URL.Path] = append(r.bodies[req.URL.Path], string(body))
	if req.URL.Path != "/v1/traces" {
		return
	}
	got := ptraceotlp.NewExportRequest()
	if err := got.UnmarshalProto(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, rs := range got.Traces().ResourceSpans().All() {
		service, _ := rs.Resource().Attributes().Get("service.name")
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				r.note(span, service.Str())
			}
		}
	}
}

func (r *receiver) note(span ptrace.Span, service string) {
	id := span.TraceID().String()
	if r.traces[id] == nil {
		r.traces[id] = map[string]bool{}
	}
	r.traces[id][service] = true
}

// all gives everything that came to a path.
func (r *receiver) all(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.bodies[path], "\n")
}

// together reports whether one trace went through all the services.
func (r *receiver) together(services ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seen := range r.traces {
		if !slices.ContainsFunc(services, func(s string) bool { return !seen[s] }) {
			return true
		}
	}
	return false
}

// street is a shop with all its processes in this one.
type street struct {
	t      *testing.T
	config Config
	logs   io.Writer
	stops  map[string]func()
}

func newStreet(t *testing.T, endpoint string, logs io.Writer) *street {
	t.Helper()
	ports, err := FreePorts(DefaultPorts)
	if err != nil {
		t.Fatal(err)
	}
	c := Default(endpoint, func() int { p := ports[0]; ports = ports[1:]; return p })
	c.Telemetry.Interval = 50 * time.Millisecond
	for i := range c.Services {
		s := &c.Services[i]
		s.Name = "x-" + s.Name // nothing may hang on the default names
		s.Pool = PoolOptions{Size: 4, Wait: 400 * time.Millisecond}
		s.Rate = 50
		s.Memory = 16 << 30 // all services are in this one process
	}
	st := &street{t: t, config: c, logs: logs, stops: map[string]func(){}}
	for _, s := range c.Services {
		st.start(s.Name)
	}
	t.Cleanup(func() {
		for _, name := range slices.Sorted(maps.Keys(st.stops)) {
			st.stop(name)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return st
}

func (st *street) start(name string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, st.config, name, st.logs) }()
	st.stops[name] = func() {
		cancel()
		if err := <-done; err != nil {
			st.t.Errorf("%s: %v", name, err)
		}
	}
	st.eventually(name+" answers", func() bool {
		select {
		case err := <-done:
			st.t.Fatalf("%s ended: %v", name, err)
		default:
		}
		status, _, _ := st.ask(http.MethodGet, st.service(name).Listen, "/healthz", "")
		return status == http.StatusOK
	})
}

func (st *street) stop(name string) {
	stop := st.stops[name]
	delete(st.stops, name)
	if stop != nil {
		stop()
	}
}

func (st *street) service(name string) Service {
	s, err := st.config.service(name)
	if err != nil {
		st.t.Fatal(err)
	}
	return s
}

func (st *street) ask(method, address, path, body string) (status int, answer string, took time.Duration) {
	began := time.Now()
	req, err := http.NewRequestWithContext(st.t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		st.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error(), time.Since(began)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error(), time.Since(began)
	}
	return resp.StatusCode, string(text), time.Since(began)
}

func (st *street) load() (got LoadStats) {
	_, text, _ := st.ask(http.MethodGet, st.service("x-load").Listen, "/stats", "")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		st.t.Fatal(err)
	}
	return got
}

func (st *street) eventually(what string, ok func() bool) {
	st.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			st.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestShop(t *testing.T) {
	r := &receiver{bodies: map[string][]string{}, traces: map[string]map[string]bool{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	var logs lockedBuffer
	st := newStreet(t, server.URL, &logs)
	front, stock := st.service("x-frontend"), st.service("x-inventory")

	st.eventually("traffic flows", func() bool { return st.load().OK > 20 })
	if got := st.load(); got.Failed > 0 {
		t.Errorf("a healthy shop: got %+v, want no failures", got)
	}
	healthy := func(when string) {
		t.Helper()
		if status, text, took := st.ask(http.MethodGet, front.Listen, "/", ""); status != 200 || took > stock.Pool.Wait {
			t.Errorf("%s: got %d %s after %s, want 200 sooner than the pool's patience", when, status, text, took)
		}
	}
	sick := func(when string) {
		t.Helper()
		st.eventually("the pool is exhausted "+when, func() bool {
			status, _, took := st.ask(http.MethodGet, front.Listen, "/", "")
			return status == http.StatusBadGateway && took >= stock.Pool.Wait
		})
		if status, _, _ := st.ask(http.MethodPost, st.service("x-payment").Listen, "/pay", ""); status != 200 {
			t.Errorf("%s: payment answers %d, yet it has no part in it", when, status)
		}
		if status, _, _ := st.ask(http.MethodGet, stock.Listen, "/healthz", ""); status != 200 {
			t.Errorf("%s: inventory's process lives, yet /healthz answers %d", when, status)
		}
	}
	leak := func() {
		t.Helper()
		if status, text, _ := st.ask(http.MethodPost, stock.Admin, "/fault", `{"kind":"pool_leak"}`); status != http.StatusNoContent {
			t.Fatalf("leak: got %d %s", status, text)
		}
	}
	healthy("at first")

	leak()
	sick("after a leak")
	if status, text, _ := st.ask(http.MethodPost, stock.Admin, "/pool/recycle", ""); status != 200 || !strings.Contains(text, `"closed":4`) {
		t.Errorf("recycle: got %d %s, want 4 connections closed", status, text)
	}
	healthy("after the pool was recycled")

	leak()
	sick("after another leak")
	st.eventually("the pool tells that it is full", func() bool {
		return strings.Contains(r.all("/v1/metrics"), "db.client.connection.timeouts") &&
			strings.Contains(r.all("/v1/logs"), "connection pool exhausted")
	})
	st.stop(stock.Name)
	if status, _, took := st.ask(http.MethodGet, front.Listen, "/", ""); status != http.StatusBadGateway || took > stock.Pool.Wait {
		t.Errorf("without inventory: got %d after %s, want a quick 502", status, took)
	}
	st.start(stock.Name)
	healthy("after a restart")

	st.eventually("one trace through three services", func() bool { return r.together("x-frontend", "x-cart", "x-inventory") })
	st.eventually("one trace through frontend and payment", func() bool { return r.together("x-frontend", "x-payment") })
	for name := range maps.Clone(st.stops) {
		st.stop(name)
	}
	checkSignals(t, st.config, r, logs.String())
}

func checkSignals(t *testing.T, c Config, r *receiver, logs string) {
	t.Helper()
	metrics := r.all("/v1/metrics")
	for _, s := range c.Services {
		if !strings.Contains(metrics, s.Name) || !strings.Contains(r.all("/v1/logs"), s.Name) {
			t.Errorf("%s sent no metrics or no logs", s.Name)
		}
	}
	for _, want := range []string{
		"db.client.connection.count", "db.client.connection.max", "db.client.connection.pending_requests",
		"db.client.connection.state", "http.server.request.duration", "process.cpu.utilization", "process.memory.usage",
		"service.instance.id", "process.memory.utilization", "go.memory.limit", "http.server.active_requests",
		"service.config.change.time", "upstream.endpoint.active",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric or attribute %s", want)
		}
	}
	telling := regexp.MustCompile(`(?i)\bfault|inject|\bleak|chaos`)
	for _, text := range []string{metrics, r.all("/v1/logs"), r.all("/v1/traces"), logs} {
		if found := telling.FindString(text); found != "" {
			t.Errorf("the telemetry says %q: it must not know of faults put in on purpose", found)
		}
	}
}

func TestFaults(t *testing.T) {
	st := newStreet(t, "", io.Discard)
	pay := st.service("x-payment")
	tests := []struct {
		name, fault string
		set         int // status of setting it
		pay         int // status of a payment then
		slow        bool
	}{
		{"latency", `{"kind":"latency","delay":"300ms"}`, 204, 200, true},
		{"errors", `{"kind":"errors","ratio":1}`, 204, 500, false},
		{"a pool it has not", `{"kind":"pool_leak"}`, 400, 200, false},
		{"a ledger it has", `{"kind":"torn_write"}`, 204, 502, false},
		{"a leak of nothing", `{"kind":"memory_leak"}`, 400, 200, false},
		{"a leak too large", `{"kind":"memory_leak","bytes":1000000000}`, 400, 200, false},
		{"a leak", `{"kind":"memory_leak","bytes":1024}`, 204, 200, false},
		{"unknown kind", `{"kind":"fire"}`, 400, 200, false},
		{"unknown field", `{"kind":"errors","share":1}`, 400, 200, false},
		{"delay without unit", `{"kind":"latency","delay":"300"}`, 400, 200, false},
		{"ratio of nothing", `{"kind":"errors"}`, 400, 200, false},
		{"not JSON", `kind: errors`, 400, 200, false},
		{"huge", `{"kind":"` + strings.Repeat("x", 1<<20) + `"}`, 400, 200, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, text, _ := st.ask(http.MethodPost, pay.Admin, "/fault", tt.fault); status != tt.set {
				t.Errorf("set: got %d %s, want %d", status, text, tt.set)
			}
			status, _, took := st.ask(http.MethodPost, pay.Listen, "/pay", "")
			if status != tt.pay || (took >= 300*time.Millisecond) != tt.slow {
				t.Errorf("pay: got %d after %s, want %d, slow %v", status, took, tt.pay, tt.slow)
			}
			if status, _, _ := st.ask(http.MethodDelete, pay.Admin, "/fault", ""); status != http.StatusNoContent {
				t.Errorf("clear: got %d", status)
			}
			if status, text, _ := st.ask(http.MethodPost, pay.Admin, "/ledger/repair", ""); status != http.StatusOK {
				t.Errorf("repair: got %d %s", status, text)
			}
		})
	}
	if status, _, _ := st.ask(http.MethodPost, pay.Listen, "/fault", `{"kind":"errors","ratio":1}`); status != http.StatusNotFound {
		t.Errorf("a fault at the public address: got %d, want 404", status)
	}
}

func TestRunRefuses(t *testing.T) {
	c := Default("", func() int { return 1 })
	if err := run(t.Context(), c, "nobody", io.Discard); err == nil || !strings.Contains(err.Error(), "inventory") {
		t.Errorf("unknown service: got %v, want an error that names those there are", err)
	}
	blocker := httptest.NewServer(http.NotFoundHandler())
	defer blocker.Close()
	c.Services[0].Listen = blocker.Listener.Addr().String()
	c.Services[0].Admin = ""
	if err := run(t.Context(), c, "inventory", io.Discard); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("port in use: got %v, want an error that says so", err)
	}
}

// lockedBuffer is written by all processes at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
