package obs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogsAreTextOrJSON(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		o, err := obs.New(t.Context(), obs.Options{Logs: &out, JSON: asJSON})
		if err != nil {
			t.Fatal(err)
		}
		o.Logger.Debug("not at this level")
		o.Logger.Info("run started", slog.String("run", "r1"))
		if err := o.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		got := strings.TrimSpace(out.String())
		if json.Valid([]byte(got)) != asJSON || !strings.Contains(got, "run started") || strings.Contains(got, "not at this level") {
			t.Errorf("JSON %v: got %q", asJSON, got)
		}
	}
}

func TestMetricsAreServed(t *testing.T) {
	o, err := obs.New(t.Context(), obs.Options{Logs: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	counter, err := o.Meter.Meter("test").Int64Counter("alerts.taken")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	got := get(t, o.MetricsHandler())
	for _, want := range []string{"alerts_taken_total{", "} 3", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(got.Body.String(), want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// collector is a receiver that takes everything, or refuses everything.
type collector struct {
	refuse bool

	mu    sync.Mutex
	paths []string
	token string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths = append(c.paths, r.URL.Path)
	c.token = r.Header.Get("Authorization")
	if c.refuse {
		http.Error(w, "no", http.StatusBadRequest)
	}
}

func TestSignalsGoToTheEndpoint(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		c := &collector{refuse: refuse}
		server := httptest.NewServer(c)
		var out bytes.Buffer
		o, err := obs.New(t.Context(), obs.Options{
			Logs: &out, Endpoint: server.URL + "/", Headers: map[string]string{"Authorization": "Bearer t"},
			Service: "homeostat", Version: "1", Instance: "i",
		})
		if err != nil {
			t.Fatal(err)
		}
		_, span := o.Tracer.Tracer("test").Start(t.Context(), "tick")
		span.End()
		o.Logger.InfoContext(t.Context(), "hello")
		err = o.Shutdown(t.Context())
		server.CloseClientConnections()
		server.Close()
		if err != nil {
			t.Errorf("refused %v: Shutdown: %v", refuse, err)
		}
		for _, want := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
			if !slices.Contains(c.paths, want) {
				t.Errorf("refused %v: nothing came to %s, only to %v", refuse, want, c.paths)
			}
		}
		if c.token != "Bearer t" {
			t.Errorf("refused %v: got authorization %q, want the configured header", refuse, c.token)
		}
		if got := strings.Count(out.String(), "own telemetry was not exported"); (got == 3) != refuse {
			t.Errorf("refused %v: got %d log lines about failed exports", refuse, got)
		}
	}
}

func TestNothingGlobalIsSet(t *testing.T) {
	logger, tracer, meter := slog.Default(), otel.GetTracerProvider(), otel.GetMeterProvider()
	o, err := obs.New(t.Context(), obs.Options{Logs: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Shutdown(t.Context()) }()
	if slog.Default() != logger || otel.GetTracerProvider() != tracer || otel.GetMeterProvider() != meter {
		t.Error("New replaced a global logger or provider")
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	tests := []struct {
		name    string
		options obs.Options
		want    string
	}{
		{"no scheme", obs.Options{Endpoint: "collector:4318"}, "collector:4318"},
		{"other scheme", obs.Options{Endpoint: "grpc://collector:4317"}, "http://collector:4318"},
		{"not a URL", obs.Options{Endpoint: "http://[::1"}, "base URL"},
		{"share above one", obs.Options{Sample: 1.5}, "1.5"},
		{"negative interval", obs.Options{Interval: -1}, "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := obs.New(t.Context(), tt.options)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want kind invalid that says %q", err, tt.want)
			}
		})
	}
}

func get(t *testing.T, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	return w
}

var errDown = errors.New("the disk is full")
