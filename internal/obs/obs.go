// Package obs is Homeostat's view of itself: its logger, its meter and tracer,
// and the health that /healthz and /readyz tell.
//
// Its one invariant: nothing global is set or used. Whoever wants to log or
// measure is handed a logger or provider; whoever wants neither pays nothing.
// It is not for the telemetry of the systems that Homeostat watches (see otlp,
// series and telemetry).
package obs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options say what is recorded and where it goes.
type Options struct {
	Service  string // service.name; "homeostat" if empty
	Version  string // service.version; left out if empty
	Instance string // service.instance.id; left out if empty

	Logs  io.Writer  // where log lines go; os.Stderr if nil
	JSON  bool       // log lines as JSON; else as text
	Level slog.Level // the least level that is logged; info by default

	// Endpoint is the base URL of an OTLP/HTTP receiver, as in
	// http://collector:4318. Logs, metrics and traces go there as well; empty:
	// nowhere.
	Endpoint string
	Headers  map[string]string // sent with every export, for authentication
	Interval time.Duration     // between exports of metrics; 15 s if 0
	Timeout  time.Duration     // of one export; 10 s if 0
	Sample   float64           // share of our own traces that is kept, 0 to 1; 1 if 0
}

// Obs is a started set of logger, meter and tracer. Shutdown ends it.
type Obs struct {
	Logger *slog.Logger
	Meter  metric.MeterProvider
	Tracer trace.TracerProvider

	registry *prometheus.Registry
	closers  []func(context.Context) error
}

// New builds everything. It reaches nothing over the network: exporters
// connect when they first export, and an endpoint that is down costs log lines,
// never a failed start.
func New(ctx context.Context, o Options) (*Obs, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	res := resourceOf(o)
	obs := &Obs{registry: prometheus.NewRegistry()}
	local := localHandler(o)

	// The meter comes first because failed exports of all three are counted.
	failed := &failures{logger: slog.New(local)}
	for _, build := range []func(context.Context, Options, part) error{
		obs.buildMeter, obs.buildTracer, obs.buildLogger,
	} {
		if err := build(ctx, o, part{resource: res, failures: failed, local: local}); err != nil {
			return nil, errors.Join(err, obs.Shutdown(ctx))
		}
	}
	return obs, nil
}

// MetricsHandler serves what was measured in the Prometheus format.
func (o *Obs) MetricsHandler() http.Handler { return metricsHandler(o.registry) }

// Registry takes the metrics of libraries that bring Prometheus ones of their
// own.
func (o *Obs) Registry() *prometheus.Registry { return o.registry }

// Shutdown sends what is still buffered and stops, the logger last. It gives up
// when ctx ends.
func (o *Obs) Shutdown(ctx context.Context) error {
	var errs []error
	for i := range o.closers {
		errs = append(errs, o.closers[i](ctx))
	}
	o.closers = nil
	return heal.Wrap("stop own telemetry", errors.Join(errs...))
}

func (o Options) filled() (Options, error) {
	if o.Service == "" {
		o.Service = "homeostat"
	}
	if o.Logs == nil {
		o.Logs = os.Stderr
	}
	if o.Interval == 0 {
		o.Interval = 15 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Sample == 0 {
		o.Sample = 1
	}
	if o.Sample < 0 || o.Sample > 1 {
		return o, heal.Errorf(heal.Invalid, "own telemetry", "the share of traces kept is %v, expected more than 0 and at most 1", o.Sample)
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return o, heal.Errorf(heal.Invalid, "own telemetry", "interval %s and timeout %s must not be negative", o.Interval, o.Timeout)
	}
	if o.Endpoint == "" {
		return o, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return o, heal.Errorf(heal.Invalid, "own telemetry", "endpoint %q is not a base URL such as http://collector:4318", o.Endpoint)
	}
	o.Endpoint = strings.TrimSuffix(o.Endpoint, "/")
	return o, nil
}
