package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/otlp/accept"
)

// What a connection reads into. Its own buffer holds the head of a request and
// a small body; once that is full it takes one from the pool, which is held. While
// requests follow each other it keeps one for another as large as the last, so
// that it is read at once; all that is kept takes no more than half of what may
// be held.
const (
	smallRead = 4 << 10
	keptRead  = 512 << 10 // at most
	keptFor   = time.Second
	growth    = 8 // times what a sender has sent so far is taken for the rest
)

// The timeouts of a connection that is not within a request.
const (
	firstTimeout = 5 * time.Second // until the first one
	idleTimeout  = 2 * time.Minute
	writeTimeout = 30 * time.Second // an answer is a few hundred bytes
)

// lastCall is how long a connection without a request waits for another when the
// server stops: a sender that sends one after the other is told with its answer
// that the connection ends, and loses none.
const lastCall = 100 * time.Millisecond

// plainConn is a connection that has made plain requests only so far.
type plainConn struct {
	net.Conn

	front *front
	buf   []byte // its first n bytes were read and belong to requests not answered yet
	n     int
	taken bool // buf is from the pool, and held

	idle                  atomic.Bool // waits for the first byte of a request
	stopping              atomic.Bool
	mu                    sync.Mutex
	given                 bool // it is somebody else's; behind the lock
	served                bool // there was a request
	trimmed               bool // there was an empty line before the one that comes
	last                  bool // the sender was told that the connection ends
	now                   time.Time
	readUntil, writeUntil time.Time // as far as set

	answer []byte
	date   [len(http.TimeFormat)]byte
	dated  int64 // the second that date tells
}

// Serve answers requests, until one comes that is not plain.
func (c *plainConn) Serve(ctx context.Context) {
	if given := c.serve(ctx); given != nil {
		c.front.others.give(ctx, given)
		return
	}
	c.release()
	if c.last {
		accept.Linger(c.Conn)
	}
	_ = c.Close() // nobody is left to be told
}

// Drain ends the connection with the next answer, or if there comes no request.
func (c *plainConn) Drain() {
	c.stopping.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle.Load() && !c.given {
		_ = c.SetReadDeadline(time.Now().Add(lastCall)) // one that was closed fails at its next read
	}
}

// serve answers requests. If one comes that is not plain it gives the connection
// for net/http; nil means that the connection is over.
func (c *plainConn) serve(ctx context.Context) (given net.Conn) {
	s := c.front.server
	for c.now = time.Now(); c.wait(); {
		head, plain := readPlainHead(c.buf[:c.n])
		if plain {
			plain = head.size <= s.opts.MaxHeaderBytes && head.length <= s.opts.MaxRequestBytes && s.authenticate(ctx, string(head.authorization)) == nil
		}
		if !plain {
			return c.give()
		}
		s.stats[head.sig].requests.Add(1)
		if !c.request(ctx, &head) {
			return nil
		}
		c.served, c.trimmed = true, false
	}
	return nil
}

// give gives the connection away, with what was read of it; nil if it is closed.
func (c *plainConn) give() net.Conn {
	c.mu.Lock()
	c.given = true
	c.mu.Unlock()
	if c.SetDeadline(time.Time{}) != nil {
		return nil
	}
	g := &givenConn{Conn: c.Conn, buf: c.buf, unread: c.buf[:c.n]}
	if c.taken {
		g.free = c.front.server.giveBack
	}
	c.buf, c.n, c.taken = nil, 0, false
	return g
}

// wait waits for the beginning of a request, unless there is one. It gives
// false if there comes none.
func (c *plainConn) wait() bool {
	for c.trim(); c.n == 0; c.trim() {
		limit := idleTimeout
		switch {
		case c.taken:
			limit = keptFor
		case !c.served:
			limit = firstTimeout
		}
		// Deadlines are dear: one that is near enough stays.
		if left := c.readUntil.Sub(c.now); left < limit/2 || left > limit {
			c.setRead(c.now.Add(limit))
		}
		c.idle.Store(true)
		if c.stopping.Load() {
			c.setRead(time.Now().Add(lastCall))
		}
		n, err := c.Read(c.buf)
		c.idle.Store(false)
		c.n = n
		switch late := errors.Is(err, os.ErrDeadlineExceeded); {
		case n > 0:
		case late && c.taken && !c.stopping.Load(): // who pauses keeps no more than its own buffer
			c.release()
			c.now = time.Now()
		case err != nil:
			return false
		}
	}
	return true
}

// trim takes an empty line away, of which there may be one before a request.
func (c *plainConn) trim() {
	if !c.trimmed && bytes.HasPrefix(c.buf[:c.n], []byte("\r\n")) {
		c.trimmed = true
		c.n = copy(c.buf, c.buf[2:c.n])
	}
}

func (c *plainConn) setRead(until time.Time) {
	c.readUntil = until
	_ = c.SetReadDeadline(until) // a connection that is closed fails at its next read
}

// request receives and answers one request. It gives false if the connection
// cannot be used any more.
func (c *plainConn) request(ctx context.Context, head *plainHead) bool {
	s := c.front.server
	total := head.size + head.length
	if err := c.receive(total); err != nil {
		c.n = 0
		c.release() // before the answer: who has it may ask for the memory
		return c.refuse(ctx, head.sig, err, true)
	}
	var ok bool
	if resp, err := s.take(ctx, head.sig, c.buf[head.size:total:total]); err != nil {
		_, broke := errors.AsType[panicked](err)
		ok = c.refuse(ctx, head.sig, err, broke)
	} else {
		ok = c.reply(http.StatusOK, 0, resp, false)
	}
	c.n = copy(c.buf, c.buf[total:c.n])
	c.keep(total)
	return ok
}

// take takes a request that is there, if there is a place for it.
func (s *Server) take(ctx context.Context, sig Signal, body []byte) (resp []byte, err error) {
	defer s.recovered(ctx, sig, &err)
	release, ok := s.admit()
	if !ok {
		return nil, s.overloaded()
	}
	defer release()
	return s.export(ctx, sig, protobuf, body)
}

// receive reads until there are total bytes. It holds only a few times what was
// sent so far.
func (c *plainConn) receive(total int) error {
	if c.n >= total {
		return nil
	}
	limit := time.Now().Add(c.front.server.opts.ReadTimeout)
	if c.readUntil.After(limit) {
		c.setRead(limit)
	}
	for c.n < total {
		if c.n == len(c.buf) {
			if err := c.grow(min(total, growth*c.n)); err != nil {
				return err
			}
		}
		n, err := c.Read(c.buf[c.n:])
		c.n += n
		switch {
		case n > 0, err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(limit): // it was the deadline of a wait
			c.setRead(limit)
		case errors.Is(err, io.EOF):
			return bodyError("read OTLP request", io.ErrUnexpectedEOF, 0)
		default:
			return bodyError("read OTLP request", err, 0)
		}
	}
	return nil
}

// grow replaces the buffer by one from the pool, with what is in it.
func (c *plainConn) grow(size int) error {
	s := c.front.server
	next := s.buffers.get(size)
	if !s.hold(int64(cap(next))) {
		s.buffers.put(next)
		return s.full()
	}
	n := copy(next, c.buf[:c.n])
	c.release()
	c.buf, c.n, c.taken = next[:cap(next)], n, true
	return nil
}

// release gives a buffer from the pool back, with what is in it.
func (c *plainConn) release() {
	if !c.taken {
		return
	}
	c.front.server.giveBack(c.buf)
	c.buf, c.n, c.taken = make([]byte, smallRead), 0, false
}

// keep leaves the connection with a buffer for a request as long as the last
// one.
func (c *plainConn) keep(total int) {
	s := c.front.server
	want := min(total, keptRead)
	switch {
	case c.n > 0: // of the next request
	case want <= smallRead, s.held.Load() > s.opts.MaxHeldBytes/2:
		c.release()
	case !c.taken, cap(c.buf) > keptRead, cap(c.buf) > 4*want:
		c.release()
		if c.grow(want) != nil { // there is no memory for what is only convenient
			return
		}
	}
}

// refuse answers with an error. It gives false if the connection cannot be used
// any more.
func (c *plainConn) refuse(ctx context.Context, sig Signal, err error, last bool) bool {
	s := c.front.server
	s.stats[sig].refused.Add(1)
	st, code, retry := s.toStatus(err)
	s.opts.Logger.DebugContext(ctx, "OTLP request refused", slog.String("signal", sig.String()), slog.String("protocol", "http"), slog.Int("code", code), slog.Any("error", err))
	body, err := statusBody(protobuf, st)
	if err != nil {
		body = nil // the code says the most of it
	}
	return c.reply(code, retry, body, last)
}

// reply writes an answer, all of it at once. It gives false if it is the last, or
// cannot be written.
func (c *plainConn) reply(code int, retry time.Duration, body []byte, last bool) bool {
	c.now = time.Now()
	c.last = last || c.stopping.Load()
	if second := c.now.Unix(); second != c.dated {
		c.dated = second
		c.now.UTC().AppendFormat(c.date[:0], http.TimeFormat)
	}
	b := append(c.answer[:0], "HTTP/1.1 "...)
	if code == http.StatusOK {
		b = append(b, "200 OK"...)
	} else {
		b = fmt.Appendf(b, "%d %s", code, http.StatusText(code))
	}
	b = append(append(append(b, "\r\nContent-Type: "...), protobuf.contentType()...), "\r\nDate: "...)
	b = append(append(b, c.date[:]...), "\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n"...)
	if retry > 0 {
		b = fmt.Appendf(b, "Retry-After: %d\r\n", int(math.Ceil(retry.Seconds())))
	}
	if c.last {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(append(b, "\r\n"...), body...)
	c.answer = b
	if c.writeUntil.Sub(c.now) < writeTimeout/2 {
		c.writeUntil = c.now.Add(writeTimeout)
		if c.SetWriteDeadline(c.writeUntil) != nil {
			return false
		}
	}
	_, err := c.Write(b) // a sender that has gone away sends again
	return err == nil && !c.last
}
