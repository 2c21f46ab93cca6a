package main

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"github.com/homeostat/homeostat/internal/otlp"
)

// sink is a backend that counts the spans it gets.
type sink struct {
	server *otlp.Server
	spans  atomic.Int64
}

func newSink() (*sink, error) {
	s := &sink{}
	s.server = otlp.NewRaw(otlp.Options{GRPCAddr: "127.0.0.1:0"}, s)
	return s, s.server.Listen()
}

func (s *sink) addr() string { return s.server.Addrs().GRPC }

// Take counts the spans of a request.
func (s *sink) Take(_ context.Context, _ otlp.Signal, request []byte) (int, error) {
	n := countSpans(request, 3)
	s.spans.Add(int64(n))
	return n, nil
}

// countSpans walks down to the fields that hold spans, levels below. Resource
// spans are field 1 of a request, scope spans and spans field 2.
func countSpans(b []byte, levels int) (n int) {
	want := uint64(2)
	if levels == 3 {
		want = 1
	}
	for len(b) > 0 {
		tag, k := binary.Uvarint(b)
		if k <= 0 || tag&7 != 2 {
			return n // resources, scopes and their schemas are all length-delimited
		}
		size, m := binary.Uvarint(b[k:])
		if m <= 0 || size > uint64(len(b)-k-m) {
			return n
		}
		content := b[k+m : k+m+int(size)]
		b = b[k+m+int(size):]
		switch {
		case tag>>3 != want:
		case levels == 1:
			n++
		default:
			n += countSpans(content, levels-1)
		}
	}
	return n
}
