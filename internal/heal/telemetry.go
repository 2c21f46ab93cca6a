package heal

import "time"

// SpanKind is the kind of a span, as in OpenTelemetry.
type SpanKind string

// The kinds of span.
const (
	SpanInternal SpanKind = "internal"
	SpanServer   SpanKind = "server"
	SpanClient   SpanKind = "client"
	SpanProducer SpanKind = "producer"
	SpanConsumer SpanKind = "consumer"
)

// Span is one kept span.
type Span struct {
	TraceID       string            `json:"trace_id"` // 32 hex digits
	SpanID        string            `json:"span_id"`  // 16 hex digits
	ParentID      string            `json:"parent_id,omitempty"`
	Service       string            `json:"service"`
	Instance      string            `json:"instance,omitempty"`
	Operation     string            `json:"operation"`
	Kind          SpanKind          `json:"kind"`
	Start         time.Time         `json:"start"`
	Duration      time.Duration     `json:"duration"`
	Error         bool              `json:"error,omitempty"`
	StatusMessage string            `json:"status_message,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	Exceptions    []Exception       `json:"exceptions,omitempty"`
}

// Exception is an exception event of a span or log record.
type Exception struct {
	Type       string `json:"type,omitempty"`
	Message    string `json:"message,omitempty"`
	Stacktrace string `json:"stacktrace,omitempty"`
}

// LogRecord is one kept log record.
type LogRecord struct {
	Time       time.Time         `json:"time"` // event time; observed time if the source gave none
	Observed   time.Time         `json:"observed"`
	Service    string            `json:"service"`
	Instance   string            `json:"instance,omitempty"`
	Host       string            `json:"host,omitempty"`
	Severity   int               `json:"severity"` // SeverityNumber of OpenTelemetry, 1 to 24
	Body       string            `json:"body"`
	TraceID    string            `json:"trace_id,omitempty"`
	SpanID     string            `json:"span_id,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}
