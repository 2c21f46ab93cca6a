package otlp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/homeostat/homeostat/internal/heal"
)

// rawMemory is a RawSink that remembers what it took.
type rawMemory struct {
	took [][]byte
	err  error
}

func (m *rawMemory) Take(_ context.Context, _ Signal, request []byte) (int, error) {
	m.took = append(m.took, bytes.Clone(request))
	return 1, m.err
}

func serveRaw(t *testing.T, o Options, sink RawSink) *Server {
	t.Helper()
	s := serve(t, o, nil)
	s.raw = sink
	return s
}

func TestClientAndRawServer(t *testing.T) {
	sink := &rawMemory{}
	s := serveRaw(t, Options{}, sink)
	request := must2(ptraceotlp.NewExportRequestFromTraces(oneSpan()).MarshalProto())(t)
	for _, protocol := range []string{"grpc", "http"} {
		for _, coding := range []string{"", "gzip", "zstd"} {
			t.Run(protocol+" "+coding, func(t *testing.T) {
				c := client(t, s, protocol, coding)
				for _, tt := range []struct {
					name     string
					err      error
					rejected int
					want     heal.Kind // of an error
					later    bool
				}{
					{name: "taken"},
					{name: "taken in part", err: &Rejected{Count: 1, Reason: "too old"}, rejected: 1},
					{name: "come later", err: heal.Errorf(heal.Transient, "", "full"), want: heal.Transient, later: true},
					{name: "refused for good", err: heal.Errorf(heal.Invalid, "", "nonsense"), want: heal.Invalid},
					{name: "who are you", err: heal.Errorf(heal.Denied, "", "no"), want: heal.Denied},
				} {
					sink.took, sink.err = nil, tt.err
					rejected, reason, err := c.Export(t.Context(), SignalTraces, request)
					if len(sink.took) != 1 || !bytes.Equal(sink.took[0], request) {
						t.Errorf("%s: the sink took %x, want %x", tt.name, sink.took, request)
					}
					if rejected != tt.rejected || rejected > 0 && reason != "too old" {
						t.Errorf("%s: got %d rejected for %q, want %d", tt.name, rejected, reason, tt.rejected)
					}
					if (err != nil) != (tt.want != 0) || err != nil && heal.KindOf(err) != tt.want {
						t.Errorf("%s: got %v, want kind %v", tt.name, err, tt.want)
					}
					if wait, ok := errors.AsType[*Later](err); ok != tt.later || ok && wait.After != time.Second {
						t.Errorf("%s: got %v, want a word on when to come again: %v", tt.name, wait, tt.later)
					}
				}
			})
		}
	}
}

func TestRawServerWritesJSONAsProtobuf(t *testing.T) {
	sink := &rawMemory{}
	s := serveRaw(t, Options{}, sink)
	request := ptraceotlp.NewExportRequestFromTraces(oneSpan())
	got := post(t, s, "/v1/traces", "application/json", "", must2(request.MarshalJSON())(t))
	if got.code != 200 || len(sink.took) != 1 {
		t.Fatalf("got %d and %d requests, want 200 and one", got.code, len(sink.took))
	}
	back := ptraceotlp.NewExportRequest()
	if err := back.UnmarshalProto(sink.took[0]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(must2(back.MarshalJSON())(t)), string(must2(request.MarshalJSON())(t))); diff != "" {
		t.Errorf("what the sink took (-got +want):\n%s", diff)
	}
}

func TestUnreachableReceiversAreTriedAgain(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	addr := strings.TrimPrefix(gone.URL, "http://")
	for _, o := range []ClientOptions{{Endpoint: addr}, {Endpoint: gone.URL, HTTP: true}} {
		c, err := NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Export(t.Context(), SignalLogs, nil); !heal.Is(err, heal.Transient) {
			t.Errorf("%+v: got %v, want a transient error", o, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := NewClient(ClientOptions{Endpoint: addr, HTTP: true}); !heal.Is(err, heal.Invalid) {
		t.Errorf("an HTTP endpoint without a scheme: got %v, want an invalid one", err)
	}
}

func TestSlowSendersHoldOnlyWhatTheySent(t *testing.T) {
	s := serveRaw(t, Options{MaxHeldBytes: 64 << 10, MaxInFlight: 1}, &rawMemory{})
	got := post(t, s, "/v1/logs", "application/x-protobuf", "", make([]byte, 100<<10))
	if got.code != 429 || got.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %s, want 429 with Retry-After", got.code, got.body)
	}
	if n := s.held.Load(); n != 0 {
		t.Errorf("got %d bytes held afterwards, want none", n)
	}
}

// TestASlowSenderTakesNobodysPlace has one that stops in the midst of its body.
func TestASlowSenderTakesNobodysPlace(t *testing.T) {
	s := serveRaw(t, Options{MaxInFlight: 1}, &rawMemory{})
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addrs().HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 10000\r\n\r\n"+strings.Repeat("x", 5000)); err != nil {
		t.Fatal(err)
	}
	for s.held.Load() == 0 { // until it is being read
		runtime.Gosched()
	}
	if got := post(t, s, "/v1/logs", "application/x-protobuf", "", []byte("x")); got.code != 200 {
		t.Errorf("got %d %s, want 200 although another sender is slow", got.code, got.body)
	}
}

func TestBuffersComeBack(t *testing.T) {
	var p bufferPool
	for _, n := range []int{0, 1, 4096, 4097, 1 << 20, 64 << 20, 64<<20 + 1} {
		b := p.get(n)
		if len(b) != n {
			t.Errorf("got %d bytes, want %d", len(b), n)
		}
		p.put(b)
	}
	p.put(make([]byte, 5000)) // not one of its own
}

func FuzzPartialSuccess(f *testing.F) {
	f.Add([]byte{10, 6, 8, 3, 18, 2, 'n', 'o'})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if rejected, _ := partialSuccess(answer); rejected < 0 {
			t.Errorf("got %d rejected", rejected)
		}
	})
}

func client(t *testing.T, s *Server, protocol, coding string) *Client {
	t.Helper()
	o := ClientOptions{Endpoint: s.Addrs().GRPC, Compression: coding}
	if protocol == "http" {
		o.Endpoint, o.HTTP = "http://"+s.Addrs().HTTP, true
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// must2 is must for a call with two results.
func must2(data []byte, err error) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		return must(t, data, err)
	}
}
