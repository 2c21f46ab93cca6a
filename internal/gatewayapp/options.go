package gatewayapp

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat/homeostat/internal/gateway"
	"github.com/homeostat/homeostat/internal/gateway/ottl"
	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// optionsOf maps a configuration to the options of a gateway. It reads the
// files that are named.
func optionsOf(c *Config, log *slog.Logger) (gateway.Options, error) {
	settings, err := settingsOf(c, log)
	if err != nil {
		return gateway.Options{}, err
	}
	o := gateway.Options{
		Traces:   pipelineOf(c, &c.Traces, "traces"),
		Metrics:  pipelineOf(c, &c.Telemetry, "metrics"),
		Logs:     pipelineOf(c, &c.Telemetry, "logs"),
		Settings: settings,
		Batch: gateway.BatchOptions{
			Start: c.Batch.Start, Least: c.Batch.Least, Most: c.Batch.Most, Timeout: c.Batch.Timeout.Std(), Target: c.Batch.Target.Std(),
		},
		RED: wire.Options{MaxOperations: c.Metrics.MaxOperations},
	}
	if s := &c.Sampling; s.WholeTraces {
		o.Tail = &wire.TailOptions{Window: s.Window.Std(), MaxBytes: s.MaxHeldBytes, MaxTraces: s.MaxKnownTraces}
		o.Compress = s.CompressHeld
	}
	return o, nil
}

func pipelineOf(c *Config, p *PipelineConfig, signal string) gateway.PipelineOptions {
	mode := map[string]gateway.Mode{"spool": gateway.ModeSpool, "memory": gateway.ModeMemory, "export": gateway.ModeExport}[p.Acknowledge]
	return gateway.PipelineOptions{
		Mode: mode, QueueBytes: p.QueueMaxBytes,
		Spool: spool.Options{Dir: filepath.Join(c.DataDir, "spool", signal), MaxBytes: p.SpoolMaxBytes, MaxRecordBytes: 4 * c.Limits.MaxRequestBytes},
	}
}

// settingsOf maps what can be reloaded.
func settingsOf(c *Config, log *slog.Logger) (gateway.Settings, error) {
	s, e := &c.Sampling, &c.Export
	cleaner, problems := cleanerOf(c, log)
	for _, p := range problems { // the configuration was checked
		return gateway.Settings{}, heal.Errorf(heal.Invalid, "clean."+p.Signal.String(), "statement %d: %s", p.Index, p.Text)
	}
	out := gateway.Settings{
		Sampler: wire.SamplerOptions{Rate: s.Rate, Services: s.Services, Slow: s.Slow.Std()},
		Cleaner: cleaner,
		Steer:   wire.Steering{Target: s.Target, Least: s.LeastRate, Most: s.MostRate},
		Export: gateway.ExportOptions{
			Balance: e.Balance == "trace_id", Timeout: e.Timeout.Std(), Parallel: e.Parallel,
			Retry: gateway.RetryOptions{Tries: e.Retry.Tries, First: e.Retry.First.Std(), Most: e.Retry.Most.Std(), Jitter: e.Retry.Jitter},
			Breaker: gateway.BreakerOptions{
				FailureThreshold: e.Breaker.FailureThreshold, SuccessThreshold: e.Breaker.SuccessThreshold,
				Timeout: e.Breaker.Timeout.Std(), HalfOpenTimeout: e.Breaker.HalfOpenTimeout.Std(),
			},
		},
	}
	for i := range c.Backends {
		b, err := backendOf(&c.Backends[i])
		if err != nil {
			return out, err
		}
		out.Export.Backends = append(out.Export.Backends, b)
	}
	return out, nil
}

// cleanerOf reads the statements; nil if there are none.
func cleanerOf(c *Config, log *slog.Logger) (*ottl.Cleaner, []ottl.Problem) {
	if len(c.Clean.Traces)+len(c.Clean.Metrics)+len(c.Clean.Logs) == 0 {
		return nil, nil
	}
	return ottl.New(ottl.Options{
		Traces: c.Clean.Traces, Metrics: c.Clean.Metrics, Logs: c.Clean.Logs, MaxRequestBytes: c.Limits.MaxRequestBytes, Logger: log,
	})
}

func backendOf(b *BackendConfig) (gateway.Backend, error) {
	op := "backend " + b.Name
	o := otlp.ClientOptions{Endpoint: b.Endpoint, HTTP: b.Protocol == "http", Connections: b.Connections, Headers: map[string]string{}}
	if b.Compression != "none" {
		o.Compression = b.Compression
	}
	for name, value := range b.Headers {
		o.Headers[strings.ToLower(name)] = value
	}
	if b.TokenFile != "" {
		token, err := readSecret(b.TokenFile)
		if err != nil {
			return gateway.Backend{}, heal.Wrap(op, err)
		}
		o.Headers["authorization"] = "Bearer " + token
	}
	if b.TLS || b.CAFile != "" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if b.CAFile != "" {
		pem, err := os.ReadFile(b.CAFile)
		if err != nil {
			return gateway.Backend{}, heal.Errorf(heal.Invalid, op, "ca_file: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return gateway.Backend{}, heal.Errorf(heal.Invalid, op, "ca_file %s holds no certificate, expected PEM", b.CAFile)
		}
	}
	return gateway.Backend{Name: b.Name, Client: o}, nil
}

func serverTLS(key string, t TLSConfig) (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, key, "%w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// maxSecret bounds the file of a secret.
const maxSecret = 64 << 10

// readSecret reads a token: the file without space around it.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", heal.Errorf(heal.Invalid, "read secret", "%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", heal.Errorf(heal.Invalid, "read secret "+path, "%w", err)
	}
	if b = bytes.TrimSpace(b); len(b) == 0 {
		return "", heal.Errorf(heal.Invalid, "read secret "+path, "it is empty")
	}
	return string(b), nil
}
