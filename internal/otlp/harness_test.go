package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Sink that keeps the names of what it took.
type memory struct {
	mu    sync.Mutex
	names []string
	hook  func(ctx context.Context) error
}

func (m *memory) take(ctx context.Context, name string) error {
	if m.hook != nil {
		if err := m.hook(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, name)
	return nil
}

func (m *memory) Traces(ctx context.Context, td ptrace.Traces) error {
	return m.take(ctx, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
}

func (m *memory) Metrics(ctx context.Context, md pmetric.Metrics) error {
	return m.take(ctx, md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Name())
}

func (m *memory) Logs(ctx context.Context, ld plog.Logs) error {
	return m.take(ctx, ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
}

func oneSpan() ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("a span")
	return td
}

func oneMetric() pmetric.Metrics {
	md := pmetric.NewMetrics()
	metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("a metric")
	metric.SetEmptyGauge().DataPoints().AppendEmpty().SetDoubleValue(1)
	return md
}

func oneLog() plog.Logs {
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("a log")
	return ld
}

// serve runs a server on free ports until the test ends.
func serve(t *testing.T, opts Options, sink Sink) *Server {
	t.Helper()
	opts.GRPCAddr, opts.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	s := New(opts, sink)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func dial(t *testing.T, s *Server, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	conn, err := grpc.NewClient(s.Addrs().GRPC, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// reply is an HTTP answer, read.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

func post(t *testing.T, s *Server, path, contentType, coding string, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addrs().HTTP+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if coding != "" {
		req.Header.Set("Content-Encoding", coding)
	}
	return do(t, http.DefaultTransport, req)
}

func do(t *testing.T, via http.RoundTripper, req *http.Request) reply {
	t.Helper()
	resp, err := via.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, data}
}

func pack(t *testing.T, coding string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	default:
		return data
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func must(t *testing.T, data []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
