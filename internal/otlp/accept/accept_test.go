package accept

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a connection that is over when it is told to drain, or cut if it
// does not listen.
type line struct {
	net.Conn

	deaf  bool
	begun chan<- *line
	over  chan struct{}
	once  sync.Once
}

func (l *line) Serve(context.Context) {
	l.begun <- l
	<-l.over
}

func (l *line) end() { l.once.Do(func() { close(l.over) }) }

func (l *line) Drain() {
	if !l.deaf {
		l.end()
	}
}

func (l *line) Close() error {
	l.end()
	return l.Conn.Close()
}

func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		deaf bool
		time time.Duration // for what was begun
	}{
		{"connections that drain", false, time.Minute},
		{"connections that are cut", true, time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			begun := make(chan *line, 3)
			s := New(slog.New(slog.DiscardHandler), func(c net.Conn) Conn {
				return &line{Conn: c, deaf: tt.deaf, begun: begun, over: make(chan struct{})}
			})
			served := make(chan error, 1)
			go func() { served <- s.Serve(t.Context(), l) }()
			var lines []*line
			for range 3 {
				c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				lines = append(lines, <-begun)
			}
			lines[0].end() // before it is asked to
			ctx, cancel := context.WithTimeout(t.Context(), tt.time)
			defer cancel()
			s.Stop(ctx)
			if err := <-served; err != nil {
				t.Errorf("Serve: got %v, want nil", err)
			}
			if s.busy() {
				t.Error("got connections after Stop, want none")
			}
			for _, line := range lines {
				_ = line.Conn.Close()
			}
			if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
				t.Error("got a connection after Stop, want none")
			}
		})
	}
}

func TestServeAfterStopEndsAtOnce(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(slog.New(slog.DiscardHandler), nil)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop(t.Context())
	}()
	for !s.stopping.Load() {
		runtime.Gosched()
	}
	if err := s.Serve(t.Context(), l); err != nil {
		t.Errorf("Serve: got %v, want nil", err)
	}
	<-stopped
}

// broken panics once it is served.
type broken struct{ net.Conn }

func (broken) Serve(context.Context) { panic("a bug") }
func (broken) Drain()                {}

func TestAConnectionThatPanicsIsCutAlone(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s := New(slog.New(slog.NewTextHandler(&said, nil)), func(c net.Conn) Conn { return broken{c} })
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context(), l) }()
	for i := range 2 { // the second shows that the server goes on
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("connection %d: got %v, want it cut", i, err)
		}
		c.Close()
	}
	s.Stop(t.Context())
	if err := <-served; err != nil {
		t.Errorf("Serve: got %v, want nil", err)
	}
	if text := said.String(); !strings.Contains(text, "a bug") || !strings.Contains(text, "accept_test.go") {
		t.Errorf("log: got %q, want the panic with its stack", text)
	}
}

// late is a listener that still gives a connection when it is closed, as one may
// that was accepted at that moment.
type late struct {
	net.Listener

	conn      net.Conn
	until     <-chan struct{} // when it gives the connection; nil: at once
	accepting chan struct{}
	closed    chan struct{}
	once      sync.Once
	given     bool
}

func (l *late) Accept() (net.Conn, error) {
	if l.given {
		return nil, net.ErrClosed
	}
	close(l.accepting)
	<-l.closed
	if l.until != nil {
		<-l.until
		for range 1000 {
			runtime.Gosched() // to be as late as can be
		}
	}
	l.given = true
	return l.conn, nil
}

func (l *late) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// TestAConnectionAcceptedWhileStoppingIsServed says that it has the time that
// others have, and no more.
func TestAConnectionAcceptedWhileStoppingIsServed(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		ours, theirs := net.Pipe()
		l := &late{conn: theirs, accepting: make(chan struct{}), closed: make(chan struct{})}
		begun := make(chan *line, 1)
		s := New(slog.New(slog.DiscardHandler), func(c net.Conn) Conn {
			return &line{Conn: c, deaf: deaf, begun: begun, over: make(chan struct{})}
		})
		if deaf {
			l.until = s.cut // when others are cut
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(t.Context(), l) }()
		<-l.accepting
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		s.Stop(ctx)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("deaf %v: Serve: got %v, want nil", deaf, err)
		}
		select {
		case <-begun:
		default:
			t.Errorf("deaf %v: got a connection that was never served", deaf)
		}
		ours.Close()
	}
}

// TestLinger has a peer read what was written last although it sent what nobody
// read.
func TestLinger(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write(make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = theirs.Write([]byte("last"))
		_ = theirs.SetReadDeadline(time.Unix(1, 0)) // as one who wakes a reader does
		Linger(theirs)
		_ = theirs.Close()
	}()
	got, err := io.ReadAll(ours)
	if string(got) != "last" || err != nil {
		t.Errorf("got %q and %v, want what was written last", got, err)
	}
	ours.Close()
	<-over
}
