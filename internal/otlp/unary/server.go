package unary

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/homeostat/homeostat/internal/otlp/accept"
)

// Call is one request as it came.
type Call struct {
	Method        int    // as Options.Methods says
	Authorization string // the header; for Admit alone
	Coding        string // how Message is compressed; empty: it is not
	Message       []byte // may be changed; used for something else once Take returns
}

// Memory is what messages are received into. Reserve and Free count bytes,
// Get and Put lend buffers.
type Memory interface {
	Reserve(n int64) bool
	Free(n int64)
	Get(n int) []byte
	Put(b []byte)
}

// Refusal is why a call is refused before it is taken.
type Refusal uint8

// The refusals.
const (
	TooLarge  Refusal = iota // more than MaxMessageBytes
	NoMemory                 // Memory has no room for it
	Malformed                // not one message, or cut, or with flags of another age
)

// Options of a Server. All fields but those that say otherwise must be set.
type Options struct {
	Methods map[string]int // by path, as in /service/Method

	// Admit judges a call by its head, before its message is received. It may
	// look things up, but not wait for what others do. Nil takes everybody.
	Admit func(ctx context.Context, c *Call) *Status
	// Take takes a call; a nil Status is success.
	Take func(ctx context.Context, c *Call) ([]byte, *Status)
	// Prompt says that Take of a method never waits. It is then called where the
	// connection is read, without a goroutine of its own.
	Prompt func(method int) bool
	// Refuse is told of calls that are refused before they are taken, and gives
	// the answer.
	Refuse func(method int, why Refusal) *Status

	Memory          Memory
	MaxMessageBytes int
	MaxHeaderBytes  int
	MaxStreams      int           // of one connection
	StreamTimeout   time.Duration // to send a request, and for it to be taken
	TLS             *tls.Config   // nil: plain text
	Logger          *slog.Logger
}

// The times of a connection.
const (
	beginTimeout = 10 * time.Second // for its preface, and its TLS handshake
	pingAfter    = time.Minute      // without a word from the peer
	pingTimeout  = 20 * time.Second
	leastPing    = 5 * time.Second // between pings of the peer
	writeTimeout = 20 * time.Second
	drainTimeout = time.Second // for the peer to learn that no stream may begin
)

// Server serves the methods.
type Server struct {
	opts        Options
	connections *accept.Server
}

// New makes a Server.
func New(o Options) *Server {
	if o.TLS != nil { // once, or no peer could resume a session
		o.TLS = o.TLS.Clone()
		o.TLS.NextProtos = []string{http2.NextProtoTLS}
	}
	s := &Server{opts: o}
	s.connections = accept.New(o.Logger, func(c net.Conn) accept.Conn { return newConn(&s.opts, c) })
	return s
}

// Serve accepts connections until Stop, which must follow. ctx is that of the
// calls.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer s.watched()()
	return s.connections.Serve(ctx, l)
}

// Stop lets peers know that no call may begin, gives those in flight until ctx
// ends, and waits for all that Serve began.
func (s *Server) Stop(ctx context.Context) {
	defer s.watched()()
	s.connections.Stop(ctx)
}

// watched begins to watch connections, until the function it gives is called.
func (s *Server) watched() (end func()) {
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(over) })
	return func() {
		close(over)
		watching.Wait()
	}
}

// watch wakes connections to end what takes too long.
func (s *Server) watch(over <-chan struct{}) {
	ticker := time.NewTicker(min(time.Second, s.opts.StreamTimeout/4))
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.connections.Each(func(a accept.Conn) {
				if c, ok := a.(*conn); ok && c.due(now) {
					c.wake()
				}
			})
		case <-over:
			return
		}
	}
}
