package otlp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/homeostat/homeostat/internal/heal"
)

// Sink takes what was received. An error of kind Transient asks the sender to
// try again later, one of kind Invalid refuses the request for good; a
// *Rejected says that a part was refused and the rest was taken.
type Sink interface {
	Traces(ctx context.Context, td ptrace.Traces) error
	Metrics(ctx context.Context, md pmetric.Metrics) error
	Logs(ctx context.Context, ld plog.Logs) error
}

// Rejected is the error of a Sink that took a request only in part.
type Rejected = heal.Rejected

// Options of a Server; a zero field takes its default.
type Options struct {
	GRPCAddr string // as in 127.0.0.1:4317; empty: not served, as below
	HTTPAddr string // as in 127.0.0.1:4318
	GRPCKey  string // otlp.grpc; the configuration key that errors name
	HTTPKey  string // otlp.http

	MaxRequestBytes int           // 16 MiB, after decompression; decoded, a request may take 16 times that
	MaxHeaderBytes  int           // 64 KiB
	MaxDepth        int           // 128 levels of nested messages or JSON values
	MaxInFlight     int           // 64 requests at a time, over both protocols; further ones are told to retry
	MaxHeldBytes    int64         // 256 MiB of requests being read and handed over; further ones are told to retry
	MaxConnections  int           // 4,096 for each protocol; further ones wait until one is closed
	ReadTimeout     time.Duration // 30 s for one HTTP request, headers within 5 s
	SinkTimeout     time.Duration // 30 s for the Sink to take one request
	StopTimeout     time.Duration // 5 s for requests in flight when the server stops
	RetryAfter      time.Duration // 1 s: what an overloaded server asks senders to wait

	// Authenticate checks the bearer token of every request, "" if it has none.
	// Its errors of kind Transient ask for a retry, all others refuse. Nil takes
	// everybody.
	Authenticate func(ctx context.Context, token string) error
	// Prompt says that the Sink never waits when it takes a signal: its requests
	// over gRPC are then taken where they are read, one after the other on each
	// connection. Nil: it may wait.
	Prompt func(Signal) bool
	TLS    *tls.Config  // nil: plain text
	Logger *slog.Logger // nil: silent
}

func (o Options) withDefaults() Options {
	setText := func(field *string, def string) {
		if *field == "" {
			*field = def
		}
	}
	setInt := func(field *int, def int) {
		if *field <= 0 {
			*field = def
		}
	}
	setTime := func(field *time.Duration, def time.Duration) {
		if *field <= 0 {
			*field = def
		}
	}
	setText(&o.GRPCKey, "otlp.grpc")
	setText(&o.HTTPKey, "otlp.http")
	setInt(&o.MaxRequestBytes, 16<<20)
	setInt(&o.MaxHeaderBytes, 64<<10)
	setInt(&o.MaxDepth, 128)
	setInt(&o.MaxInFlight, 64)
	setInt(&o.MaxConnections, 4096)
	if o.MaxHeldBytes <= 0 {
		o.MaxHeldBytes = 256 << 20
	}
	setTime(&o.ReadTimeout, 30*time.Second)
	setTime(&o.SinkTimeout, 30*time.Second)
	setTime(&o.StopTimeout, 5*time.Second)
	setTime(&o.RetryAfter, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
