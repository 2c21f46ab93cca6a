package engine_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestMetricsAndTraces(t *testing.T) {
	r := newRig(t)
	reader := sdkmetric.NewManualReader()
	metrics, err := engine.NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewSpanRecorder()
	r.eng = engine.New(r.db, r.world, library{}, engine.Options{
		Owner: "one", Sole: true, Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Limits: r.limit,
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics,
		Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
	})
	r.start()
	again := step("again", "world.put")
	again.Tries = 2
	r.world.fail["again"] = 1
	r.world.lost["once"] = true
	id := r.run("service/a", engine.Plan{Tasks: []engine.Task{again, step("never", "world.see"), step("once", "world.once", "again")}})
	r.until(id, "unknown, one task skipped", func(run heal.Run) bool {
		return run.State == heal.RunUnknown && run.Task("never").State == heal.RunSkipped
	})
	if err := r.eng.Settle(t.Context(), id, engine.Settled{Task: "once", As: engine.SettleGiveUp, By: "op"}); err != nil {
		t.Fatal(err)
	}
	r.ended(id)
	r.stop() // what is counted is counted after the commit that others may see first

	want := []string{
		"homeostat.runs.ended{state=failed} 1",
		"homeostat.step.duration{action=world.once} 1",
		"homeostat.step.duration{action=world.put} 2",
		"homeostat.step.wait{} 3",
		"homeostat.steps{action=world.once,result=unknown} 1",
		"homeostat.steps{action=world.put,result=failed} 1",
		"homeostat.steps{action=world.put,result=succeeded} 1",
		"homeostat.steps{action=world.see,result=skipped} 1",
	}
	if diff := cmp.Diff(collect(t, reader), want); diff != "" {
		t.Errorf("metrics (-got +want):\n%s", diff)
	}
	var names []string
	for _, s := range spans.Ended() {
		attrs := map[string]string{}
		for _, a := range s.Attributes() {
			attrs[string(a.Key)] = a.Value.String()
		}
		if attrs["homeostat.run.id"] != string(id) || attrs["homeostat.target"] != "service/a" {
			t.Errorf("span %s: got attributes %v, want those of the run", s.Name(), attrs)
		}
		names = append(names, fmt.Sprintf("%s %s %s %s", s.Name(), attrs["homeostat.task.id"], attrs["homeostat.result"], s.Status().Code))
	}
	wantSpans := []string{"step world.put again failed Error", "step world.put again succeeded Unset", "step world.once once unknown Error"}
	if diff := cmp.Diff(names, wantSpans); diff != "" {
		t.Errorf("spans (-got +want):\n%s", diff)
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	r := newRig(t)
	reader := sdkmetric.NewManualReader()
	metrics, err := engine.NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	r.limit.Recheck = time.Hour // refused once, not again and again
	r.eng = engine.New(r.db, r.world, library{}, engine.Options{
		Owner: "one", Sole: true, Clock: time.Now, Entropy: rand.Reader, Poll: 20 * time.Millisecond, Limits: r.limit,
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics,
	})
	r.world.gate, r.world.entered = make(chan struct{}), make(chan string, 10)
	r.start()
	plan := engine.Plan{Tasks: []engine.Task{step("one", "world.put")}}
	r.run("service/a", plan)
	<-r.world.entered
	second := r.run("service/a", plan)
	r.until(second, "refused", func(run heal.Run) bool { return run.Tasks[0].Refusal != nil })
	close(r.world.gate)
	r.stop()
	if got, want := collect(t, reader), "homeostat.guard.refusals{rule=lease} 1"; !slices.Contains(got, want) {
		t.Errorf("metrics: got %v, want %s among them", got, want)
	}
}

// collect gives every series as name{labels} value, histograms by their count.
func collect(t *testing.T, reader sdkmetric.Reader) []string {
	t.Helper()
	var found metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &found); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range found.ScopeMetrics {
		for _, m := range s.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s{%s} %d", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s{%s} %d", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Count))
				}
			default:
				t.Errorf("%s: got %T", m.Name, data)
			}
		}
	}
	slices.SortFunc(lines, strings.Compare)
	return lines
}
