package obs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// part is what the builders of logger, meter and tracer share.
type part struct {
	resource *resource.Resource
	failures *failures
	local    slog.Handler // the local log, for what must not go by OTLP
}

// repeat is how often a lasting failure to export one signal is logged.
const repeat = time.Minute

// failures counts failed exports and tells about them in the local log, so
// that the SDK's global error handler is never needed. It must not log by OTLP:
// that would feed the failure.
type failures struct {
	logger  *slog.Logger
	counter metric.Int64Counter

	mu   sync.Mutex
	told map[string]time.Time // signal to the last log line
}

// note takes the result of one export. The error ends here: the exporter has
// retried already and the SDK could only print it.
func (f *failures) note(ctx context.Context, signal string, err error) error {
	if err == nil {
		return nil
	}
	f.counter.Add(ctx, 1, metric.WithAttributes(attribute.String("signal", signal)))
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.told[signal]; ok && now.Sub(last) < repeat {
		return nil
	}
	if f.told == nil {
		f.told = map[string]time.Time{}
	}
	f.told[signal] = now
	f.logger.LogAttrs(ctx, slog.LevelWarn, "own telemetry was not exported",
		slog.String("signal", signal), slog.Any("error", err))
	return nil
}

type countedSpans struct {
	sdktrace.SpanExporter
	failures *failures
}

func (e countedSpans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return e.failures.note(ctx, "traces", e.SpanExporter.ExportSpans(ctx, spans))
}

type countedMetrics struct {
	sdkmetric.Exporter
	failures *failures
}

func (e countedMetrics) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	return e.failures.note(ctx, "metrics", e.Exporter.Export(ctx, m))
}

type countedLogs struct {
	sdklog.Exporter
	failures *failures
}

func (e countedLogs) Export(ctx context.Context, records []sdklog.Record) error {
	return e.failures.note(ctx, "logs", e.Exporter.Export(ctx, records))
}
