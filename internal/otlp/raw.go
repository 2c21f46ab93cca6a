package otlp

import (
	"context"

	"github.com/homeostat/homeostat/internal/heal"
)

// RawSink takes requests as bytes of protobuf, undecoded and unchecked. Its
// errors mean what those of a Sink mean.
type RawSink interface {
	// Take takes one request and says how many items it holds. It may change the
	// bytes, which are used for something else once it returns.
	Take(ctx context.Context, sig Signal, request []byte) (items int, err error)
}

// NewRaw makes a Server that leaves requests as bytes. Only JSON is decoded, and
// written anew as protobuf.
func NewRaw(opts Options, sink RawSink) *Server {
	s := New(opts, nil)
	s.raw = sink
	return s
}

func (s *Server) exportRaw(ctx context.Context, sig Signal, enc format, body []byte) ([]byte, error) {
	if enc == jsonText {
		_, c, err := s.decoder.decode(sig, enc, body)
		if err != nil {
			return nil, err
		}
		if body, err = c.MarshalProto(); err != nil {
			return nil, heal.Errorf(heal.Internal, "write OTLP "+sig.String(), "%w", err)
		}
	}
	ctx, cancel := within(ctx, s.opts.SinkTimeout)
	defer cancel()
	count, err := s.raw.Take(ctx, sig, body)
	return s.answer(sig, enc, count, err)
}
