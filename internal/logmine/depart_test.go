package logmine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// shop makes the recording of n requests that go through web and cart to stock.
// names gives the services, at the time of the first request; write says what
// each service writes in the i-th request.
type shop struct {
	names [3]string
	at    time.Time
	n     int
	write func(i int, service int) []string
}

// calm is what the services write when all is well.
func calm(_, service int) []string {
	return [][]string{{"request comes in", "request is answered"}, {"cart is loaded", "cart is priced"}, {"stock is asked", "stock is found"}}[service]
}

func (s shop) work() logmine.Work {
	var w logmine.Work
	for i := range s.n {
		trace, start := fmt.Sprintf("t%d-%d", s.at.UnixNano(), i), s.at.Add(time.Duration(i)*time.Second)
		for service, name := range s.names {
			span := heal.Span{
				TraceID: trace, SpanID: fmt.Sprint(service), Service: name, Operation: "handle", Kind: heal.SpanServer,
				Start: start.Add(time.Duration(service) * time.Millisecond), Duration: time.Duration(20-service) * time.Millisecond,
			}
			if service > 0 {
				span.ParentID = fmt.Sprint(service - 1)
			}
			w.Spans = append(w.Spans, span)
			for k, text := range s.write(i, service) {
				at := span.Start.Add(time.Duration(k) * (10 - 2*time.Duration(service)) * time.Millisecond)
				w.Logs = append(w.Logs, heal.LogRecord{Time: at, Service: name, TraceID: trace, SpanID: span.SpanID, Body: text})
			}
		}
	}
	return w
}

var plainNames = [3]string{"web", "cart", "stock"}

// broken is what they write when stock fails: cart and web give up in turn.
func broken(i, service int) []string {
	if i%2 == 0 {
		return calm(i, service)
	}
	return [][]string{{"request comes in", "ERROR request was given up"}, {"cart is loaded", "ERROR cart has no price"}, {"stock is asked"}}[service]
}

func TestDepartures(t *testing.T) {
	normal := shop{plainNames, noon, 40, calm}
	t.Run("a request that ends early leads to its service, those that wait follow", func(t *testing.T) {
		got := logmine.Departures(shop{plainNames, noon.Add(time.Hour), 30, broken}.work(), normal.work())
		if len(got) != 3 {
			t.Fatalf("got %+v, want one for each service", got)
		}
		d := got[0]
		equal(t, "service, traces, steps", []any{d.Service, d.Traces, d.After, d.Usually, d.Instead, d.Follows}, []any{"stock", 15, "stock is asked", "stock is found", "", ""})
		for _, d := range got[1:] {
			if d.Follows == "" {
				t.Errorf("%s: got a departure of its own, want one that follows", d.Service)
			}
		}
	})
	t.Run("names and times do not matter", func(t *testing.T) {
		want := logmine.Departures(shop{plainNames, noon.Add(time.Hour), 30, broken}.work(), normal.work())
		other := [3]string{"zeta", "kappa", "alpha"}
		got := logmine.Departures(shop{other, noon.Add(999 * time.Hour), 30, broken}.work(), shop{other, noon.Add(-999 * time.Hour), 40, calm}.work())
		if len(got) != len(want) {
			t.Fatalf("got %d departures, want %d", len(got), len(want))
		}
		for i := range got {
			at := map[string]string{"zeta": "web", "kappa": "cart", "alpha": "stock"}[got[i].Service]
			equal(t, "service and score", []any{at, got[i].Score, got[i].Traces}, []any{want[i].Service, want[i].Score, want[i].Traces})
		}
	})
	t.Run("logs alone tell too", func(t *testing.T) {
		now, before := shop{plainNames, noon.Add(time.Hour), 30, broken}.work(), normal.work()
		now.Spans, before.Spans = nil, nil
		found := map[string]bool{}
		for _, d := range logmine.Departures(now, before) {
			found[d.Service] = true
		}
		if !found["stock"] {
			t.Errorf("got %v, want stock among them", found)
		}
	})
	t.Run("spans alone tell of calls that are not made", func(t *testing.T) {
		now := shop{plainNames, noon.Add(time.Hour), 30, calm}.work()
		var kept []heal.Span
		for i, s := range now.Spans {
			if s.Service != "stock" || i%2 == 0 {
				kept = append(kept, s)
			}
		}
		got := logmine.Departures(logmine.Work{Spans: kept}, logmine.Work{Spans: normal.work().Spans})
		if len(got) != 1 || got[0].Service != "cart" || got[0].Usually != "call stock handle" || got[0].Instead != "" {
			t.Errorf("got %+v, want cart that does not call stock", got)
		}
	})
	t.Run("nothing is wrong", func(t *testing.T) {
		if got := logmine.Departures(shop{plainNames, noon.Add(time.Hour), 30, calm}.work(), normal.work()); len(got) != 0 {
			t.Errorf("got %+v, want none", got)
		}
	})
	t.Run("nothing is known", func(t *testing.T) {
		broken := shop{plainNames, noon, 30, broken}.work()
		for _, w := range []logmine.Work{{}, {Logs: broken.Logs[:1]}} {
			if got := logmine.Departures(broken, w); len(got) != 0 {
				t.Errorf("without a normal time: got %+v, want none", got)
			}
		}
		if got := logmine.Departures(logmine.Work{}, broken); len(got) != 0 {
			t.Errorf("without requests: got %+v, want none", got)
		}
	})
}

func FuzzDepartures(f *testing.F) {
	f.Add("a", "b", "a", "web", "x /users/17", "log 1", int64(5))
	f.Add("a", "a", "a", "", "\xff", "\x00", int64(-1<<60))
	f.Fuzz(func(t *testing.T, one, two, three, service, operation, body string, gap int64) {
		w := logmine.Work{
			Spans: []heal.Span{
				{TraceID: "t", SpanID: one, ParentID: two, Service: service, Operation: operation, Start: noon, Duration: time.Duration(gap)},
				{TraceID: "t", SpanID: two, ParentID: three, Service: "web", Operation: operation, Start: noon.Add(time.Duration(gap)), Error: true},
				{TraceID: "t", SpanID: three, ParentID: one, Service: service, Operation: body, Start: noon},
			},
			Logs: []heal.LogRecord{{Time: noon, TraceID: "t", SpanID: one, Service: service, Body: body}, {TraceID: one, Service: two, Body: body}},
		}
		var normal logmine.Work
		for i := range 5 {
			for _, s := range w.Spans {
				s.TraceID = fmt.Sprint(i)
				normal.Spans = append(normal.Spans, s)
			}
		}
		equal(t, "the same twice", logmine.Departures(w, normal), logmine.Departures(w, normal))
	})
}

func BenchmarkDepartures(b *testing.B) {
	now, normal := shop{plainNames, noon.Add(time.Hour), 500, broken}.work(), shop{plainNames, noon, 500, calm}.work()
	b.ReportAllocs()
	for b.Loop() {
		logmine.Departures(now, normal)
	}
}
