package otlp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/homeostat/homeostat/internal/heal"
)

// Addrs are the addresses a Server is bound to.
type Addrs struct {
	GRPC string
	HTTP string
}

// Server receives OTLP over gRPC and HTTP.
type Server struct {
	opts     Options
	sink     Sink
	raw      RawSink // instead of sink
	decoder  *Decoder
	inflight chan struct{}
	zstd     zstdPool
	gzip     sync.Pool // of *gzip.Reader
	buffers  bufferPool
	held     atomic.Int64 // bytes of requests being read or handed over
	stats    [len(signals)]counters
	others   others
	stopping atomic.Bool

	grpcListener, httpListener net.Listener
}

// New makes a Server; nothing is bound before Listen.
func New(opts Options, sink Sink) *Server {
	opts = opts.withDefaults()
	registerZstd()
	return &Server{
		opts:     opts,
		sink:     sink,
		decoder:  NewDecoder(opts.MaxRequestBytes, opts.MaxDepth),
		inflight: make(chan struct{}, opts.MaxInFlight),
	}
}

// Listen binds the addresses there are. An address in use is an error of kind
// Conflict that names the configuration key.
func (s *Server) Listen() error {
	var err error
	if s.opts.GRPCAddr != "" {
		if s.grpcListener, err = listen(s.opts.GRPCAddr, s.opts.GRPCKey, s.opts.MaxConnections); err != nil {
			return err
		}
	}
	if s.opts.HTTPAddr == "" {
		return nil
	}
	if s.httpListener, err = listen(s.opts.HTTPAddr, s.opts.HTTPKey, s.opts.MaxConnections); err != nil && s.grpcListener != nil {
		_ = s.grpcListener.Close() // the error of the bind is the one that matters
	}
	return err
}

func listen(addr, key string, connections int) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	switch {
	case err == nil:
		return limit(l, connections), nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, heal.Errorf(heal.Conflict, "listen for OTLP", "%s: address %s is in use by another process; set a free one", key, addr)
	default:
		return nil, heal.Errorf(heal.Invalid, "listen for OTLP", "%s: %w", key, err)
	}
}

// Addrs gives the bound addresses, empty before Listen and where one is off.
func (s *Server) Addrs() Addrs {
	var a Addrs
	if s.grpcListener != nil {
		a.GRPC = s.grpcListener.Addr().String()
	}
	if s.httpListener != nil {
		a.HTTP = s.httpListener.Addr().String()
	}
	return a
}

// Run serves until ctx ends, then lets requests in flight finish within
// StopTimeout. When it returns, the Sink takes nothing any more. It binds first if
// Listen was not called.
func (s *Server) Run(ctx context.Context) error {
	if s.grpcListener == nil && s.httpListener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	grpcServer, httpServer := s.grpcServer(), s.httpServer()
	serveHTTP := httpServer.Serve
	httpListener := s.httpListener
	var plain *front // not with TLS, where HTTP/2 is spoken too
	switch {
	case httpListener == nil:
	case s.opts.TLS == nil:
		plain = newFront(s, httpListener.Addr())
		httpListener = plain.others
	default:
		httpServer.TLSConfig = s.opts.TLS.Clone()
		serveHTTP = func(l net.Listener) error { return httpServer.ServeTLS(l, "", "") }
	}

	failed := make(chan error, 3)
	var serving, servingHTTP sync.WaitGroup
	if plain != nil {
		serving.Go(func() { failed <- plain.Serve(context.WithoutCancel(ctx), s.httpListener) })
	}
	if s.grpcListener != nil {
		serving.Go(func() { failed <- grpcServer.Serve(context.WithoutCancel(ctx), s.grpcListener) })
	}
	if httpListener != nil {
		servingHTTP.Go(func() { failed <- serveHTTP(httpListener) })
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve OTLP: %w", err)
	}
	s.stopping.Store(true)
	grace, cancel := context.WithTimeout(context.Background(), s.opts.StopTimeout)
	defer cancel()
	if s.grpcListener != nil {
		serving.Go(func() { grpcServer.Stop(grace) })
	}
	if httpListener != nil {
		serving.Go(func() {
			if plain != nil {
				plain.Stop(grace) // connections are given to net/http until then
			} else {
				_ = httpListener.Close() // what was accepted is served
			}
			servingHTTP.Wait()
			s.stopHTTP(grace, httpServer)
		})
	}
	serving.Wait()
	for range cap(s.inflight) { // what net/http was made to cut may still be with the Sink
		s.inflight <- struct{}{}
	}
	return err
}
