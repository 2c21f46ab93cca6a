package otlp

import (
	"context"
	"net"
	"sync"

	"github.com/homeostat/homeostat/internal/otlp/accept"
)

// front serves HTTP without TLS: plain requests itself, see readPlainHead, in as
// few system calls as there can be. At the first request that is not plain it
// hands the connection, with all that was read and not answered, to net/http,
// which serves it from then on. So every refusal of something odd, and every
// timeout of who is slow with a head, is that of net/http.
type front struct {
	*accept.Server

	server *Server
	others *handoff
}

func newFront(s *Server, addr net.Addr) *front {
	f := &front{server: s, others: newHandoff(addr)}
	f.Server = accept.New(s.opts.Logger, func(c net.Conn) accept.Conn {
		return &plainConn{Conn: c, front: f, buf: make([]byte, smallRead)}
	})
	return f
}

// Stop stops as accept.Server does. Until then connections can be given to
// net/http, which must serve for as long.
func (f *front) Stop(ctx context.Context) {
	f.Server.Stop(ctx)
	_ = f.others.Close() // has no error
}

// handoff is the listener through which net/http gets connections.
type handoff struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandoff(addr net.Addr) *handoff {
	return &handoff{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give passes a connection on, or closes it if ctx ends before somebody takes it.
func (h *handoff) give(ctx context.Context, c net.Conn) {
	select {
	case h.conns <- c:
	case <-ctx.Done():
		_ = c.Close()
	}
}

// Accept gives the next connection.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is that of the real listener.
func (h *handoff) Addr() net.Addr { return h.addr }

// givenConn is a connection of which something was read already, in a buffer
// that is held until it is read again.
type givenConn struct {
	net.Conn

	mu     sync.Mutex
	buf    []byte
	unread []byte // of buf
	free   func([]byte)
}

// Read gives what was read before, then what comes.
func (g *givenConn) Read(b []byte) (int, error) {
	g.mu.Lock()
	n := copy(b, g.unread)
	g.unread = g.unread[n:]
	if len(g.unread) == 0 {
		g.drop()
	}
	g.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return g.Conn.Read(b)
}

func (g *givenConn) drop() {
	if g.free != nil {
		g.free(g.buf)
	}
	g.buf, g.unread, g.free = nil, nil, nil
}

// Close closes the connection.
func (g *givenConn) Close() error {
	g.mu.Lock()
	g.drop()
	g.mu.Unlock()
	return g.Conn.Close()
}

// CloseWrite ends one direction, as limitedConn does.
func (g *givenConn) CloseWrite() error { return closeWrite(g.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
