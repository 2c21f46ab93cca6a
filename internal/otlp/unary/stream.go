package unary

import (
	"context"
	"encoding/binary"
	"time"

	"golang.org/x/net/http2"
)

// stream is one call. All of it is behind the lock of the connection, but its
// message while the call runs.
type stream struct {
	id    uint32
	call  Call
	until time.Time // for the request to come, and to be taken

	prefix    [5]byte
	prefixed  int // bytes of it that came
	size      int // of the message, once the prefix is there
	buf       []byte
	have      int   // bytes of the message that came
	permitted int64 // what the peer may still send
	window    int64 // what we may send

	running  bool
	answered bool   // its answer waits for permission
	rest     []byte // of the answer, with its prefix
	over     bool
	cancel   context.CancelFunc // of the call that runs
}

// What is taken for the rest of a message: a little, or many times what came.
// So who announces much and sends nothing takes no place from others.
const (
	leastBuffer = 4 << 10
	growth      = 8
)

// opened begins a call, or ends the request of one whose peer sends trailers.
func (c *conn) opened(ctx context.Context, f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if id <= c.newest {
		st := c.streams[id]
		switch {
		case f.PseudoValue("method") != "": // a call, not the end of one
			return http2.ConnectionError(http2.ErrCodeProtocol)
		case st == nil || st.running || st.answered: // it was answered early, or given up
			return nil
		case !f.StreamEnded():
			return c.wrong(id, http2.ErrCodeProtocol)
		}
		c.complete(ctx, st)
		return nil
	}
	switch {
	case id%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case c.last:
		return nil // the peer knows that it was not taken
	}
	c.newest = id
	if len(c.streams)+c.lost >= c.opts.MaxStreams {
		return c.wrong(id, http2.ErrCodeRefusedStream)
	}
	call, limit, http, refused := c.judge(ctx, f)
	if refused != nil {
		c.refuse(id, http, refused)
		if !f.StreamEnded() {
			return c.framer.WriteRSTStream(id, http2.ErrCodeNo) // the rest need not come
		}
		return nil
	}
	c.streams[id] = &stream{id: id, call: call, until: time.Now().Add(limit), permitted: streamWindow, window: c.firstWindow}
	return nil
}

// data handles a piece of a message.
func (c *conn) data(ctx context.Context, f *http2.DataFrame) error {
	length := int64(f.Length) // padding counts
	if c.permitted -= length; c.permitted < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if c.owed += length; c.owed >= connWindow/4 {
		_ = c.framer.WriteWindowUpdate(0, uint32(c.owed))
		c.permitted, c.owed = c.permitted+c.owed, 0
	}
	st := c.streams[f.StreamID]
	switch {
	case st == nil && c.never(f.StreamID):
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case st == nil: // it was answered early, or given up
		return nil
	case st.running || st.answered:
		return c.wrong(st.id, http2.ErrCodeStreamClosed)
	}
	if st.permitted -= length; st.permitted < 0 {
		return c.wrong(st.id, http2.ErrCodeFlowControl)
	}
	if refused := c.add(st, f.Data()); refused != nil {
		c.refuse(st.id, 200, refused)
		c.reset(st, http2.ErrCodeNo) // the rest need not come
		return nil
	}
	if f.StreamEnded() {
		c.complete(ctx, st)
	} else if int64(st.size-st.have) > st.permitted && st.permitted < streamWindow/2 {
		_ = c.framer.WriteWindowUpdate(st.id, uint32(streamWindow-st.permitted))
		st.permitted = streamWindow
	}
	return nil
}

// add adds a piece to the message of a stream. It holds only a few times what
// came.
func (c *conn) add(st *stream, piece []byte) *Status {
	if st.prefixed < len(st.prefix) {
		n := copy(st.prefix[st.prefixed:], piece)
		piece = piece[n:]
		if st.prefixed += n; st.prefixed < len(st.prefix) {
			return nil
		}
		size := binary.BigEndian.Uint32(st.prefix[1:])
		if uint64(size) > uint64(c.opts.MaxMessageBytes) {
			return c.opts.Refuse(st.call.Method, TooLarge)
		}
		st.size = int(size)
	}
	have := st.have + len(piece)
	if have > st.size {
		return c.opts.Refuse(st.call.Method, Malformed)
	}
	if have > cap(st.buf) {
		next := c.opts.Memory.Get(min(st.size, max(leastBuffer, growth*have)))
		if !c.opts.Memory.Reserve(int64(cap(next))) {
			c.opts.Memory.Put(next)
			return c.opts.Refuse(st.call.Method, NoMemory)
		}
		copy(next, st.buf[:st.have])
		c.free(st)
		st.buf = next[:cap(next)]
	}
	st.have += copy(st.buf[st.have:], piece)
	return nil
}

// complete hands a request over.
func (c *conn) complete(ctx context.Context, st *stream) {
	call := &st.call
	call.Message = st.buf[:min(st.size, st.have)]
	switch {
	case st.prefixed < len(st.prefix), st.have < st.size, st.prefix[0] > 1, st.prefix[0] == 1 && (call.Coding == "" || call.Coding == "identity"):
		c.reply(st, nil, c.opts.Refuse(call.Method, Malformed))
	default:
		if st.prefix[0] == 0 {
			call.Coding = ""
		}
		st.running = true
		if c.opts.Prompt(call.Method) {
			st.cancel = func() {}
			c.mu.Unlock() // it is the reader's alone, but others may answer
			message, status := c.opts.Take(ctx, call)
			c.mu.Lock()
			c.ran(st, message, status)
			return
		}
		ctx, st.cancel = context.WithDeadline(ctx, st.until)
		c.calls.Go(func() { c.run(ctx, st) })
	}
}

// run takes a call in a goroutine of its own.
func (c *conn) run(ctx context.Context, st *stream) {
	message, status := c.opts.Take(ctx, &st.call)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ran(st, message, status)
	if err := c.flush(); err == nil && c.last && len(c.streams) == 0 {
		c.wake() // to find that the connection is over
	}
}

// ran answers a call that was taken.
func (c *conn) ran(st *stream, message []byte, status *Status) {
	st.cancel()
	st.running = false
	c.free(st)
	if st.over {
		c.lost--
		return
	}
	if status != nil {
		c.resets = max(c.resets-1, 0)
	}
	c.reply(st, message, status)
}

// reset ends a stream and tells the peer. The lock is held.
func (c *conn) reset(st *stream, code http2.ErrCode) {
	_ = c.framer.WriteRSTStream(st.id, code)
	c.end(st)
}

// end forgets a stream. The lock is held.
func (c *conn) end(st *stream) {
	if st.over {
		return
	}
	st.over, st.rest = true, nil
	delete(c.streams, st.id)
	if st.running {
		c.lost++
		st.cancel()
		return // whoever runs it frees its message
	}
	c.free(st)
}

// free gives back what the message of a stream is in.
func (c *conn) free(st *stream) {
	if st.buf == nil {
		return
	}
	c.opts.Memory.Free(int64(cap(st.buf)))
	c.opts.Memory.Put(st.buf)
	st.buf = nil
}
