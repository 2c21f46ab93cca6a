package cause_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

// world is a small synthetic system: who calls whom, how often, and in which
// service what goes wrong. Every service takes time of its own and waits for
// what it calls, so trouble travels as it does in a real one.
type world struct {
	calls  map[string][]string
	target string
	fault  string        // service; "" for none
	losing cause.Measure // what the fault makes it lose
	rename func(string) string
	scale  float64 // of times and counts
	shift  time.Duration
	drop   func(cause.Series) bool
	blind  bool // without the graph
}

// diamond is a system in which two ways lead to the same end.
var diamond = map[string][]string{"web": {"cart", "users"}, "cart": {"stock", "price"}, "users": {"db"}, "stock": {"db"}, "price": {}, "db": {}}

const (
	step   = 5 * time.Minute
	before = 300 // samples of the normal time
	during = 4
)

func (w world) input(t testing.TB) cause.Input {
	if w.rename == nil {
		w.rename = func(s string) string { return s }
	}
	if w.scale == 0 {
		w.scale = 1
	}
	began := now.Add(w.shift)
	r := rand.New(rand.NewPCG(7, 11))
	in := cause.Input{
		Signals: map[heal.EntityID]cause.Signals{}, Now: began.Add(during * step),
		Incident: alerted(map[cause.Measure]string{cause.MeasureLatency: "performance_degradation", cause.MeasureErrors: "errors"}[w.losing] + "@" + w.rename(w.target)),
	}
	in.Incident.BeganAt = began
	type row struct{ latency, errors, traffic cause.Series }
	rows := map[string]*row{}
	names := []string{}
	for name, callees := range w.calls {
		names = append(names, name)
		names = append(names, callees...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, n := range names {
		rows[n] = &row{
			latency: cause.Series{Name: "latency", Measure: cause.MeasureLatency, Unit: "s"},
			errors:  cause.Series{Name: "errors", Measure: cause.MeasureErrors, Unit: "1"},
			traffic: cause.Series{Name: "requests", Measure: cause.MeasureTraffic},
		}
	}
	for i := -before; i < during; i++ {
		at := began.Add(time.Duration(i) * step)
		load := 100 + 20*math.Sin(float64(i)/20) + 3*r.NormFloat64()
		own, fails := map[string]float64{}, map[string]float64{}
		for _, n := range names {
			own[n] = 0.02 * (1 + 0.1*r.NormFloat64())
			fails[n] = 0.001 * r.Float64()
			if i >= 0 && n == w.fault && w.losing == cause.MeasureLatency {
				own[n] += 0.06
			}
			if i >= 0 && n == w.fault && w.losing == cause.MeasureErrors {
				fails[n] += 0.1
			}
		}
		var visit func(n string) (latency, failing float64)
		visit = func(n string) (float64, float64) {
			latency, fine := own[n], 1-fails[n]
			for _, c := range w.calls[n] {
				l, f := visit(c)
				latency, fine = latency+l, fine*(1-f)
			}
			return latency, 1 - fine
		}
		for _, n := range names {
			latency, failing := visit(n)
			add := func(s *cause.Series, v float64) {
				sample := cause.Sample{At: at, Value: v}
				if i < 0 {
					s.Normal = append(s.Normal, sample)
				} else {
					s.Window = append(s.Window, sample)
				}
			}
			add(&rows[n].latency, latency*w.scale)
			add(&rows[n].errors, failing)
			add(&rows[n].traffic, load*w.scale)
		}
	}
	var edges []string
	for caller, callees := range w.calls {
		for _, c := range callees {
			edges = append(edges, w.rename(caller)+"->"+w.rename(c))
		}
	}
	slices.Sort(edges)
	if !w.blind {
		in.Graph = graphOf(t, edges...)
	}
	for n, row := range rows {
		var s cause.Signals
		for _, series := range []cause.Series{row.latency, row.errors, row.traffic} {
			if w.drop == nil || !w.drop(series) {
				s.Series = append(s.Series, series)
			}
		}
		in.Signals[id(w.rename(n))] = s
	}
	return in
}

// TestLossesAreFollowed changes what must not matter: names, size, time, and
// what a system does not measure.
func TestLossesAreFollowed(t *testing.T) {
	mirror := func(s string) string { return "x" + string(rune('z'-s[0]%26)) + s }
	changes := []struct {
		name   string
		change func(*world)
	}{
		{"as it is", func(*world) {}},
		{"renamed", func(w *world) { w.rename = mirror }},
		{"a thousand times slower and busier", func(w *world) { w.scale = 1000 }},
		{"a thousand times faster and calmer", func(w *world) { w.scale = 0.001 }},
		{"in another year", func(w *world) { w.shift = 9000 * time.Hour }},
		{"without counts of requests", func(w *world) {
			w.drop = func(s cause.Series) bool { return s.Measure == cause.MeasureTraffic }
		}},
		{"without what nothing is lost of", func(w *world) {
			losing := w.losing
			w.drop = func(s cause.Series) bool { return s.Measure != losing && s.Measure != cause.MeasureTraffic }
		}},
	}
	for _, measure := range []cause.Measure{cause.MeasureLatency, cause.MeasureErrors} {
		for _, fault := range []string{"web", "cart", "users", "stock", "price", "db"} {
			for _, c := range changes {
				t.Run(fmt.Sprintf("%s in %s, %s", measure, fault, c.name), func(t *testing.T) {
					w := world{calls: diamond, target: "web", fault: fault, losing: measure}
					c.change(&w)
					want := fault
					if w.rename != nil {
						want = w.rename(fault)
					}
					d := cause.Rank(w.input(t))
					top := d.Top()
					if top == nil || top.Entity != id(want) {
						t.Fatalf("got %+v, want %s\n%s", top, want, describe(d))
					}
					if last := top.Path[len(top.Path)-1]; last != top.Entity {
						t.Errorf("path %v: want it to end at the cause", top.Path)
					}
				})
			}
		}
	}
}

// TestQuietTimes asks about an alert that nothing bears out.
func TestQuietTimes(t *testing.T) {
	for _, measure := range []cause.Measure{cause.MeasureLatency, cause.MeasureErrors} {
		for _, shift := range []time.Duration{0, time.Hour, 77 * time.Hour} {
			w := world{calls: diamond, target: "web", losing: measure, shift: shift}
			d := cause.Rank(w.input(t))
			if top := d.Top(); top != nil {
				t.Errorf("%s, shifted by %v: got %s\n%s", measure, shift, top.Entity, describe(d))
			}
			if d.Reasons[0].Code != "no_cause" || d.Confidence != 0 {
				t.Errorf("%s: got confidence %v and reason %+v, want none and no_cause", measure, d.Confidence, d.Reasons[0])
			}
		}
	}
}

// TestWithoutGraph finds the service that lost among all, by the measures alone.
func TestWithoutGraph(t *testing.T) {
	w := world{calls: map[string][]string{"web": {"cart", "users"}, "cart": {}, "users": {}}, target: "web", fault: "cart", losing: cause.MeasureLatency, blind: true}
	d := cause.Rank(w.input(t))
	if top := d.Top(); top == nil || top.Entity != id("cart") {
		t.Errorf("got %+v, want cart\n%s", top, describe(d))
	}
}

// TestPlacesOfLossScale checks that a change of scale changes no score.
func TestScaleChangesNoScore(t *testing.T) {
	w := world{calls: diamond, target: "web", fault: "stock", losing: cause.MeasureLatency}
	plain := cause.Rank(w.input(t))
	w.scale = 1024
	scaled := cause.Rank(w.input(t))
	score := func(d heal.Diagnosis) (out []string) {
		for _, c := range d.Causes {
			out = append(out, fmt.Sprintf("%s %.3f", c.Entity, c.Score))
		}
		return out
	}
	if diff := cmp.Diff(score(scaled), score(plain)); diff != "" {
		t.Errorf("scores, got -, want +:\n%s", diff)
	}
}

// TestResources tells a resource in short supply from a multiple of little.
func TestResources(t *testing.T) {
	flat := func(from, n int, v float64) []cause.Sample {
		var out []cause.Sample
		for i := range n {
			out = append(out, cause.Sample{At: now.Add(time.Duration(from+i) * time.Minute), Value: v * (1 + 0.01*float64(i%3))})
		}
		return out
	}
	tests := []struct {
		name    string
		measure cause.Measure
		usual   float64
		then    float64
		want    heal.Pattern // "" for no cause
	}{
		{"CPU that is used up", cause.MeasureCPU, 2, 97, heal.PatternCPUSaturation},
		{"CPU that rose from little to little", cause.MeasureCPU, 0.2, 2, ""},
		{"memory that fills up", cause.MeasureMemory, 40, 96, heal.PatternMemoryPressure},
		{"a disk that fills up", cause.MeasureDisk, 50, 99, heal.PatternDiskFull},
		{"CPU as ever", cause.MeasureCPU, 97, 97, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			series := cause.Series{Name: "use", Measure: tt.measure, Unit: "%", Normal: flat(-60, 60, tt.usual), Window: flat(0, 5, tt.then)}
			d := cause.Rank(cause.Input{
				Incident: heal.Incident{ID: "i", BeganAt: now}, Now: now.Add(5 * time.Minute),
				Signals: map[heal.EntityID]cause.Signals{id("a"): {Series: []cause.Series{series}}, id("b"): {}},
			})
			top := d.Top()
			if (top == nil) != (tt.want == "") || top != nil && (top.Pattern != tt.want || top.Entity != id("a")) {
				t.Errorf("got %+v, want %q on a", top, tt.want)
			}
		})
	}
}

func TestDeparturesAreEvidence(t *testing.T) {
	left := cause.Departure{Score: 6, Traces: 12, After: "stock is asked", Usually: "stock is found"}
	follows := cause.Departure{Score: 9, Traces: 12, Follows: id("stock"), Instead: "ERROR no price"}
	d := cause.Rank(cause.Input{
		Incident: alerted("errors@web"), Graph: graphOf(t, "web->stock"), Now: now,
		Signals: map[heal.EntityID]cause.Signals{id("web"): {Departs: []cause.Departure{follows}}, id("stock"): {Departs: []cause.Departure{left, {Score: math.NaN()}, {Score: math.Inf(1)}}}},
	})
	if top := d.Top(); top == nil || top.Entity != id("stock") || top.For[0].Code != "left_usual_way" {
		t.Errorf("got %+v, want stock by its departure\n%s", top, describe(d))
	}
}

func FuzzSeries(f *testing.F) {
	f.Add(uint64(1), 0.5, 3.0, int64(60e9))
	f.Add(uint64(2), math.NaN(), math.Inf(1), int64(-1))
	f.Add(uint64(3), math.MaxFloat64, -math.MaxFloat64, int64(0))
	f.Fuzz(func(t *testing.T, seed uint64, a, b float64, gap int64) {
		r := rand.New(rand.NewPCG(seed, 1))
		samples := func(n int) []cause.Sample {
			var out []cause.Sample
			for i := range n {
				out = append(out, cause.Sample{At: now.Add(time.Duration(i) * time.Duration(gap%int64(time.Hour))), Value: []float64{a, b, a + b, r.Float64(), math.NaN()}[r.IntN(5)]})
			}
			return out
		}
		in := cause.Input{Incident: alerted("errors@a", "performance_degradation@b"), Graph: graphOf(t, "a->b", "b->c", "c->a", "a->d"), Signals: map[heal.EntityID]cause.Signals{}, Now: now}
		in.Incident.BeganAt = now.Add(time.Duration(r.IntN(100)) * time.Minute)
		for _, name := range []string{"a", "b", "c", "d"} {
			var s cause.Signals
			for _, m := range []cause.Measure{cause.MeasureErrors, cause.MeasureLatency, cause.MeasureTraffic, cause.MeasureCPU, "unheard of"} {
				s.Series = append(s.Series, cause.Series{Name: "x", Measure: m, Unit: "%", Quantile: b, Normal: samples(r.IntN(40)), Window: samples(r.IntN(6))})
			}
			s.Departs = []cause.Departure{{Score: a, Expected: b, Follows: id("b")}, {Score: b, Outward: true, Toward: id("c")}}
			s.Spans = []cause.Operation{{Name: "op", Count: r.IntN(9), Slower: &a, Extra: &cause.Extra{
				Usual: a, Self: b, SelfScore: a, Between: []cause.Between{{Callee: id("b"), Time: a, Score: b}, {Callee: id("d"), Time: b, Score: 9, Unseen: true}},
			}}}
			s.Metrics = map[string]cause.Metric{cause.ErrorRatio: {Value: a, Usual: samples(3), At: now}}
			in.Signals[id(name)] = s
		}
		holds(t, in)
	})
}

// BenchmarkRank500 ranks in a system of 500 services, each with a day of
// samples, a deep graph and the fault far from the alert.
func BenchmarkRank500(b *testing.B) {
	const services, samples = 500, 288
	r := rand.New(rand.NewPCG(3, 3))
	m := topology.New(topology.Options{})
	name := func(i int) heal.EntityID { return heal.ServiceID(fmt.Sprintf("s%03d", i)) }
	var edges []topology.Observation
	for i := 1; i < services; i++ {
		for range 3 {
			edges = append(edges, topology.Observation{From: name(r.IntN(i)), To: name(i), Source: "bench", At: now})
		}
	}
	if tally := m.Observe(edges, now); tally.Invalid > 0 {
		b.Fatal(tally.First)
	}
	in := cause.Input{Incident: alerted("performance_degradation@s000"), Graph: m.Snapshot(), Signals: map[heal.EntityID]cause.Signals{}, Now: now.Add(time.Hour)}
	in.Incident.BeganAt = now
	for i := range services {
		var s cause.Signals
		for _, measure := range []cause.Measure{cause.MeasureLatency, cause.MeasureErrors, cause.MeasureTraffic, cause.MeasureCPU, cause.MeasureMemory} {
			series := cause.Series{Name: string(measure), Measure: measure}
			for k := range samples {
				at := now.Add(time.Duration(k-samples+5) * 5 * time.Minute)
				v := 1 + 0.1*r.NormFloat64()
				if at.Before(now) {
					series.Normal = append(series.Normal, cause.Sample{At: at, Value: v})
				} else {
					series.Window = append(series.Window, cause.Sample{At: at, Value: v + 2})
				}
			}
			s.Series = append(s.Series, series)
		}
		in.Signals[name(i)] = s
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := cause.Rank(in); d.Top() == nil {
			b.Fatal("got no cause")
		}
	}
}
