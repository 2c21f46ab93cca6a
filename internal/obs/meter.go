package obs

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/homeostat/homeostat/internal/heal"
)

func (o *Obs) buildMeter(ctx context.Context, opts Options, p part) error {
	const op = "own metrics"
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := o.registry.Register(c); err != nil {
			return heal.Wrap(op, err)
		}
	}
	reader, err := otelprom.New(otelprom.WithRegisterer(o.registry))
	if err != nil {
		return heal.Wrap(op, err)
	}
	providerOptions := []sdkmetric.Option{sdkmetric.WithResource(p.resource), sdkmetric.WithReader(reader)}
	if opts.Endpoint != "" {
		exporter, err := otlpmetrichttp.New(ctx,
			otlpmetrichttp.WithEndpointURL(opts.Endpoint+"/v1/metrics"),
			otlpmetrichttp.WithHeaders(opts.Headers),
			otlpmetrichttp.WithTimeout(opts.Timeout))
		if err != nil {
			return heal.Errorf(heal.Invalid, "own metrics by OTLP", "%w", err)
		}
		providerOptions = append(providerOptions, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(
			countedMetrics{exporter, p.failures}, sdkmetric.WithInterval(opts.Interval), sdkmetric.WithTimeout(opts.Timeout))))
	}
	provider := sdkmetric.NewMeterProvider(providerOptions...)
	o.closers = append(o.closers, provider.Shutdown)
	o.Meter = provider

	p.failures.counter, err = provider.Meter(scope).Int64Counter("homeostat.telemetry.export.failures",
		metric.WithDescription("Exports of Homeostat's own telemetry that failed; what they carried is lost."),
		metric.WithUnit("{export}"))
	return heal.Wrap(op, err)
}

func metricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		// One broken collector must not hide all others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
	})
}
