package unary

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/homeostat/homeostat/internal/otlp/accept"
)

// stopping stops a server whose test expects it to; the channel is closed when
// it has stopped.
func stopping(t *testing.T, s *Server) <-chan struct{} {
	t.Helper()
	stopped := make(chan struct{})
	stops.Store(s, true)
	go func() {
		defer close(stopped)
		s.Stop(t.Context())
	}()
	return stopped
}

// wantWhole expects frames and then an end that took nothing away.
func (p *peer) wantWhole(frames ...string) {
	p.t.Helper()
	p.wantEnd(frames...)
	if !errors.Is(p.end, io.EOF) {
		p.t.Errorf("ended with %v, want %v", p.end, io.EOF)
	}
}

// TestFarewellsArrive has peers send more than anybody reads before a connection
// ends: the kernel would reset it.
func TestFarewellsArrive(t *testing.T) {
	var late bytes.Buffer // what is sent behind the end
	framer := http2.NewFramer(&late, nil)
	for late.Len() < 200<<10 {
		_ = framer.WritePriority(99, http2.PriorityParam{})
	}
	t.Run("of a peer that breaks the rules", func(t *testing.T) {
		_, conn := serveTCP(t, options())
		p := newPeer(t, conn)
		p.greet()
		p.ask(1, "first")
		p.want(answered("first")...)
		p.ok(p.framer.WriteWindowUpdate(0, 0))
		p.must(conn.Write(late.Bytes()))
		p.wantWhole("goaway PROTOCOL_ERROR")
	})
	t.Run("of a server that stops", func(t *testing.T) {
		s, conn := serveTCP(t, options())
		p := newPeer(t, conn)
		p.greet()
		p.ask(1, "first")
		p.want(answered("first")...)
		stopped := stopping(t, s)
		p.want("goaway NO_ERROR", "ping")
		p.ok(p.framer.WritePing(true, leavePing))
		p.must(conn.Write(late.Bytes()))
		p.wantWhole("goaway NO_ERROR")
		conn.Close()
		<-stopped
	})
	t.Run("of a server that stops before it was greeted", func(t *testing.T) {
		s, conn := serveTCP(t, options())
		for s.connected() == 0 && t.Context().Err() == nil {
			runtime.Gosched() // it is accepted in its own time
		}
		stopped := stopping(t, s)
		p := newPeer(t, conn)
		p.want("goaway NO_ERROR")
		p.greet()
		p.ask(1, "too late")
		p.wantWhole()
		if got := p.last.Load(); got != 0 {
			t.Errorf("got stream %d named the last, want none", got)
		}
		conn.Close()
		<-stopped
	})
}

// connected counts connections.
func (s *Server) connected() (n int) {
	s.connections.Each(func(accept.Conn) { n++ })
	return n
}

func TestFieldsHaveAnEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := serve(t, options())
		p := connect(t, l)
		began := time.Now()
		p.ok(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}}))
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			for p.framer.WriteContinuation(1, false, nil) == nil {
				<-time.After(time.Second)
			}
		})
		p.wantEnd("goaway ENHANCE_YOUR_CALM")
		if took := time.Since(began); took > beginTimeout+2*time.Second {
			t.Errorf("ended after %s, want %s and the time to find it", took, beginTimeout)
		}
	})
}

// TestAnswersDoNotWaitForWhoJudges has a call answered while another is judged.
func TestAnswersDoNotWaitForWhoJudges(t *testing.T) {
	taken, judged := make(chan struct{}), make(chan struct{})
	o := options()
	o.Admit = func(_ context.Context, c *Call) *Status {
		if c.Authorization == "slow" {
			close(taken)
			<-judged
		}
		return nil
	}
	echoed := o.Take
	o.Take = func(ctx context.Context, c *Call) ([]byte, *Status) {
		<-taken
		return echoed(ctx, c)
	}
	_, l := serve(t, o)
	p := connect(t, l)
	p.ask(1, "first")
	p.head(3, false, "authorization", "slow")
	p.want(answered("first")...)
	close(judged)
	p.ok(p.framer.WriteData(3, true, message("second")))
	p.want(answered("second")...)
}

func TestAPanicEndsOneConnection(t *testing.T) {
	for _, where := range []string{"admit", "take"} {
		t.Run(where, func(t *testing.T) {
			o := options()
			o.Prompt = func(int) bool { return true }
			o.Admit = func(_ context.Context, c *Call) *Status {
				if c.Authorization == "admit" {
					panic("a bug")
				}
				return nil
			}
			echoed := o.Take
			o.Take = func(ctx context.Context, c *Call) ([]byte, *Status) {
				if string(c.Message) == "take" {
					panic("a bug")
				}
				return echoed(ctx, c)
			}
			_, l := serve(t, o)
			p := connect(t, l)
			p.head(1, false) // its message is begun: its memory must come back
			p.ok(p.framer.WriteData(1, false, message(strings.Repeat("x", 1000))[:100]))
			p.head(3, false, "authorization", where)
			_ = p.framer.WriteData(3, true, message(where)) // unless the end has come
			p.wantEnd()
			other := connect(t, l)
			other.ask(1, "others are not harmed")
			other.want(answered("others are not harmed")...)
		})
	}
}
