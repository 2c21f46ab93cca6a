//go:build e2e

package e2e_test

import (
	"context"
	endian "encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/otlp"
)

// gatewayBinary builds the gateway once.
var gatewayBinary = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(binary), "homeostat-gateway")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/homeostat-gateway")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return file, nil
})

// tool finds a program that make e2e builds or installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(repository, "bin", name))
	must(t, err)
	if _, err := os.Stat(file); err == nil {
		return file
	}
	file, err = exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is neither in bin nor in PATH: make bin/%s", name, name)
	}
	return file
}

// sink is a backend: it counts what it gets, spans by their id.
type sink struct {
	addr string
	stop func()

	mu              sync.Mutex
	spans           map[uint64]int
	names           map[string]int
	points, records int
}

// distinct is how many spans came, each counted once.
func (s *sink) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spans)
}

// startSink listens at addr, or where it is free.
func startSink(t *testing.T, addr string) *sink {
	t.Helper()
	s := &sink{spans: map[uint64]int{}, names: map[string]int{}}
	server := otlp.NewRaw(otlp.Options{GRPCAddr: addr}, s)
	must(t, server.Listen())
	s.addr = server.Addrs().GRPC
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- server.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// Take decodes a request with the reference library and counts.
func (s *sink) Take(_ context.Context, sig otlp.Signal, request []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch sig {
	case otlp.SignalTraces:
		decoded := new(tracepb.TracesData)
		if err := proto.Unmarshal(request, decoded); err != nil {
			return 0, err
		}
		for _, rs := range decoded.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					s.spans[endian.BigEndian.Uint64(span.SpanId)]++
					s.names[span.Name]++
				}
			}
		}
	case otlp.SignalMetrics:
		decoded := new(metricspb.MetricsData)
		if err := proto.Unmarshal(request, decoded); err != nil {
			return 0, err
		}
		for _, rm := range decoded.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				s.points += len(sm.Metrics)
			}
		}
	case otlp.SignalLogs:
		decoded := new(logspb.LogsData)
		if err := proto.Unmarshal(request, decoded); err != nil {
			return 0, err
		}
		for _, rl := range decoded.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				s.records += len(sl.LogRecords)
			}
		}
	}
	return 1, nil
}

func (s *sink) counts() (spans, points, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spans), s.points, s.records
}

// gateway is a homeostat-gateway that runs.
type gateway struct {
	*child

	grpc, http, metrics string
}

// ports finds loopback addresses that nobody listens on.
func ports(t *testing.T, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		out[i] = l.Addr().String()
	}
	return out
}

// startGateway starts a gateway on a folder; one started there before has left
// its spools.
func startGateway(t *testing.T, dir, backend, more string) *gateway {
	t.Helper()
	file, err := gatewayBinary()
	must(t, err)
	p := ports(t, 3)
	config := filepath.Join(dir, "gateway.yaml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `data_dir: %s
otlp: {grpc_listen: %q, http_listen: %q}
metrics: {listen: %q}
batch: {timeout: 20ms}
export: {timeout: 5s, retry: {first: 10ms, most: 200ms}, breaker: {timeout: 200ms}}
backends: [{name: sink, endpoint: %q}]
%s`, filepath.Join(dir, "data"), p[0], p[1], p[2], backend, more), 0o600))
	cmd := exec.Command(file, "--config", config)
	cmd.Env = environ(dir)
	g := &gateway{child: spawn(t, cmd), grpc: p[0], http: p[1], metrics: "http://" + p[2]}
	eventually(t, time.Minute, "the gateway is ready", func() bool {
		select {
		case <-g.ended:
			t.Fatalf("the gateway ended: %s", tail(g.out.String()))
		default:
		}
		resp, err := client.Get(g.metrics + "/readyz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == 200
	})
	return g
}

// metric reads one sample of /metrics, -1 if it is not there.
func (g *gateway) metric(series string) float64 {
	g.t.Helper()
	resp, err := client.Get(g.metrics + "/metrics")
	must(g.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(g.t, err)
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("metrics: got %s", resp.Status)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			must(g.t, err)
			return value
		}
	}
	return -1
}

// telemetrygen sends telemetry of one kind with the OpenTelemetry project's own
// generator.
func telemetrygen(t *testing.T, kind, endpoint string, args ...string) {
	t.Helper()
	args = append([]string{kind, "--otlp-insecure", "--otlp-endpoint", endpoint, "--workers", "1", "--rate", "0"}, args...)
	c := spawn(t, exec.Command(tool(t, "telemetrygen"), args...))
	if code := c.exit(2 * time.Minute); code != 0 {
		t.Fatalf("telemetrygen %s: exit code %d\n%s", kind, code, tail(c.out.String()))
	}
}

// TestE2EGatewayTelemetrygen sends all three signals over both protocols.
func TestE2EGatewayTelemetrygen(t *testing.T) {
	s := startSink(t, "127.0.0.1:0")
	g := startGateway(t, t.TempDir(), s.addr, "sampling: {rate: 0}\nclean: {traces: ['set(span.name, \"cleaned\")']}\n")
	telemetrygen(t, "traces", g.grpc, "--traces", "100", "--child-spans", "1", "--status-code", "Error")
	telemetrygen(t, "traces", g.http, "--otlp-http", "--traces", "50", "--child-spans", "1", "--status-code", "Error")
	telemetrygen(t, "traces", g.grpc, "--traces", "70", "--child-spans", "1", "--status-code", "Ok") // ordinary, so dropped
	telemetrygen(t, "metrics", g.grpc, "--metrics", "40")
	telemetrygen(t, "logs", g.http, "--otlp-http", "--logs", "30")
	eventually(t, 30*time.Second, "everything that is kept has come", func() bool {
		spans, points, records := s.counts()
		return spans == 300 && points == 40 && records == 30
	})
	if got := s.names["cleaned"]; got != 300 {
		t.Errorf("got %d spans that a statement renamed, want 300", got)
	}
	for series, want := range map[string]float64{
		"otlp_spans_total": 440, `sampling_reason{reason="error"}`: 300, `sampling_reason{reason="dropped"}`: 140,
		`homeostat_gateway_items_refused_total{signal="traces"}`: 0,
	} {
		if got := g.metric(series); got != want {
			t.Errorf("%s: got %g, want %g", series, got, want)
		}
	}
}

// collector starts an OpenTelemetry Collector that hands traces on to an address.
func collector(t *testing.T, to string) (grpc string) {
	t.Helper()
	p := ports(t, 1)
	file := filepath.Join(t.TempDir(), "otelcol.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}
processors: {batch: {timeout: 50ms}}
exporters: {otlp: {endpoint: %q, tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}}
`, p[0], to), 0o600))
	c := spawn(t, exec.Command(tool(t, "otelcol"), "--config", file))
	eventually(t, time.Minute, "the Collector listens", func() bool {
		select {
		case <-c.ended:
			t.Fatalf("the Collector ended: %s", tail(c.out.String()))
		default:
		}
		conn, err := net.DialTimeout("tcp", p[0], time.Second)
		return err == nil && conn.Close() == nil
	})
	return p[0]
}

// TestE2EGatewayBetweenCollectors stands between two real Collectors: one that
// sends with gzip, as they do by default, and one that receives.
func TestE2EGatewayBetweenCollectors(t *testing.T) {
	s := startSink(t, "127.0.0.1:0")
	behind := collector(t, s.addr)
	g := startGateway(t, t.TempDir(), behind, "sampling: {rate: 0}\n")
	before := collector(t, g.grpc)
	telemetrygen(t, "traces", before, "--traces", "500", "--child-spans", "3", "--status-code", "Error")
	telemetrygen(t, "traces", before, "--traces", "200", "--child-spans", "3", "--status-code", "Unset")
	eventually(t, 30*time.Second, "every error has come", func() bool {
		spans, _, _ := s.counts()
		return spans == 2000
	})
	eventually(t, 30*time.Second, "every span was taken", func() bool { return g.metric("otlp_spans_total") == 2800 })
}
