package otlp

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/homeostat/homeostat/internal/heal"
)

// Spans converts spans. Attributes of the resource are joined to the span's
// own; counts and lengths are bounded and invalid UTF-8 is replaced.
func Spans(td ptrace.Traces) []heal.Span {
	out := make([]heal.Span, 0, td.SpanCount())
	for _, rs := range td.ResourceSpans().All() {
		id := identityOf(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				out = append(out, toSpan(id, span))
			}
		}
	}
	return out
}

func toSpan(id identity, span ptrace.Span) heal.Span {
	return heal.Span{
		TraceID:       span.TraceID().String(),
		SpanID:        span.SpanID().String(),
		ParentID:      span.ParentSpanID().String(),
		Service:       id.service,
		Instance:      id.instance,
		Operation:     clean(span.Name(), maxValue),
		Kind:          spanKind(span.Kind()),
		Start:         span.StartTimestamp().AsTime(),
		Duration:      duration(span),
		Error:         span.Status().Code() == ptrace.StatusCodeError,
		StatusMessage: clean(span.Status().Message(), maxValue),
		Attributes:    id.join(span.Attributes(), span.DroppedAttributesCount()),
		Exceptions:    exceptions(span.Events()),
	}
}

// duration is zero where a clock that was set back would make it negative.
func duration(span ptrace.Span) time.Duration {
	start, end := span.StartTimestamp(), span.EndTimestamp()
	if end <= start || end-start > pcommon.Timestamp(1<<63-1) {
		return 0
	}
	return time.Duration(end - start)
}

func spanKind(kind ptrace.SpanKind) heal.SpanKind {
	switch kind {
	case ptrace.SpanKindServer:
		return heal.SpanServer
	case ptrace.SpanKindClient:
		return heal.SpanClient
	case ptrace.SpanKindProducer:
		return heal.SpanProducer
	case ptrace.SpanKindConsumer:
		return heal.SpanConsumer
	case ptrace.SpanKindUnspecified, ptrace.SpanKindInternal:
	}
	return heal.SpanInternal // as OpenTelemetry reads a kind that is unspecified
}

func exceptions(events ptrace.SpanEventSlice) []heal.Exception {
	var out []heal.Exception
	for _, event := range events.All() {
		if event.Name() == "exception" && len(out) < maxExceptions {
			out = append(out, exception(event.Attributes()))
		}
	}
	return out
}

func exception(attributes pcommon.Map) heal.Exception {
	var e heal.Exception
	for key, value := range attributes.All() {
		switch key {
		case "exception.type":
			e.Type = text(value, maxValue)
		case "exception.message":
			e.Message = text(value, maxValue)
		case "exception.stacktrace":
			e.Stacktrace = text(value, maxStack)
		}
	}
	return e
}
