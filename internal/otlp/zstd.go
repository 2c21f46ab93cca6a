package otlp

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// registerZstd adds zstd to grpc-go's compressors, which are global and can
// only be added to: the one piece of global state here. It is called by New,
// before anything is served.
var registerZstd = sync.OnceFunc(func() {
	if encoding.GetCompressor("zstd") == nil {
		encoding.RegisterCompressor(&zstdCompressor{})
	}
})

// zstdWindow bounds what a frame can make the decoder allocate before it gives
// a byte; exporters use windows of at most 8 MiB.
const zstdWindow = 8 << 20

// zstdPool keeps decoders, which are dear to make.
type zstdPool struct{ pool sync.Pool }

// get gives a decoder of r; closing it puts it back.
func (p *zstdPool) get(r io.Reader) (*zstdReader, error) {
	if known, ok := p.pool.Get().(*zstdReader); ok {
		if err := known.Reset(r); err != nil {
			return nil, err
		}
		return known, nil
	}
	// One at a time means no goroutine of its own, so a forgotten one leaks nothing.
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	return &zstdReader{Decoder: d, pool: p}, nil
}

type zstdReader struct {
	*zstd.Decoder
	pool *zstdPool
}

// Close puts the decoder back into its pool.
func (z *zstdReader) Close() error {
	err := z.Reset(nil)
	z.pool.pool.Put(z)
	return err
}

// zstdCompressor is zstd for grpc-go.
type zstdCompressor struct {
	decoders zstdPool
	encoders sync.Pool
}

func (*zstdCompressor) Name() string { return "zstd" }

func (c *zstdCompressor) Decompress(r io.Reader) (io.Reader, error) { return c.decoders.get(r) }

func (c *zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	if known, ok := c.encoders.Get().(*zstdWriter); ok {
		known.Reset(w)
		return known, nil
	}
	e, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	return &zstdWriter{Encoder: e, pool: &c.encoders}, nil
}

type zstdWriter struct {
	*zstd.Encoder
	pool *sync.Pool
}

// Close ends the message and puts the encoder back into its pool.
func (z *zstdWriter) Close() error {
	err := z.Encoder.Close()
	z.pool.Put(z)
	return err
}
