package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a backend: a real OTLP server that remembers which spans it was sent.
type sink struct {
	server *otlp.Server
	stop   func()

	mu     sync.Mutex
	spans  map[string]int // by span id
	others int            // requests of other signals
	refuse error
	calls  int
	came   chan struct{} // closed at each change
}

func (s *sink) Take(_ context.Context, sig otlp.Signal, request []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		close(s.came)
		s.came = make(chan struct{})
	}()
	s.calls++
	if s.refuse != nil {
		return 0, s.refuse
	}
	var err error
	switch sig {
	case otlp.SignalTraces:
		var n int
		for _, id := range spanIDs(request, &err) {
			s.spans[id]++
			n++
		}
		return n, err
	case otlp.SignalMetrics:
		err = proto.Unmarshal(request, new(metricspb.MetricsData))
	case otlp.SignalLogs:
		err = proto.Unmarshal(request, new(logspb.LogsData))
	}
	s.others++
	return 1, err
}

// startSink serves at addr, or at any free address.
func startSink(t *testing.T, addr string) *sink {
	t.Helper()
	s := &sink{spans: map[string]int{}, came: make(chan struct{})}
	s.start(t, addr)
	return s
}

func (s *sink) start(t *testing.T, addr string) {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	s.server = otlp.NewRaw(otlp.Options{GRPCAddr: addr, StopTimeout: time.Second}, s)
	if err := s.server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	server := s.server
	go func() { over <- server.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { s.stop() })
}

func (s *sink) addr() string { return s.server.Addrs().GRPC }

func (s *sink) setRefuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *sink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.spans))
}

// until waits until what is true of the sink.
func (s *sink) until(t *testing.T, what string, is func(*sink) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		ok, came := is(s), s.came
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-came:
		case <-deadline:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("not so in time: %s; %d calls, %d spans", what, s.calls, len(s.spans))
		}
	}
}

func (s *sink) has(t *testing.T, want []string) {
	t.Helper()
	slices.Sort(want)
	s.until(t, "it has all spans", func(s *sink) bool { return len(s.spans) >= len(want) })
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("got %d spans, want the %d that were kept", len(got), len(want))
	}
}

func spanIDs(request []byte, err *error) (ids []string) {
	decoded := new(tracepb.TracesData)
	if *err = proto.Unmarshal(request, decoded); *err != nil {
		return nil
	}
	for _, rs := range decoded.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				ids = append(ids, string(span.SpanId))
			}
		}
	}
	return ids
}

// spans makes a request of n spans, each a trace, every tenth an error, and gives
// the ids of all and of the errors.
func spans(t testing.TB, n int) (request []byte, all, failed []string) {
	t.Helper()
	var list []*tracepb.Span
	for i := range n {
		trace, id := make([]byte, 16), make([]byte, 8)
		_, _ = rand.Read(trace)
		_, _ = rand.Read(id)
		span := &tracepb.Span{TraceId: trace, SpanId: id, Name: "GET /", Kind: tracepb.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 1, EndTimeUnixNano: 2}
		if i%10 == 0 {
			span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
			failed = append(failed, string(id))
		}
		all = append(all, string(id))
		list = append(list, span)
	}
	request, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: list}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return request, all, failed
}

// options are those of a gateway that keeps errors only and is quick to act.
func options(t *testing.T, mode Mode, sinks ...*sink) Options {
	t.Helper()
	dir := t.TempDir()
	pipeline := func(name string) PipelineOptions {
		return PipelineOptions{Mode: mode, Spool: spool.Options{Dir: dir + "/" + name}}
	}
	o := Options{
		Traces: pipeline("traces"), Metrics: pipeline("metrics"), Logs: pipeline("logs"),
		Batch:       BatchOptions{Timeout: 5 * time.Millisecond},
		StopTimeout: 5 * time.Second,
	}
	o.Export = ExportOptions{
		Timeout: 5 * time.Second, Retry: RetryOptions{First: time.Millisecond, Most: 5 * time.Millisecond},
		Breaker: BreakerOptions{Timeout: 10 * time.Millisecond, HalfOpenTimeout: 10 * time.Millisecond},
	}
	for i, s := range sinks {
		o.Export.Backends = append(o.Export.Backends, Backend{Name: string(rune('a' + i)), Client: otlp.ClientOptions{Endpoint: s.addr()}})
	}
	return o
}

// start runs a gateway until stop, which gives its error.
func start(t *testing.T, o Options) (g *Gateway, stop func()) {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return g, stop
}

// exported waits until backends took so many spans.
func exported(t *testing.T, g *Gateway, n uint64) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		got := g.Stats().Pipelines[otlp.SignalTraces].Exported
		if got >= n {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("got %d spans exported in time, want %d", got, n)
		}
	}
}
