// Package accept serves connections until it is told to stop.
//
// Its one invariant: when Stop returns, no connection that was accepted is
// served any more, and none was cut before the time given for that was over.
//
// It is not for what is spoken over a connection.
package accept

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection that is served.
type Conn interface {
	// Serve returns when the connection is over or is somebody else's.
	Serve(ctx context.Context)
	// Drain asks Serve to return as soon as what was begun is ended. It must not
	// wait, and may come before Serve or after.
	Drain()
	// Close cuts the connection.
	Close() error
}

// Server accepts connections.
type Server struct {
	open     func(net.Conn) Conn
	log      *slog.Logger
	stopping atomic.Bool
	stop     chan struct{} // closed when Stop begins
	accepted chan struct{} // closed when no more are accepted
	cut      chan struct{} // closed when connections have no time left
	ended    chan struct{} // has room for one: a connection is over
	serving  sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[Conn]struct{}
}

// New makes a Server of connections that open makes.
func New(log *slog.Logger, open func(net.Conn) Conn) *Server {
	return &Server{
		open: open, log: log, stop: make(chan struct{}), accepted: make(chan struct{}), cut: make(chan struct{}),
		ended: make(chan struct{}, 1), conns: map[Conn]struct{}{},
	}
}

// Serve accepts connections until Stop, which must follow whatever Serve
// returns. ctx is that of Conn.Serve.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer close(s.accepted)
	ctx, cancel := context.WithCancel(ctx)
	s.serving.Go(func() {
		<-s.cut
		cancel()
		s.Each(func(c Conn) { _ = c.Close() }) // it may be over already
	})
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	if s.stopping.Load() {
		return l.Close() // Stop came first
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.begin(ctx, s.open(c))
		case s.stopping.Load():
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.WarnContext(ctx, "a connection could not be accepted; trying again", slog.Any("error", err))
			select {
			case <-time.After(pause):
			case <-s.stop:
			}
		default:
			return err
		}
	}
}

func (s *Server) begin(ctx context.Context, c Conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if s.stopping.Load() {
		c.Drain()
	}
	select {
	case <-s.cut: // which others were before this one was among them
		_ = c.Close()
	default:
	}
	s.serving.Go(func() {
		s.serve(ctx, c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		select {
		case s.ended <- struct{}{}:
		default: // who waits looks again
		}
	})
}

// serve serves a connection. One that panics is cut; the others go on.
func (s *Server) serve(ctx context.Context, c Conn) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "a connection made the receiver panic", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			_ = c.Close() // it may be over already
		}
	}()
	c.Serve(ctx)
}

// Stop accepts no more, drains connections, and cuts those that are left when
// ctx ends. It waits for all.
func (s *Server) Stop(ctx context.Context) {
	s.stopping.Store(true)
	close(s.stop)
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close() // ends Serve
	}
	s.mu.Unlock()
	s.Each(Conn.Drain)
	timeUp := false
	select {
	case <-s.accepted: // one that was just accepted is among them
	case <-ctx.Done():
		timeUp = true
	}
	for s.busy() && !timeUp {
		select {
		case <-s.ended:
		case <-ctx.Done():
			timeUp = true
		}
	}
	close(s.cut)
	<-s.accepted // none begins any more
	s.serving.Wait()
}

// Each does something with every connection.
func (s *Server) Each(do func(Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

func (s *Server) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0
}
