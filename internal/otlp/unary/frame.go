package unary

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"
)

// next reads and handles one frame. It is read only once all of it is there, so
// that the reader can be woken at any time.
func (c *conn) next(ctx context.Context) error {
	head, err := c.await(frameHead)
	if err != nil {
		return err
	}
	if n := int(head[0])<<16 | int(head[1])<<8 | int(head[2]); n <= maxFrame { // else the framer refuses it
		if _, err := c.await(frameHead + n); err != nil {
			return err
		}
	}
	f, err := c.framer.ReadFrame()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.handle(ctx, f, err); err != nil {
		return err
	}
	if len(c.out) > maxOut { // however much there is to read yet
		return c.flush()
	}
	return nil
}

// handle does what a frame asks for; err is that of reading it. The lock is held.
func (c *conn) handle(ctx context.Context, f http2.Frame, err error) error {
	if wrong, ok := errors.AsType[http2.StreamError](err); ok {
		c.newest = max(c.newest, wrong.StreamID)
		return c.wrong(wrong.StreamID, wrong.Code)
	}
	if err != nil {
		return err
	}
	if _, ok := f.(*http2.SettingsFrame); !ok && !c.greeted {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.greeted = true
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.data(ctx, f)
	case *http2.MetaHeadersFrame:
		return c.opened(ctx, f)
	case *http2.RSTStreamFrame:
		return c.wasReset(f)
	case *http2.WindowUpdateFrame:
		return c.wasPermitted(f)
	case *http2.PingFrame:
		return c.wasPinged(f)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil // a frame that asks for nothing
}

// never reports whether a stream has not begun. After our farewell that cannot be
// told: what began too late is not looked at.
func (c *conn) never(id uint32) bool { return id > c.newest && !c.last }

// wrong ends a stream that broke the rules, and in the end its connection.
func (c *conn) wrong(id uint32, code http2.ErrCode) error {
	if st := c.streams[id]; st != nil {
		c.reset(st, code)
	} else {
		_ = c.framer.WriteRSTStream(id, code)
	}
	return c.gaveUp()
}

// gaveUp counts a stream that was begun for nothing.
func (c *conn) gaveUp() error {
	if c.resets++; c.resets > 100+4*c.opts.MaxStreams {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

func (c *conn) wasReset(f *http2.RSTStreamFrame) error {
	if c.never(f.StreamID) {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if st := c.streams[f.StreamID]; st != nil {
		c.end(st)
		return c.gaveUp()
	}
	return nil
}

func (c *conn) wasPermitted(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	} else {
		st := c.streams[f.StreamID]
		switch {
		case st == nil && c.never(f.StreamID):
			return http2.ConnectionError(http2.ErrCodeProtocol)
		case st == nil: // it was answered, or given up
			return nil
		}
		if st.window += int64(f.Increment); st.window > maxWindow {
			return c.wrong(st.id, http2.ErrCodeFlowControl)
		}
		if st.answered {
			c.send(st)
		}
		return nil
	}
	c.sendWaiting()
	return nil
}

func (c *conn) wasPinged(f *http2.PingFrame) error {
	if f.IsAck() {
		if f.Data == leavePing && !c.drainedAt.IsZero() && !c.last {
			c.leaveNow()
		}
		return nil
	}
	now := time.Now()
	if now.Sub(c.lastPing) < leastPing {
		if c.strikes++; c.strikes > 2 {
			return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
	}
	c.lastPing = now
	return c.framer.WritePing(true, f.Data)
}

// maxSettings is how many a frame may have: HTTP/2 knows a handful.
const maxSettings = 100

func (c *conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if f.NumSettings() > maxSettings || f.HasDuplicates() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if s.ID == http2.SettingHeaderTableSize {
			c.tableChanged = true
		}
		if s.ID == http2.SettingInitialWindowSize {
			for _, st := range c.streams {
				if st.window += int64(s.Val) - c.firstWindow; st.window > maxWindow {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
			c.firstWindow = int64(s.Val)
		}
		return s.Valid()
	})
	if err != nil {
		return err
	}
	c.sendWaiting()
	return c.framer.WriteSettingsAck()
}
