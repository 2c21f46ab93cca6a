package unary

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"golang.org/x/net/http2"
)

// Status is how a call failed.
type Status struct {
	Code    uint32 // of gRPC
	Message string
	Details []byte // a google.rpc.Status; nil: none
	Accept  string // grpc-accept-encoding, for a coding that is not known
}

// The codes of gRPC that are given here.
const (
	codeInvalidArgument   = 3
	codeResourceExhausted = 8
	codeUnimplemented     = 12
	codeInternal          = 13
)

// What a status may take of an answer's trailers: the message is cut, details
// are left out.
const (
	maxMessage = 2 << 10
	maxDetails = 6 << 10
)

// reply answers a stream and ends it. The lock is held.
func (c *conn) reply(st *stream, message []byte, status *Status) {
	if st.over {
		return // the peer has given it up, or it took too long
	}
	if status != nil {
		c.refuse(st.id, 200, status)
		c.end(st)
		return
	}
	c.headers(st.id, false, c.status(200))
	st.answered = true
	c.answer = append(c.answer[:0], 0)
	c.answer = append(binary.BigEndian.AppendUint32(c.answer, uint32(len(message))), message...)
	st.rest = c.answer
	c.send(st)
	st.rest = bytes.Clone(st.rest)
}

// send writes as much of a stream's answer as the peer permits, and ends the
// stream if that was all. The lock is held.
func (c *conn) send(st *stream) {
	for len(st.rest) > 0 {
		n := min(int64(len(st.rest)), maxFrame, st.window, c.window)
		if n <= 0 {
			return
		}
		c.window -= n
		st.window -= n
		_ = c.framer.WriteData(st.id, false, st.rest[:n])
		c.strikes = 0
		st.rest = st.rest[n:]
	}
	c.headers(st.id, true, appendField(c.fresh(), "grpc-status", "0"))
	c.resets = max(c.resets-1, 0) // only an answer that was taken counts
	c.end(st)
}

// sendWaiting goes on with the answers that waited for permission. The lock is
// held.
func (c *conn) sendWaiting() {
	for _, st := range c.streams {
		if st.answered {
			c.send(st)
		}
	}
}

// refuse writes an answer of nothing but header fields. The lock is held.
func (c *conn) refuse(id uint32, http int, s *Status) {
	b := appendField(c.status(http), "grpc-status", strconv.FormatUint(uint64(s.Code), 10))
	b = appendField(b, "grpc-message", percent(s.Message[:min(len(s.Message), maxMessage)]))
	if len(s.Details) > 0 && len(s.Details) <= maxDetails {
		b = appendField(b, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(s.Details))
	}
	if s.Accept != "" {
		b = appendField(b, "grpc-accept-encoding", s.Accept)
	}
	c.headers(id, true, b)
}

// fresh begins a block of header fields.
func (c *conn) fresh() []byte {
	b := c.block[:0]
	if c.tableChanged { // a peer that changed its table's size expects to hear that we use none
		b = append(b, 0x20)
		c.tableChanged = false
	}
	return b
}

// status begins the header fields of an answer.
func (c *conn) status(http int) []byte {
	b := c.fresh()
	if http == 200 {
		b = append(b, 0x88)
	} else {
		b = appendField(b, ":status", strconv.Itoa(http))
	}
	return appendField(b, "content-type", "application/grpc")
}

func (c *conn) headers(id uint32, last bool, block []byte) {
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: last, EndHeaders: true})
	c.block, c.strikes = block, 0
}

// appendField appends a header field that enters no table.
func appendField(b []byte, name, value string) []byte {
	return appendString(appendString(append(b, 0), name), value)
}

// appendString appends a string as HPACK has it, without Huffman's code.
func appendString(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		return append(append(b, byte(n)), s...)
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(append(b, byte(n)), s...)
}

// percent is text as grpc-message wants it.
func percent(text string) string {
	var b []byte
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return string(b)
}
