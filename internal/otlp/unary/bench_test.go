package unary

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// BenchmarkCall makes one call after the other over a connection of TCP, whose
// message is small or takes two frames.
func BenchmarkCall(b *testing.B) {
	for _, bb := range []struct {
		name   string
		size   int
		prompt bool
	}{
		{"100 bytes, prompt", 100, true},
		{"20 KiB, prompt", 20 << 10, true},
		{"20 KiB", 20 << 10, false},
	} {
		b.Run(bb.name, func(b *testing.B) { benchCall(b, bb.size, bb.prompt) })
	}
}

func benchCall(b *testing.B, size int, prompt bool) {
	o := options()
	o.Prompt = func(int) bool { return prompt }
	o.Take = func(context.Context, *Call) ([]byte, *Status) { return nil, nil }
	_, conn := serveTCP(b, o)
	var begin bytes.Buffer
	framer := http2.NewFramer(&begin, nil)
	begin.WriteString(http2.ClientPreface)
	_ = framer.WriteSettings()
	_ = framer.WriteWindowUpdate(0, maxWindow-firstWindow)
	if _, err := conn.Write(begin.Bytes()); err != nil {
		b.Fatal(err)
	}
	framer = http2.NewFramer(conn, conn)
	framer.SetReuseFrames()
	var request bytes.Buffer
	out := http2.NewFramer(&request, nil)
	head := headOf(":method", "POST", ":scheme", "http", ":path", echo, ":authority", "x", "content-type", "application/grpc", "te", "trailers", "user-agent", "grpc-go/1.84.0")
	rest := message(strings.Repeat("x", size))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	id := uint32(1)
	for b.Loop() {
		request.Reset()
		_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true})
		for at := 0; at < len(rest); at += maxFrame {
			end := min(at+maxFrame, len(rest))
			_ = out.WriteData(id, end == len(rest), rest[at:end])
		}
		if _, err := conn.Write(request.Bytes()); err != nil {
			b.Fatal(err)
		}
		for over := false; !over; {
			f, err := framer.ReadFrame()
			if err != nil {
				b.Fatal(err)
			}
			over = f.Header().StreamID == id && f.Header().Flags.Has(http2.FlagHeadersEndStream)
		}
		id += 2
	}
}
