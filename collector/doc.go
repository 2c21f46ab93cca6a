// Package collector is the gateway's sampling as a receiver of the OpenTelemetry
// Collector: it takes OTLP, decides on the bytes of every span, and decodes only
// what is kept. Its one invariant: a request is answered with success only after
// the next component took what is kept of it.
//
// It is a module of its own, so that the Collector's libraries never weigh on the
// product's. It is not a gateway: batching, retries and queues are the Collector's.
package collector
