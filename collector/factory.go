package collector

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// Type is the receiver's name in a configuration.
var Type = component.MustNewType("homeostat")

// NewFactory makes the factory of the receiver. One configuration is one receiver,
// for however many signals.
func NewFactory() receiver.Factory {
	f := &factory{known: map[*Config]*samplingReceiver{}}
	return receiver.NewFactory(
		Type, defaultConfig,
		receiver.WithTraces(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
			return f.with(set, cfg, func(r *samplingReceiver) { r.traces = next })
		}, component.StabilityLevelAlpha),
		receiver.WithMetrics(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			return f.with(set, cfg, func(r *samplingReceiver) { r.metrics = next })
		}, component.StabilityLevelAlpha),
		receiver.WithLogs(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
			return f.with(set, cfg, func(r *samplingReceiver) { r.logs = next })
		}, component.StabilityLevelAlpha),
	)
}

func defaultConfig() component.Config {
	return &Config{GRPCEndpoint: "127.0.0.1:4317", HTTPEndpoint: "127.0.0.1:4318", Rate: 0.05, Slow: time.Second, MaxRequestBytes: 16 << 20}
}

// factory remembers the receiver of each configuration until it is shut down.
type factory struct {
	mu    sync.Mutex
	known map[*Config]*samplingReceiver
}

func (f *factory) with(set receiver.Settings, cfg component.Config, join func(*samplingReceiver)) (*samplingReceiver, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, _ := cfg.(*Config) // defaultConfig made it
	r := f.known[c]
	if r == nil {
		var err error
		if r, err = newReceiver(set, c, func() { f.forget(c) }); err != nil {
			return nil, err
		}
		f.known[c] = r
	}
	join(r)
	return r, nil
}

func (f *factory) forget(c *Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, c)
}
