package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/homeostat/homeostat/internal/heal"
)

// admit takes a place among the requests in flight; release gives it back.
func (s *Server) admit() (release func(), ok bool) {
	select {
	case s.inflight <- struct{}{}:
		return func() { <-s.inflight }, true
	default:
		return nil, false
	}
}

// overloaded is the error of a request that found no place.
func (s *Server) overloaded() error {
	return heal.Errorf(heal.Transient, "receive OTLP", "%d requests are in flight, the most allowed", s.opts.MaxInFlight)
}

// panicked marks the error of a request that made us panic.
type panicked struct{ error }

func (p panicked) Unwrap() error { return p.error }

// recovered makes an error of a panic, so that it ends one request and not the
// process. It must be deferred.
func (s *Server) recovered(ctx context.Context, sig Signal, err *error) {
	p := recover()
	if p == nil {
		return
	}
	s.opts.Logger.ErrorContext(ctx, "an OTLP request made the receiver panic", slog.String("signal", sig.String()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	*err = panicked{heal.Errorf(heal.Internal, "take OTLP request", "the receiver broke; its log says where")}
}

// export checks, decodes and hands over one request and gives the response.
func (s *Server) export(ctx context.Context, sig Signal, enc format, body []byte) ([]byte, error) {
	s.stats[sig].bytes.Add(uint64(len(body)))
	if s.raw != nil {
		return s.exportRaw(ctx, sig, enc, body)
	}
	req, _, err := s.decoder.decode(sig, enc, body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := within(ctx, s.opts.SinkTimeout)
	defer cancel()
	count, err := s.handOver(ctx, sig, req)

	return s.answer(sig, enc, count, err)
}

// answer counts what became of a request and gives the response.
func (s *Server) answer(sig Signal, enc format, count int, err error) ([]byte, error) {
	rejected, partial := errors.AsType[*Rejected](err)
	if err != nil && !partial {
		return nil, err
	}
	if partial {
		s.stats[sig].rejected.Add(uint64(rejected.Count))
		count = max(count-rejected.Count, 0)
	}
	s.stats[sig].items.Add(uint64(count))
	if !partial && enc == protobuf {
		return nil, nil // an empty message: everything was taken
	}
	resp := newResponse(sig, rejected)
	if enc == jsonText {
		return resp.MarshalJSON()
	}
	return resp.MarshalProto()
}

// handOver gives the request to the sink and says how many items it holds.
func (s *Server) handOver(ctx context.Context, sig Signal, req request) (int, error) {
	switch sig {
	case traces:
		td := req.traces.Traces()
		n := td.SpanCount()
		if n == 0 {
			return 0, nil
		}
		return n, s.sink.Traces(ctx, td)
	case metrics:
		md := req.metrics.Metrics()
		n := md.DataPointCount()
		if n == 0 {
			return 0, nil
		}
		return n, s.sink.Metrics(ctx, md)
	case logs:
		ld := req.logs.Logs()
		n := ld.LogRecordCount()
		if n == 0 {
			return 0, nil
		}
		return n, s.sink.Logs(ctx, ld)
	}
	return 0, fmt.Errorf("hand over: no signal %d", sig)
}
