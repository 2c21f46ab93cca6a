package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// target is one of those that are measured.
type target struct {
	name  string
	begin func(ctx context.Context, b *bench, w *workload) (*process, error)
	whole bool // it keeps errors and slow spans too, as the gateway does
}

// gatewayWith is the gateway with more configuration.
func gatewayWith(name, more string) target {
	return target{name: name, whole: true, begin: func(ctx context.Context, b *bench, w *workload) (*process, error) {
		ports, err := freePorts(ctx, 3)
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp(b.dir, "gateway-")
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("data_dir: %s\nlog: {level: warn}\notlp: {grpc_listen: %q, http_listen: %q}\nmetrics: {listen: %q}\nbackends: [{name: sink, endpoint: %q}]\n%s\n",
			filepath.Join(dir, "data"), ports[0], ports[1], ports[2], b.sink.addr(), more)
		if w.window > 0 {
			text += fmt.Sprintf("sampling: {whole_traces: true, window: %s}\n", w.window)
		}
		file := filepath.Join(dir, "gateway.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		return start(ctx, ports[0], ports[1], nil, b.gateway, "--config", file)
	}}
}

// collector is an OpenTelemetry Collector with a setting of its garbage
// collector. What its own builder and documents say it should have, it has: a
// memory limiter first, then the sampler, then batches.
func collector(gogc string) target {
	return target{name: "otelcol GOGC=" + gogc, begin: func(ctx context.Context, b *bench, w *workload) (*process, error) {
		ports, err := freePorts(ctx, 2)
		if err != nil {
			return nil, err
		}
		sampler := fmt.Sprintf("probabilistic_sampler: {mode: equalizing, sampling_percentage: %g}", 100*rate)
		name := "probabilistic_sampler"
		if w.window > 0 {
			name = "tail_sampling"
			sampler = fmt.Sprintf(`tail_sampling:
    decision_wait: %s
    num_traces: 1000000
    policies:
      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
      - {name: slow, type: latency, latency: {threshold_ms: 1000}}
      - {name: share, type: probabilistic, probabilistic: {sampling_percentage: %g}}`, w.window, 100*rate)
		}
		text := fmt.Sprintf(`receivers:
  otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 4096, spike_limit_mib: 512}
  batch: {}
  %s
exporters:
  otlp: {endpoint: %q, compression: none, tls: {insecure: true}}
service:
  telemetry: {logs: {level: warn}, metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, %s, batch], exporters: [otlp]}
`, ports[0], ports[1], sampler, b.sink.addr(), name)
		dir, err := os.MkdirTemp(b.dir, "otelcol-")
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, "otelcol.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		return start(ctx, ports[0], ports[1], []string{"GOGC=" + gogc}, b.otelcol, "--config", file)
	}}
}

// workload is what is sent.
type workload struct {
	http        bool
	compression string
	size        int           // spans a request
	rate        float64       // spans a second; 0: as fast as they are answered
	window      time.Duration // whole traces, decided after so long; 0: single spans
	warm        time.Duration
	measure     time.Duration
}

func (w *workload) String() string {
	s := "gRPC"
	if w.http {
		s = "HTTP"
	}
	s += fmt.Sprintf(", %d spans", w.size)
	if w.compression != "" {
		s += ", " + w.compression
	}
	if w.rate > 0 {
		s += fmt.Sprintf(", %g k/s", w.rate/1000)
	}
	if w.window > 0 {
		s += ", whole traces"
	}
	return s
}
