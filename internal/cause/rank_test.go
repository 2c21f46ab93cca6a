package cause_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func graphOf(t testing.TB, edges ...string) *topology.Graph {
	t.Helper()
	m := topology.New(topology.Options{})
	var seen []topology.Observation
	for _, e := range edges {
		from, to, _ := strings.Cut(e, "->")
		seen = append(seen, topology.Observation{From: id(from), To: id(to), Source: "test", At: now})
	}
	if tally := m.Observe(seen, now); tally.Invalid > 0 {
		t.Fatalf("edges %v: %v", edges, tally.First)
	}
	return m.Snapshot()
}

func id(name string) heal.EntityID {
	if strings.Contains(name, "/") {
		return heal.EntityID(name)
	}
	return heal.ServiceID(name)
}

// alerted is a case whose faults are given as type@entity, the first primary.
func alerted(faults ...string) heal.Incident {
	inc := heal.Incident{ID: "i", BeganAt: now.Add(-time.Minute)}
	for i, text := range faults {
		typ, name, _ := strings.Cut(text, "@")
		f := heal.Fault{Key: heal.FaultKey{Type: heal.FaultType(typ), Entity: id(name)}, Source: "test", Message: text, Began: inc.BeganAt, LastSeen: now}
		role := heal.Secondary
		if i == 0 {
			role = heal.Primary
		}
		inc.Members = append(inc.Members, heal.Member{Fault: f, Role: role})
	}
	return inc
}

func metric(value float64, baseline ...float64) cause.Metric {
	m := cause.Metric{Value: value, At: now, Unit: "1"}
	if len(baseline) > 0 {
		m.Baseline = &baseline[0]
	}
	return m
}

// slow is an entity whose latency rose twentyfold; scale makes the whole system
// faster or slower.
func slow(scale float64) map[string]cause.Metric {
	return map[string]cause.Metric{
		cause.LatencyP99:      metric(1.0*scale, 0.05*scale),
		cause.LatencyP99Short: metric(2.0*scale, 0.05*scale),
		cause.ErrorRatio:      metric(0, 0),
		cause.RequestRate:     metric(20, 20),
	}
}

func fine() map[string]cause.Metric {
	return map[string]cause.Metric{
		cause.LatencyP99: metric(0.05, 0.05), cause.LatencyP99Short: metric(0.05, 0.05),
		cause.ErrorRatio: metric(0, 0), cause.RequestRate: metric(20, 20), cause.CPU: metric(0.2, 0.2),
	}
}

func with(m map[string]cause.Metric, id string, v cause.Metric) map[string]cause.Metric {
	m[id] = v
	return m
}

func TestRank(t *testing.T) {
	shop := []string{"frontend->cart", "cart->inventory", "frontend->payment", "inventory->database/stock"}
	tests := []struct {
		name        string
		edges       []string
		incident    heal.Incident
		signals     map[heal.EntityID]cause.Signals
		wantEntity  string // "" for no cause
		wantPattern heal.Pattern
		wantPath    string
		below       []string // must be ranked below the first, in any order
	}{
		{
			name: "an exhausted pool far below the alert", edges: shop,
			incident: alerted("performance_degradation@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"):  {Metrics: slow(1), Newest: now},
				id("cart"):      {Metrics: slow(1), Newest: now},
				id("payment"):   {Metrics: fine(), Newest: now},
				id("inventory"): {Metrics: with(with(slow(1), cause.PoolUsed, metric(1, 0.3)), cause.PoolPending, metric(12, 0)), Newest: now},
			},
			wantEntity: "inventory", wantPattern: heal.PatternPoolExhausted, wantPath: "frontend cart inventory", below: []string{"cart", "frontend"},
		},
		{
			name: "the same without baseline", edges: shop,
			incident: alerted("performance_degradation@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"):  {Metrics: map[string]cause.Metric{cause.LatencyP99: metric(3)}},
				id("cart"):      {Metrics: map[string]cause.Metric{cause.LatencyP99: metric(3)}},
				id("inventory"): {Metrics: map[string]cause.Metric{cause.LatencyP99: metric(3), cause.PoolPending: metric(12)}},
			},
			wantEntity: "inventory", wantPattern: heal.PatternPoolExhausted, wantPath: "frontend cart inventory", below: []string{"cart", "frontend"},
		},
		{
			name: "a message handed up by callers does not accuse them", edges: shop,
			incident: alerted("errors@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"):  {Logs: []cause.Log{{Pattern: "pool_exhausted", Count: 90, Example: "cart: inventory: pool exhausted"}}},
				id("cart"):      {Logs: []cause.Log{{Pattern: "pool_exhausted", Count: 90, Example: "inventory: pool exhausted"}}},
				id("inventory"): {Logs: []cause.Log{{Pattern: "pool_exhausted", Count: 80, Example: "pool exhausted"}}},
			},
			wantEntity: "inventory", wantPattern: heal.PatternPoolExhausted, wantPath: "frontend cart inventory",
		},
		{
			name: "a dead process by its probe", edges: shop,
			incident: alerted("errors@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"): {Metrics: with(fine(), cause.ErrorRatio, metric(0.4, 0)), Newest: now},
				id("payment"): {
					Probes: []cause.Probe{{Name: "payment", At: now, Since: now.Add(-20 * time.Second), Error: "connection refused"}},
					Newest: now.Add(-25 * time.Second), Cadence: 2 * time.Second,
				},
			},
			wantEntity: "payment", wantPattern: heal.PatternProcessDown, wantPath: "frontend payment", below: []string{"frontend"},
		},
		{
			name: "a dead process without a probe: it went silent, callers are refused", edges: shop,
			incident: alerted("errors@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"): {Metrics: with(fine(), cause.ErrorRatio, metric(0.5, 0)), Newest: now, Cadence: 5 * time.Second, Logs: []cause.Log{{Pattern: "refused", Count: 40}}},
				id("payment"):  {Newest: now.Add(-2 * time.Minute), Cadence: 5 * time.Second},
			},
			wantEntity: "payment", wantPattern: heal.PatternProcessDown, wantPath: "frontend payment", below: []string{"frontend"},
		},
		{
			name: "a dead process known only by calls nobody took", edges: shop,
			incident: alerted("errors@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"): {
					Metrics: with(fine(), cause.ErrorRatio, metric(0.5, 0)), Newest: now, Logs: []cause.Log{{Pattern: "connection_refused", Count: 40}},
					Spans: []cause.Operation{{Name: "GET /", Count: 50, ErrorShare: 0.5, Callee: id("payment"), CalleeErrorShare: 1, Unanswered: 1}},
				},
				id("payment"): {Newest: now.Add(-20 * time.Second)},
			},
			wantEntity: "payment", wantPattern: heal.PatternProcessDown, wantPath: "frontend payment", below: []string{"frontend"},
		},
		{
			name: "spans chosen for being failed do not accuse where the ratio is normal", edges: []string{"web->api"},
			incident: heal.Incident{ID: "i"},
			signals: map[heal.EntityID]cause.Signals{
				id("web"): {Metrics: fine(), Spans: []cause.Operation{{Name: "GET /", Count: 9, ErrorShare: 1, P99: 0.05}}},
			},
		},
		{
			name: "silent together with its callers is no evidence", edges: []string{"a->b"},
			incident: alerted("unknown@a"),
			signals: map[heal.EntityID]cause.Signals{
				id("a"): {Newest: now.Add(-time.Hour)}, id("b"): {Newest: now.Add(-time.Hour)},
			},
			wantEntity: "a", wantPattern: heal.PatternUnknown, wantPath: "a",
		},
		{
			name: "spans tell who waits and who works", edges: []string{"web->api"},
			incident: alerted("performance_degradation@web"),
			signals: map[heal.EntityID]cause.Signals{
				id("web"): {Metrics: slow(1), Spans: []cause.Operation{{Name: "GET /", Count: 50, P99: 2, SelfShare: 0.05, Callee: id("api"), CalleeShare: 0.95}}},
				id("api"): {Metrics: slow(1), Spans: []cause.Operation{{Name: "query", Count: 50, P99: 1.9, SelfShare: 1}}},
			},
			wantEntity: "api", wantPattern: heal.PatternHighLatency, wantPath: "web api", below: []string{"web"},
		},
		{
			name: "the caller itself is slow", edges: []string{"web->api"},
			incident: alerted("performance_degradation@web"),
			signals: map[heal.EntityID]cause.Signals{
				id("web"): {Metrics: slow(1), Spans: []cause.Operation{{Name: "GET /", Count: 50, P99: 2, SelfShare: 0.95, Callee: id("api"), CalleeShare: 0.05}}},
				id("api"): {Metrics: fine()},
			},
			wantEntity: "web", wantPattern: heal.PatternHighLatency, wantPath: "web",
		},
		{
			name: "errors made in the callee", edges: []string{"web->api"},
			incident: alerted("errors@web"),
			signals: map[heal.EntityID]cause.Signals{
				id("web"): {Metrics: with(fine(), cause.ErrorRatio, metric(0.3, 0)), Spans: []cause.Operation{{Name: "GET /", Count: 50, ErrorShare: 0.3, Callee: id("api"), CalleeErrorShare: 1}}},
				id("api"): {Metrics: with(fine(), cause.ErrorRatio, metric(0.3, 0))},
			},
			wantEntity: "api", wantPattern: heal.PatternHighErrors, wantPath: "web api", below: []string{"web"},
		},
		{
			name: "CPU explains the latency on the same entity", edges: shop,
			incident: alerted("performance_degradation@cart"),
			signals: map[heal.EntityID]cause.Signals{
				id("cart"): {Metrics: with(slow(1), cause.CPU, metric(0.97, 0.3))}, id("inventory"): {Metrics: fine()},
			},
			wantEntity: "cart", wantPattern: heal.PatternCPUSaturation, wantPath: "cart",
		},
		{
			name: "always busy is not the cause", edges: shop,
			incident: alerted("performance_degradation@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("cart"):      {Metrics: with(fine(), cause.CPU, metric(0.9, 0.9))},
				id("inventory"): {Metrics: with(slow(1), cause.CPU, metric(0.2, 0.2))},
				id("frontend"):  {Metrics: slow(1)},
			},
			wantEntity: "inventory", wantPattern: heal.PatternHighLatency, wantPath: "frontend cart inventory", below: []string{"frontend"},
		},
		{
			name: "a system a thousand times faster", edges: shop,
			incident: alerted("performance_degradation@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"): {Metrics: slow(0.001)}, id("cart"): {Metrics: slow(0.001)}, id("inventory"): {Metrics: fine()},
			},
			wantEntity: "cart", wantPattern: heal.PatternHighLatency, wantPath: "frontend cart", below: []string{"frontend"},
		},
		{
			name: "a database only its callers see", edges: shop,
			incident: alerted("performance_degradation@inventory"),
			signals: map[heal.EntityID]cause.Signals{
				id("inventory"):      {Metrics: slow(1)},
				id("database/stock"): {Metrics: map[string]cause.Metric{cause.InboundP99: metric(1.9, 0.01)}},
			},
			wantEntity: "database/stock", wantPattern: heal.PatternHighLatency, wantPath: "service/inventory database/stock", below: []string{"inventory"},
		},
		{
			name: "a pool that fills because the database is saturated", edges: []string{"api->database/d"},
			incident: alerted("performance_degradation@api"),
			signals: map[heal.EntityID]cause.Signals{
				id("api"):        {Metrics: with(slow(1), cause.PoolUsed, metric(1, 0.3))},
				id("database/d"): {Metrics: map[string]cause.Metric{cause.InboundP99: metric(1.9, 0.01), cause.CPU: metric(1, 0.2)}},
			},
			wantEntity: "database/d", wantPattern: heal.PatternCPUSaturation, wantPath: "service/api database/d", below: []string{"api"},
		},
		{
			name: "nothing is wrong", edges: shop,
			incident: heal.Incident{ID: "i"},
			signals:  map[heal.EntityID]cause.Signals{id("frontend"): {Metrics: fine()}, id("cart"): {Metrics: fine()}},
		},
		{
			name: "a cleared fault is no evidence", edges: shop,
			incident: func() heal.Incident {
				inc := alerted("errors@cart")
				inc.Members[0].Fault.ClearedAt = now
				return inc
			}(),
		},
		{
			name:       "an alert is all there is",
			incident:   alerted("unavailable@cart"),
			wantEntity: "cart", wantPattern: heal.PatternProcessDown, wantPath: "cart",
		},
		{
			name:     "without topology the strongest evidence wins",
			incident: alerted("performance_degradation@frontend"),
			signals: map[heal.EntityID]cause.Signals{
				id("frontend"): {Metrics: map[string]cause.Metric{cause.LatencyP99: metric(1, 0.05)}},
				id("host/h1"):  {Metrics: map[string]cause.Metric{cause.Disk: metric(0.99, 0.5)}, Logs: []cause.Log{{Pattern: "disk_full", Count: 50}}},
			},
			wantEntity: "host/h1", wantPattern: heal.PatternDiskFull, wantPath: "host/h1",
		},
		{
			name:     "numbers that are none are not evidence",
			incident: heal.Incident{},
			signals: map[heal.EntityID]cause.Signals{id("a"): {
				Metrics: map[string]cause.Metric{cause.CPU: metric(math.NaN()), cause.LatencyP99: metric(math.Inf(1)), cause.ErrorRatio: metric(math.NaN(), math.NaN()), cause.Memory: metric(-3)},
				Spans:   []cause.Operation{{P99: math.NaN(), ErrorShare: math.NaN(), SelfShare: math.NaN()}},
				Logs:    []cause.Log{{Pattern: "refused", Count: -5, Baseline: math.NaN()}},
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := cause.Rank(cause.Input{Incident: tt.incident, Graph: graphOf(t, tt.edges...), Signals: tt.signals, Now: now})
			top := d.Top()
			if tt.wantEntity == "" {
				if top != nil || d.Confidence != 0 || d.Reasons[0].Code != "no_cause" {
					t.Errorf("got %+v with confidence %v, want no cause", top, d.Confidence)
				}
				return
			}
			if top == nil {
				t.Fatalf("got no cause, want %s", tt.wantEntity)
			}
			if top.Entity != id(tt.wantEntity) || top.Pattern != tt.wantPattern {
				t.Errorf("got %s on %s, want %s on %s\n%s", top.Pattern, top.Entity, tt.wantPattern, tt.wantEntity, describe(d))
			}
			var want []heal.EntityID
			for name := range strings.FieldsSeq(tt.wantPath) {
				want = append(want, id(name))
			}
			if diff := cmp.Diff(top.Path, want); diff != "" {
				t.Errorf("path, got -, want +:\n%s", diff)
			}
			for _, victim := range tt.below {
				for _, c := range d.Causes[1:] {
					if c.Entity == id(victim) && c.Score >= top.Score {
						t.Errorf("%s scores %v, want below %v", victim, c.Score, top.Score)
					}
				}
			}
		})
	}
}

func describe(d heal.Diagnosis) string {
	var b strings.Builder
	for _, c := range d.Causes {
		b.WriteString(string(c.Entity) + " " + string(c.Pattern) + "\n")
		for _, r := range c.For {
			b.WriteString("  + " + r.Text + "\n")
		}
		for _, r := range c.Against {
			b.WriteString("  - " + r.Text + "\n")
		}
	}
	return b.String()
}

func TestEvidenceAgainst(t *testing.T) {
	d := cause.Rank(cause.Input{
		Incident: alerted("unavailable@cart"), Now: now,
		Signals: map[heal.EntityID]cause.Signals{id("cart"): {Probes: []cause.Probe{{Name: "cart", Healthy: true, At: now}}}},
	})
	top := d.Top()
	if top == nil || len(top.Against) != 1 || top.Against[0].Code != "probe_answers" {
		t.Fatalf("got %+v, want a cause with its probe against it", top)
	}
	if d.Confidence >= cause.TreeConfidence {
		t.Errorf("confidence %v, want less than %v with evidence against", d.Confidence, cause.TreeConfidence)
	}
	stale := cause.Rank(cause.Input{
		Incident: alerted("unavailable@cart"), Now: now,
		Signals: map[heal.EntityID]cause.Signals{id("cart"): {Probes: []cause.Probe{{Name: "cart", Healthy: true, At: now.Add(-time.Hour)}}}},
	})
	if n := len(stale.Top().Against); n != 0 {
		t.Errorf("an old answer of a monitor: got %d reasons against, want none", n)
	}
}

func TestRecentChangeSupports(t *testing.T) {
	in := cause.Input{Incident: alerted("errors@cart"), Now: now, Signals: map[heal.EntityID]cause.Signals{id("cart"): {}}}
	plain := top(in).Score
	in.Signals = map[heal.EntityID]cause.Signals{id("cart"): {Changes: []cause.Change{{At: now.Add(-10 * time.Minute), Text: "deploy v2"}}}}
	if got := top(in).Score; got <= plain {
		t.Errorf("with a recent change: got %v, want more than %v", got, plain)
	}
	long := cause.Signals{Changes: []cause.Change{{At: now.Add(-50 * time.Minute), Text: "deploy v2"}}}
	recent := top(in).Score
	in.Signals = map[heal.EntityID]cause.Signals{id("cart"): long}
	if got := top(in).Score; !(plain < got && got < recent) {
		t.Errorf("with a change 50 min ago: got %v, want between %v and %v", got, plain, recent)
	}
	in.Signals = map[heal.EntityID]cause.Signals{id("cart"): {}, id("stock"): {Changes: []cause.Change{{At: now.Add(-2 * time.Minute), Text: "deploy v3"}}}}
	in.Graph = graphOf(t, "cart->stock")
	d := cause.Rank(in)
	if len(d.Causes) != 2 || d.Causes[1].Entity != id("stock") || d.Causes[1].For[0].Code != "recent_change" {
		t.Errorf("a change and nothing else below the alert: got\n%s\nwant it suspected after the alerted one", describe(d))
	}
	in.Graph = nil
	in.Signals = map[heal.EntityID]cause.Signals{id("cart"): {Changes: []cause.Change{{At: now.Add(time.Hour), Text: "later"}, {At: now.Add(-48 * time.Hour), Text: "long ago"}}}}
	if got := top(in).Score; got != plain {
		t.Errorf("with changes at other times: got %v, want %v", got, plain)
	}
}

func TestConfidence(t *testing.T) {
	strong := map[heal.EntityID]cause.Signals{id("cart"): {Probes: []cause.Probe{{Name: "cart", At: now, Error: "refused"}}}}
	tests := []struct {
		name    string
		signals map[heal.EntityID]cause.Signals
		known   map[heal.Pattern]cause.Known
		want    float64
	}{
		{"the tree alone", strong, nil, 0.7},
		{"too few uses", strong, map[heal.Pattern]cause.Known{heal.PatternProcessDown: {Uses: 4, Rate: 0.99}}, 0.7},
		{"experience from five uses on", strong, map[heal.Pattern]cause.Known{heal.PatternProcessDown: {Uses: 5, Rate: 0.86}}, 0.86},
		{"bad experience", strong, map[heal.Pattern]cause.Known{heal.PatternProcessDown: {Uses: 9, Rate: 0.1}}, 0.1},
		{"experience that is no number", strong, map[heal.Pattern]cause.Known{heal.PatternProcessDown: {Uses: 9, Rate: math.NaN()}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := cause.Rank(cause.Input{Incident: alerted("unavailable@cart"), Signals: tt.signals, Known: tt.known, Now: now})
			if d.Confidence != tt.want {
				t.Errorf("got %v, want %v", d.Confidence, tt.want)
			}
		})
	}
	thin := cause.Rank(cause.Input{Incident: alerted("performance_degradation@cart"), Now: now})
	if want := 0.42; thin.Confidence != want { // 0.7 x 0.3/0.5
		t.Errorf("an alert alone: got %v, want %v", thin.Confidence, want)
	}
}

func TestImpactAndWalk(t *testing.T) {
	g := graphOf(t, "web->api", "mobile->api", "api->database/d", "api->worker", "worker->cache/c", "edge->web")
	d := cause.Rank(cause.Input{Incident: alerted("unavailable@api"), Graph: g, Now: now})
	if diff := cmp.Diff(d.Impact.Affected, []heal.EntityID{"service/mobile", "service/web", "service/edge"}); diff != "" {
		t.Errorf("affected, got -, want +:\n%s", diff)
	}
	got := cause.Walk(alerted("unavailable@api"), g, cause.Limits{})
	want := []heal.EntityID{"service/api", "service/worker", "service/mobile", "service/web", "service/edge", "database/d", "cache/c"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("Walk, got -, want +:\n%s", diff)
	}
	if got := cause.Walk(alerted("unavailable@api"), g, cause.Limits{Entities: 3, Depth: 1}); len(got) != 3 {
		t.Errorf("Walk within 3: got %v", got)
	}
	if got := cause.Walk(heal.Incident{}, nil, cause.Limits{}); len(got) != 0 {
		t.Errorf("Walk of nothing: got %v", got)
	}
}

func top(in cause.Input) *heal.Cause {
	d := cause.Rank(in)
	return d.Top()
}
