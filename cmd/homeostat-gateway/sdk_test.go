package main

import (
	"errors"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestSpansOfTheSDK sends what the OpenTelemetry SDK for Go sends, with gzip.
func TestSpansOfTheSDK(t *testing.T) {
	s := startSink(t, "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	configure(t, file, s.addr, "sampling: {rate: 0}\n")
	p := startGateway(t, file)
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(p.http), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	tracer := provider.Tracer("test")
	for i := range 100 {
		ctx, span := tracer.Start(t.Context(), "parent")
		_, child := tracer.Start(ctx, "child")
		if i%10 == 0 {
			child.RecordError(errors.New("it broke"))
			child.SetStatus(codes.Error, "it broke")
		}
		child.End()
		span.End()
	}
	if err := errors.Join(provider.ForceFlush(t.Context()), provider.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the backend has the ten errors", func() bool { return len(s.counts()) == 10 })
}
