package app

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freePorts is the default configuration in a folder of its own, on ports
// nobody uses.
func freePorts(t *testing.T) Config {
	t.Helper()
	cfg := Default()
	cfg.DataDir = t.TempDir()
	cfg.Server.Listen, cfg.OTLP.GRPCListen, cfg.OTLP.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

// running is a real server.
type running struct {
	*Server
	t     *testing.T
	token string
	stop  func() error // stops it and gives what Run returned
}

// run starts a server; it is stopped at the end of the test if not before.
// Parts are added to it first.
func run(t *testing.T, cfg Config, parts ...part) *running {
	t.Helper()
	s, err := New(t.Context(), cfg, Options{Version: "test", Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	s.parts = append(s.parts, parts...)
	token, err := os.ReadFile(cfg.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &running{Server: s, t: t, token: strings.TrimSpace(string(token))}
	r.stop = func() error {
		r.stop = func() error { return nil }
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

// call asks the server and gives the status and the body.
func (r *running) call(method, url, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func (r *running) get(path string) (int, string) {
	r.t.Helper()
	return r.call(http.MethodGet, "http://"+r.APIAddr()+path, "")
}

func TestServerIsReadyUntilItStops(t *testing.T) {
	var stopping bool
	var s *running
	s = run(t, freePorts(t), part{"witness", func(ctx context.Context) error {
		<-ctx.Done()
		stopping = s.health.Ready(context.WithoutCancel(ctx)).OK
		return nil
	}})
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := s.get(path); status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", path, status, body)
		}
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s, want at most 10 s", took)
	}
	if stopping {
		t.Error("the server says it is ready while its parts are stopping")
	}
	// Everything is closed: the same folder opens again.
	again, err := New(t.Context(), s.cfg, Options{Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

// TestStopDoesNotWaitForStreams stops a server while somebody watches it.
func TestStopDoesNotWaitForStreams(t *testing.T) {
	s := run(t, freePorts(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.APIAddr()+"/api/v1/incidents/watch?since=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("watch: got %s, want 200", resp.Status)
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s, want at most 10 s", took)
	}
}

func TestPartThatFailsStopsTheServer(t *testing.T) {
	s := run(t, freePorts(t), part{"broken", func(context.Context) error { return heal.Errorf(heal.Internal, "turn", "the wheel is off") }})
	stop := s.stop
	s.stop = func() error { return nil }
	if err := stop(); err == nil || !strings.Contains(err.Error(), "broken: turn: the wheel is off") {
		t.Errorf("got %v, want the error of the part and its name", err)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	tests := []struct {
		name   string
		change func(*Config)
		kind   heal.Kind
		want   []string
	}{
		{"api port in use", func(c *Config) { c.Server.Listen = taken.Addr().String() }, heal.Conflict, []string{"server.listen", taken.Addr().String(), "in use"}},
		{"grpc port in use", func(c *Config) { c.OTLP.GRPCListen = taken.Addr().String() }, heal.Conflict, []string{"otlp.grpc_listen", taken.Addr().String(), "in use"}},
		{"http port in use", func(c *Config) { c.OTLP.HTTPListen = taken.Addr().String() }, heal.Conflict, []string{"otlp.http_listen", taken.Addr().String(), "in use"}},
		{"api for strangers", func(c *Config) { c.Server.Listen = "0.0.0.0:0" }, heal.Invalid, []string{"server.listen", "TLS"}},
		{"api on every address", func(c *Config) { c.Server.Listen = ":0" }, heal.Invalid, []string{"server.listen", "TLS"}},
		{"grpc for strangers", func(c *Config) { c.OTLP.GRPCListen = "0.0.0.0:0" }, heal.Invalid, []string{"otlp.grpc_listen", "TLS"}},
		{"http for strangers", func(c *Config) { c.OTLP.HTTPListen = "[::]:0" }, heal.Invalid, []string{"otlp.http_listen", "TLS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := freePorts(t)
			tt.change(&cfg)
			s, err := New(t.Context(), cfg, Options{Stderr: t.Output()})
			if err == nil {
				_ = s.close()
				t.Fatal("it started")
			}
			if got := heal.KindOf(err); got != tt.kind {
				t.Errorf("kind: got %s, want %s", got, tt.kind)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

// TestOwnTracesGoToTheExporter looks into what a real server exports.
func TestOwnTracesGoToTheExporter(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/v1/traces" {
			_, _ = got.ReadFrom(r.Body) // a short read shows below
		}
	}))
	defer collector.Close()
	cfg := freePorts(t)
	cfg.Export.OTLPEndpoint = collector.URL
	cfg.Loop.Settle = config.Duration(10 * time.Millisecond)
	s := run(t, cfg)
	if status, body := s.call(http.MethodPost, "http://"+s.APIAddr()+"/api/v1/alerts", `{"alerts":[{"alert_name":"Down","service_name":"cart"}]}`); status != http.StatusOK {
		t.Fatalf("alerts: got %d %s, want 200", status, body)
	}
	s.untilDecided()
	if err := s.stop(); err != nil { // sends what is left
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"POST /api/v1/alerts", "case diagnose", "case decide", "homeostat.incident.id"} {
		if !bytes.Contains(got.Bytes(), []byte(want)) {
			t.Errorf("nothing exported says %q", want)
		}
	}
}
