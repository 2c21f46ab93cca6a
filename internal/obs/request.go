package obs

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Requests traces the requests a router answers, one span each, named by the
// method and the pattern that matched; it takes part in the trace of a caller
// that sends one. Without an exporter it gives back what it was given.
func (o *Obs) Requests(router http.Handler) http.Handler {
	if _, off := o.Tracer.(tracenoop.TracerProvider); off {
		return router
	}
	return otelhttp.NewHandler(router, "request",
		otelhttp.WithTracerProvider(o.Tracer),
		// Its metrics carry the name the client called us by: a label anybody
		// could fill.
		otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}))
}
