package unary

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// begin reads what a connection begins with, and says what is asked of the peer.
// A peer that was not heard before the server stops is told that nothing of what
// it may have sent was taken.
func (c *conn) begin(ctx context.Context) error {
	_ = c.raw.SetDeadline(time.Now().Add(beginTimeout)) // one that was closed fails at its first read
	if err := c.secure(ctx); err != nil {
		return err
	}
	c.in = bufio.NewReaderSize(c.net, readInto)
	err := c.preface()
	unheard := c.leaving.Load() && (err == nil || errors.Is(err, os.ErrDeadlineExceeded))
	if err != nil && !unheard {
		return err
	}
	_ = c.raw.SetReadDeadline(time.Time{}) // one that was closed fails at its next read
	c.mu.Lock()
	defer c.mu.Unlock()
	c.greet()
	if unheard {
		c.leaveNow()
		return errOver
	}
	return c.flush()
}

// secure shakes hands over TLS, if there is any.
func (c *conn) secure(ctx context.Context) error {
	switch {
	case c.opts.TLS == nil:
		return nil
	case c.leaving.Load():
		return errOver // without a word: there is no way to say one yet
	}
	secured := tls.Server(c.raw, c.opts.TLS)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	if got := secured.ConnectionState().NegotiatedProtocol; got != http2.NextProtoTLS {
		return fmt.Errorf("the peer wants protocol %q, expected h2", got)
	}
	c.net = secured
	return nil
}

func (c *conn) preface() error {
	if c.leaving.Load() {
		return nil // it need not come any more
	}
	got, err := c.in.Peek(len(http2.ClientPreface))
	if err != nil {
		return err
	}
	if string(got) != http2.ClientPreface {
		return errors.New("the peer does not speak HTTP/2")
	}
	_, _ = c.in.Discard(len(got)) // was peeked at
	return nil
}

// greet makes the framer and says what is asked of the peer. The lock is held.
func (c *conn) greet() {
	c.framer = http2.NewFramer(c, patient{c})
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.framer.MaxHeaderListSize = uint32(c.opts.MaxHeaderBytes)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.ReadMetaHeaders.SetMaxStringLength(c.opts.MaxHeaderBytes)
	_ = c.framer.WriteSettings( // as all frames, into memory
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.opts.MaxStreams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.opts.MaxHeaderBytes)},
	)
	_ = c.framer.WriteWindowUpdate(0, connWindow-firstWindow)
}

// patient reads for the framer, which itself reads what continues the fields of
// a call: the reader can be woken there too.
type patient struct{ c *conn }

func (p patient) Read(b []byte) (int, error) {
	c := p.c
	if c.fields += len(b); c.fields > 2*(c.opts.MaxHeaderBytes+maxFrame) { // frames that continue nothing count too
		return 0, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if c.in.Buffered() == 0 { // all of the first frame was there: this continues its fields
		c.mu.Lock()
		if c.fieldsUntil.IsZero() {
			c.fieldsUntil = time.Now().Add(beginTimeout)
		}
		c.mu.Unlock()
	}
	if _, err := c.await(1); err != nil {
		return 0, err
	}
	return c.in.Read(b)
}

// fieldsLate reports whether the fields of a call do not come to an end. The lock
// is held.
func (c *conn) fieldsLate(now time.Time) bool {
	return !c.fieldsUntil.IsZero() && now.After(c.fieldsUntil)
}
