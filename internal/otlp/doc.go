// Package otlp receives traces, metrics and logs in the OpenTelemetry protocol,
// over gRPC and over HTTP (protobuf and JSON; plain, gzip and zstd), hands them
// to a Sink, and converts them to Homeostat's own vocabulary.
//
// Its one invariant: a request is answered with success only after the Sink
// took it, and every refusal says in the protocol's own terms whether the
// sender should try again. Nothing is decoded before its size, nesting and
// decoded size are known to be bounded.
//
// It is not for storing, sampling or queueing telemetry.
package otlp
