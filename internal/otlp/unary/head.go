package unary

import (
	"context"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// judge says whether a call is one of ours, by its head, and how long it may take.
func (c *conn) judge(ctx context.Context, f *http2.MetaHeadersFrame) (call Call, limit time.Duration, http int, refused *Status) {
	o := c.opts
	var method, path, kind, timeout string
	for _, field := range f.Fields {
		switch field.Name {
		case ":method":
			method = field.Value
		case ":path":
			path = field.Value
		case "content-type":
			kind = field.Value
		case "grpc-encoding":
			call.Coding = brief(field.Value) // no coding that is known is as long
		case "authorization":
			call.Authorization = field.Value
		case "grpc-timeout":
			timeout = field.Value
		}
	}
	base, _, _ := strings.Cut(kind, ";")
	limit, readable := within(timeout, o.StreamTimeout)
	known := false
	call.Method, known = o.Methods[path]
	switch {
	case f.Truncated:
		return call, 0, 431, &Status{Code: codeResourceExhausted, Message: "more header fields than are taken"}
	case method != "POST":
		return call, 0, 405, &Status{Code: codeInternal, Message: "gRPC is spoken with POST"}
	case base != "application/grpc" && !strings.HasPrefix(base, "application/grpc+"):
		return call, 0, 415, &Status{Code: codeInvalidArgument, Message: "content type " + brief(kind) + " is not that of gRPC"}
	case !readable:
		return call, 0, 400, &Status{Code: codeInternal, Message: "malformed grpc-timeout " + brief(timeout)}
	case !known:
		return call, 0, 200, &Status{Code: codeUnimplemented, Message: "no method " + brief(path)}
	case f.StreamEnded():
		return call, 0, 200, &Status{Code: codeInternal, Message: "a call without a message"}
	case o.Admit != nil:
		refused = o.Admit(ctx, &call)
	}
	call.Authorization = "" // not to be kept for as long as the call takes
	return call, limit, 200, refused
}

// maxEcho is how much of a header field an answer repeats.
const maxEcho = 100

func brief(text string) string { return text[:min(len(text), maxEcho)] }

// units are those of the grpc-timeout header.
var units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}

// within gives how long a call may take: limit, if its peer does not say less.
func within(timeout string, limit time.Duration) (time.Duration, bool) {
	if timeout == "" {
		return limit, true
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
