package collector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
)

// keeper is the exporter at the end of the pipelines.
type keeper struct {
	component.StartFunc
	component.ShutdownFunc

	mu              sync.Mutex
	spans           []ptrace.Span
	points, records int
	refuse          error
}

func (*keeper) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (k *keeper) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		return k.refuse
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				k.spans = append(k.spans, span)
			}
		}
	}
	return nil
}

func (k *keeper) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.points += md.DataPointCount()
	return nil
}

func (k *keeper) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records += ld.LogRecordCount()
	return nil
}

// collect runs a real Collector, with the receiver in its pipelines, until the
// test ends.
func collect(t *testing.T, k *keeper, signals ...string) (grpc, http string) {
	t.Helper()
	grpc, http = free(t), free(t)
	text := fmt.Sprintf("receivers: {homeostat: {grpc_endpoint: %q, http_endpoint: %q, rate: 0.25, services: {probe: 0}, slow: 1s}}\nexporters: {keep: {}}\nservice:\n  pipelines:\n", grpc, http)
	for _, s := range signals {
		text += fmt.Sprintf("    %s: {receivers: [homeostat], exporters: [keep]}\n", s)
	}
	config := func() component.Config { return &struct{}{} }
	c, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo:               component.NewDefaultBuildInfo(),
		DisableGracefulShutdown: true, // the test shuts it down
		Factories: func() (otelcol.Factories, error) {
			return otelcol.Factories{
				Receivers: map[component.Type]receiver.Factory{Type: NewFactory()},
				Exporters: map[component.Type]exporter.Factory{component.MustNewType("keep"): exporter.NewFactory(
					component.MustNewType("keep"), config,
					exporter.WithTraces(func(context.Context, exporter.Settings, component.Config) (exporter.Traces, error) { return k, nil }, component.StabilityLevelStable),
					exporter.WithMetrics(func(context.Context, exporter.Settings, component.Config) (exporter.Metrics, error) { return k, nil }, component.StabilityLevelStable),
					exporter.WithLogs(func(context.Context, exporter.Settings, component.Config) (exporter.Logs, error) { return k, nil }, component.StabilityLevelStable),
				)},
				Telemetry: telemetry.NewFactory(config),
			}, nil
		},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs: []string{"yaml:" + text}, ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()}, DefaultScheme: "yaml",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- c.Run(context.Background()) }()
	t.Cleanup(func() {
		c.Shutdown()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for c.GetState() != otelcol.StateRunning {
		select {
		case <-ticker.C:
		case err := <-over:
			over <- err
			t.Fatalf("the Collector ended: %v", err)
		case <-deadline:
			t.Fatal("the Collector does not run")
		}
	}
	return grpc, http
}

// free finds a loopback address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// client is a real OTLP client.
func client(t *testing.T, o otlp.ClientOptions) *otlp.Client {
	t.Helper()
	c, err := otlp.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// spans makes a request of 256 ordinary spans, whose trace ids are spread evenly,
// an error and a slow one.
func spans(t *testing.T, service string) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	list := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range 258 {
		span := list.AppendEmpty()
		span.SetName("ordinary")
		span.SetTraceID(pcommon.TraceID{1, 8: 1, 9: byte(i), 15: 1})
		span.SetSpanID(pcommon.SpanID{1, byte(i)})
		span.SetStartTimestamp(1_000_000_000)
		span.SetEndTimestamp(1_000_000_001)
		switch i {
		case 256:
			span.SetName("error")
			span.Status().SetCode(ptrace.StatusCodeError)
		case 257:
			span.SetName("slow")
			span.SetEndTimestamp(3_000_000_000)
		}
	}
	b, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestInsideARealCollector(t *testing.T) {
	k := &keeper{}
	grpc, http := collect(t, k, "traces", "metrics", "logs")
	for _, o := range []otlp.ClientOptions{{Endpoint: grpc}, {Endpoint: "http://" + http, HTTP: true, Compression: "zstd"}} {
		c := client(t, o)
		k.spans, k.points, k.records = nil, 0, 0
		if _, _, err := c.Export(t.Context(), otlp.SignalTraces, spans(t, "cart")); err != nil {
			t.Fatal(err)
		}
		names := map[string]int{}
		for _, span := range k.spans {
			names[span.Name()]++
			if span.Name() == "ordinary" && span.TraceState().AsRaw() != "ot=th:c" {
				t.Errorf("got tracestate %q, want the threshold of a quarter", span.TraceState().AsRaw())
			}
		}
		if names["ordinary"] != 64 || names["error"] != 1 || names["slow"] != 1 {
			t.Errorf("got %v, want a quarter of 256, the error and the slow one", names)
		}
		k.spans = nil
		if _, _, err := c.Export(t.Context(), otlp.SignalTraces, spans(t, "probe")); err != nil {
			t.Fatal(err)
		}
		if len(k.spans) != 2 {
			t.Errorf("got %d spans of a service with rate 0, want the error and the slow one", len(k.spans))
		}

		md := pmetric.NewMetrics()
		md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
		b, err := new(pmetric.ProtoMarshaler).MarshalMetrics(md)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Export(t.Context(), otlp.SignalMetrics, b); err != nil || k.points != 1 {
			t.Errorf("metrics: got %d points, %v", k.points, err)
		}
		ld := plog.NewLogs()
		ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		if b, err = new(plog.ProtoMarshaler).MarshalLogs(ld); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Export(t.Context(), otlp.SignalLogs, b); err != nil || k.records != 1 {
			t.Errorf("logs: got %d records, %v", k.records, err)
		}
	}
}

func TestRefusalsReachTheSender(t *testing.T) {
	k := &keeper{}
	grpc, _ := collect(t, k, "traces")
	c := client(t, otlp.ClientOptions{Endpoint: grpc})
	for _, tt := range []struct {
		name    string
		refuse  error
		sig     otlp.Signal
		request []byte
		want    heal.Kind
	}{
		{"the next component is full", errors.New("full"), otlp.SignalTraces, spans(t, "cart"), heal.Transient},
		{"it never will be taken", consumererror.NewPermanent(errors.New("bad")), otlp.SignalTraces, spans(t, "cart"), heal.Invalid},
		{"no protobuf", nil, otlp.SignalTraces, []byte("garbage"), heal.Invalid},
		{"a signal without a pipeline", nil, otlp.SignalLogs, nil, heal.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k.mu.Lock()
			k.refuse = tt.refuse
			k.mu.Unlock()
			if _, _, err := c.Export(t.Context(), tt.sig, tt.request); !heal.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestMistakesOfTheConfiguration(t *testing.T) {
	good, _ := defaultConfig().(*Config)
	if err := good.Validate(); err != nil {
		t.Errorf("the default: got %v", err)
	}
	err := (&Config{GRPCEndpoint: "0.0.0.0:4317", HTTPEndpoint: "x", KeyFile: "k", Rate: 2, Services: map[string]float64{"a": -1}, Slow: -1}).Validate()
	for _, want := range []string{"open to others", `http_endpoint: is "x"`, "cert_file: only one", "rate: is 2", "services::a: is -1", "slow: ", "max_request_bytes: is 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to tell %q", err, want)
		}
	}
	if err := (&Config{Rate: 1, MaxRequestBytes: 1024}).Validate(); err == nil || !strings.Contains(err.Error(), "both are empty") {
		t.Errorf("got %v, want a word on the addresses", err)
	}
}
