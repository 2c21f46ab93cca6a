package otlp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// texts is a RawSink that keeps what it took as text.
type texts struct {
	mu   sync.Mutex
	took []string
}

func (x *texts) Take(_ context.Context, _ Signal, request []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.took = append(x.took, string(request))
	return 1, nil
}

// taken gives what was taken since it was asked last.
func (x *texts) taken() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := strings.Join(x.took, "|")
	x.took = nil
	return all
}

// lines is a request as it is sent, of lines that end with CR and LF.
func lines(body string, head ...string) string {
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body
}

// TestRulesOfHTTP1 sends what RFC 9112 has a rule for, behind a plain request
// and as the first: whoever answers, it is one answer to a request, and
// nothing of a request is read as another.
func TestRulesOfHTTP1(t *testing.T) {
	const (
		post = "POST /v1/logs HTTP/1.1"
		host = "Host: x:4318"
		kind = "Content-Type: application/x-protobuf"
		five = "Content-Length: 5"
		te   = "Transfer-Encoding: chunked"
	)
	bodies := func(texts ...string) []string { return texts }
	tests := []struct {
		name   string
		sent   string
		codes  []int
		bodies []string // that were taken
		ends   bool     // the connection, after the last answer
	}{
		{"2.2 an empty line before", "\r\n" + lines("hello", post, host, kind, five), []int{200}, bodies("hello"), false},
		{"2.2 an empty line after", lines("hello\r\n", post, host, kind, five) + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"2.2 two empty lines before", "\r\n\r\n" + lines("hello", post, host, kind, five), []int{400}, nil, true},
		{"2.2 a space before the fields", lines("hello", post, " "+host, kind, five), []int{400}, nil, true},
		{"2.3 a later version", lines("hello", "POST /v1/logs HTTP/2.0", host, kind, five), []int{505}, nil, true},
		{"2.3 no version", "POST /v1/logs\r\n\r\n", []int{400}, nil, true},
		{"2.3 HTTP/1.0", lines("hello", "POST /v1/logs HTTP/1.0", kind, five), []int{200}, bodies("hello"), true},
		{"2.3 HTTP/1.0 that goes on", lines("hello", "POST /v1/logs HTTP/1.0", kind, five, "Connection: keep-alive"), []int{200}, bodies("hello"), false},
		{"3 spaces within the line", lines("hello", "POST  /v1/logs HTTP/1.1", host, kind, five), []int{400}, nil, true},
		{"3.1 a method in small letters", lines("", "post /v1/logs HTTP/1.1", host, kind, "Content-Length: 0"), []int{405}, nil, false},
		{"3.2 no host", lines("hello", post, kind, five), []int{400}, nil, true},
		{"3.2 two hosts", lines("hello", post, host, host, kind, five), []int{400}, nil, true},
		{"3.2 a host that is none", lines("hello", post, "Host: a b", kind, five), []int{400}, nil, true},
		{"3.2.2 a target with its host", lines("hello", "POST http://x:4318/v1/logs HTTP/1.1", host, kind, five), []int{200}, bodies("hello"), false},
		{"3.2 a target with a query", lines("hello", "POST /v1/logs?x=y HTTP/1.1", host, kind, five), []int{200}, bodies("hello"), false},
		{"5 fields in other letters", lines("hello", post, "hOST: x", "content-TYPE: application/x-protobuf", "CONTENT-length:5"), []int{200}, bodies("hello"), false},
		{"5.1 a space before the colon", lines("hello", post, host, kind, "Content-Length : 5"), []int{400}, nil, true},
		{"5.1 no name", lines("hello", post, host, kind, five, ": x"), []int{400}, nil, true},
		{"5.1 no colon", lines("hello", post, host, kind, five, "nothing"), []int{400}, nil, true},
		{"5.2 a length on a line of its own", lines("hello", post, host, kind, "Content-Length:", " 5") + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"5.5 a zero within a value", lines("hello", post, host, kind, five, "X: a\x00b"), []int{400}, nil, true},
		{"5.5 a CR within a value", lines("hello", post, host, kind, five, "X: a\rTransfer-Encoding: chunked"), []int{400}, nil, true},

		{"6.1 chunks", lines("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", post, host, kind, te) + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"6.1 a coding nobody knows", lines("hello", post, host, kind, "Transfer-Encoding: x"), []int{501}, nil, true},
		{"6.1 a coding under chunks", lines("0\r\n\r\n", post, host, kind, "Transfer-Encoding: gzip, chunked"), []int{501}, nil, true},
		{"6.1 chunks twice", lines("0\r\n\r\n", post, host, kind, te, te), []int{501}, nil, true},
		{"6.1 chunks that are hidden", lines("0\r\n\r\n", post, host, kind, "Transfer-Encoding: \x0bchunked"), []int{400}, nil, true},
		{"6.1 chunks and a length", lines("5\r\nhello\r\n0\r\n\r\n", post, host, kind, te, "Content-Length: 3") + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"6.1 a length and chunks", lines("5\r\nhello\r\n0\r\n\r\n", post, host, kind, "Content-Length: 300", te) + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"6.2 a length with a sign", lines("hello", post, host, kind, "Content-Length: +5"), []int{400}, nil, true},
		{"6.2 a length below nothing", lines("hello", post, host, kind, "Content-Length: -5"), []int{400}, nil, true},
		{"6.2 a length in hex", lines("hello", post, host, kind, "Content-Length: 0x5"), []int{400}, nil, true},
		{"6.2 a length beyond all numbers", lines("hello", post, host, kind, "Content-Length: 99999999999999999999"), []int{400}, nil, true},
		{"6.2 a list of lengths", lines("hello", post, host, kind, "Content-Length: 5, 5"), []int{400}, nil, true},
		{"6.2 an empty length", lines("hello", post, host, kind, "Content-Length:"), []int{400}, nil, true},
		{"6.3 two lengths", lines("hello", post, host, kind, five, "Content-Length: 4"), []int{400}, nil, true},
		{"6.3 one length twice", lines("hello", post, host, kind, five, five) + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"6.3 no length", lines("", post, host, kind) + plainRequest, []int{200, 200}, bodies("", "hello"), false},
		{"7.1 a size that is no number", lines("g\r\nhello\r\n0\r\n\r\n", post, host, kind, te), []int{400}, nil, true},
		{"7.1 a size with a sign", lines("+5\r\nhello\r\n0\r\n\r\n", post, host, kind, te), []int{400}, nil, true},
		{"7.1 a size in C", lines("0x5\r\nhello\r\n0\r\n\r\n", post, host, kind, te), []int{400}, nil, true},
		{"7.1 a size beyond all numbers", lines("10000000000000005\r\nhello\r\n0\r\n\r\n", post, host, kind, te), []int{400}, nil, true},
		{"7.1 a chunk longer than its size", lines("3\r\nhello\r\n0\r\n\r\n", post, host, kind, te), []int{400}, nil, true},
		{"7.1.1 extensions", lines("5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", post, host, kind, te) + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"7.1.1 extensions without end", lines("5;"+strings.Repeat("a", 20<<10)+"\r\nhello\r\n0\r\n\r\n", post, host, kind, te), []int{400}, nil, true},
		{"7.1.2 trailers", lines("5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n", post, host, kind, te, "Trailer: X") + plainRequest, []int{200, 200}, bodies("hello", "hello"), false},
		{"9.3 the last request", lines("hello", post, host, kind, five, "Connection: close") + plainRequest, []int{200}, bodies("hello"), true},
		{"9.3 the last of more options", lines("hello", post, host, kind, five, "Connection: x, Close") + plainRequest, []int{200}, bodies("hello"), true},
		{"9.3 a connection that stays", lines("hello", post, host, kind, five, "Connection: keep-alive"), []int{200}, bodies("hello"), false},
		{"a head that is too large", lines("hello", post, host, kind, five, "X: "+strings.Repeat("x", 80<<10)), []int{431}, nil, true},
		{"a line that is too large", lines("hello", "POST /v1/logs?"+strings.Repeat("x", 80<<10)+" HTTP/1.1", host, kind, five), []int{431}, nil, true},
		{"a body that is too large", lines(strings.Repeat("x", 1<<20+1), post, host, kind, "Content-Length: 1048577"), []int{413}, nil, true},
		{"chunks that are too large", lines("100001\r\n"+strings.Repeat("x", 1<<20+1)+"\r\n0\r\n\r\n", post, host, kind, te), []int{413}, nil, true},
		{"an expectation nobody has", lines("hello", post, host, kind, five, "Expect: more"), []int{417}, nil, true},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400}, nil, true},
	}
	sink := &texts{}
	s := serveRaw(t, Options{MaxRequestBytes: 1 << 20}, sink)
	for _, tt := range tests {
		for _, behind := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, behind another %v", tt.name, behind), func(t *testing.T) {
				c := connect(t, s)
				from := bufio.NewReader(c)
				if behind {
					send(t, c, plainRequest)
					if got := answerOf(t, from); got.code != 200 {
						t.Fatalf("got %d for a plain request, want 200", got.code)
					}
				}
				sink.taken()
				_, _ = io.WriteString(c, tt.sent) // all of it, unless an answer comes before
				for i, want := range tt.codes {
					if got := answerOf(t, from); got.code != want {
						t.Fatalf("answer %d: got %d %.200q, want %d", i, got.code, got.body, want)
					}
				}
				if got := sink.taken(); got != strings.Join(tt.bodies, "|") {
					t.Errorf("got %q taken, want %q", got, tt.bodies)
				}
				if !tt.ends {
					send(t, c, plainRequest)
					if got := answerOf(t, from); got.code != 200 {
						t.Errorf("got %d for what followed, want 200", got.code)
					}
					return
				}
				if b, err := from.ReadByte(); err == nil {
					t.Errorf("got %q, want the end", b)
				}
			})
		}
	}
}

func TestWhoAsksBeforeSendingIsToldToGoOn(t *testing.T) {
	s := serveRaw(t, Options{}, &rawMemory{})
	c := connect(t, s)
	from := bufio.NewReader(c)
	for range 2 {
		send(t, c, strings.Replace(strings.TrimSuffix(plainRequest, "hello"), "User-Agent", "Expect: 100-continue\r\nUser-Agent", 1))
		if got := answerOf(t, from); got.code != 100 {
			t.Fatalf("got %d, want 100", got.code)
		}
		send(t, c, "hello")
		if got := answerOf(t, from); got.code != 200 {
			t.Errorf("got %d %s, want 200", got.code, got.body)
		}
	}
}

// TestSlowHeadsAreCut begins requests and does not go on, as the first of a
// connection and behind another.
func TestSlowHeadsAreCut(t *testing.T) {
	s := serveRaw(t, Options{ReadTimeout: 200 * time.Millisecond}, &rawMemory{})
	for _, before := range []string{"", plainRequest} {
		for _, begun := range []string{"P", "POST /v1/logs HTTP/1.1\r\nHost: x\r\n", "\r\nPOST"} {
			c := connect(t, s)
			from := bufio.NewReader(c)
			send(t, c, before)
			if before != "" {
				if got := answerOf(t, from); got.code != 200 {
					t.Fatalf("got %d, want 200", got.code)
				}
			}
			send(t, c, begun)
			if _, err := io.Copy(io.Discard, from); err != nil {
				t.Errorf("%q: got %v, want the end", begun, err)
			}
		}
	}
}
