package otlp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/homeostat/homeostat/internal/heal"
)

const plainRequest = "POST /v1/logs HTTP/1.1\r\nHost: x:4318\r\nUser-Agent: test\r\nContent-Type: application/x-protobuf\r\nContent-Length: 5\r\n\r\nhello"

// connect opens a connection over HTTP that ends with the test.
func connect(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addrs().HTTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

// answerOf reads one answer. What it says of the end of the connection is put back
// where net/http took it from.
func answerOf(t *testing.T, from *bufio.Reader) reply {
	t.Helper()
	resp, err := http.ReadResponse(from, &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.Close {
		resp.Header.Set("Connection", "close")
	}
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, must(t, body, err)}
}

// TestPlainAndOtherRequestsOverOneConnection says that a sender cannot tell who
// answers.
func TestPlainAndOtherRequestsOverOneConnection(t *testing.T) {
	sink := &rawMemory{}
	s := serveRaw(t, Options{MaxRequestBytes: 1 << 20}, sink)
	chunked := strings.Replace(plainRequest, "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1)
	large := strings.Replace(plainRequest, "5\r\n\r\nhello", "300000\r\n\r\n"+strings.Repeat("x", 300000), 1)
	tests := []struct {
		name  string
		parts []string // sent one after the other, the answers to a part awaited in between
		codes []int
	}{
		{"plain", []string{plainRequest}, []int{200}},
		{"one after the other", []string{plainRequest, plainRequest, large, plainRequest}, []int{200, 200, 200, 200}},
		{"all at once", []string{plainRequest + plainRequest + large + plainRequest}, []int{200, 200, 200, 200}},
		{"chunked between plain ones", []string{plainRequest + chunked + plainRequest}, []int{200, 200, 200}},
		{"a page that is not there", []string{plainRequest, strings.Replace(plainRequest, "/v1/logs", "/v1/logz", 1)}, []int{200, 404}},
		{"another method", []string{plainRequest, strings.Replace(plainRequest, "POST", "PUT", 1)}, []int{200, 405}},
		{"a bad header", []string{plainRequest, strings.Replace(plainRequest, "User-Agent", "User Agent", 1)}, []int{200, 400}},
		{"two lengths", []string{strings.Replace(plainRequest, "Content-Length: 5", "Content-Length: 5\r\nContent-Length: 4", 1)}, []int{400}},
		{"too large", []string{plainRequest, strings.Replace(plainRequest, "5\r\n\r\nhello", "1048577\r\n\r\n"+strings.Repeat("x", 1<<20+1), 1)}, []int{200, 413}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, s)
			from := bufio.NewReader(c)
			next := 0
			for i, part := range tt.parts {
				send(t, c, part)
				until := i + 1
				if len(tt.parts) == 1 {
					until = len(tt.codes)
				}
				for ; next < min(until, len(tt.codes)); next++ {
					if got := answerOf(t, from); got.code != tt.codes[next] {
						t.Errorf("answer %d: got %d %s, want %d", next, got.code, got.body, tt.codes[next])
					}
				}
			}
		})
	}
}

func TestAHeadThatComesInPieces(t *testing.T) {
	s := serveRaw(t, Options{}, &rawMemory{})
	c := connect(t, s)
	from := bufio.NewReader(c)
	for range 3 {
		for j := range len(plainRequest) {
			send(t, c, plainRequest[j:j+1])
		}
		if got := answerOf(t, from); got.code != 200 {
			t.Errorf("got %d %s, want 200", got.code, got.body)
		}
	}
}

func TestPlainRequestsAreCutAndRefusedAsOthersAre(t *testing.T) {
	s := serveRaw(t, Options{ReadTimeout: 200 * time.Millisecond}, &rawMemory{})
	for _, tt := range []struct {
		name, sent string
		half       bool // the sender says that no more comes
		code       int
	}{
		{"a body that does not come", strings.TrimSuffix(plainRequest, "lo"), false, 503},
		{"a body that ends early", strings.TrimSuffix(plainRequest, "lo"), true, 400},
	} {
		for _, through := range []string{"front", "net/http"} {
			t.Run(tt.name+", "+through, func(t *testing.T) {
				text := tt.sent
				if through == "net/http" {
					text = strings.Replace(text, "User-Agent", "TE: trailers\r\nUser-Agent", 1)
				}
				c := connect(t, s)
				from := bufio.NewReader(c)
				send(t, c, text)
				if tt.half {
					if err := c.(*net.TCPConn).CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				got := answerOf(t, from)
				if got.code != tt.code {
					t.Errorf("got %d %s, want %d", got.code, got.body, tt.code)
				}
				if _, err := from.ReadByte(); err == nil {
					t.Error("got more than an answer")
				}
				if n := s.held.Load(); n != 0 {
					t.Errorf("got %d bytes held, want none", n)
				}
			})
		}
	}
}

// TestStopCutsPlainRequestsWithoutAnEnd has a sink that waits for its context.
func TestStopCutsPlainRequestsWithoutAnEnd(t *testing.T) {
	inside := make(chan struct{})
	sink := &memory{hook: func(ctx context.Context) error {
		inside <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	s := New(Options{HTTPAddr: "127.0.0.1:0", StopTimeout: 50 * time.Millisecond}, sink)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	connect(t, s) // idle, without a request
	c := connect(t, s)
	data, err := plogotlp.NewExportRequestFromLogs(oneLog()).MarshalProto()
	body := must(t, data, err)
	send(t, c, strings.Replace(plainRequest, "5\r\n\r\nhello", fmt.Sprintf("%d\r\n\r\n%s", len(body), body), 1))
	<-inside
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

// FuzzReadPlainHead says that net/http reads a plain head alike.
func FuzzReadPlainHead(f *testing.F) {
	f.Add([]byte(plainRequest))
	f.Add([]byte(strings.Replace(plainRequest, "Host", "Authorization: Bearer x\r\nConnection: Keep-Alive\r\nhost", 1)))
	f.Add([]byte("POST /v1/traces HTTP/1.1\r\nHost: [::1]:80\r\ncontent-type:application/x-protobuf \r\nCONTENT-LENGTH:\t007\r\nx:\r\n\r\n1234567"))
	f.Add([]byte("POST /v1/metrics HTTP/1.1\r\nHost: x\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := readPlainHead(b)
		if !ok {
			return
		}
		r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(b), len(b)+16))
		if err != nil {
			t.Fatalf("net/http: %v", err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/v1/"+h.sig.String() || r.Host == "" || !r.ProtoAtLeast(1, 1) {
			t.Errorf("net/http has %s %s of host %q, want POST /v1/%s", r.Method, r.URL, r.Host, h.sig)
		}
		if r.ContentLength != int64(h.length) || len(r.TransferEncoding) > 0 || r.Close || len(r.Trailer) > 0 {
			t.Errorf("net/http has length %d, coding %v, close %v; want %d", r.ContentLength, r.TransferEncoding, r.Close, h.length)
		}
		for name, want := range map[string]string{"Authorization": string(h.authorization), "Content-Type": "application/x-protobuf", "Content-Encoding": "", "Expect": "", "Upgrade": ""} {
			if got := strings.Join(r.Header.Values(name), "|"); got != want {
				t.Errorf("net/http has %s %q, want %q", name, got, want)
			}
		}
		want := b[h.size:min(h.size+h.length, len(b))]
		if got, _ := io.ReadAll(r.Body); !bytes.Equal(got, want) {
			t.Errorf("net/http has body %q, want %q", got, want)
		}
	})
}

// TestWhoSendsLittleHoldsLittle begins requests that are not sent.
func TestWhoSendsLittleHoldsLittle(t *testing.T) {
	s := serveRaw(t, Options{MaxHeldBytes: 64 << 10}, &rawMemory{})
	begun := strings.Replace(plainRequest, "Content-Length: 5", "Content-Length: 1000000", 1)
	for range 20 {
		send(t, connect(t, s), begun)
	}
	c := connect(t, s)
	from := bufio.NewReader(c)
	send(t, c, strings.Replace(plainRequest, "5\r\n\r\nhello", "20000\r\n\r\n"+strings.Repeat("x", 20000), 1))
	if got := answerOf(t, from); got.code != 200 {
		t.Errorf("got %d %s, want 200", got.code, got.body)
	}
}

// ends is a RawSink that tells how far beyond a request it could write.
type ends struct{ rawMemory }

func (e *ends) Take(ctx context.Context, sig Signal, request []byte) (int, error) {
	if len(request) != cap(request) {
		return 0, heal.Errorf(heal.Invalid, "take", "got room for %d bytes, want %d", cap(request), len(request))
	}
	return e.rawMemory.Take(ctx, sig, request)
}

func TestASinkIsGivenNoMoreThanItsRequest(t *testing.T) {
	s := serveRaw(t, Options{}, &ends{})
	c := connect(t, s)
	from := bufio.NewReader(c)
	send(t, c, plainRequest+plainRequest)
	for range 2 {
		if got := answerOf(t, from); got.code != 200 {
			t.Errorf("got %d %s, want 200", got.code, got.body)
		}
	}
}
