// Package wire works on spans as they come over the wire. A Scanner walks the
// bytes of an export request, decides which spans are kept and builds the
// request of those from slices of the input, without decoding and without an
// allocation a span. An Aggregator turns every span, before any sampling, into
// two things: rate, errors and duration (RED) per service and operation, and
// edges between services. Names and labels follow the span metrics and service
// graph connectors of the OpenTelemetry Collector, so dashboards made for them
// work.
//
// Its one invariant: a decision equals the one on the decoded span, a known series
// costs no allocation, and nothing it keeps grows without a bound; what does not
// fit is folded into "_other" or dropped, and counted either way.
//
// Sampling is consistent: a span is kept by 56 bits of its trace id, or those
// its tracestate gives, as OpenTelemetry says. What it was kept with is written
// into its tracestate, so that counts can be adjusted; a probability is never
// raised. Errors and slow spans are always kept and stand for themselves.
//
// Counters are cumulative since the Aggregator was made. Flush gives the series
// of an operation, or of an edge, only if it saw a span since the flush before,
// so the time of their newest sample is evidence of traffic: a service that is
// silent has no fresh sample, where an ordinary exporter would repeat the old
// value for ever. All statuses of an operation come together: once errors cease,
// its error counter is seen to stand still for as long as there is traffic. So
// that rates stay right, a series that was quiet is preceded by its former value
// (zero for a new one) at the time of the flush before.
//
// It is not for storing spans or metrics, it does no I/O and reads no clock.
package wire
