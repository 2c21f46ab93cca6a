package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// samplingReceiver is an otlp.RawSink that hands on what is kept.
type samplingReceiver struct {
	cfg     *Config
	traces  consumer.Traces  // nil: in no pipeline
	metrics consumer.Metrics // nil: in no pipeline
	logs    consumer.Logs    // nil: in no pipeline

	sampler  *wire.Sampler
	decoder  *otlp.Decoder
	scanners sync.Pool // of *scratch
	spans    metric.Int64Counter
	reasons  [wire.ReasonTrace + 1]metric.MeasurementOption

	begin, end sync.Once
	forget     func()
	cancel     context.CancelFunc
	over       chan struct{}
	failed     error // of the end
}

// scratch is what one request needs at a time.
type scratch struct {
	scanner wire.Scanner
	out     []byte
}

func newReceiver(set receiver.Settings, c *Config, forget func()) (*samplingReceiver, error) {
	r := &samplingReceiver{
		cfg: c, forget: forget, over: make(chan struct{}), decoder: otlp.NewDecoder(c.MaxRequestBytes, 0),
		sampler: wire.NewSampler(wire.SamplerOptions{Rate: c.Rate, Services: c.Services, Slow: c.Slow}),
	}
	r.scanners.New = func() any { return new(scratch) }
	for i := range r.reasons {
		r.reasons[i] = metric.WithAttributes(attribute.String("reason", wire.Reason(i).String()))
	}
	var err error
	r.spans, err = set.MeterProvider.Meter("github.com/homeostat/homeostat/collector").Int64Counter(
		"sampling.reason", metric.WithUnit("{span}"), metric.WithDescription("Spans by why they were kept, or dropped."))
	return r, err
}

// Start binds the addresses and serves, whichever signal comes first.
func (r *samplingReceiver) Start(_ context.Context, host component.Host) (err error) {
	r.begin.Do(func() { err = r.serve(host) })
	return err
}

func (r *samplingReceiver) serve(host component.Host) error {
	config, err := r.cfg.tls()
	if err != nil {
		return err
	}
	server := otlp.NewRaw(otlp.Options{
		GRPCAddr: r.cfg.GRPCEndpoint, HTTPAddr: r.cfg.HTTPEndpoint, GRPCKey: "grpc_endpoint", HTTPKey: "http_endpoint",
		MaxRequestBytes: r.cfg.MaxRequestBytes, TLS: config,
	}, r)
	if err := server.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.over)
		if r.failed = server.Run(ctx); r.failed != nil {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(r.failed))
		}
	}()
	return nil
}

// Shutdown lets requests in flight finish.
func (r *samplingReceiver) Shutdown(ctx context.Context) (err error) {
	r.end.Do(func() {
		r.forget()
		if r.cancel == nil {
			return // it never began
		}
		r.cancel()
		select {
		case <-r.over:
			err = r.failed
		case <-ctx.Done():
			err = fmt.Errorf("wait for requests in flight: %w", ctx.Err())
		}
	})
	return err
}

// Take samples a request and hands what is kept on, as otlp.RawSink says.
func (r *samplingReceiver) Take(ctx context.Context, sig otlp.Signal, request []byte) (items int, err error) {
	switch sig {
	case otlp.SignalTraces:
		if r.traces != nil {
			return r.takeTraces(ctx, request)
		}
	case otlp.SignalMetrics:
		if r.metrics != nil {
			md, err := r.decoder.Metrics(request)
			if err != nil {
				return 0, err
			}
			return md.DataPointCount(), refusal(r.metrics.ConsumeMetrics(ctx, md))
		}
	case otlp.SignalLogs:
		if r.logs != nil {
			ld, err := r.decoder.Logs(request)
			if err != nil {
				return 0, err
			}
			return ld.LogRecordCount(), refusal(r.logs.ConsumeLogs(ctx, ld))
		}
	}
	return 0, heal.Errorf(heal.Invalid, "take "+sig.String(), "the receiver is in no pipeline of this signal")
}

func (r *samplingReceiver) takeTraces(ctx context.Context, request []byte) (int, error) {
	s, _ := r.scanners.Get().(*scratch)
	defer r.scanners.Put(s)
	var result wire.Result
	var err error
	if s.out, result, err = s.scanner.Scan(request, r.sampler, s.out[:0]); err != nil {
		return 0, err
	}
	if result.Kept() > 0 {
		td, err := r.decoder.Traces(s.out)
		if err != nil {
			return 0, err
		}
		if err := refusal(r.traces.ConsumeTraces(ctx, td)); err != nil {
			return 0, err
		}
	}
	for why, n := range result.Reasons {
		if n > 0 {
			r.spans.Add(ctx, int64(n), r.reasons[why])
		}
	}
	return result.Spans, nil
}

// refusal says whether the sender should try again.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case consumererror.IsPermanent(err):
		return heal.Errorf(heal.Invalid, "hand over", "%w", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return heal.Errorf(heal.Unknown, "hand over", "%w", err)
	}
	return heal.Errorf(heal.Transient, "hand over", "%w", err)
}
