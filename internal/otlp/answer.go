package otlp

import (
	"bytes"
	"compress/gzip"
	"sync"

	"github.com/klauspost/compress/zstd"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

type statusProto = spb.Status

// partialSuccess reads field 1 of an export response: how many items were
// refused, and why. All three signals have the same form. What cannot be read
// says nothing.
func partialSuccess(answer []byte) (rejected int, reason string) {
	for len(answer) > 0 {
		number, wire, n := protowire.ConsumeTag(answer)
		if n < 0 {
			return rejected, reason
		}
		size := protowire.ConsumeFieldValue(number, wire, answer[n:])
		if size < 0 {
			return rejected, reason
		}
		value := answer[n : n+size]
		answer = answer[n+size:]
		switch {
		case number == 1 && wire == protowire.BytesType:
			answer, _ = protowire.ConsumeBytes(value)
		case number == 1 && wire == protowire.VarintType:
			count, _ := protowire.ConsumeVarint(value)
			rejected = max(int(count), 0)
		case number == 2 && wire == protowire.BytesType:
			text, _ := protowire.ConsumeBytes(value)
			reason = string(text)
		}
	}
	return rejected, reason
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func gzipped(b []byte) ([]byte, error) {
	z, _ := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	var out bytes.Buffer
	z.Reset(&out)
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	err := z.Close()
	return out.Bytes(), err
}

// zstdEncoders holds one encoder, which is safe for concurrent use.
type zstdEncoders struct {
	once    sync.Once
	encoder *zstd.Encoder
	err     error
}

func (z *zstdEncoders) encode(b []byte) ([]byte, error) {
	z.once.Do(func() {
		z.encoder, z.err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	})
	if z.err != nil {
		return nil, z.err
	}
	return z.encoder.EncodeAll(b, nil), nil
}
