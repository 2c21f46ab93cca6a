package unary

import (
	"bytes"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// torn is a connection that, once cut, writes half of what it is given, a single
// time.
type torn struct {
	net.Conn

	cut atomic.Bool
}

func (c *torn) Write(b []byte) (int, error) {
	if c.cut.CompareAndSwap(true, false) {
		n, _ := c.Conn.Write(b[:len(b)/2])
		return n, os.ErrDeadlineExceeded
	}
	return c.Conn.Write(b)
}

func TestNothingFollowsAFrameWrittenInPart(t *testing.T) {
	for _, prompt := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := options()
			o.Prompt = func(int) bool { return prompt }
			_, l := serve(t, o)
			var c torn
			p := connectVia(t, l, func(nc net.Conn) net.Conn { c.Conn = nc; return &c })
			p.ask(1, "whole")
			p.want(answered("whole")...)
			began := time.Now()
			c.cut.Store(true)
			p.ask(3, strings.Repeat("cut", 1000))
			for range p.frames { // up to the end; the header fields may be whole
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("prompt %v: ended after %s, want at once", prompt, took)
			}
		})
	}
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

// TestAnswersGivenUpAreForgotten gives answers up that wait for permission, or
// lets them take too long, again and again.
func TestAnswersGivenUpAreForgotten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []string
		giveUp func(p *peer, id uint32)
	}{
		{"by their peer", nil, func(p *peer, id uint32) { _ = p.framer.WriteRSTStream(id, http2.ErrCodeCancel) }},
		{"for they took too long", []string{"grpc-timeout", "100m"}, func(p *peer, _ uint32) { p.want("reset CANCEL") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options()
				o.MaxStreams = 2
				o.Prompt = func(int) bool { return true }
				_, l := serve(t, o)
				p := connect(t, l, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				p.head(1, false, tt.fields...)
				for id := uint32(1); id < 4000; id += 2 {
					if id > 1 && p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block, EndHeaders: true}) != nil {
						p.wantEnd("goaway ENHANCE_YOUR_CALM")
						return
					}
					_ = p.framer.WriteData(id, true, message("x")) // unless the end has come
					if got := <-p.frames; got != "headers :status=200" {
						t.Fatalf("got frame %q, want an answer", got)
					}
					tt.giveUp(p, id)
				}
				t.Error("got 2000 answers, want the end of a peer that takes none")
			})
		})
	}
}

// TestWhoSendsLittleHoldsLittle begins messages that are not sent.
func TestWhoSendsLittleHoldsLittle(t *testing.T) {
	o := options()
	memory := &counted{most: 1 << 20}
	o.Memory, o.MaxStreams = memory, 100
	_, l := serve(t, o)
	p := connect(t, l)
	for i := range uint32(100) {
		p.head(2*i+1, false)
		p.ok(p.framer.WriteData(2*i+1, false, message(strings.Repeat("x", 1<<20))[:6]))
	}
	p.ok(p.framer.WritePing(false, [8]byte{}))
	p.want("ping ack")
	if got := memory.held.Load(); got > 100*leastBuffer {
		t.Errorf("got %d bytes held for 100 that were sent, want %d at most", got, 100*leastBuffer)
	}
}

// TestFieldsMayBeContinuedLater ends a call between two frames of another's head.
func TestFieldsMayBeContinuedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := serve(t, options())
		p := connect(t, l)
		p.head(1, false)
		block := bytes.Clone(p.block)
		p.head(3, false, "grpc-timeout", "1S")
		p.ok(p.framer.WriteRSTStream(1, http2.ErrCodeCancel))
		p.ok(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: block[:20]}))
		p.want("reset CANCEL")
		p.ok(p.framer.WriteContinuation(5, true, block[20:]))
		p.ok(p.framer.WriteData(5, true, message("later")))
		p.want(answered("later")...)
	})
}
