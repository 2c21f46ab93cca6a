// Package telemetry is the contract for keeping logs and spans and asking for
// them again, whatever keeps them: the embedded store or a system outside.
//
// Its one invariant: an answer holds only records that were appended and that
// meet the query, and what was appended but cannot be answered any more is
// counted by reason in Usage. It is not the record of what Homeostat did: a
// driver may lose the newest telemetry in a crash (see store for what must
// not be lost), and it is not for metrics (see series). Drivers pass the suite
// in telemetrytest.
package telemetry

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Store keeps logs and spans. It is safe for concurrent use.
type Store interface {
	// AppendSpans hands over spans; without an error the Store owns the slice
	// from then on, and they can be read a little later. An error of kind
	// Transient means none was taken and the sender should slow down. Spans beyond the rate or size
	// a driver bounds are dropped and counted without an error.
	AppendSpans(ctx context.Context, spans []heal.Span) error

	// AppendLogs is AppendSpans for log records.
	AppendLogs(ctx context.Context, logs []heal.LogRecord) error

	// Logs gives the newest records that meet the query, newest first.
	Logs(ctx context.Context, q LogQuery) ([]heal.LogRecord, error)

	// Spans gives the newest or slowest spans that meet the query, in order.
	Spans(ctx context.Context, q SpanQuery) ([]heal.Span, error)

	// Trace gives the spans of one trace by start time, at most MaxTrace;
	// kind NotFound if there are none.
	Trace(ctx context.Context, id string) ([]heal.Span, error)

	// Newest is the time of the newest span and log of a service, zero if
	// there is none. It is never later than the receipt of that record.
	Newest(ctx context.Context, service string) (Newest, error)

	// Usage is what is kept and what was lost.
	Usage(ctx context.Context) (Usage, error)

	Close() error
}

// Newest says how fresh the telemetry of a service is.
type Newest struct {
	Span time.Time `json:"span,omitzero"`
	Log  time.Time `json:"log,omitzero"`
}

// Signal is a sort of telemetry.
type Signal string

// The signals a Store keeps.
const (
	Spans Signal = "spans"
	Logs  Signal = "logs"
)

// DropReason is why records were not kept. The set is closed, to label metrics.
type DropReason string

// The reasons for dropping.
const (
	DropRate      DropReason = "rate"       // above the records a second taken
	DropTooOld    DropReason = "too_old"    // event time before what is kept
	DropTooLarge  DropReason = "too_large"  // one record above MaxRecord
	DropWrite     DropReason = "write"      // writing them went wrong
	DropSpace     DropReason = "space"      // kept, then given up for newer ones
	DropAge       DropReason = "age"        // kept to the end of retention
	DropCorrupt   DropReason = "corrupt"    // kept, then found unreadable
	DropQueueFull DropReason = "queue_full" // refused; the sender was told and may have sent them again
)

// Drop counts the records of one signal not kept for one reason, since start.
type Drop struct {
	Signal  Signal     `json:"signal"`
	Reason  DropReason `json:"reason"`
	Records int64      `json:"records"`
}

// Usage is what a Store holds and what it lost.
type Usage struct {
	Bytes    int64     `json:"bytes"` // on disk
	Spans    int64     `json:"spans"` // records held
	Logs     int64     `json:"logs"`
	Queued   int       `json:"queued"` // taken, not yet readable
	Oldest   time.Time `json:"oldest,omitzero"`
	Cut      int64     `json:"cut"`               // log bodies cut at MaxBody since start
	Dropped  []Drop    `json:"dropped,omitempty"` // sorted by signal and reason, zeros left out
	SetAside []string  `json:"set_aside,omitempty"`
}

// Bounds every Store keeps.
const (
	MaxLimit  = 500       // records in one answer
	MaxTrace  = 10_000    // spans of one trace
	MaxBody   = 64 << 10  // bytes of a log body; the rest is cut off
	MaxRecord = 256 << 10 // bytes of all text of one record; larger ones are dropped
)

// Attributes a Store adds to records it had to treat specially.
const (
	// AttrSkewed is "true" on a record dated more than heal.ClockSkewLimit
	// after its receipt. It keeps its time but is found under its receipt time.
	AttrSkewed = "homeostat.clock_skewed"
	// AttrCut holds the length in bytes of a log body that was cut.
	AttrCut = "homeostat.body_bytes"
)
