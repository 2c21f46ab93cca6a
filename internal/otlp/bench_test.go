package otlp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// nothing is a RawSink that takes everything.
type nothing struct{}

func (nothing) Take(context.Context, Signal, []byte) (int, error) { return 1, nil }

// BenchmarkPlain makes one plain request after the other over a connection.
func BenchmarkPlain(b *testing.B) {
	for _, size := range []int{100, 20 << 10} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			s := NewRaw(Options{HTTPAddr: "127.0.0.1:0"}, nothing{})
			if err := s.Listen(); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			over := make(chan error, 1)
			go func() { over <- s.Run(ctx) }()
			c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", s.Addrs().HTTP)
			if err != nil {
				b.Fatal(err)
			}
			request := []byte(strings.Replace(plainRequest, "5\r\n\r\nhello", fmt.Sprintf("%d\r\n\r\n%s", size, strings.Repeat("x", size)), 1))
			const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: 0\r\n\r\n"
			got := make([]byte, len(answer))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, got); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			cancel()
			if err := <-over; err != nil {
				b.Error(err)
			}
		})
	}
}
