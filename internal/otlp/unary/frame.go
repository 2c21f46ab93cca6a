package unary

import (
	"context"
	"errors"
	"slices"
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
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	kind := http2.FrameType(head[3])
	switch {
	case n < leastSize(kind, http2.Flags(head[4])):
		return http2.ConnectionError(http2.ErrCodeFrameSize)
	case n <= maxFrame: // else the framer refuses it
		if _, err := c.await(frameHead + n); err != nil {
			return err
		}
	}
	c.fields = 0
	f, err := c.framer.ReadFrame()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fieldsUntil = time.Time{}
	if err := c.handle(ctx, kind, f, err); err != nil {
		return err
	}
	if len(c.out) > maxOut { // however much there is to read yet
		return c.flush()
	}
	return nil
}

// leastSize is how long a frame with padding or a priority must be at least. The
// framer sees to all others.
func leastSize(kind http2.FrameType, flags http2.Flags) (least int) {
	if kind != http2.FrameData && kind != http2.FrameHeaders {
		return 0
	}
	if flags.Has(http2.FlagDataPadded) { // as FlagHeadersPadded
		least = 1
	}
	if kind == http2.FrameHeaders && flags.Has(http2.FlagHeadersPriority) {
		least += 5
	}
	return least
}

// handle does what a frame of a kind asks for; err is that of reading it. The
// lock is held.
func (c *conn) handle(ctx context.Context, kind http2.FrameType, f http2.Frame, err error) error {
	wrong, malformed := errors.AsType[http2.StreamError](err)
	if err != nil && !malformed {
		return err
	}
	if !c.greeted {
		if first, ok := f.(*http2.SettingsFrame); !ok || first.IsAck() {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		c.greeted = true
	}
	if malformed {
		return c.malformed(kind, wrong)
	}
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

// malformed handles a frame that concerns a stream and is not as it should be.
func (c *conn) malformed(kind http2.FrameType, wrong http2.StreamError) error {
	if kind != http2.FrameHeaders {
		if c.never(wrong.StreamID) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if c.streams[wrong.StreamID] == nil {
			return nil // it is over
		}
		return c.wrong(wrong.StreamID, wrong.Code)
	}
	if wrong.Cause == nil { // its padding: the fields were not read, on which those that follow may depend
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if wrong.StreamID <= c.newest {
		return c.furtherFields(wrong.StreamID, wrong.Code, true)
	}
	if begins, err := c.begins(wrong.StreamID); err != nil || !begins {
		return err
	}
	return c.wrong(wrong.StreamID, wrong.Code)
}

// never reports whether a stream has not begun. After our farewell that cannot be
// told of the peer's: what began too late is not looked at.
func (c *conn) never(id uint32) bool { return id%2 == 0 || id > c.newest && !c.last }

// maxCut is how many streams are remembered that were ended before their peer
// ended them.
const maxCut = 256

// excused reports whether frames of a stream that is over are the peer's right:
// they may have been sent before it knew, or the stream was one too late.
func (c *conn) excused(id uint32) bool { return id > c.newest || slices.Contains(c.cut, id) }

// excuse remembers a stream that is ended before its peer ended it.
func (c *conn) excuse(id uint32) {
	if len(c.cut) < maxCut {
		c.cut = append(c.cut, id)
		return
	}
	c.cut[c.cutNext] = id
	c.cutNext = (c.cutNext + 1) % maxCut
}

// wrong ends a stream that broke the rules, and in the end its connection.
func (c *conn) wrong(id uint32, code http2.ErrCode) error {
	if st := c.streams[id]; st != nil {
		c.reset(st, code)
	} else {
		c.excuse(id)
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

// maxSettings is how many a frame may have: HTTP/2 knows a handful. They are
// taken in their order, and the last of a kind counts.
const maxSettings = 100

func (c *conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if f.NumSettings() > maxSettings {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
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
		return nil
	})
	if err != nil {
		return err
	}
	c.sendWaiting()
	return c.framer.WriteSettingsAck()
}
