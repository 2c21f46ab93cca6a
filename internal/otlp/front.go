package otlp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// front serves HTTP without TLS: plain requests itself, see readPlainHead, in as
// few system calls as there can be. At the first request that is not plain it
// hands the connection, with all that was read and not answered, to net/http,
// which serves it from then on. So every refusal of something odd, and every
// timeout of who is slow with a head, is that of net/http.
type front struct {
	server   *Server
	listener net.Listener
	others   *handoff

	stopping atomic.Bool
	cut      chan struct{} // closed when requests in flight have no time left
	ended    chan struct{} // has room for one: a connection is over
	serving  sync.WaitGroup
	mu       sync.Mutex
	conns    map[*plainConn]struct{}
}

func newFront(s *Server, l net.Listener) *front {
	return &front{server: s, listener: l, others: newHandoff(l.Addr()), cut: make(chan struct{}), ended: make(chan struct{}, 1), conns: map[*plainConn]struct{}{}}
}

// serve accepts connections until stop. ctx is that of the requests.
func (f *front) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f.serving.Go(func() {
		<-f.cut
		cancel()
		f.each(func(c *plainConn) { _ = c.Close() })
	})
	defer func() { _ = f.others.Close() }() // has no error
	for pause := time.Duration(0); ; {
		c, err := f.listener.Accept()
		switch {
		case err == nil:
			pause = 0
			f.begin(ctx, c)
		case f.stopping.Load():
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			f.server.opts.Logger.WarnContext(ctx, "a connection could not be accepted; trying again", slog.Any("error", err))
			select {
			case <-time.After(pause):
			case <-f.cut:
			}
		default:
			return err
		}
	}
}

func (f *front) begin(ctx context.Context, conn net.Conn) {
	c := &plainConn{Conn: conn, front: f, buf: make([]byte, smallRead)}
	f.mu.Lock()
	f.conns[c] = struct{}{}
	f.mu.Unlock()
	f.serving.Go(func() {
		given := c.serve(ctx)
		f.mu.Lock()
		delete(f.conns, c)
		f.mu.Unlock()
		select {
		case f.ended <- struct{}{}:
		default: // who waits looks again
		}
		if given != nil {
			f.others.give(given)
			return
		}
		c.release()
		_ = c.Close() // nobody is left to be told
	})
}

// stop ends idle connections, gives requests in flight until ctx ends, and waits
// for serve and for all connections that were not given away.
func (f *front) stop(ctx context.Context) {
	f.stopping.Store(true)
	_ = f.listener.Close() // ends serve
	f.each(func(c *plainConn) {
		if c.idle.Load() {
			_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes it; one that was closed needs no waking
		}
	})
	for timeUp := false; f.busy() && !timeUp; {
		select {
		case <-f.ended:
		case <-ctx.Done():
			timeUp = true
		}
	}
	close(f.cut)
	<-f.others.closed // no connection begins any more
	f.serving.Wait()
}

// busy reports whether there are connections.
func (f *front) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns) > 0
}

func (f *front) each(do func(*plainConn)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		do(c)
	}
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

// give passes a connection on, or closes it if nobody serves any more.
func (h *handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
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
