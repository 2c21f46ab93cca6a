package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/homeostat/homeostat/examples/shop"

// signals is what one process logs, measures and traces with. Providers are
// handed on, never set globally: a test runs all processes in one.
type signals struct {
	logger *slog.Logger
	meters metric.MeterProvider
	traces trace.TracerProvider
	meter  metric.Meter
	tracer trace.Tracer
	active metric.Int64UpDownCounter // requests being served
	stop   []func(context.Context) error
}

func newSignals(ctx context.Context, t Telemetry, service string, logs io.Writer) (*signals, error) {
	res := resourceOf(service)
	interval := t.Interval
	if interval == 0 {
		interval = time.Second
	}
	local := slog.NewTextHandler(logs, nil).WithAttrs([]slog.Attr{slog.String("service", service)})

	var (
		traceOptions  = []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
		metricOptions = []sdkmetric.Option{sdkmetric.WithResource(res)}
		logOptions    = []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	)
	if t.Endpoint != "" {
		base := strings.TrimSuffix(t.Endpoint, "/")
		spans, err1 := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(base+"/v1/traces"), otlptracehttp.WithHeaders(t.Headers))
		metrics, err2 := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(base+"/v1/metrics"), otlpmetrichttp.WithHeaders(t.Headers))
		records, err3 := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(base+"/v1/logs"), otlploghttp.WithHeaders(t.Headers))
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("telemetry of %s: %w", service, err)
		}
		traceOptions = append(traceOptions, sdktrace.WithBatcher(spans, sdktrace.WithBatchTimeout(interval)))
		metricOptions = append(metricOptions, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics, sdkmetric.WithInterval(interval))))
		logOptions = append(logOptions, sdklog.WithProcessor(sdklog.NewBatchProcessor(records, sdklog.WithExportInterval(interval))))
	}
	traces := sdktrace.NewTracerProvider(traceOptions...)
	meters := sdkmetric.NewMeterProvider(metricOptions...)
	records := sdklog.NewLoggerProvider(logOptions...)
	meter := meters.Meter(scope)
	active, err := meter.Int64UpDownCounter("http.server.active_requests", metric.WithUnit("{request}"), metric.WithDescription("Requests being served."))
	if err != nil {
		return nil, fmt.Errorf("telemetry of %s: %w", service, err)
	}
	return &signals{
		logger: slog.New(slog.NewMultiHandler(local, otelslog.NewHandler(scope, otelslog.WithLoggerProvider(records)))),
		meters: meters, traces: traces,
		meter: meter, tracer: traces.Tracer(scope), active: active,
		stop: []func(context.Context) error{traces.Shutdown, meters.Shutdown, records.Shutdown},
	}, nil
}

// shutdown sends what is buffered, within two seconds.
func (s *signals) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var errs []error
	for _, stop := range s.stop {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

func (s *signals) options() []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(s.traces),
		otelhttp.WithMeterProvider(s.meters),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
	}
}

// route instruments the handler of one pattern such as "GET /cart".
func (s *signals) route(pattern string, h http.HandlerFunc) http.Handler {
	counted := func(w http.ResponseWriter, r *http.Request) {
		attributes := metric.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.scheme", "http"))
		s.active.Add(r.Context(), 1, attributes)
		defer s.active.Add(context.WithoutCancel(r.Context()), -1, attributes)
		h(w, r)
	}
	return otelhttp.NewHandler(http.HandlerFunc(counted), pattern, append(s.options(),
		otelhttp.WithSpanNameFormatter(func(operation string, _ *http.Request) string { return operation }))...)
}

// client instruments calls to an upstream.
func (s *signals) client(timeout time.Duration) *http.Client {
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}
	return &http.Client{Timeout: timeout, Transport: otelhttp.NewTransport(transport, append(s.options(),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method + " " + r.URL.Path }))...)}
}

// resourceOf gives every start of a service an instance of its own.
func resourceOf(service string) *resource.Resource {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return resource.NewSchemaless(
		attribute.String("service.name", service),
		attribute.String("service.instance.id", fmt.Sprintf("%s-%d-%x", host, os.Getpid(), time.Now().UnixNano())),
		attribute.String("host.name", host),
		attribute.Int("process.pid", os.Getpid()),
	)
}
