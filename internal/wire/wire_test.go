package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func id(n byte) [8]byte { return [8]byte{7: n} }

// lines gives samples as "seconds name{labels} value", histogram series left
// out unless asked for.
func lines(samples []heal.Sample, metric string) []string {
	var out []string
	for _, s := range samples {
		if !strings.HasPrefix(s.Metric, metric) {
			continue
		}
		var labels []string
		for _, l := range s.Labels {
			labels = append(labels, l.Name+"="+l.Value)
		}
		out = append(out, fmt.Sprintf("%g %s{%s} %g", s.At.Sub(start).Seconds(), s.Metric, strings.Join(labels, ","), s.Value))
	}
	return out
}

func TestREDIsGivenOnlyForSeriesWithTraffic(t *testing.T) {
	a := New(Options{}, start)
	span := Span{Service: "cart", Operation: "GET /", Kind: KindServer, Duration: 20 * time.Millisecond}
	const calls = "traces_span_metrics_calls_total{service_name=cart,span_kind=SPAN_KIND_SERVER,span_name=GET /,status_code=STATUS_CODE_UNSET}"

	steps := []struct {
		name  string
		spans int
		want  []string
	}{
		{"a new series begins at zero, at the flush before", 3, []string{"0 " + calls + " 0", "5 " + calls + " 3"}},
		{"traffic goes on: one sample", 1, []string{"10 " + calls + " 4"}},
		{"silence: no sample", 0, nil},
		{"silence again", 0, nil},
		{"back: the former value at the flush before", 2, []string{"20 " + calls + " 4", "25 " + calls + " 6"}},
	}
	for i, step := range steps {
		for range step.spans {
			a.Observe(span)
		}
		samples, _ := a.Flush(at(5 * (i + 1)))
		if diff := cmp.Diff(lines(samples, "traces_span_metrics_calls"), step.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", step.name, diff)
		}
	}
}

func TestErrorsThatCeasedAreSeenToStandStillUnderTraffic(t *testing.T) {
	a := New(Options{}, start)
	server := Span{Service: "cart", Operation: "GET", Kind: KindServer}
	failing := Span{Service: "cart", Operation: "GET", Kind: KindServer, Status: StatusError}
	client := Span{Service: "cart", Operation: "GET", Kind: KindClient}
	errorsAt := func(seconds int, spans ...Span) (out []string) {
		a.Observe(spans...)
		samples, _ := a.Flush(at(seconds))
		for _, line := range lines(samples, "traces_span_metrics_calls") {
			if strings.Contains(line, "STATUS_CODE_ERROR") {
				out = append(out, strings.Split(line, " ")[0]+" "+line[len(line)-1:])
			}
		}
		return out
	}
	for i, step := range []struct {
		name  string
		spans []Span
		want  []string
	}{
		{"the first error", []Span{server, failing}, []string{"0 0", "5 1"}},
		{"traffic without errors", []Span{server}, []string{"10 1"}},
		{"traffic of another kind says nothing", []Span{client}, nil},
		{"back", []Span{server}, []string{"15 1", "20 1"}},
	} {
		if diff := cmp.Diff(errorsAt(5*(i+1), step.spans...), step.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", step.name, diff)
		}
	}
}

func TestDurationsFillTheirBuckets(t *testing.T) {
	a := New(Options{}, start)
	for _, d := range []time.Duration{-time.Second, 5 * time.Millisecond, 6 * time.Millisecond, 2 * time.Minute} {
		a.Observe(Span{Service: "s", Operation: "o", Duration: d})
	}
	samples, _ := a.Flush(at(1))
	got := map[string]float64{}
	for _, s := range samples {
		if s.At.Equal(at(1)) && s.Metric == "traces_span_metrics_duration_seconds_bucket" {
			got[s.Labels[0].Value] = s.Value
		}
	}
	for le, want := range map[string]float64{"0.005": 2, "0.01": 3, "10": 3, "60": 3, "+Inf": 4} {
		if got[le] != want {
			t.Errorf("bucket le=%s: got %v, want %v", le, got[le], want)
		}
	}
	if len(got) != len(bounds)+1 {
		t.Errorf("got %d buckets, want %d", len(got), len(bounds)+1)
	}
}

func TestBucketsAreThoseOfTheBounds(t *testing.T) {
	check := func(d time.Duration) {
		t.Helper()
		var h histogram
		h.observe(d)
		want := 0
		for want < len(bounds) && max(d, 0).Seconds() > bounds[want] {
			want++
		}
		if h.counts[want] != 1 {
			t.Errorf("%s: got counts %v, want one in bucket %d", d, h.counts, want)
		}
	}
	for shift := range 64 {
		check(1 << shift)
		check(1<<shift - 1)
	}
	for _, seconds := range bounds {
		d := time.Duration(seconds * float64(time.Second))
		check(d)
		check(d + 1)
		check(d - 1)
	}
}

func TestOperationsBeyondTheLimitAreFoldedAndCounted(t *testing.T) {
	a := New(Options{MaxOperations: 2, MaxServices: 1}, start)
	for i := range 5 {
		a.Observe(Span{Service: "s", Operation: fmt.Sprintf("/item/%d", i)})
	}
	a.Observe(Span{Service: "t", Operation: "x"}, Span{Service: "u", Operation: "x"})
	samples, _ := a.Flush(at(1))
	got := map[string]float64{}
	for _, s := range samples {
		if s.Metric == "traces_span_metrics_calls_total" && s.At.Equal(at(1)) {
			got[s.Labels[0].Value+" "+s.Labels[2].Value] = s.Value
		}
	}
	want := map[string]float64{"s /item/0": 1, "s /item/1": 1, "s _other": 3, "_other x": 2}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("calls by operation (-got +want):\n%s", diff)
	}
	if got := a.Stats(); got.OperationsFolded != 3 || got.ServicesFolded != 2 || got.Spans != 7 {
		t.Errorf("got %+v, want 3 operations and 2 services folded of 7 spans", got)
	}
}

func TestEdges(t *testing.T) {
	client := func(span byte, service string, p Peer, status Status) Span {
		return Span{SpanID: id(span), Service: service, Kind: KindClient, Peer: p, Status: status, Duration: 30 * time.Millisecond}
	}
	server := func(parent byte, service string) Span {
		return Span{SpanID: id(parent + 100), ParentID: id(parent), Service: service, Kind: KindServer, Duration: 10 * time.Millisecond}
	}
	at81 := Peer{Name: "10.0.0.1:81"}
	tests := []struct {
		name  string
		first []Span // in one flush
		then  []Span // after the halves of first have met
		want  []string
	}{
		{"client before server", []Span{client(1, "web", at81, 0), server(1, "cart")}, nil, []string{"service/web service/cart 1 0 10ms"}},
		{"server before client", []Span{server(1, "cart"), client(1, "web", at81, StatusError)}, nil, []string{"service/web service/cart 1 1 10ms"}},
		{"halves in two flushes", []Span{client(1, "web", at81, 0)}, []Span{server(1, "cart")}, []string{"service/web service/cart 1 0 10ms"}},
		{"same span id in another trace", []Span{client(1, "web", Peer{}, 0), {TraceID: [16]byte{1}, ParentID: id(1), Service: "cart", Kind: KindServer}}, nil, nil},
		{"nobody answers", []Span{client(1, "web", at81, StatusError)}, nil, []string{"service/web external/10.0.0.1:81 1 1 30ms"}},
		{"nobody answers, no name", []Span{client(1, "web", Peer{}, StatusError)}, nil, nil},
		{
			"a dead service is known by its address",
			[]Span{client(1, "web", at81, 0), server(1, "cart")},
			[]Span{client(2, "web", at81, StatusError)},
			[]string{"service/web service/cart 1 0 10ms", "service/web service/cart 1 1 30ms"},
		},
		{
			"an address with several services behind it stays itself",
			[]Span{client(1, "web", at81, 0), server(1, "cart"), client(2, "web", at81, 0), server(2, "stock")},
			[]Span{client(3, "web", at81, StatusError)},
			[]string{"service/web service/cart 1 0 10ms", "service/web service/stock 1 0 10ms", "service/web external/10.0.0.1:81 1 1 30ms"},
		},
		{
			"peer.service names a known service",
			[]Span{server(9, "cart"), client(1, "web", Peer{Name: "cart"}, StatusError)},
			nil,
			[]string{"service/web service/cart 1 1 30ms"},
		},
		{
			"database at once",
			[]Span{client(1, "cart", Peer{Name: "db:5432", Kind: heal.KindDatabase, System: "postgresql"}, 0)},
			nil,
			[]string{"service/cart database/db:5432 1 0 30ms"},
		},
		{
			"a cache without an address has the name of its system",
			[]Span{client(1, "cart", Peer{Kind: heal.KindCache, System: "redis"}, 0)},
			nil,
			[]string{"service/cart cache/redis 1 0 30ms"},
		},
		{
			"a queue stands between producer and consumer",
			[]Span{
				{Service: "cart", Kind: KindProducer, Duration: time.Millisecond, Peer: Peer{Name: "orders", Kind: heal.KindQueue, System: "kafka"}},
				{Service: "mail", Kind: KindConsumer, Duration: time.Millisecond, Peer: Peer{Name: "orders", Kind: heal.KindQueue, System: "kafka"}},
			},
			nil,
			[]string{"service/cart queue/orders 1 0 1ms", "queue/orders service/mail 1 0 1ms"},
		},
		{"internal spans and roots make none", []Span{{Service: "x", Kind: KindInternal}, {Service: "x", Kind: KindServer}}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New(Options{PendingFor: 10 * time.Second}, start)
			var got []string
			flush := func(seconds int) {
				_, edges := a.Flush(at(seconds))
				for _, e := range edges {
					got = append(got, fmt.Sprintf("%s %s %d %d %s", e.Client, e.Server, e.Requests, e.Failed, e.Total))
				}
			}
			a.Observe(tt.first...)
			flush(1)
			a.Observe(tt.then...)
			for s := 10; s <= 40; s += 10 {
				flush(s)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("edges (-got +want):\n%s", diff)
			}
			if n := len(a.graph.young) + len(a.graph.old); n != 0 {
				t.Errorf("got %d calls still waiting, want 0", n)
			}
		})
	}
}

func TestEdgeSeriesHaveTheNamesOfTheConnector(t *testing.T) {
	a := New(Options{}, start)
	a.Observe(Span{Service: "cart", Kind: KindClient, Peer: Peer{Name: "db", Kind: heal.KindDatabase, System: "mysql"}, Status: StatusError, Duration: time.Second})
	samples, _ := a.Flush(at(1))
	const labels = "{client=cart,connection_type=database,server=db}"
	want := []string{
		"0 traces_service_graph_request_total" + labels + " 0",
		"0 traces_service_graph_request_failed_total" + labels + " 0",
		"1 traces_service_graph_request_total" + labels + " 1",
		"1 traces_service_graph_request_failed_total" + labels + " 1",
	}
	var got []string
	for _, line := range lines(samples, "traces_service_graph_request_") {
		if !strings.Contains(line, "_seconds") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("samples (-got +want):\n%s", diff)
	}
	if got := len(lines(samples, "traces_service_graph_request_server_seconds")); got != 0 {
		t.Errorf("got %d server samples, want none: only the client spoke", got)
	}
}

func TestEverythingKeptIsBounded(t *testing.T) {
	a := New(Options{MaxPending: 10, MaxEdges: 3, MaxPeers: 4}, start)
	for i := range byte(100) {
		a.Observe(Span{SpanID: id(i + 1), Service: "web", Kind: KindClient, Peer: Peer{Name: fmt.Sprintf("host-%d", i)}})
	}
	a.Flush(at(20))
	_, edges := a.Flush(at(40))
	got := a.Stats()
	want := Stats{Spans: 100, PeersDropped: 96, PendingDropped: 90, Unmatched: 6, EdgesDropped: 1}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("stats (-got +want):\n%s", diff)
	}
	if len(edges) != 3 {
		t.Errorf("got %d edges, want 3", len(edges))
	}
}

func TestQuietSeriesAreForgotten(t *testing.T) {
	a := New(Options{IdleFor: time.Minute}, start)
	a.Observe(Span{Service: "old", Operation: "x", Kind: KindClient, Peer: Peer{Name: "db", System: "mysql", Kind: heal.KindDatabase}})
	for s := 5; s <= 120; s += 5 {
		a.Observe(Span{Service: "live", Operation: "x"})
		a.Flush(at(s))
	}
	if len(a.services) != 1 || len(a.graph.edges) != 0 || len(a.graph.peers) != 0 {
		t.Errorf("got %d services, %d edges, %d peers; want 1, 0, 0", len(a.services), len(a.graph.edges), len(a.graph.peers))
	}
}

func TestNamesAreCopied(t *testing.T) {
	a := New(Options{}, start)
	buffer := []byte("cart a\xffb peer:80")
	text := unsafe.String(&buffer[0], len(buffer))
	a.Observe(Span{Service: text[:4], Operation: text[5:8], Kind: KindClient, SpanID: id(1), Peer: Peer{Name: text[9:]}})
	copy(buffer, "the buffer is used for something else")
	samples, _ := a.Flush(at(10))
	if got, want := samples[0].Labels[0].Value+" "+samples[0].Labels[2].Value, "cart a\uFFFDb"; got != want {
		t.Errorf("names: got %q, want %q", got, want)
	}
	_, edges := a.Flush(at(20))
	if got, want := edges[0].Server, heal.EntityID("external/peer:80"); got != want {
		t.Errorf("peer: got %q, want %q", got, want)
	}
}

func TestKnownSeriesCostNoAllocation(t *testing.T) {
	a := New(Options{}, start)
	spans := benchSpans()
	a.Observe(spans...)
	a.Flush(at(1))
	a.Observe(spans...)
	if got := testing.AllocsPerRun(100, func() { a.Observe(spans...) }); got != 0 {
		t.Errorf("got %v allocations for %d spans, want 0", got, len(spans))
	}
}

// benchSpans are matched calls between 20 services with 50 operations each.
func benchSpans() []Span {
	var spans []Span
	for i := range 1000 {
		service, operation := fmt.Sprintf("service-%d", i%20), fmt.Sprintf("GET /operation/%d", i%50)
		trace := [16]byte{byte(i), byte(i >> 8)}
		spans = append(
			spans,
			Span{TraceID: trace, SpanID: id(1), Service: service, Operation: operation, Kind: KindClient, Duration: 3 * time.Millisecond, Peer: Peer{Name: "10.0.0.1:80"}},
			Span{TraceID: trace, SpanID: id(2), ParentID: id(1), Service: "backend", Operation: operation, Kind: KindServer, Duration: 2 * time.Millisecond},
		)
	}
	return spans
}

func BenchmarkObserve(b *testing.B) {
	a := New(Options{}, start)
	spans := benchSpans()
	a.Observe(spans...)
	b.ReportAllocs()
	for b.Loop() {
		a.Observe(spans...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(spans)), "ns/span")
}

func BenchmarkFlush(b *testing.B) {
	a := New(Options{}, start)
	spans := benchSpans()
	now := start
	b.ReportAllocs()
	for b.Loop() {
		a.Observe(spans...)
		now = now.Add(time.Second)
		a.Flush(now)
	}
}

func TestSnapshotRepeatsWhatDidNotChange(t *testing.T) {
	a := New(Options{}, start)
	a.Observe(
		Span{Service: "cart", Operation: "GET /", Kind: KindServer, Duration: 20 * time.Millisecond},
		Span{Service: "cart", Kind: KindClient, Peer: Peer{Name: "db", System: "mysql", Kind: heal.KindDatabase}},
	)
	a.Flush(at(5))
	for _, seconds := range []int{6, 60} {
		samples := a.Snapshot(at(seconds))
		for _, metric := range []string{"traces_span_metrics_calls_total", "traces_service_graph_request_total"} {
			if got := lines(samples, metric); len(got) == 0 || !strings.HasSuffix(got[0], " 1") {
				t.Errorf("%s at %d s: got %q, want the call from before", metric, seconds, got)
			}
		}
	}
}
