package unary

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// head is what matters of the head of a call.
type head struct {
	call    Call
	limit   time.Duration // the call may take
	length  int64         // of the request; -1 if nothing is said of it
	http    int           // the status of an answer
	refused *Status       // nil: not by its head alone
}

// judge says whether a call is one of ours, by its head. It gives false for what
// HTTP/2 calls malformed.
func (c *conn) judge(f *http2.MetaHeadersFrame) (h head, ok bool) {
	o := c.opts
	h.length = -1
	var method, scheme, path, kind, timeout string
	for _, field := range f.Fields {
		switch field.Name {
		case ":method":
			method = field.Value
		case ":scheme":
			scheme = field.Value
		case ":path":
			path = field.Value
		case "content-type":
			kind = field.Value
		case "grpc-encoding":
			h.call.Coding = brief(field.Value) // no coding that is known is as long
		case "authorization":
			h.call.Authorization = field.Value
		case "grpc-timeout":
			timeout = field.Value
		case "content-length":
			n, err := strconv.ParseUint(field.Value, 10, 63)
			if err != nil || h.length >= 0 && h.length != int64(n) {
				return h, false
			}
			h.length = int64(n)
		case "te":
			if field.Value != "trailers" {
				return h, false
			}
		case ":status", ":protocol", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return h, false // of answers, of an extension nobody offered, or of HTTP/1.1
		}
	}
	base, _, _ := strings.Cut(kind, ";")
	limit, readable := within(timeout, o.StreamTimeout)
	known := false
	h.limit, h.http = limit, 200
	h.call.Method, known = o.Methods[path]
	switch {
	case f.Truncated:
		h.http, h.refused = 431, &Status{Code: codeResourceExhausted, Message: "more header fields than are taken"}
	case method == "", method != "CONNECT" && (scheme == "" || path == ""), f.StreamEnded() && h.length > 0:
		return h, false
	case method != "POST":
		h.http, h.refused = 405, &Status{Code: codeInternal, Message: "gRPC is spoken with POST"}
	case base != "application/grpc" && !strings.HasPrefix(base, "application/grpc+"):
		h.http, h.refused = 415, &Status{Code: codeInvalidArgument, Message: "content type " + brief(kind) + " is not that of gRPC"}
	case !readable:
		h.http, h.refused = 400, &Status{Code: codeInternal, Message: "malformed grpc-timeout " + brief(timeout)}
	case !known:
		h.refused = &Status{Code: codeUnimplemented, Message: "no method " + brief(path)}
	case f.StreamEnded():
		h.refused = &Status{Code: codeInternal, Message: "a call without a message"}
	}
	return h, true
}

// maxEcho is how much of a header field an answer repeats.
const maxEcho = 100

func brief(text string) string { return text[:min(len(text), maxEcho)] }

// units are those of the grpc-timeout header.
var units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}

// maxTimeout is how long the header may be: eight digits and a unit.
const maxTimeout = 9

// within gives how long a call may take: limit, if its peer does not say less.
func within(timeout string, limit time.Duration) (time.Duration, bool) {
	if timeout == "" {
		return limit, true
	}
	if len(timeout) > maxTimeout {
		return 0, false
	}
	unit, known := units[timeout[len(timeout)-1]]
	n, err := strconv.ParseUint(timeout[:len(timeout)-1], 10, 32)
	switch {
	case !known || err != nil:
		return 0, false
	case n > uint64(limit/unit):
		return limit, true
	}
	return time.Duration(n) * unit, true
}
