package otlp

import (
	"errors"
	"io"
	"math/bits"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
)

// bufferPool keeps the buffers of requests, by size: one pool for each power of
// two from 4 KiB to 64 MiB.
type bufferPool struct {
	classes [15]sync.Pool
}

const smallestBuffer = 12 // as a power of two

// get gives a buffer of the length; what it holds is not defined.
func (p *bufferPool) get(length int) []byte {
	class := max(bits.Len(uint(max(length, 1)-1)), smallestBuffer) - smallestBuffer
	if class >= len(p.classes) {
		return make([]byte, length)
	}
	if b, ok := p.classes[class].Get().(*[]byte); ok {
		return (*b)[:length]
	}
	return make([]byte, length, 1<<(class+smallestBuffer))
}

// put takes a buffer that get gave.
func (p *bufferPool) put(b []byte) {
	class := bits.Len(uint(cap(b))) - 1 - smallestBuffer
	if cap(b) == 0 || class < 0 || class >= len(p.classes) || cap(b) != 1<<(class+smallestBuffer) {
		return
	}
	p.classes[class].Put(&b)
}

// hold reserves bytes of what requests may take together; held gives them back.
func (s *Server) hold(bytes int64) bool {
	if s.held.Add(bytes) > s.opts.MaxHeldBytes {
		s.held.Add(-bytes)
		return false
	}
	return true
}

// full is the error of a request for which no memory is left.
func (s *Server) full() error {
	return heal.Errorf(heal.Transient, "receive OTLP", "requests of %d bytes are being handled, the most allowed", s.opts.MaxHeldBytes)
}

// giveBack is for what readAll gave.
func (s *Server) giveBack(b []byte) {
	s.held.Add(-int64(cap(b)))
	s.buffers.put(b)
}

// readAll reads to the end, at most limit bytes. It holds only what a sender
// has sent so far. What it gives must be given back, after an error too.
func (s *Server) readAll(r io.Reader, limit int64) ([]byte, error) {
	var b []byte
	for {
		if len(b) == cap(b) {
			next := s.buffers.get(max(2*cap(b), 16<<10))
			if !s.hold(int64(cap(next))) {
				s.buffers.put(next)
				return b, s.full()
			}
			next = next[:copy(next, b)]
			if b != nil {
				s.giveBack(b)
			}
			b = next
		}
		room := min(int64(cap(b)-len(b)), limit-int64(len(b)))
		if room <= 0 {
			return b, nil
		}
		n, err := r.Read(b[len(b) : len(b)+int(room)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
