package obs

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/homeostat/homeostat/internal/heal"
)

func (o *Obs) buildTracer(ctx context.Context, opts Options, p part) error {
	if opts.Endpoint == "" {
		o.Tracer = noop.NewTracerProvider()
		return nil
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(opts.Endpoint+"/v1/traces"),
		otlptracehttp.WithHeaders(opts.Headers),
		otlptracehttp.WithTimeout(opts.Timeout))
	if err != nil {
		return heal.Errorf(heal.Invalid, "own traces by OTLP", "%w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(p.resource),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(opts.Sample))),
		sdktrace.WithBatcher(countedSpans{exporter, p.failures}))
	o.closers = append(o.closers, provider.Shutdown)
	o.Tracer = provider
	return nil
}

// resourceOf says who speaks, in the semantic conventions of OpenTelemetry.
func resourceOf(o Options) *resource.Resource {
	attrs := []attribute.KeyValue{attribute.String("service.name", o.Service)}
	if o.Version != "" {
		attrs = append(attrs, attribute.String("service.version", o.Version))
	}
	if o.Instance != "" {
		attrs = append(attrs, attribute.String("service.instance.id", o.Instance))
	}
	return resource.NewSchemaless(attrs...)
}
