package gateway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/gateway/ottl"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

var modes = map[string]Mode{"spool": ModeSpool, "memory": ModeMemory, "export": ModeExport}

func take(t *testing.T, g *Gateway, request []byte) {
	t.Helper()
	if _, err := g.Take(t.Context(), otlp.SignalTraces, request); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsKeptArrivesInEveryMode(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			s := startSink(t, "")
			g, stop := start(t, options(t, mode, s))
			var kept []string
			for range 20 {
				request, _, failed := spans(t, 100)
				take(t, g, request)
				kept = append(kept, failed...)
			}
			metrics, _ := proto.Marshal(&metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{{
				Name: "m", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: []*metricspb.NumberDataPoint{{}}}},
			}}}}}}})
			logs, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{}}}}}}})
			for sig, request := range map[otlp.Signal][]byte{otlp.SignalMetrics: metrics, otlp.SignalLogs: logs} {
				if n, err := g.Take(t.Context(), sig, request); n != 1 || err != nil {
					t.Errorf("%v: got %d, %v, want one item taken", sig, n, err)
				}
			}
			s.has(t, kept)
			s.until(t, "it has metrics and logs", func(s *sink) bool { return s.others == 2 })
			exported(t, g, 200)
			stop()
			st := g.Stats()
			traces := st.Pipelines[otlp.SignalTraces]
			if traces.Taken != 2000 || traces.Exported != 200 || st.Reasons[wire.ReasonError] != 200 || st.Reasons[wire.ReasonDropped] != 1800 || traces.Lost+traces.Left != 0 {
				t.Errorf("got %+v, want 2000 taken, 200 exported, all errors", st)
			}
			if samples, _ := g.FlushRED(time.Now()); len(samples) == 0 {
				t.Error("no RED metrics")
			}
		})
	}
}

func TestNonsenseIsRefusedForGood(t *testing.T) {
	g, _ := start(t, options(t, ModeMemory, startSink(t, "")))
	for _, sig := range []otlp.Signal{otlp.SignalTraces, otlp.SignalMetrics, otlp.SignalLogs} {
		if _, err := g.Take(t.Context(), sig, []byte{0xff}); !heal.Is(err, heal.Invalid) {
			t.Errorf("%v: got %v, want an invalid request", sig, err)
		}
	}
}

func TestExportModeTellsWhatTheBackendSaid(t *testing.T) {
	s := startSink(t, "")
	g, _ := start(t, options(t, ModeExport, s))
	request, _, _ := spans(t, 10)
	for _, tt := range []struct {
		says error
		want heal.Kind
	}{
		{heal.Errorf(heal.Invalid, "", "nonsense"), heal.Invalid},
		{heal.Errorf(heal.Unknown, "", "later"), heal.Transient},
		{heal.Errorf(heal.Denied, "", "who are you"), heal.Transient},
	} {
		s.setRefuse(tt.says)
		if _, err := g.Take(t.Context(), otlp.SignalTraces, request); heal.KindOf(err) != tt.want || err == nil {
			t.Errorf("the backend says %v: got %v, want kind %v", tt.says, err, tt.want)
		}
	}
	if got := g.Stats().RED.Spans; got != 0 {
		t.Errorf("got %d spans in RED, want none: they come again", got)
	}
}

func TestAFullQueuePushesBack(t *testing.T) {
	s := startSink(t, "")
	s.setRefuse(heal.Errorf(heal.Unknown, "", "down"))
	o := options(t, ModeMemory, s)
	o.Traces.QueueBytes = 2000
	g, _ := start(t, o)
	var kept []string
	var pushedBack bool
	for range 200 {
		request, _, failed := spans(t, 10)
		_, err := g.Take(t.Context(), otlp.SignalTraces, request)
		switch {
		case err == nil:
			kept = append(kept, failed...)
		case heal.Is(err, heal.Transient):
			pushedBack = true
		default:
			t.Fatal(err)
		}
	}
	if !pushedBack {
		t.Fatal("everything was taken")
	}
	if _, bytes := g.pipelines[otlp.SignalTraces].queue.length(); bytes > 2000 {
		t.Errorf("got %d bytes in the queue, want 2000 at most", bytes)
	}
	s.setRefuse(nil)
	s.has(t, kept)
}

func TestTheSpoolOutlivesTheGateway(t *testing.T) {
	s := startSink(t, "")
	addr := s.addr()
	s.stop()
	o := options(t, ModeSpool, s)
	o.Export.Backends[0].Client.Endpoint = addr
	var kept []string
	for range 3 { // the third finds the backend again
		g, stop := start(t, o)
		for range 20 {
			request, _, failed := spans(t, 50)
			take(t, g, request)
			kept = append(kept, failed...)
		}
		stop()
		if st := g.Stats().Pipelines[otlp.SignalTraces]; st.Exported != 0 || st.Left+st.Lost != 0 {
			t.Errorf("got %+v, want nothing exported or lost", st)
		}
	}
	s.start(t, addr)
	g, stop := start(t, o)
	s.has(t, kept)
	stop()
	if st := g.Stats().Pipelines[otlp.SignalTraces].Spool; st.Damaged+st.Torn != 0 {
		t.Errorf("got %+v, want nothing damaged", st)
	}
}

func TestTracesAreSharedAndFailOver(t *testing.T) {
	sinks := []*sink{startSink(t, ""), startSink(t, ""), startSink(t, "")}
	o := options(t, ModeMemory, sinks...)
	o.Export.Balance = true
	g, _ := start(t, o)
	request, _, kept := spans(t, 3000)
	take(t, g, request)
	all := func() (ids []string) {
		for _, s := range sinks {
			ids = append(ids, s.ids()...)
		}
		slices.Sort(ids)
		return ids
	}
	exported(t, g, 300)
	for i, s := range sinks {
		if n := len(s.ids()); n < 50 {
			t.Errorf("backend %d has %d spans, want about a third of 300", i, n)
		}
	}
	slices.Sort(kept)
	if got := all(); !slices.Equal(got, kept) {
		t.Errorf("got %d spans at three backends, want %d, each once", len(got), len(kept))
	}
	sinks[1].stop()
	request, _, more := spans(t, 3000)
	take(t, g, request)
	exported(t, g, 600)
	kept = append(kept, more...)
	slices.Sort(kept)
	if got := all(); !slices.Equal(got, kept) {
		t.Errorf("got %d spans after one backend died, want %d, each once", len(got), len(kept))
	}
}

// cleaner carries out statements on spans.
func cleaner(t *testing.T, statements ...string) *ottl.Cleaner {
	t.Helper()
	c, problems := ottl.New(ottl.Options{Traces: statements})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func TestReloadLosesNothing(t *testing.T) {
	first, second := startSink(t, ""), startSink(t, "")
	o := options(t, ModeMemory, first)
	g, stop := start(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			for ctx.Err() == nil {
				request, _, _ := spans(t, 20)
				if _, err := g.Take(ctx, otlp.SignalTraces, request); err != nil {
					if ctx.Err() == nil && !heal.Is(err, heal.Transient) {
						t.Error(err)
					}
				}
			}
		})
	}
	settings := o.Settings
	for i := range 10 {
		settings.Sampler.Rate = float64(i%2) / 2
		settings.Cleaner = cleaner(t, fmt.Sprintf(`set(span.attributes["round"], %d)`, i))
		settings.Export.Backends = []Backend{{Name: "x", Client: otlp.ClientOptions{Endpoint: []*sink{first, second}[i%2].addr()}}}
		if err := g.Reload(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
	}
	second.until(t, "the second backend is used", func(s *sink) bool { return len(s.spans) > 0 })
	cancel()
	senders.Wait()
	stop()
	st := g.Stats()
	sent := st.Reasons[wire.ReasonError] + st.Reasons[wire.ReasonProbabilistic]
	if got := uint64(len(first.ids()) + len(second.ids())); got != sent || st.Pipelines[otlp.SignalTraces].Exported != sent {
		t.Errorf("got %d spans at the backends, want the %d that were kept", got, sent)
	}
	if p := st.Pipelines[otlp.SignalTraces]; p.Cleaned == 0 || p.Cleaned > sent || p.Failed > 0 {
		t.Errorf("got %d spans cleaned, %d failures, of %d", p.Cleaned, p.Failed, sent)
	}
	settings.Export.Backends = nil
	if err := g.Reload(t.Context(), settings); !heal.Is(err, heal.Invalid) {
		t.Errorf("settings without a backend: got %v, want invalid", err)
	}
}

func TestWholeTraces(t *testing.T) {
	s := startSink(t, "")
	o := options(t, ModeSpool, s)
	o.Tail, o.Compress = &wire.TailOptions{Window: 50 * time.Millisecond}, true
	g, stop := start(t, o)
	var kept []string
	for range 3 { // again: with buffers that were used before
		request, _, failed := spans(t, 100)
		take(t, g, request)
		kept = append(kept, failed...)
		s.has(t, kept)
	}
	stop()
	if st := g.Stats(); st.Reasons[wire.ReasonError] != 30 || st.Undecidable != 0 {
		t.Errorf("got %+v, want 30 errors kept", st)
	}
	o.Tail, o.Compress = &wire.TailOptions{Window: time.Hour}, false
	g, stop = start(t, o)
	request, _, more := spans(t, 100)
	take(t, g, request)
	if st := g.Stats().Tail; st.Spans != 100 || st.Bytes != len(request) {
		t.Errorf("got %+v, want 100 spans held", st)
	}
	stop() // decides early rather than loses
	if st := g.Stats(); st.Tail.EarlySpans != 100 || st.Reasons[wire.ReasonError] != 10 {
		t.Errorf("got %+v, want 100 spans decided early, 10 kept", st)
	}
	_, stop = start(t, o)
	s.has(t, append(kept, more...))
	stop()
}

func TestWholeTracesPushBackWhenNothingLeaves(t *testing.T) {
	s := startSink(t, "")
	s.setRefuse(heal.Errorf(heal.Unknown, "", "down"))
	o := options(t, ModeMemory, s)
	o.Traces.QueueBytes = 2000
	o.Tail = &wire.TailOptions{Window: time.Millisecond, MaxBytes: 20_000}
	g, _ := start(t, o)
	var kept []string
	for refused := false; !refused; {
		request, _, failed := spans(t, 10)
		_, err := g.Take(t.Context(), otlp.SignalTraces, request)
		refused = heal.Is(err, heal.Transient)
		if err != nil && !refused {
			t.Fatal(err)
		}
		if !refused {
			kept = append(kept, failed...)
		}
		if held := g.Stats().Tail.Bytes; held > 25_000 {
			t.Fatalf("got %d bytes held, want 25000 at most", held)
		}
	}
	s.setRefuse(nil)
	s.has(t, kept)
}

func TestRateIsSteeredByThroughput(t *testing.T) {
	o := options(t, ModeMemory, startSink(t, ""))
	o.Sampler.Rate = 0.05
	o.Steer.Target = 100
	g, _ := start(t, o)
	g.steer(5000)
	if got := g.Stats().Rate; got != 0.02 {
		t.Errorf("got rate %g, want 0.02: 100 of 5000 spans/s", got)
	}
	o.Steer.Target = 0
	if err := g.Reload(t.Context(), o.Settings); err != nil {
		t.Fatal(err)
	}
	g.steer(5000)
	if got := g.Stats().Rate; got != 0.05 {
		t.Errorf("got rate %g, want 0.05 as configured", got)
	}
}

func TestARefusedBatchDoesNotBlockTheRest(t *testing.T) {
	s := startSink(t, "")
	s.setRefuse(heal.Errorf(heal.Invalid, "", "nonsense"))
	g, _ := start(t, options(t, ModeSpool, s))
	request, _, _ := spans(t, 10)
	take(t, g, request)
	s.until(t, "it was asked", func(s *sink) bool { return s.calls > 0 })
	s.setRefuse(nil)
	request, _, kept := spans(t, 10)
	take(t, g, request)
	s.has(t, kept)
	if st := g.Stats().Pipelines[otlp.SignalTraces]; st.Lost != 1 {
		t.Errorf("got %d lost, want the one that was refused", st.Lost)
	}
}
