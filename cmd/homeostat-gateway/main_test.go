package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/otlp"
)

// asGateway in the environment makes the test binary the gateway itself: so the
// real process is started and killed without a build.
const asGateway = "TEST_AS_HOMEOSTAT_GATEWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a gateway that runs.
type process struct {
	cmd                 *exec.Cmd
	grpc, http, metrics string
	log                 *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

var readyLine = regexp.MustCompile(`msg=ready otlp_grpc=(\S+) otlp_http=(\S+) metrics=(\S+)`)

func startGateway(t testing.TB, file string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(context.Background(), os.Args[0], "--config", file), log: &lockedBuffer{}}
	p.cmd.Env = append(os.Environ(), asGateway+"=1")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan []string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(p.log, lines.Text())
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("gateway:\n%s", p.log)
		}
	})
	m, ok := <-ready
	if !ok {
		t.Fatalf("the gateway did not start:\n%s", p.log)
	}
	p.grpc, p.http, p.metrics = m[1], m[2], m[3]
	return p
}

func (p *process) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.metrics+path, http.NoBody)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// configure writes a configuration with ports of its own choice.
func configure(t testing.TB, file, backend, more string) {
	t.Helper()
	text := fmt.Sprintf(`data_dir: %s
otlp: {grpc_listen: "127.0.0.1:0", http_listen: "127.0.0.1:0"}
metrics: {listen: "127.0.0.1:0"}
batch: {timeout: 5ms}
export: {retry: {first: 5ms, most: 50ms}, breaker: {timeout: 50ms}}
backends: [{name: sink, endpoint: "%s"}]
%s`, filepath.Join(filepath.Dir(file), "data"), backend, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sink is a backend that counts how often each span came.
type sink struct {
	mu    sync.Mutex
	spans map[string]int
	stop  func()
	addr  string
}

func (s *sink) Take(_ context.Context, _ otlp.Signal, request []byte) (int, error) {
	decoded := new(tracepb.TracesData)
	if err := proto.Unmarshal(request, decoded); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range decoded.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.spans[string(span.SpanId)]++
			}
		}
	}
	return 1, nil
}

func (s *sink) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.spans)
}

func startSink(t *testing.T, addr string) *sink {
	t.Helper()
	s := &sink{spans: map[string]int{}}
	server := otlp.NewRaw(otlp.Options{GRPCAddr: addr}, s)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
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

func request(t *testing.T, n int) (request []byte, ids []string) {
	t.Helper()
	var list []*tracepb.Span
	for range n {
		id := make([]byte, 24)
		_, _ = rand.Read(id)
		list = append(list, &tracepb.Span{TraceId: id[:16], SpanId: id[16:], Name: "GET /", Kind: tracepb.Span_SPAN_KIND_SERVER, Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}})
		ids = append(ids, string(id[16:]))
	}
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: list}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b, ids
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not so in time: %s", what)
		}
	}
}

// TestNothingAcknowledgedIsLost kills the gateway five times while senders send
// and its backend is dead.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	dead := startSink(t, "127.0.0.1:0")
	addr := dead.addr
	dead.stop()
	configure(t, file, addr, "")
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for range 5 {
		p := startGateway(t, file)
		client, err := otlp.NewClient(otlp.ClientOptions{Endpoint: p.grpc})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		var sent atomic.Int64
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() {
				for ctx.Err() == nil {
					body, ids := request(t, 20)
					if _, _, err := client.Export(ctx, otlp.SignalTraces, body); err != nil {
						return // killed
					}
					sent.Add(1)
					mu.Lock()
					for _, id := range ids {
						acknowledged[id] = true
					}
					mu.Unlock()
				}
			})
		}
		eventually(t, "some requests were acknowledged", func() bool { return sent.Load() > 100 })
		if err := p.cmd.Process.Kill(); err != nil { // in the midst of it
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		senders.Wait()
		cancel()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	s := startSink(t, addr)
	p := startGateway(t, file)
	missing := func() (n int) {
		got := s.counts()
		for id := range acknowledged {
			if got[id] == 0 {
				n++
			}
		}
		return n
	}
	eventually(t, "the backend has everything that was acknowledged", func() bool { return missing() == 0 })
	var again int
	for _, n := range s.counts() {
		again += n - 1
	}
	t.Logf("%d spans acknowledged, none missing, %d came again", len(acknowledged), again)
	if _, body := p.get(t, "/metrics"); !strings.Contains(body, `homeostat_gateway_spool_damaged_total{signal="traces"} 0`) {
		t.Errorf("the spool is damaged:\n%s", body)
	}
}

func TestReloadMetricsAndGracefulStop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	first, second := startSink(t, "127.0.0.1:0"), startSink(t, "127.0.0.1:0")
	configure(t, file, first.addr, "traces: {acknowledge: memory}\n")
	p := startGateway(t, file)
	client, err := otlp.NewClient(otlp.ClientOptions{Endpoint: "http://" + p.http, HTTP: true, Compression: "zstd"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func(n int) {
		t.Helper()
		body, _ := request(t, n)
		if _, _, err := client.Export(t.Context(), otlp.SignalTraces, body); err != nil {
			t.Fatal(err)
		}
	}
	send(10)
	eventually(t, "the first backend has them", func() bool { return len(first.counts()) == 10 })

	if code, body := p.get(t, "/readyz"); code != 200 || !strings.Contains(body, `"ready":true`) {
		t.Errorf("readyz: got %d %s", code, body)
	}
	_, body := p.get(t, "/metrics")
	for _, want := range []string{
		"\notlp_spans_total 10\n", "\notlp_spans_exported_total 10\n", "\notlp_spans_sampled_total 10\n", `sampling_reason{reason="error"} 10`,
		`otlp_queue_length{signal="traces"} 0`, `otlp_export_duration_seconds_count{backend="sink"} 1`, `otlp_export_errors_total{backend="sink",signal="traces"} 0`,
		"\notlp_memory_usage_bytes ", "\notlp_cpu_usage_percent ", "\notlp_spans_per_second ", `otlp_export_latency_ms{backend="sink"} `,
		`traces_span_metrics_calls_total{service_name="unknown_service",span_kind="SPAN_KIND_SERVER",span_name="GET /",status_code="STATUS_CODE_ERROR"} 10`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q:\n%s", want, body)
		}
	}

	configure(t, file, second.addr, "sampling: {rate: 1}\n")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was reloaded", func() bool { return strings.Contains(p.log.String(), "configuration reloaded") })
	send(7)
	eventually(t, "the second backend has the others", func() bool { return len(second.counts()) == 7 })
	if err := os.WriteFile(file, []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mistake was told", func() bool { return strings.Contains(p.log.String(), "nonsense: is not known") })

	second.stop()
	send(5) // acknowledged from memory, with nobody to take it
	second = startSink(t, second.addr)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("got %v, want a graceful end", err)
	}
	if got := len(second.counts()); got != 5 {
		t.Errorf("got %d spans at the end, want the 5 that were in memory", got)
	}
}
