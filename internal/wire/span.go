package wire

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Kind is the kind of a span, numbered as in OTLP.
type Kind uint8

// The kinds of span.
const (
	KindUnspecified Kind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
)

func (k Kind) label() string {
	switch k {
	case KindUnspecified:
		return "SPAN_KIND_UNSPECIFIED"
	case KindInternal:
		return "SPAN_KIND_INTERNAL"
	case KindServer:
		return "SPAN_KIND_SERVER"
	case KindClient:
		return "SPAN_KIND_CLIENT"
	case KindProducer:
		return "SPAN_KIND_PRODUCER"
	case KindConsumer:
		return "SPAN_KIND_CONSUMER"
	}
	return "SPAN_KIND_UNSPECIFIED"
}

// Status is the status of a span, numbered as in OTLP.
type Status uint8

// The statuses of a span.
const (
	StatusUnset Status = iota
	StatusOK
	StatusError
)

func (s Status) label() string {
	switch s {
	case StatusUnset:
		return "STATUS_CODE_UNSET"
	case StatusOK:
		return "STATUS_CODE_OK"
	case StatusError:
		return "STATUS_CODE_ERROR"
	}
	return "STATUS_CODE_UNSET"
}

// Span is what the aggregator needs of a span. Its strings may alias a buffer
// that is used again after Observe: what is kept is copied.
type Span struct {
	TraceID   [16]byte
	SpanID    [8]byte
	ParentID  [8]byte // zero for a root
	Service   string
	Operation string
	Kind      Kind
	Status    Status
	Duration  time.Duration
	Peer      Peer
}

// Peer is the other side of a call as the caller names it; the zero Peer means
// the span does not say.
type Peer struct {
	Name   string          // peer.service, or host:port
	Kind   heal.EntityKind // what the attributes say it is; external if they do not
	System string          // db.system or messaging.system, "" for a plain call
}

// Edge is the calls of one client to one server since the flush before.
type Edge struct {
	Client   heal.EntityID
	Server   heal.EntityID
	Requests uint64
	Failed   uint64
	Total    time.Duration // sum of the durations, as the server saw them where it did
	At       time.Time     // of the flush
}
