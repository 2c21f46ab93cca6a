package unary

import (
	"crypto/tls"
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/homeostat/homeostat/internal/otlp/accept"
)

// The errors that end a connection which was not at fault.
var (
	errOver  = errors.New("all calls are over and the server stops")
	errEnded = errors.New("the connection was ended")
)

// leavePing is answered when the peer knows that the server stops.
var leavePing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g'}

// leave says that the server stops, if it does: first that it will, and once the
// peer has heard of it, or should have, after which stream it does.
func (c *conn) leave(now time.Time) error {
	switch {
	case !c.leaving.Load():
		return nil
	case c.drainedAt.IsZero():
		c.drainedAt = now
		_ = c.framer.WriteGoAway(maxWindow, http2.ErrCodeNo, nil)
		_ = c.framer.WritePing(false, leavePing)
	case !c.last && now.Sub(c.drainedAt) > drainTimeout:
		c.leaveNow()
	}
	if c.last && len(c.streams) == 0 {
		return errOver
	}
	return nil
}

func (c *conn) leaveNow() {
	c.last = true
	_ = c.framer.WriteGoAway(c.newest, http2.ErrCodeNo, nil)
}

// farewell writes what the peer should still hear, and reports whether to let it
// arrive: not where the peer was the one to end, or does not listen. Nothing is
// written after it.
func (c *conn) farewell(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, http2.ErrFrameTooLarge) {
		err = http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	code, wrong := errors.AsType[http2.ConnectionError](err)
	if wrong {
		_ = c.framer.WriteGoAway(c.newest, http2.ErrCode(code), nil)
	}
	if c.flush() != nil { // the error before is the one that matters
		return false
	}
	c.broken = errEnded
	return wrong || errors.Is(err, errOver)
}

// linger lets what was written last arrive.
func (c *conn) linger() {
	if secured, ok := c.net.(*tls.Conn); ok {
		_ = secured.CloseWrite() // tells the peer that nothing was cut; it may be gone
	}
	accept.Linger(c.raw)
}
