package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // the compressor every OTLP exporter has
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"
)

// services are the gRPC names of the signals.
var services = [...]string{
	traces:  "opentelemetry.proto.collector.trace.v1.TraceService",
	metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
	logs:    "opentelemetry.proto.collector.logs.v1.LogsService",
}

// The flow control of gRPC: what a sender may have under way, and so what its
// connection can make us hold before a request is whole.
const (
	streamWindow     = 512 << 10
	connectionWindow = 2 << 20
)

// grpcServer registers the services over raw bytes rather than pdata's own
// stubs: so both protocols share one path, and a malformed message is answered
// INVALID_ARGUMENT where grpc-go itself would say INTERNAL.
func (s *Server) grpcServer() *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(s.opts.MaxRequestBytes),
		grpc.MaxHeaderListSize(uint32(s.opts.MaxHeaderBytes)),
		grpc.MaxConcurrentStreams(uint32(s.opts.MaxInFlight)),
		// Windows of their own size keep grpc-go from measuring the line with pings,
		// and from a window update for each small request.
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.WaitForHandlers(true),
		grpc.InTapHandle(s.expire),
		// Goroutines that are used again have grown their stacks already.
		grpc.NumStreamWorkers(uint32(min(s.opts.MaxInFlight, 4*runtime.GOMAXPROCS(0)))),
		// Exporters ping idle connections every 10 to 30 s.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	}
	if s.opts.TLS != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(s.opts.TLS)))
	}
	server := grpc.NewServer(opts...)
	for _, sig := range signals {
		handler := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return s.serveGRPC(ctx, sig, decode)
		}
		server.RegisterService(&grpc.ServiceDesc{
			ServiceName: services[sig],
			HandlerType: (*any)(nil),
			Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: handler}},
		}, s)
	}
	return server
}

func (s *Server) serveGRPC(ctx context.Context, sig Signal, decode func(any) error) (any, error) {
	s.stats[sig].requests.Add(1)
	resp, err := s.tryGRPC(ctx, sig, decode)
	if err != nil {
		s.stats[sig].refused.Add(1)
		st, _, _ := s.toStatus(err)
		s.opts.Logger.DebugContext(ctx, "OTLP request refused", slog.String("signal", sig.String()), slog.String("protocol", "grpc"), slog.String("code", st.Code().String()), slog.Any("error", err))
		return nil, st.Err()
	}
	return &raw{bytes: resp}, nil
}

func (s *Server) tryGRPC(ctx context.Context, sig Signal, decode func(any) error) ([]byte, error) {
	if s.opts.Authenticate != nil { // reading the metadata copies all of it
		md, _ := metadata.FromIncomingContext(ctx)
		if err := s.authenticate(ctx, strings.Join(md.Get("authorization"), "")); err != nil {
			return nil, err
		}
	}
	req := received{server: s}
	defer req.giveBack()
	if err := decode(&req); err != nil {
		return nil, err
	}
	if req.refused != nil {
		return nil, req.refused
	}
	return s.export(ctx, sig, protobuf, req.bytes)
}

// received is a request that a sender has sent whole: only then does it take a
// place among the requests in flight, and memory. grpc-go holds what came of it
// before, for as long as the deadline of the stream.
type received struct {
	server  *Server
	bytes   []byte
	held    int64
	release func()
	refused error // there is no place, or no memory
}

func (r *received) take(data mem.BufferSlice) {
	var ok bool
	if r.release, ok = r.server.admit(); !ok {
		r.release, r.refused = nil, r.server.overloaded()
		return
	}
	if size := int64(data.Len()); r.server.hold(size) {
		r.held = size
	} else {
		r.refused = r.server.full()
		return
	}
	r.bytes = r.server.buffers.get(data.Len())
	data.CopyTo(r.bytes)
}

func (r *received) giveBack() {
	r.server.buffers.put(r.bytes)
	r.server.held.Add(-r.held)
	if r.release != nil {
		r.release()
	}
}

// expire gives a stream the time that a request over HTTP has: to be sent, and to
// be taken.
func (s *Server) expire(ctx context.Context, _ *tap.Info) (context.Context, error) {
	limit := s.opts.ReadTimeout + s.opts.SinkTimeout
	if own, ok := ctx.Deadline(); ok && time.Until(own) <= limit {
		return ctx, nil // the sender's own deadline, which nearly all send along, is earlier
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	context.AfterFunc(ctx, cancel) // grpc-go ends its context with the stream
	return limited, nil
}

// authenticate gives the token of an Authorization header to the hook.
func (s *Server) authenticate(ctx context.Context, header string) error {
	if s.opts.Authenticate == nil {
		return nil
	}
	token := ""
	if scheme, rest, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	}
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
	switch m := v.(type) {
	case *received:
		m.take(data)
	case *raw:
		m.bytes = data.Materialize() // a copy: data is freed on return
	default:
		return fmt.Errorf("unmarshal %T: only raw messages are received", v)
	}
	return nil
}
