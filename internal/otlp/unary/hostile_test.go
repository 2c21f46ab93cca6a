package unary

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// measured tells how much was written at once.
type measured struct {
	net.Conn

	most atomic.Int64
}

func (m *measured) Write(b []byte) (int, error) {
	m.most.Store(max(m.most.Load(), int64(len(b)))) // one writes at a time
	return m.Conn.Write(b)
}

// TestAnswersDoNotPileUp sends heads of a few bytes, all at once, that ask for
// much to be repeated.
func TestAnswersDoNotPileUp(t *testing.T) {
	_, l := serve(t, options())
	var m measured
	p := connectVia(t, l, func(c net.Conn) net.Conn { m.Conn = c; return &m })
	var b bytes.Buffer
	framer := http2.NewFramer(&b, nil)
	block := appendString([]byte{0x83, 0x86, 0x44}, strings.Repeat("\xff", 2000)) // enters the table
	block = appendString(append(block, 0x5f), "application/grpc")
	const calls = 1500
	for i := range uint32(calls) {
		p.ok(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true, EndStream: true}))
		block = []byte{0x83, 0x86, 0xbf, 0xbe}
	}
	p.must(p.conn.Write(b.Bytes()))
	want := "headers :status=200 grpc-status=12 grpc-message=no method " + strings.Repeat("%FF", maxEcho)
	for range calls {
		p.want(want)
	}
	if got := m.most.Load(); got > maxOut+maxFrame {
		t.Errorf("got %d bytes written at once, want %d at most", got, maxOut+maxFrame)
	}
}
