package otlp

import (
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Signal is one of the three sorts of telemetry.
type Signal uint8

const (
	traces Signal = iota
	metrics
	logs
)

// The signals, for those outside.
const (
	SignalTraces  = traces
	SignalMetrics = metrics
	SignalLogs    = logs
)

var signals = [...]Signal{traces, metrics, logs}

func (s Signal) String() string {
	switch s {
	case traces:
		return "traces"
	case metrics:
		return "metrics"
	case logs:
		return "logs"
	}
	return "unknown"
}

// format is how a request is written.
type format uint8

const (
	protobuf format = iota
	jsonText
)

func (e format) contentType() string {
	if e == jsonText {
		return "application/json"
	}
	return "application/x-protobuf"
}

// SignalStats counts one signal since the Server was made.
type SignalStats struct {
	Requests uint64 // all, refused ones too
	Refused  uint64 // requests answered with an error
	Bytes    uint64 // of requests, after decompression
	Items    uint64 // spans, data points or log records taken by the Sink
	Rejected uint64 // items the Sink refused for good in requests it took in part
}

// Stats counts what was received.
type Stats struct {
	Traces, Metrics, Logs SignalStats
}

type counters struct {
	requests, refused, bytes, items, rejected atomic.Uint64
}

func (c *counters) load() SignalStats {
	return SignalStats{
		Requests: c.requests.Load(), Refused: c.refused.Load(), Bytes: c.bytes.Load(),
		Items: c.items.Load(), Rejected: c.rejected.Load(),
	}
}

// Stats gives the counts so far.
func (s *Server) Stats() Stats {
	return Stats{Traces: s.stats[traces].load(), Metrics: s.stats[metrics].load(), Logs: s.stats[logs].load()}
}

// request is a decoded export request, whatever its signal.
type request struct {
	traces  ptraceotlp.ExportRequest
	metrics pmetricotlp.ExportRequest
	logs    plogotlp.ExportRequest
}

// codec is what the three kinds of request have in common.
type codec interface {
	UnmarshalProto(data []byte) error
	UnmarshalJSON(data []byte) error
	MarshalProto() ([]byte, error)
}

// response is what the three kinds of response have in common.
type response interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}

// newResponse makes the answer of a signal; r is nil if all was taken.
func newResponse(sig Signal, r *Rejected) response {
	if r == nil {
		r = &Rejected{}
	}
	switch sig {
	case traces:
		resp := ptraceotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedSpans(int64(r.Count))
		resp.PartialSuccess().SetErrorMessage(r.Reason)
		return resp
	case metrics:
		resp := pmetricotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedDataPoints(int64(r.Count))
		resp.PartialSuccess().SetErrorMessage(r.Reason)
		return resp
	case logs:
		resp := plogotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedLogRecords(int64(r.Count))
		resp.PartialSuccess().SetErrorMessage(r.Reason)
		return resp
	}
	panic("otlp: no response for " + sig.String())
}
