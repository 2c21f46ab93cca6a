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
