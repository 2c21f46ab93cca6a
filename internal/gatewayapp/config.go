// Package gatewayapp wires the gateway binary: user configuration becomes the
// options of each package, and the parts run until they are told to stop.
//
// Its one invariant: it links no store, no Kubernetes client and nothing that
// starts programs; a test holds it. It is not for behaviour: whatever decides
// something lives in the package whose name says so.
package gatewayapp

import (
	"time"

	"github.com/homeostat/homeostat/internal/config"
)

// Config is homeostat-gateway.yaml. Every key can be overridden from the
// environment: otlp.grpc_listen by HOMEOSTAT_GATEWAY_OTLP_GRPC_LISTEN.
type Config struct {
	DataDir   string          `yaml:"data_dir" doc:"Where spools lie."`
	Log       LogConfig       `yaml:"log" doc:"The gateway's own log, on standard error."`
	OTLP      OTLPConfig      `yaml:"otlp" doc:"What comes in."`
	Metrics   MetricsConfig   `yaml:"metrics" doc:"What the gateway says of itself, and the RED metrics of all spans."`
	Sampling  SamplingConfig  `yaml:"sampling" doc:"Which spans are kept. Read again on SIGHUP."`
	Clean     CleanConfig     `yaml:"clean" doc:"What is changed of what is kept: statements in OTTL, carried out in order. Read again on SIGHUP."`
	Traces    PipelineConfig  `yaml:"traces" doc:"How traces are acknowledged."`
	Telemetry PipelineConfig  `yaml:"metrics_and_logs" doc:"How metrics and logs are acknowledged."`
	Batch     BatchConfig     `yaml:"batch" doc:"Requests are joined; how many adapts to how long exports take."`
	Export    ExportConfig    `yaml:"export" doc:"How batches are sent. Read again on SIGHUP, except parallel."`
	Backends  []BackendConfig `yaml:"backends" doc:"Who gets what is kept, in the order of preference. Read again on SIGHUP."`
	Limits    LimitsConfig    `yaml:"limits" doc:"What the process may take."`
}

// LogConfig configures the gateway's own log.
type LogConfig struct {
	Level  string `yaml:"level" doc:"One of debug, info, warn, error." oneof:"debug,info,warn,error"`
	Format string `yaml:"format" doc:"One of text, json." oneof:"text,json"`
}

// TLSConfig names a certificate and its key; both or neither.
type TLSConfig struct {
	CertFile string `yaml:"cert_file" doc:"PEM, the chain included; read at the start."`
	KeyFile  string `yaml:"key_file" doc:"PEM."`
}

// OTLPConfig configures the receivers.
type OTLPConfig struct {
	GRPCListen string    `yaml:"grpc_listen" doc:"Empty: off. Any address but loopback needs tls and token_file."`
	HTTPListen string    `yaml:"http_listen" doc:"Empty: off."`
	TLS        TLSConfig `yaml:"tls"`
	TokenFile  string    `yaml:"token_file" doc:"The bearer token senders must have; empty: none is asked for."`
}

// MetricsConfig configures what the gateway says of itself.
type MetricsConfig struct {
	Listen        string          `yaml:"listen" doc:"Serves /metrics, /healthz and /readyz; empty: off. Any address but loopback needs tls and token_file."`
	TLS           TLSConfig       `yaml:"tls"`
	TokenFile     string          `yaml:"token_file" doc:"The bearer token that /metrics asks for; empty: none."`
	RED           bool            `yaml:"red" doc:"Rate, errors and durations per service and operation, and edges between services, from all spans before sampling."`
	FlushInterval config.Duration `yaml:"flush_interval" doc:"How often RED metrics are brought up to date." min:"100ms"`
	MaxOperations int             `yaml:"max_operations" doc:"Operations kept apart per service; the rest count as _other." min:"1"`
}

// SamplingConfig configures what is kept.
type SamplingConfig struct {
	Rate           float64            `yaml:"rate" doc:"Share of ordinary traces that is kept, 0 to 1; errors and slow spans always are." min:"0"`
	Services       map[string]float64 `yaml:"services" doc:"Rates of services that have one of their own." min:"0"`
	Slow           config.Duration    `yaml:"slow" doc:"Longer spans are always kept; 0s: length does not matter." min:"0s"`
	Target         float64            `yaml:"target_spans_per_second" doc:"Steers the rate every minute so that about so many ordinary spans are kept; 0: the rate stays." min:"0"`
	LeastRate      float64            `yaml:"least_rate" doc:"The band a steered rate stays in, 0.01 at least." min:"0.01"`
	MostRate       float64            `yaml:"most_rate" doc:"Its upper end." min:"0.01"`
	WholeTraces    bool               `yaml:"whole_traces" doc:"Keep all spans of a trace that has an error or a slow span. Spans wait in memory for the window, and are lost if the process is killed. Needs a restart, as do the next four."`
	Window         config.Duration    `yaml:"window" doc:"How long a span waits for the rest of its trace." min:"100ms"`
	MaxHeldBytes   int                `yaml:"max_held_bytes" doc:"As they are held. Beyond it the oldest spans are decided on early." min:"1048576"`
	CompressHeld   bool               `yaml:"compress_held" doc:"Held spans take a fraction of the memory, for about half a microsecond of processor time each."`
	MaxKnownTraces int                `yaml:"max_known_traces" doc:"Traces with an error or a slow span that are remembered." min:"1"`
}

// CleanConfig configures what is changed.
type CleanConfig struct {
	Traces  []string `yaml:"traces" doc:"Paths begin with resource, scope, span or spanevent. Empty: traces are not decoded."`
	Metrics []string `yaml:"metrics" doc:"Paths begin with resource, scope, metric or datapoint."`
	Logs    []string `yaml:"logs" doc:"Paths begin with resource, scope or log."`
}

// PipelineConfig configures one pipeline.
type PipelineConfig struct {
	Acknowledge   string `yaml:"acknowledge" doc:"spool: when it is on disk; memory: when it is in memory; export: when a backend has it." oneof:"spool,memory,export"`
	SpoolMaxBytes int64  `yaml:"spool_max_bytes" doc:"On disk, for each signal; beyond it senders are told to come again." min:"1048576"`
	QueueMaxBytes int    `yaml:"queue_max_bytes" doc:"In memory, for each signal, waiting for export or being exported." min:"65536"`
}

// BatchConfig configures batches.
type BatchConfig struct {
	Start   int             `yaml:"start" doc:"Items of a batch at the start." min:"1"`
	Least   int             `yaml:"least" doc:"And at least." min:"1"`
	Most    int             `yaml:"most" doc:"And at most." min:"1"`
	Timeout config.Duration `yaml:"timeout" doc:"An older batch is sent although it is small." min:"1ms"`
	Target  config.Duration `yaml:"target_latency" doc:"Batches shrink when the p95 of exports is above it." min:"1ms"`
}

// ExportConfig configures how batches are sent.
type ExportConfig struct {
	Balance  string          `yaml:"balance" doc:"failover: the first backend that works gets everything; trace_id: traces are shared among all." oneof:"failover,trace_id"`
	Timeout  config.Duration `yaml:"timeout" doc:"Of one try." min:"10ms"`
	Parallel int             `yaml:"parallel" doc:"Batches of one signal sent at a time." min:"1"`
	Retry    RetryConfig     `yaml:"retry" doc:"Of one backend, before the next one is tried. What no backend takes is kept and tried again."`
	Breaker  BreakerConfig   `yaml:"breaker" doc:"When a backend is left alone."`
}

// RetryConfig configures retries.
type RetryConfig struct {
	Tries  int             `yaml:"tries" doc:"The first one included." min:"1"`
	First  config.Duration `yaml:"first" doc:"Before the second try; then twice as long each time." min:"1ms"`
	Most   config.Duration `yaml:"most" doc:"At most." min:"1ms"`
	Jitter float64         `yaml:"jitter" doc:"The share by which a wait is longer or shorter." min:"0"`
}

// BreakerConfig configures breakers.
type BreakerConfig struct {
	FailureThreshold int             `yaml:"failure_threshold" doc:"Failures in a row that open it." min:"1"`
	SuccessThreshold int             `yaml:"success_threshold" doc:"Successes in a row that close it again." min:"1"`
	Timeout          config.Duration `yaml:"timeout" doc:"How long it stays open." min:"1ms"`
	HalfOpenTimeout  config.Duration `yaml:"half_open_timeout" doc:"How long a trial may take before another one is let through." min:"1ms"`
}

// BackendConfig is one backend.
type BackendConfig struct {
	Name        string            `yaml:"name" required:"true" doc:"Unique; labels its metrics."`
	Endpoint    string            `yaml:"endpoint" required:"true" doc:"host:port for grpc, a URL without path for http."`
	Protocol    string            `yaml:"protocol" doc:"grpc or http; empty means grpc." oneof:"grpc,http"`
	Compression string            `yaml:"compression" doc:"none, gzip or zstd; empty means none." oneof:"none,gzip,zstd"`
	TLS         bool              `yaml:"tls" doc:"Speak TLS to a grpc endpoint; an http one says it by https."`
	CAFile      string            `yaml:"ca_file" doc:"Who signed its certificate, PEM; empty: the system's roots."`
	TokenFile   string            `yaml:"token_file" doc:"Sent as bearer token; needs tls unless the endpoint is on loopback."`
	Headers     map[string]string `yaml:"headers" doc:"Sent with each request."`
	Connections int               `yaml:"connections" doc:"How many; 0 means 1." min:"0"`
}

// LimitsConfig configures what the process may take.
type LimitsConfig struct {
	MaxRequestBytes int   `yaml:"max_request_bytes" doc:"Of one request, after decompression." min:"1024"`
	MaxHeaderBytes  int   `yaml:"max_header_bytes" doc:"Of one request." min:"1024"`
	MaxInFlight     int   `yaml:"max_in_flight" doc:"Requests being handled at a time." min:"1"`
	MaxHeldBytes    int64 `yaml:"max_held_bytes" doc:"Of requests being received and handled; beyond it senders are told to come again." min:"1048576"`
	MaxConnections  int   `yaml:"max_connections" doc:"For each protocol; further ones wait." min:"1"`
	MemoryBytes     int64 `yaml:"memory_bytes" doc:"Of the process, by the Go runtime's count; above it senders are told to come again. 0: no limit." min:"0"`
}

// Form is how the configuration is read.
var Form = config.Form[Config]{Prefix: "HOMEOSTAT_GATEWAY", Default: Default, Check: consistent}

// Default is the configuration of an empty homeostat-gateway.yaml.
func Default() Config {
	pipeline := PipelineConfig{Acknowledge: "spool", SpoolMaxBytes: 4 << 30, QueueMaxBytes: 64 << 20}
	seconds := func(n float64) config.Duration { return config.Duration(n * float64(time.Second)) }
	return Config{
		DataDir: "./homeostat-gateway-data",
		Log:     LogConfig{Level: "info", Format: "text"},
		OTLP:    OTLPConfig{GRPCListen: "127.0.0.1:4317", HTTPListen: "127.0.0.1:4318"},
		Metrics: MetricsConfig{Listen: "127.0.0.1:8888", RED: true, FlushInterval: seconds(5), MaxOperations: 2000},
		Sampling: SamplingConfig{
			Rate: 0.05, Slow: seconds(1), LeastRate: 0.01, MostRate: 0.10,
			Window: seconds(10), MaxHeldBytes: 256 << 20, CompressHeld: true, MaxKnownTraces: 200_000,
		},
		Traces: pipeline, Telemetry: pipeline,
		Batch: BatchConfig{Start: 1000, Least: 100, Most: 10_000, Timeout: seconds(0.2), Target: seconds(0.1)},
		Export: ExportConfig{
			Balance: "failover", Timeout: seconds(10), Parallel: 5,
			Retry:   RetryConfig{Tries: 3, First: seconds(0.1), Most: seconds(10), Jitter: 0.1},
			Breaker: BreakerConfig{FailureThreshold: 5, SuccessThreshold: 2, Timeout: seconds(30), HalfOpenTimeout: seconds(10)},
		},
		Backends: []BackendConfig{{Name: "default", Endpoint: "127.0.0.1:14317", Protocol: "grpc", Compression: "none", Connections: 1}},
		Limits: LimitsConfig{
			MaxRequestBytes: 16 << 20, MaxHeaderBytes: 64 << 10, MaxInFlight: 256, MaxHeldBytes: 256 << 20, MaxConnections: 4096, MemoryBytes: 1 << 30,
		},
	}
}
