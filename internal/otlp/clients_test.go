package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const exportLogs = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// reader is a RawSink that tells how long requests are, and when their time is up.
type reader struct {
	sizes chan int
	until chan time.Time
}

func (r *reader) Take(ctx context.Context, _ Signal, request []byte) (int, error) {
	at, _ := ctx.Deadline()
	r.sizes <- len(request)
	r.until <- at
	return 1, nil
}

// TestClientsOfGRPC has grpc-go speak as its versions and settings make it:
// windows that grow by pings or are fixed, heads in one frame or many.
func TestClientsOfGRPC(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []grpc.DialOption
	}{
		{"as it comes", nil},
		{"with fixed windows", []grpc.DialOption{grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(1 << 20)}},
		{"with the least windows", []grpc.DialOption{grpc.WithStaticStreamWindowSize(1<<16 - 1), grpc.WithStaticConnWindowSize(1<<16 - 1)}},
		{"with little buffered", []grpc.DialOption{grpc.WithWriteBufferSize(0), grpc.WithReadBufferSize(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sink := &reader{sizes: make(chan int, 1000), until: make(chan time.Time, 1000)}
			s := serveRaw(t, Options{MaxInFlight: 8}, sink)
			conn := dial(t, s, append(tt.opts, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallSendMsgSize(64<<20)))...)
			send := func(ctx context.Context, n int, opts ...grpc.CallOption) error {
				return conn.Invoke(ctx, exportLogs, &raw{bytes: make([]byte, n)}, &raw{}, opts...)
			}
			took := func(t *testing.T, want int, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				<-sink.until
				if got := <-sink.sizes; got != want {
					t.Errorf("got %d bytes, want %d", got, want)
				}
			}
			t.Run("more calls than may be at a time", func(t *testing.T) {
				var calls sync.WaitGroup
				for range 100 {
					calls.Go(func() {
						if err := send(t.Context(), 100_000); err != nil {
							t.Errorf("got %v, want success", err)
						}
					})
				}
				calls.Wait()
				for range 100 {
					took(t, 100_000, nil)
				}
			})
			t.Run("nothing", func(t *testing.T) { took(t, 0, send(t.Context(), 0)) })
			t.Run("a large message", func(t *testing.T) { took(t, 12<<20, send(t.Context(), 12<<20)) })
			t.Run("a large message, compressed", func(t *testing.T) { took(t, 12<<20, send(t.Context(), 12<<20, grpc.UseCompressor("gzip"))) })
			t.Run("a head of many frames", func(t *testing.T) {
				took(t, 5, send(metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", 30_000), "y-bin", strings.Repeat("\xff", 20_000)), 5))
			})
			t.Run("a head that is too large", func(t *testing.T) {
				if err := send(metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", 70_000)), 5); err == nil {
					t.Error("got success, want it refused")
				}
				took(t, 6, send(t.Context(), 6))
			})
			t.Run("a message that is too large", func(t *testing.T) {
				if err := send(t.Context(), 40<<20); status.Code(err) != codes.ResourceExhausted {
					t.Errorf("got %v, want RESOURCE_EXHAUSTED", err)
				}
				took(t, 7, send(t.Context(), 7))
			})
			t.Run("a message given up", func(t *testing.T) {
				for range 20 {
					ctx, cancel := context.WithCancel(t.Context())
					stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, exportLogs)
					if err != nil {
						t.Fatal(err)
					}
					took(t, 8, send(t.Context(), 8)) // the stream has begun
					cancel()
					_ = stream.RecvMsg(&raw{}) // says what is known
				}
				took(t, 9, send(t.Context(), 9))
				if got := s.held.Load(); got != 0 {
					t.Errorf("got %d bytes held, want none", got)
				}
			})
			t.Run("a deadline", func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
				defer cancel()
				sent := time.Now()
				if err := send(ctx, 10); err != nil {
					t.Fatal(err)
				}
				<-sink.sizes
				if at := <-sink.until; at.Before(sent) || at.After(sent.Add(10*time.Second)) {
					t.Errorf("got a deadline after %s, want 9s", at.Sub(sent))
				}
			})
		})
	}
}

// TestClientsThatKeepAConnectionAlive pings as often as grpc-go allows, without a
// call, and while one is under way.
func TestClientsThatKeepAConnectionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &reader{sizes: make(chan int, 10), until: make(chan time.Time, 10)}
		s := NewRaw(Options{}, sink)
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		s.grpcListener = l
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- s.Run(ctx) }()
		var dialled atomic.Int64
		conn, err := grpc.NewClient("passthrough:pipe", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				dialled.Add(1)
				ours, theirs := net.Pipe()
				l.conns <- theirs
				return ours, nil
			}),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: time.Second, PermitWithoutStream: true}),
			grpc.WithIdleTimeout(0), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := conn.Invoke(t.Context(), exportLogs, &raw{bytes: []byte("x")}, &raw{}); err != nil {
				t.Errorf("got %v, want success", err)
			}
			<-time.After(10 * time.Minute)
		}
		if got := dialled.Load(); got != 1 {
			t.Errorf("got %d connections, want 1", got)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

// TestNetHTTPSpeaksGRPC has the other client of Go, which shares no code with
// grpc-go, make calls, and give some up.
func TestNetHTTPSpeaksGRPC(t *testing.T) {
	sink := &reader{sizes: make(chan int, 100), until: make(chan time.Time, 100)}
	s := serveRaw(t, Options{}, sink)
	var dialled atomic.Int64
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetUnencryptedHTTP2(true)
	call := func(ctx context.Context, body io.Reader, length int64) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addrs().GRPC+exportLogs, body)
		if err != nil {
			return nil, err
		}
		req.ContentLength = length
		req.Header.Set("Content-Type", "application/grpc+proto")
		req.Header.Set("TE", "trailers")
		return transport.RoundTrip(req)
	}
	for _, size := range []int{0, 1, 100_000, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(size)), make([]byte, size)...)
			resp, err := call(t.Context(), bytes.NewReader(message), int64(len(message)))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, make([]byte, 5)) || resp.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("got %x, %v and status %q, want an empty message and 0", got, err, resp.Trailer.Get("Grpc-Status"))
			}
			if got := <-sink.sizes; got != size {
				t.Errorf("got %d bytes, want %d", got, size)
			}
			<-sink.until
		})
	}
	t.Run("given up", func(t *testing.T) {
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			body, rest := io.Pipe()
			failed := make(chan error, 1)
			go func() {
				resp, err := call(ctx, body, -1)
				if err == nil {
					resp.Body.Close()
				}
				failed <- err
			}()
			_, err := rest.Write([]byte{0, 0, 0, 1, 0, 'x'}) // once it is read, the call has begun
			cancel()
			if callErr := <-failed; callErr == nil || err != nil {
				t.Errorf("got %v and %v, want the call given up", callErr, err)
			}
		}
		if got := dialled.Load(); got != 1 {
			t.Errorf("got %d connections, want 1", got)
		}
	})
}
