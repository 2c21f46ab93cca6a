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

	length    int64 // of the request, as its head says; -1 if it does not
	prefix    [5]byte
	prefixed  int // bytes of it that came
	size      int // of the message, once the prefix is there
	buf       []byte
	have      int   // bytes of the message that came
	permitted int64 // what the peer may still send
	window    int64 // what we may send

	came     bool // its peer has ended the request
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

// maxPadding is what a frame may have beside its data, with the length of it.
const maxPadding = 256

// opened begins a call, or ends the request of one whose peer sends trailers.
func (c *conn) opened(ctx context.Context, f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if id <= c.newest {
		if st := c.streams[id]; st != nil && !st.came && f.StreamEnded() && len(f.PseudoFields()) == 0 {
			return c.complete(ctx, st)
		}
		return c.furtherFields(id, http2.ErrCodeProtocol, len(f.PseudoFields()) > 0)
	}
	if begins, err := c.begins(id); err != nil || !begins {
		return err
	}
	if len(c.streams)+c.lost >= c.opts.MaxStreams {
		return c.wrong(id, http2.ErrCodeRefusedStream)
	}
	h, ok := c.judge(f)
	if !ok {
		return c.wrong(id, http2.ErrCodeProtocol)
	}
	if h.refused == nil {
		h.refused = c.admit(ctx, &h.call)
	}
	if h.refused != nil {
		c.refuse(id, h.http, h.refused)
		if !f.StreamEnded() {
			c.excuse(id)
			return c.framer.WriteRSTStream(id, http2.ErrCodeNo) // the rest need not come
		}
		return nil
	}
	h.call.Authorization = "" // not to be kept for as long as the call takes
	c.streams[id] = &stream{id: id, call: h.call, length: h.length, until: time.Now().Add(h.limit), permitted: streamWindow, window: c.firstWindow}
	return nil
}

// begins says whether a stream begins that has not been heard of.
func (c *conn) begins(id uint32) (bool, error) {
	switch {
	case id%2 == 0:
		return false, http2.ConnectionError(http2.ErrCodeProtocol)
	case c.last:
		return false, nil // the peer knows that it was not taken
	}
	c.newest = id
	return true, nil
}

// furtherFields handles fields of a stream that has begun, or was passed over,
// which are not those its request may end with. code is what is wrong with them;
// first says that they would begin a request.
func (c *conn) furtherFields(id uint32, code http2.ErrCode, first bool) error {
	st := c.streams[id]
	switch {
	case st != nil && st.came:
		return c.wrong(id, http2.ErrCodeStreamClosed)
	case st != nil:
		return c.wrong(id, code)
	case c.excused(id):
		return nil
	case first: // no stream begins twice, nor after a later one
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return http2.ConnectionError(http2.ErrCodeStreamClosed)
}

// admit asks whether a call is taken, without the lock: who judges may take a
// while, and answers need not wait for it. After a panic the lock is held again.
func (c *conn) admit(ctx context.Context, call *Call) *Status {
	if c.opts.Admit == nil {
		return nil
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.opts.Admit(ctx, call)
}

// take is admit for taking a call, whose stream is the reader's alone.
func (c *conn) take(ctx context.Context, call *Call) ([]byte, *Status) {
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.opts.Take(ctx, call)
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
	case st == nil && c.excused(f.StreamID):
		return nil
	case st == nil || st.came:
		return c.wrong(f.StreamID, http2.ErrCodeStreamClosed)
	}
	if st.permitted -= length; st.permitted < 0 {
		return c.wrong(st.id, http2.ErrCodeFlowControl)
	}
	if refused := c.add(st, f.Data()); refused != nil {
		c.refuse(st.id, 200, refused)
		if st.came = f.StreamEnded(); st.came {
			c.end(st)
			return nil
		}
		c.reset(st, http2.ErrCodeNo) // the rest need not come
		return nil
	}
	if f.StreamEnded() {
		return c.complete(ctx, st)
	}
	if int64(st.size-st.have)+maxPadding > st.permitted && st.permitted < streamWindow/2 {
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
func (c *conn) complete(ctx context.Context, st *stream) error {
	st.came = true
	if st.length >= 0 && st.length != int64(st.prefixed+st.have) {
		return c.wrong(st.id, http2.ErrCodeProtocol)
	}
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
			message, status := c.take(ctx, call)
			c.ran(st, message, status)
			return nil
		}
		ctx, st.cancel = context.WithDeadline(ctx, st.until)
		c.calls.Go(func() { c.run(ctx, st) })
	}
	return nil
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
	if !st.came {
		c.excuse(st.id)
	}
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
