package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the compressor every OTLP exporter has
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp/unary"
)

// services are the gRPC names of the signals.
var services = [...]string{
	traces:  "opentelemetry.proto.collector.trace.v1.TraceService",
	metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
	logs:    "opentelemetry.proto.collector.logs.v1.LogsService",
}

// grpcServer serves the services over raw bytes rather than pdata's own stubs: so
// both protocols share one path, and a malformed message is answered
// INVALID_ARGUMENT.
func (s *Server) grpcServer() *unary.Server {
	methods := map[string]int{}
	for _, sig := range signals {
		methods["/"+services[sig]+"/Export"] = int(sig)
	}
	return unary.New(unary.Options{
		Methods: methods,
		Admit: func(ctx context.Context, c *unary.Call) *unary.Status {
			err := s.authenticate(ctx, c.Authorization)
			if err == nil {
				return nil
			}
			s.stats[c.Method].requests.Add(1)
			return s.refuseGRPC(ctx, Signal(c.Method), err)
		},
		Take:   s.serveGRPC,
		Prompt: func(method int) bool { return s.opts.Prompt != nil && s.opts.Prompt(Signal(method)) },
		Refuse: func(method int, why unary.Refusal) *unary.Status {
			s.stats[method].requests.Add(1)
			return s.refuseGRPC(context.Background(), Signal(method), s.refusal(why))
		},
		Memory:          memoryOf{s},
		MaxMessageBytes: s.opts.MaxRequestBytes,
		MaxHeaderBytes:  s.opts.MaxHeaderBytes,
		MaxStreams:      s.opts.MaxInFlight,
		StreamTimeout:   s.opts.ReadTimeout + s.opts.SinkTimeout, // the time that a request over HTTP has
		TLS:             s.opts.TLS,
		Logger:          s.opts.Logger,
	})
}

// memoryOf is what requests of a Server may take together.
type memoryOf struct{ s *Server }

func (m memoryOf) Reserve(n int64) bool { return m.s.hold(n) }
func (m memoryOf) Free(n int64)         { m.s.held.Add(-n) }
func (m memoryOf) Get(n int) []byte     { return m.s.buffers.get(n) }
func (m memoryOf) Put(b []byte)         { m.s.buffers.put(b) }

// refusal is the error of a request that was not received whole.
func (s *Server) refusal(why unary.Refusal) error {
	const op = "read OTLP request"
	switch why {
	case unary.TooLarge:
		return tooLarge{heal.Errorf(heal.Invalid, op, "more than %d bytes; send smaller batches", s.opts.MaxRequestBytes)}
	case unary.NoMemory:
		return s.full()
	case unary.Malformed:
	}
	return heal.Errorf(heal.Invalid, op, "expected one whole message of gRPC, with grpc-encoding if it is compressed")
}

// serveGRPC takes a request that a sender has sent whole: only then does it take
// a place among the requests in flight.
func (s *Server) serveGRPC(ctx context.Context, c *unary.Call) ([]byte, *unary.Status) {
	sig := Signal(c.Method)
	s.stats[sig].requests.Add(1)
	resp, err := s.tryGRPC(ctx, sig, c)
	if err != nil {
		return nil, s.refuseGRPC(ctx, sig, err)
	}
	return resp, nil
}

func (s *Server) tryGRPC(ctx context.Context, sig Signal, c *unary.Call) (resp []byte, err error) {
	defer s.recovered(ctx, sig, &err)
	release, ok := s.admit()
	if !ok {
		return nil, s.overloaded()
	}
	defer release()
	if c.Coding == "" {
		return s.export(ctx, sig, protobuf, c.Message)
	}
	body, err := s.decompress(c.Coding, c.Message)
	if body != nil {
		defer s.giveBack(body)
	}
	if err != nil {
		return nil, err
	}
	return s.export(ctx, sig, protobuf, body)
}

// refuseGRPC counts a refusal and says it in the terms of gRPC.
func (s *Server) refuseGRPC(ctx context.Context, sig Signal, err error) *unary.Status {
	s.stats[sig].refused.Add(1)
	st, _, retry := s.toStatus(err)
	s.opts.Logger.DebugContext(ctx, "OTLP request refused", slog.String("signal", sig.String()), slog.String("protocol", "grpc"), slog.String("code", st.Code().String()), slog.Any("error", err))
	out := &unary.Status{Code: uint32(st.Code()), Message: st.Message()}
	if retry > 0 {
		out.Details, _ = proto.Marshal(st.Proto()) // what cannot be written is left out
	}
	if st.Code() == codes.Unimplemented {
		out.Accept = "gzip,zstd"
	}
	return out
}

// authenticate gives the token of an Authorization header to the hook, which has
// the time that the Sink has.
func (s *Server) authenticate(ctx context.Context, header string) error {
	if s.opts.Authenticate == nil {
		return nil
	}
	token := ""
	if scheme, rest, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	}
	ctx, cancel := within(ctx, s.opts.SinkTimeout)
	defer cancel()
	if err := s.opts.Authenticate(ctx, token); err != nil {
		return unauthenticated{err}
	}
	return nil
}

// raw is a message that is left as bytes.
type raw struct{ bytes []byte }

// rawCodec moves raw messages.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*raw)
	if !ok {
		return nil, fmt.Errorf("marshal %T: only raw messages are sent", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(m.bytes)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*raw)
	if !ok {
		return fmt.Errorf("unmarshal %T: only raw messages are received", v)
	}
	m.bytes = data.Materialize() // a copy: data is freed on return
	return nil
}
