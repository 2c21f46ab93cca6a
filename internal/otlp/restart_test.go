package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// ledger is a RawSink that keeps the numbers of what it took, from a server that
// may give it something until it has stopped.
type ledger struct {
	t       *testing.T
	taken   *sync.Map // by number
	stopped atomic.Bool
}

func (l *ledger) Take(_ context.Context, _ Signal, request []byte) (int, error) {
	if l.stopped.Load() {
		l.t.Error("got a request from a server that has stopped")
	}
	l.taken.Store(string(request), true)
	return 1, nil
}

// try sends a number once. It gives nil for success, errRetry for a failure that
// asks for a retry, and any other error for what must not happen.
type try func(ctx context.Context, number string) error

var errRetry = errors.New("to be sent again")

// overGRPC speaks over TLS if trusted is not nil.
func overGRPC(t *testing.T, addr string, trusted *tls.Config) try {
	t.Helper()
	secured := insecure.NewCredentials()
	if trusted != nil {
		secured = credentials.NewTLS(trusted)
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(secured), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}, MinConnectTimeout: 10 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(ctx context.Context, number string) error {
		err := conn.Invoke(ctx, "/"+services[logs]+"/Export", &raw{bytes: []byte(number)}, &raw{})
		if status.Code(err) == codes.Unavailable {
			return errRetry
		}
		return err
	}
}

// overHTTP is like overGRPC; over TLS it speaks HTTP/2 if it is told to.
func overHTTP(t *testing.T, addr, coding string, trusted *tls.Config, second bool) try {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: trusted.Clone(), ForceAttemptHTTP2: second}
	scheme := "http://"
	if trusted != nil {
		scheme = "https://"
	}
	t.Cleanup(transport.CloseIdleConnections)
	return func(ctx context.Context, number string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+addr+"/v1/logs", bytes.NewReader(pack(t, coding, []byte(number))))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		if coding != "" {
			req.Header.Set("Content-Encoding", coding)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return errRetry // there was no answer
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return errRetry
		}
		switch resp.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			return errRetry
		}
		return fmt.Errorf("answered %s", resp.Status)
	}
}

// TestARestartUnderLoadLosesNothing has servers follow each other at the same
// addresses while senders go on: what was answered with success was taken, and
// whatever failed asks to be sent again.
func TestARestartUnderLoadLosesNothing(t *testing.T) {
	t.Run("plain", func(t *testing.T) { restart(t, nil, nil) })
	t.Run("TLS", func(t *testing.T) {
		certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate and the client that trusts it
		defer certified.Close()
		transport, _ := certified.Client().Transport.(*http.Transport)
		restart(t, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}, transport.TLSClientConfig)
	})
}

func restart(t *testing.T, secure, trusted *tls.Config) {
	t.Helper()
	var taken sync.Map
	addrs := Addrs{GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0"}
	start := func() (stop func()) {
		sink := &ledger{t: t, taken: &taken}
		s := NewRaw(Options{GRPCAddr: addrs.GRPC, HTTPAddr: addrs.HTTP, TLS: secure}, sink)
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		addrs = s.Addrs()
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- s.Run(ctx) }()
		return func() {
			cancel()
			if err := <-over; err != nil {
				t.Errorf("Run: got %v, want nil", err)
			}
			sink.stopped.Store(true)
		}
	}
	stop := start()
	tries := []try{
		overGRPC(t, addrs.GRPC, trusted), overGRPC(t, addrs.GRPC, trusted),
		overHTTP(t, addrs.HTTP, "", trusted, false), overHTTP(t, addrs.HTTP, "gzip", trusted, true),
	}
	tries = append(tries, tries...) // connections that are shared, too

	var sending sync.WaitGroup
	var next, answered, failed atomic.Int64
	sends, end := context.WithCancel(t.Context())
	for _, send := range tries {
		sending.Go(func() {
			for sends.Err() == nil {
				number := strconv.FormatInt(next.Add(1), 10)
				switch err := send(t.Context(), number); {
				case err == nil:
					answered.Add(1)
					if _, ok := taken.Load(number); !ok {
						t.Errorf("number %s was answered with success and never taken", number)
					}
				case errors.Is(err, errRetry):
					failed.Add(1)
					<-time.After(time.Millisecond) // as a sender would
				default:
					t.Errorf("number %s: got %v, want success or to be asked for a retry", number, err)
				}
			}
		})
	}
	for range 5 {
		for until := answered.Load() + 400; answered.Load() < until && !t.Failed(); {
			<-time.After(time.Millisecond)
		}
		stop()
		stop = start()
	}
	end()
	sending.Wait()
	stop()
	t.Logf("%d answered, %d to be sent again", answered.Load(), failed.Load())
}
