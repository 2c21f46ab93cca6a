package unary

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// What a peer may send before it is told to go on. Messages count towards
// Options.Memory as they come, so the windows bound no memory of ours.
const (
	streamWindow = 512 << 10
	connWindow   = 2 << 20
	firstWindow  = 1<<16 - 1 // of HTTP/2, until it is told otherwise
	maxWindow    = 1<<31 - 1
)

// maxFrame is the most a frame of ours or of the peer's has: what HTTP/2 begins
// with, and we ask for no more. What a connection reads into holds one with its
// head.
const (
	maxFrame  = 16 << 10
	frameHead = 9
	readInto  = 2 * maxFrame
)

// maxOut is what may wait to be written while there is more to read: frames of
// a few bytes can ask for answers of kilobytes.
const maxOut = 64 << 10

// conn is one connection. Its goroutine reads; what calls touch too is behind
// the lock.
type conn struct {
	opts    *Options
	raw     net.Conn // to be woken and closed
	net     net.Conn // with TLS, if there is any
	in      *bufio.Reader
	framer  *http2.Framer
	calls   sync.WaitGroup
	heard   atomic.Int64 // when something was read last, in nanoseconds
	pinged  atomic.Int64 // when the peer was asked whether it is there, likewise; 0 if it has answered
	leaving atomic.Bool  // Drain was called

	greeted   bool     // the peer's settings came, which must be first
	permitted int64    // what the peer may still send
	owed      int64    // of what it sent, what it was not told to go on for
	fields    int      // bytes of the frame that is read, and of those that continue it
	cut       []uint32 // streams ended before their peer ended them, the last of them; see excuse
	cutNext   int      // of cut, to be used again

	mu           sync.Mutex
	out          []byte // to be written
	broken       error  // of writing: nothing is written any more
	block        []byte // scratch, as answer is
	answer       []byte
	writeUntil   time.Time
	streams      map[uint32]*stream
	lost         int    // calls that run though their stream is over
	newest       uint32 // stream
	window       int64  // what we may send
	firstWindow  int64  // of a stream
	tableChanged bool
	lastPing     time.Time
	strikes      int       // pings that came too soon
	resets       int       // streams given up, less those that were answered
	fieldsUntil  time.Time // for fields that go on in another frame; zero: there are none
	drainedAt    time.Time
	last         bool // no stream may begin, and the peer knows it
}

func newConn(o *Options, nc net.Conn) *conn {
	c := &conn{
		opts: o, raw: nc, net: nc, streams: map[uint32]*stream{},
		permitted: connWindow, window: firstWindow, firstWindow: firstWindow,
	}
	c.heard.Store(time.Now().UnixNano())
	return c
}

// Write takes frames of the framer. The lock is held.
func (c *conn) Write(b []byte) (int, error) {
	c.out = append(c.out, b...)
	return len(b), nil
}

// Serve reads until the connection is over, and waits for its calls.
func (c *conn) Serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		_ = c.Close() // nobody is left to be told
		c.calls.Wait()
		for _, st := range c.streams {
			c.free(st)
		}
	}()
	err := c.begin(ctx)
	for err == nil {
		err = c.next(ctx)
	}
	c.opts.Logger.DebugContext(ctx, "gRPC connection ended", slog.Any("reason", err))
	if c.farewell(err) {
		cancel()
		c.linger()
	}
}

// Close cuts the connection.
func (c *conn) Close() error { return c.raw.Close() }

// Drain lets the peer know that the server stops.
func (c *conn) Drain() {
	c.leaving.Store(true)
	c.wake()
}

// wake makes the reader look at the time.
func (c *conn) wake() { _ = c.raw.SetReadDeadline(time.Unix(1, 0)) } // one that was closed is awake

// due says whether the reader has something to do. It never waits.
func (c *conn) due(now time.Time) bool {
	due := c.leaving.Load()
	if asked := c.pinged.Load(); asked > 0 {
		due = due || now.Sub(time.Unix(0, asked)) > pingTimeout
	} else {
		due = due || now.Sub(time.Unix(0, c.heard.Load())) > pingAfter
	}
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		due = due || c.fieldsLate(now)
		for _, st := range c.streams {
			due = due || now.After(st.until)
		}
	}
	return due
}

// await reads until there are n bytes to handle. Before it waits it writes what
// there is to write.
func (c *conn) await(n int) ([]byte, error) {
	for c.in.Buffered() < n {
		c.mu.Lock()
		err := c.leave(time.Now())
		if err == nil {
			err = c.flush()
		}
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		_, err = c.in.Peek(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = c.raw.SetReadDeadline(time.Time{}) // one that was closed fails at its next read
			err = c.woken(time.Now())
		case err == nil:
			c.heard.Store(time.Now().UnixNano())
		}
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, cmp.Or(c.broken, err)
		}
	}
	return c.in.Peek(n)
}

// woken does what time asks for.
func (c *conn) woken(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fieldsLate(now) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	for _, st := range c.streams {
		if now.After(st.until) {
			if err := c.wrong(st.id, http2.ErrCodeCancel); err != nil {
				return err
			}
		}
	}
	heard, asked := c.heard.Load(), c.pinged.Load()
	switch {
	case asked == 0 && now.Sub(time.Unix(0, heard)) > pingAfter:
		c.pinged.Store(now.UnixNano())
		return c.framer.WritePing(false, [8]byte{})
	case asked > 0 && heard >= asked:
		c.pinged.Store(0)
	case asked > 0 && now.Sub(time.Unix(0, asked)) > pingTimeout:
		return errors.New("the peer does not answer")
	}
	return nil
}

// flush writes what there is to write. An error ends the connection: a frame may
// have been written in part. The lock is held.
func (c *conn) flush() error {
	if len(c.out) == 0 || c.broken != nil {
		return c.broken
	}
	if now := time.Now(); c.writeUntil.Sub(now) < writeTimeout/2 {
		c.writeUntil = now.Add(writeTimeout)
		_ = c.raw.SetWriteDeadline(c.writeUntil) // one that was closed fails at once
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > readInto {
		c.out = nil
	}
	if err != nil {
		c.broken = fmt.Errorf("write frames: %w", err)
		_ = c.Close() // so that the reader ends too
	}
	return c.broken
}
