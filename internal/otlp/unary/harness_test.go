package unary

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted is a Memory of most bytes.
type counted struct {
	most int64
	held atomic.Int64
}

func (m *counted) Reserve(n int64) bool {
	if m.held.Add(n) > m.most {
		m.held.Add(-n)
		return false
	}
	return true
}

func (m *counted) Free(n int64)     { m.held.Add(-n) }
func (m *counted) Get(n int) []byte { return make([]byte, n) }
func (m *counted) Put([]byte)       {}

// pipes is a listener of connections within the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

const echo = "/echo.Echo/Echo"

// options are those of a server that answers what it is sent.
func options() Options {
	return Options{
		Methods: map[string]int{echo: 1},
		Take:    func(_ context.Context, c *Call) ([]byte, *Status) { return append([]byte(nil), c.Message...), nil },
		Prompt:  func(int) bool { return false },
		Refuse:  func(_ int, why Refusal) *Status { return &Status{Code: 8 + uint32(why), Message: "refused"} },
		Memory:  &counted{most: 8 << 20}, MaxMessageBytes: 4 << 20, MaxHeaderBytes: 4 << 10, MaxStreams: 10,
		StreamTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	}
}

// serve runs a server until the test ends, and checks that it gives all memory
// back.
func serve(t testing.TB, o Options) (s *Server, l *pipes) {
	t.Helper()
	l = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return serveOn(t, o, l), l
}

// serveTCP is serve with a connection over TCP, where there is a kernel between.
func serveTCP(t testing.TB, o Options) (*Server, *net.TCPConn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, o, l)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn, _ := c.(*net.TCPConn)
	return s, conn
}

func serveOn(t testing.TB, o Options, l net.Listener) *Server {
	t.Helper()
	s := New(o)
	over := make(chan error, 1)
	go func() { over <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		if !s.stopped(t) {
			cancel() // at once
			s.Stop(ctx)
		}
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Serve: got %v, want nil", err)
		}
		if m, ok := o.Memory.(*counted); ok && m.held.Load() != 0 {
			t.Errorf("got %d bytes held at the end, want none", m.held.Load())
		}
	})
	return s
}

// stops are the servers whose tests stop them.
var stops sync.Map

func (s *Server) stopped(testing.TB) bool {
	_, ok := stops.LoadAndDelete(s)
	return ok
}

// peer is the other side of a connection, which sends whatever it is told.
type peer struct {
	t      testing.TB
	conn   net.Conn
	framer *http2.Framer
	frames chan string // what came, as text; closed at the end
	block  []byte
	acks   atomic.Int64 // of settings
	last   atomic.Int64 // the stream a farewell names
	end    error        // of reading, once frames is closed
}

// connect begins a connection; settings are those of the peer.
func connect(t testing.TB, l *pipes, settings ...http2.Setting) *peer {
	t.Helper()
	return connectVia(t, l, func(c net.Conn) net.Conn { return c }, settings...)
}

// connectVia is connect with something between the server and its connection.
func connectVia(t testing.TB, l *pipes, via func(net.Conn) net.Conn, settings ...http2.Setting) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	l.conns <- via(theirs)
	p := newPeer(t, ours)
	p.greet(settings...)
	return p
}

// newPeer reads from a connection, and has not said anything yet.
func newPeer(t testing.TB, c net.Conn) *peer {
	p := &peer{t: t, conn: c, framer: http2.NewFramer(c, c), frames: make(chan string, 10_000)}
	p.framer.AllowIllegalWrites = true
	go p.read()
	t.Cleanup(func() { c.Close() })
	return p
}

func (p *peer) greet(settings ...http2.Setting) {
	p.t.Helper()
	p.must(p.conn.Write([]byte(http2.ClientPreface)))
	p.ok(p.framer.WriteSettings(settings...))
}

func (p *peer) must(_ int, err error) { p.ok(err) }

func (p *peer) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// read tells what comes: frames by name, header fields in order.
func (p *peer) read() {
	defer close(p.frames)
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			p.end = err
			return
		}
		var text strings.Builder
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				p.acks.Add(1)
			}
			continue
		case *http2.WindowUpdateFrame:
			if id == 0 {
				continue
			}
			fmt.Fprintf(&text, "window %d", f.Increment)
		case *http2.MetaHeadersFrame:
			text.WriteString("headers")
			for _, field := range f.Fields {
				if field.Name != "content-type" {
					text.WriteString(" " + field.Name + "=" + field.Value)
				}
			}
		case *http2.DataFrame:
			text.WriteString("data " + string(f.Data()))
		case *http2.RSTStreamFrame:
			text.WriteString("reset " + f.ErrCode.String())
		case *http2.GoAwayFrame:
			p.last.Store(int64(f.LastStreamID))
			text.WriteString("goaway " + f.ErrCode.String())
		case *http2.PingFrame:
			text.WriteString("ping")
			if f.IsAck() {
				text.WriteString(" ack")
			}
		}
		p.frames <- text.String()
	}
}

// want reads frames and compares them.
func (p *peer) want(frames ...string) {
	p.t.Helper()
	for _, want := range frames {
		if got, ok := <-p.frames; got != want || !ok {
			p.t.Fatalf("got frame %q (%v), want %q", got, ok, want)
		}
	}
}

// wantEnd expects frames and then the end of the connection.
func (p *peer) wantEnd(frames ...string) {
	p.t.Helper()
	p.want(frames...)
	if got, ok := <-p.frames; ok {
		p.t.Fatalf("got frame %q, want the end", got)
	}
}

// head opens a stream; fields are pairs that replace or are added.
func (p *peer) head(id uint32, last bool, fields ...string) {
	p.t.Helper()
	all := []string{":method", "POST", ":scheme", "http", ":path", echo, ":authority", "x", "content-type", "application/grpc"}
	for i := 0; i < len(fields); i += 2 {
		known := false
		for j := 0; j < len(all); j += 2 {
			if all[j] == fields[i] {
				all[j+1], known = fields[i+1], true
			}
		}
		if !known {
			all = append(all, fields[i], fields[i+1])
		}
	}
	p.block = headOf(all...)
	p.ok(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block, EndHeaders: true, EndStream: last}))
}

// headOf is a block of fields that are given as pairs.
func headOf(fields ...string) (block []byte) {
	for i := 0; i < len(fields); i += 2 {
		block = appendField(block, fields[i], fields[i+1])
	}
	return block
}

// message is data with its prefix.
func message(text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

// raw sends a frame of any kind.
func (p *peer) raw(kind http2.FrameType, flags http2.Flags, id uint32, payload ...byte) {
	p.t.Helper()
	p.ok(p.framer.WriteRawFrame(kind, flags, id, payload))
}

// trailers ends a request with fields, or does not.
func (p *peer) trailers(id uint32, last bool, fields ...string) {
	p.t.Helper()
	p.ok(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headOf(fields...), EndHeaders: true, EndStream: last}))
}

// ask makes a whole call.
func (p *peer) ask(id uint32, text string) {
	p.t.Helper()
	p.head(id, false)
	p.ok(p.framer.WriteData(id, true, message(text)))
}

// answered is what comes of a call that was taken.
func answered(text string) []string {
	return []string{"headers :status=200", "data " + string(message(text)), "headers grpc-status=0"}
}
