package otlp

import "bytes"

// plainHead is what matters of the head of a plain request: a POST of protobuf
// with a known length, as nearly all senders write it.
type plainHead struct {
	sig           Signal
	size          int    // of the head, in bytes
	length        int    // of the body, in bytes
	authorization []byte // lies in what was read; nil if there is none
}

// maxLengthDigits keeps lengths below any overflow; what is longer is not plain.
const maxLengthDigits = 9

// readPlainHead reads the head of a request at the beginning of b. It gives ok
// only if the whole head is there and every line of it is one that all
// implementations of HTTP/1.1 read alike. Whatever else it is, net/http is the
// judge of it: nothing is refused here.
func readPlainHead(b []byte) (h plainHead, ok bool) {
	line, at := headLine(b, 0)
	if h.sig, ok = plainTarget(line); !ok {
		return h, false
	}
	var length, kind, host int // how often each came
	for {
		if line, at = headLine(b, at); line == nil {
			return h, false
		}
		if len(line) == 0 {
			h.size = at
			return h, length == 1 && kind == 1 && host == 1
		}
		name, value, plain := headField(line)
		if !plain {
			return h, false
		}
		switch {
		case isField(name, "content-length"):
			length++
			h.length, plain = digits(value)
		case isField(name, "content-type"):
			kind++
			plain = string(value) == protobuf.contentType()
		case isField(name, "host"):
			host++
			plain = plainHost(value)
		case isField(name, "authorization"):
			plain = h.authorization == nil && len(value) > 0
			h.authorization = value
		case isField(name, "connection"):
			plain = isField(value, "keep-alive")
		case isField(name, "content-encoding"), isField(name, "transfer-encoding"), isField(name, "expect"),
			isField(name, "upgrade"), isField(name, "trailer"), isField(name, "te"):
			plain = false
		}
		if !plain {
			return h, false
		}
	}
}

// headLine gives the line at b[at:] without its end, which must be CR and LF;
// nil if there is none.
func headLine(b []byte, at int) (line []byte, next int) {
	n := bytes.IndexByte(b[at:], '\n')
	if n < 1 || b[at+n-1] != '\r' {
		return nil, at
	}
	return b[at : at+n-1], at + n + 1
}

func plainTarget(line []byte) (Signal, bool) {
	switch string(line) {
	case "POST /v1/traces HTTP/1.1":
		return traces, true
	case "POST /v1/metrics HTTP/1.1":
		return metrics, true
	case "POST /v1/logs HTTP/1.1":
		return logs, true
	}
	return 0, false
}

// headField splits a line into name and value, without the space around the
// value.
func headField(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return nil, nil, false
	}
	name, value = line[:colon], bytes.Trim(line[colon+1:], " \t")
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, nil, false
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return nil, nil, false
		}
	}
	return name, value, true
}

// isField compares without regard to case; lower is lower case.
func isField(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		if c := name[i]; c != lower[i] && (c < 'A' || c > 'Z' || c+'a'-'A' != lower[i]) {
			return false
		}
	}
	return true
}

// plainHost reports whether a host is a name or an address with or without a port.
func plainHost(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && bytes.IndexByte([]byte("-._:[]"), c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

func digits(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > maxLengthDigits {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
