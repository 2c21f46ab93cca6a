package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestEverySignalProtocolAndCoding(t *testing.T) {
	sink := &memory{}
	s := serve(t, Options{}, sink)
	conn := dial(t, s)
	bodies := map[string]interface {
		MarshalProto() ([]byte, error)
		MarshalJSON() ([]byte, error)
	}{
		"traces":  ptraceotlp.NewExportRequestFromTraces(oneSpan()),
		"metrics": pmetricotlp.NewExportRequestFromMetrics(oneMetric()),
		"logs":    plogotlp.NewExportRequestFromLogs(oneLog()),
	}
	want := map[string]string{"traces": "a span", "metrics": "a metric", "logs": "a log"}
	took := func(t *testing.T, name string) {
		t.Helper()
		if diff := cmp.Diff(sink.names, []string{want[name]}); diff != "" {
			t.Errorf("what the sink took (-got +want):\n%s", diff)
		}
		sink.names = nil
	}
	for _, coding := range []string{"", "gzip", "zstd"} {
		for name, body := range bodies {
			t.Run("http protobuf "+name+" "+coding, func(t *testing.T) {
				data, err := body.MarshalProto()
				got := post(t, s, "/v1/"+name, "application/x-protobuf", coding, pack(t, coding, must(t, data, err)))
				if got.code != 200 || got.header.Get("Content-Type") != "application/x-protobuf" {
					t.Errorf("got %d %s, want 200 application/x-protobuf", got.code, got.header.Get("Content-Type"))
				}
				took(t, name)
			})
			t.Run("http json "+name+" "+coding, func(t *testing.T) {
				data, err := body.MarshalJSON()
				got := post(t, s, "/v1/"+name, "application/json; charset=utf-8", coding, pack(t, coding, must(t, data, err)))
				if got.code != 200 || !strings.HasPrefix(string(got.body), "{") {
					t.Errorf("got %d %s, want 200 and a JSON object", got.code, got.body)
				}
				took(t, name)
			})
		}
		t.Run("grpc "+coding, func(t *testing.T) {
			var opts []grpc.CallOption
			if coding != "" {
				opts = append(opts, grpc.UseCompressor(coding))
			}
			if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(oneSpan()), opts...); err != nil {
				t.Error(err)
			}
			took(t, "traces")
			if _, err := pmetricotlp.NewGRPCClient(conn).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(oneMetric()), opts...); err != nil {
				t.Error(err)
			}
			took(t, "metrics")
			if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(oneLog()), opts...); err != nil {
				t.Error(err)
			}
			took(t, "logs")
		})
	}
	if got := s.Stats().Logs; got.Requests != 9 || got.Items != 9 || got.Refused != 0 || got.Bytes == 0 {
		t.Errorf("stats of logs: got %+v, want 9 requests of one item each", got)
	}
}

func TestSinkErrorsSayWhetherToRetry(t *testing.T) {
	tests := []struct {
		name string
		err  error
		http int
		grpc codes.Code
		wait bool
	}{
		{"invalid", heal.Errorf(heal.Invalid, "take", "no"), 400, codes.InvalidArgument, false},
		{"wrapped invalid", fmt.Errorf("sink: %w", heal.Errorf(heal.Invalid, "take", "no")), 400, codes.InvalidArgument, false},
		{"transient", heal.Errorf(heal.Transient, "take", "full"), 429, codes.ResourceExhausted, true},
		{"unknown", heal.Errorf(heal.Unknown, "take", "lost"), 503, codes.Unavailable, true},
		{"deadline", context.DeadlineExceeded, 503, codes.Unavailable, true},
		{"denied", heal.Errorf(heal.Denied, "take", "not yours"), 403, codes.PermissionDenied, false},
		{"a bug", errors.New("broken \xff"), 500, codes.Internal, false},
		{"partial", &Rejected{Count: 1, Reason: "too old"}, 200, codes.OK, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, Options{RetryAfter: 1500 * time.Millisecond}, &memory{hook: func(context.Context) error { return tt.err }})
			request := plogotlp.NewExportRequestFromLogs(oneLog())

			data, err := request.MarshalProto()
			got := post(t, s, "/v1/logs", "application/x-protobuf", "", must(t, data, err))
			if got.code != tt.http || (got.header.Get("Retry-After") == "2") != tt.wait {
				t.Errorf("http: got %d, Retry-After %q; want %d, retry %v", got.code, got.header.Get("Retry-After"), tt.http, tt.wait)
			}
			data, err = request.MarshalJSON()
			inJSON := post(t, s, "/v1/logs", "application/json", "", must(t, data, err))
			if tt.http != 200 {
				var fromProto, fromJSON spb.Status
				if err := proto.Unmarshal(got.body, &fromProto); err != nil {
					t.Fatalf("body is no google.rpc.Status: %v", err)
				}
				if err := protojson.Unmarshal(inJSON.body, &fromJSON); err != nil {
					t.Fatalf("body %s is no google.rpc.Status: %v", inJSON.body, err)
				}
				if codes.Code(fromProto.Code) != tt.grpc || !proto.Equal(&fromProto, &fromJSON) {
					t.Errorf("status: got %v and in JSON %v, want code %v in both", &fromProto, &fromJSON, tt.grpc)
				}
			}

			resp, err := plogotlp.NewGRPCClient(dial(t, s)).Export(t.Context(), request)
			if got := status.Code(err); got != tt.grpc {
				t.Errorf("grpc: got %v, want %v", got, tt.grpc)
			}
			retry := false
			for _, detail := range status.Convert(err).Details() {
				if info, ok := detail.(*errdetails.RetryInfo); ok {
					retry = info.RetryDelay.AsDuration() == 1500*time.Millisecond
				}
			}
			if retry != tt.wait {
				t.Errorf("grpc RetryInfo: got %v, want %v", retry, tt.wait)
			}
			if tt.name == "partial" {
				partial := plogotlp.NewExportResponse()
				if err := partial.UnmarshalProto(got.body); err != nil {
					t.Fatal(err)
				}
				for _, p := range []plogotlp.ExportPartialSuccess{partial.PartialSuccess(), resp.PartialSuccess()} {
					if p.RejectedLogRecords() != 1 || p.ErrorMessage() != "too old" {
						t.Errorf("partial success: got %d %q, want 1 too old", p.RejectedLogRecords(), p.ErrorMessage())
					}
				}
			}
		})
	}
}

// nested is a traces request whose one attribute is a list within a list,
// levels deep.
func nested(levels int) []byte {
	value := []byte{1<<3 | 2, 1, 'x'}
	for range levels {
		value = inField(5, inField(1, value))
	}
	return inField(1, inField(2, inField(2, inField(9, inField(2, value)))))
}

// inField is inner as field number of the message around it.
func inField(number byte, inner []byte) []byte {
	out := binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(inner)))
	return append(out, inner...)
}

func TestBadRequestsAreRefusedWithAReason(t *testing.T) {
	sink := &memory{}
	s := serve(t, Options{MaxRequestBytes: 1 << 20}, sink)
	client := ptraceotlp.NewGRPCClient(dial(t, s, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20))))

	const pb, js = "application/x-protobuf", "application/json"
	bomb := make([]byte, 50<<20)
	deepJSON := []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":` +
		strings.Repeat(`{"arrayValue":{"values":[`, 100_000) + strings.Repeat(`]}}`, 100_000) + `}]}}]}`)
	tests := []struct {
		name, contentType, coding string
		body                      []byte
		code                      int
		says                      string
	}{
		{"malformed protobuf", pb, "", []byte{0xff, 0xff}, 400, "byte 0"},
		{"protobuf cut short", pb, "", nested(1)[:9], 400, "longer than the request"},
		{"protobuf with a group", pb, "", []byte{0x0b, 0x0c}, 400, "wire type 3"},
		{"malformed JSON", js, "", []byte(`{"resourceSpans":`), 400, "decode OTLP traces"},
		{"JSON of another shape", js, "", []byte(`[1,2]`), 400, "decode OTLP traces"},
		{"empty JSON", js, "", nil, 400, "decode OTLP traces"},
		{"deep protobuf", pb, "", nested(2000), 400, "nested deeper than 128"},
		{"deep JSON", js, "gzip", pack(t, "gzip", deepJSON[:900_000]), 400, "nested deeper than 128"},
		{"small bytes, huge structure", pb, "", inField(1, inField(2, bytes.Repeat([]byte{18, 0}, 100_000))), 400, "too many values"},
		{"small JSON, huge structure", js, "", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{}` + strings.Repeat(`,{}`, 200_000) + `]}]}]}`), 400, "too many values"},
		{"too large", pb, "", bomb[:2<<20], 413, "more than 1048576 bytes"},
		{"gzip bomb", pb, "gzip", pack(t, "gzip", bomb), 413, "after decompression"},
		{"zstd bomb", pb, "zstd", pack(t, "zstd", bomb), 413, "after decompression"},
		{"not gzip", pb, "gzip", []byte("plain"), 400, "gzip"},
		{"not zstd", pb, "zstd", []byte("plain text"), 400, "read OTLP request"},
		{"unknown coding", pb, "br", nil, 400, `"br" is not taken`},
		{"unknown content type", "text/plain", "", nil, 415, "send application/x-protobuf or application/json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := post(t, s, "/v1/traces", tt.contentType, tt.coding, tt.body)
			if got.code != tt.code || !strings.Contains(string(got.body), strings.ReplaceAll(tt.says, `"`, quoteFor(tt.contentType))) {
				t.Errorf("got %d %.300q, want %d saying %q", got.code, got.body, tt.code, tt.says)
			}
		})
	}

	t.Run("method", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addrs().HTTP+"/v1/traces", http.NoBody)
		if got := do(t, http.DefaultTransport, req); got.code != 405 || got.header.Get("Allow") != "POST" {
			t.Errorf("got %d, want 405 with Allow: POST", got.code)
		}
	})
	t.Run("header too large", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addrs().HTTP+"/v1/traces", http.NoBody)
		req.Header.Set("X-Long", strings.Repeat("x", 100<<10))
		if got := do(t, http.DefaultTransport, req); got.code != 431 {
			t.Errorf("got %d, want 431", got.code)
		}
	})
	t.Run("grpc malformed and deep", func(t *testing.T) {
		conn := dial(t, s, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		for _, body := range [][]byte{{0xff, 0xff}, nested(2000)} {
			err := conn.Invoke(t.Context(), "/"+services[traces]+"/Export", &raw{bytes: body}, &raw{})
			if got := status.Code(err); got != codes.InvalidArgument {
				t.Errorf("got %v, want InvalidArgument", err)
			}
		}
	})
	t.Run("grpc bombs", func(t *testing.T) {
		td := oneSpan()
		td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetName(string(bomb))
		for _, coding := range []string{"gzip", "zstd"} {
			_, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td), grpc.UseCompressor(coding))
			if got := status.Code(err); got != codes.ResourceExhausted || len(status.Convert(err).Details()) != 0 {
				t.Errorf("%s: got %v, want ResourceExhausted without RetryInfo", coding, err)
			}
		}
	})
	if len(sink.names) != 0 {
		t.Errorf("got %q through to the sink, want nothing", sink.names)
	}
}

// quoteFor is how a quote looks within the message of a body.
func quoteFor(contentType string) string {
	if contentType == "application/json" {
		return `\"`
	}
	return `"`
}

func TestFullHouseAsksForARetry(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	sink := &memory{hook: func(context.Context) error {
		inside <- struct{}{}
		<-leave
		return nil
	}}
	s := serve(t, Options{MaxInFlight: 1}, sink)
	conn := dial(t, s)
	request := plogotlp.NewExportRequestFromLogs(oneLog())
	data, err := request.MarshalProto()
	body := must(t, data, err)

	var first sync.WaitGroup
	first.Go(func() {
		if _, err := plogotlp.NewGRPCClient(conn).Export(context.Background(), request); err != nil {
			t.Errorf("the request that was in: got %v, want success", err)
		}
	})
	<-inside
	if got := post(t, s, "/v1/logs", "application/x-protobuf", "", body); got.code != 429 || got.header.Get("Retry-After") != "1" {
		t.Errorf("http: got %d, Retry-After %q; want 429 and 1", got.code, got.header.Get("Retry-After"))
	}
	if _, err := plogotlp.NewGRPCClient(dial(t, s)).Export(t.Context(), request); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("grpc: got %v, want ResourceExhausted", err)
	}
	close(leave)
	first.Wait()
	if got := s.Stats().Logs; got.Requests != 3 || got.Refused != 2 || got.Items != 1 {
		t.Errorf("stats: got %+v, want 3 requests, 2 refused, 1 item", got)
	}
}

func TestStopLetsRequestsInFlightFinish(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	sink := &memory{hook: func(context.Context) error {
		inside <- struct{}{}
		<-leave
		return nil
	}}
	s := New(Options{GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"}, sink)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	data, err := plogotlp.NewExportRequestFromLogs(oneLog()).MarshalProto()
	body := must(t, data, err)
	var client sync.WaitGroup
	client.Go(func() {
		if got := post(t, s, "/v1/logs", "application/x-protobuf", "", body); got.code != 200 {
			t.Errorf("got %d, want 200", got.code)
		}
	})
	<-inside
	cancel()
	close(leave)
	client.Wait()
	if err := <-done; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestTokens(t *testing.T) {
	s := serve(t, Options{Authenticate: func(_ context.Context, token string) error {
		switch token {
		case "good":
			return nil
		case "later":
			return heal.Errorf(heal.Transient, "check token", "the directory is down")
		}
		return heal.Errorf(heal.Denied, "check token", "unknown token")
	}}, &memory{})
	client := plogotlp.NewGRPCClient(dial(t, s))
	request := plogotlp.NewExportRequestFromLogs(oneLog())
	data, err := request.MarshalProto()
	body := must(t, data, err)
	tests := []struct {
		name, header string
		http         int
		grpc         codes.Code
	}{
		{"good", "Bearer good", 200, codes.OK},
		{"any case of the scheme", "bearer good", 200, codes.OK},
		{"wrong", "Bearer bad", 401, codes.Unauthenticated},
		{"none", "", 401, codes.Unauthenticated},
		{"another scheme", "Basic good", 401, codes.Unauthenticated},
		{"not known now", "Bearer later", 429, codes.ResourceExhausted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addrs().HTTP+"/v1/logs", bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/x-protobuf")
			req.Header.Set("Authorization", tt.header)
			if got := do(t, http.DefaultTransport, req); got.code != tt.http {
				t.Errorf("http: got %d, want %d", got.code, tt.http)
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", tt.header)
			if _, err := client.Export(ctx, request); status.Code(err) != tt.grpc {
				t.Errorf("grpc: got %v, want %v", err, tt.grpc)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate and the client that trusts it
	defer certified.Close()
	transport := certified.Client().Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	s := serve(t, Options{TLS: &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}}, &memory{})

	request := plogotlp.NewExportRequestFromLogs(oneLog())
	data, err := request.MarshalProto()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Addrs().HTTP+"/v1/logs", bytes.NewReader(must(t, data, err)))
	req.Header.Set("Content-Type", "application/x-protobuf")
	if got := do(t, transport, req); got.code != 200 {
		t.Errorf("https: got %d, want 200", got.code)
	}
	conn := dial(t, s, grpc.WithTransportCredentials(credentials.NewTLS(transport.TLSClientConfig)))
	if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), request); err != nil {
		t.Errorf("grpc over TLS: %v", err)
	}
}

func TestPortInUseNamesTheKey(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	err = New(Options{GRPCAddr: "127.0.0.1:0", HTTPAddr: taken.Addr().String(), HTTPKey: "otlp.http.address"}, &memory{}).Listen()
	if !heal.Is(err, heal.Conflict) || !strings.Contains(err.Error(), "otlp.http.address") {
		t.Errorf("got %v, want a conflict naming otlp.http.address", err)
	}
	err = New(Options{GRPCAddr: "no such address"}, &memory{}).Run(t.Context())
	if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "otlp.grpc") {
		t.Errorf("got %v, want an invalid value of otlp.grpc", err)
	}
}

func TestAnAddressThatIsEmptyIsOff(t *testing.T) {
	const free = "127.0.0.1:0"
	tests := []struct {
		name       string
		opts       Options
		grpc, http bool
	}{
		{"both on", Options{GRPCAddr: free, HTTPAddr: free}, true, true},
		{"HTTP alone", Options{HTTPAddr: free}, false, true},
		{"gRPC alone", Options{GRPCAddr: free}, true, false},
		{"both off", Options{}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(tt.opts, &memory{})
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			if a := s.Addrs(); (a.GRPC != "") != tt.grpc || (a.HTTP != "") != tt.http {
				t.Errorf("addresses: got %+v", a)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
