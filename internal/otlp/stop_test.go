package otlp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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

// TestWhoSendsWhileTheServerStopsIsAnswered sends over connections that had no
// request when the server was told to stop.
func TestWhoSendsWhileTheServerStopsIsAnswered(t *testing.T) {
	chunked := strings.Replace(plainRequest, "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1)
	tests := []struct{ name, before, sent string }{
		{"a first plain request", "", plainRequest},
		{"another plain request", plainRequest, plainRequest},
		{"a first request for net/http", "", chunked},
		{"a request for net/http behind a plain one", plainRequest, chunked},
		{"another request for net/http", chunked, chunked},
		{"two at once", plainRequest, plainRequest + plainRequest},
		{"nothing", plainRequest, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &texts{}
				s := NewRaw(Options{}, sink)
				l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				s.httpListener = l
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan error, 1)
				go func() { over <- s.Run(ctx) }()
				c, theirs := net.Pipe()
				defer c.Close()
				l.conns <- theirs
				from := bufio.NewReader(c)
				if tt.before != "" {
					send(t, c, tt.before)
					if got := answerOf(t, from); got.code != 200 || got.header.Get("Connection") != "" {
						t.Fatalf("before: got %d, Connection %q, want 200 and no word of an end", got.code, got.header.Get("Connection"))
					}
				}
				sink.taken()
				synctest.Wait()
				began := time.Now()
				cancel()
				synctest.Wait()
				if tt.sent != "" {
					send(t, c, tt.sent)
					if got := answerOf(t, from); got.code != 200 || got.header.Get("Connection") != "close" {
						t.Errorf("got %d, Connection %q, want 200 and close", got.code, got.header.Get("Connection"))
					}
					if got := sink.taken(); got != "hello" {
						t.Errorf("got %q taken, want hello", got)
					}
				}
				if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("got %v, want the end", err)
				}
				if err := <-over; err != nil {
					t.Errorf("Run: got %v, want nil", err)
				}
				if took := time.Since(began); took > 3*lastCall {
					t.Errorf("took %s to stop, want %s at most", took, 3*lastCall)
				}
			})
		})
	}
}

// deaf is a RawSink that does not listen to its context.
type deaf struct {
	inside, leave chan struct{}
	left          bool
}

func (d *deaf) Take(context.Context, Signal, []byte) (int, error) {
	close(d.inside)
	<-d.leave
	d.left = true
	return 1, nil
}

// TestASinkIsLeftBeforeRunReturns has a request with the sink for longer than
// requests have when the server stops.
func TestASinkIsLeftBeforeRunReturns(t *testing.T) {
	for _, request := range []string{plainRequest, strings.Replace(plainRequest, "User-Agent", "TE: trailers\r\nUser-Agent", 1)} {
		synctest.Test(t, func(t *testing.T) {
			sink := &deaf{inside: make(chan struct{}), leave: make(chan struct{})}
			s := NewRaw(Options{}, sink)
			l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
			s.httpListener = l
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- s.Run(ctx) }()
			c, theirs := net.Pipe()
			defer c.Close()
			l.conns <- theirs
			send(t, c, request)
			<-sink.inside
			cancel()
			<-time.After(time.Minute)
			select {
			case err := <-over:
				t.Fatalf("got the end of Run and %v, want it to wait", err)
			default:
			}
			close(sink.leave)
			if err := <-over; err != nil {
				t.Errorf("Run: got %v, want nil", err)
			}
			if !sink.left {
				t.Error("got the end of Run before the sink was left")
			}
		})
	}
}

// TestConnectionsWithoutARequestHoldUpNoStop has senders connect over TLS and say
// nothing of a request, or nothing at all.
func TestConnectionsWithoutARequestHoldUpNoStop(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate and the client that trusts it
	defer certified.Close()
	transport, _ := certified.Client().Transport.(*http.Transport)
	for _, handshake := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := NewRaw(Options{TLS: &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}}, &texts{})
			grpcPipes, httpPipes := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
			s.grpcListener, s.httpListener = grpcPipes, httpPipes
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- s.Run(ctx) }()
			var reading sync.WaitGroup
			for _, l := range []*pipes{grpcPipes, httpPipes} {
				c, theirs := net.Pipe()
				defer c.Close()
				l.conns <- theirs
				config := transport.TLSClientConfig.Clone()
				config.ServerName, config.NextProtos = "example.com", []string{"h2"}
				if l == httpPipes {
					config.NextProtos = []string{"http/1.1"}
				}
				secured := tls.Client(c, config)
				if handshake {
					if err := secured.HandshakeContext(ctx); err != nil {
						t.Fatal(err)
					}
				}
				reading.Go(func() { _, _ = io.Copy(io.Discard, c) }) // whatever is said at the end
			}
			synctest.Wait()
			began := time.Now()
			cancel()
			if err := <-over; err != nil {
				t.Errorf("Run: got %v, want nil", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("handshake %v: took %s to stop, want less than 2s", handshake, took)
			}
			reading.Wait()
		})
	}
}
