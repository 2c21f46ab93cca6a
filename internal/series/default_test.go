package series_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/wire"
)

// world is what feeds a store every 5 s while a scenario runs.
type world struct {
	t       *testing.T
	db      *series.DB
	spans   *wire.Aggregator
	started time.Time
	batch   pmetric.Metrics
	metrics pmetric.MetricSlice
}

// calls adds server spans of a service.
func (w *world) calls(service string, n int, d time.Duration, status wire.Status) {
	for range n {
		w.spans.Observe(wire.Span{Service: service, Operation: "GET /", Kind: wire.KindServer, Duration: d, Status: status})
	}
}

// gauge adds one value of a metric; attributes are pairs.
func (w *world) gauge(name, unit string, value float64, attributes ...string) {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	w.point(m.SetEmptyGauge().DataPoints().AppendEmpty(), value, attributes)
}

// sum adds one value of an up-down counter.
func (w *world) sum(name, unit string, monotonic bool, value float64, attributes ...string) {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	s := m.SetEmptySum()
	s.SetIsMonotonic(monotonic)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	w.point(s.DataPoints().AppendEmpty(), value, attributes)
}

// answered adds how many requests a server has answered since its start.
func (w *world) answered(n float64) {
	m := w.metrics.AppendEmpty()
	m.SetName("http.server.request.duration")
	m.SetUnit("s")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetCount(uint64(n))
	p.SetSum(n / 100)
	p.BucketCounts().FromRaw([]uint64{uint64(n), 0})
	p.ExplicitBounds().FromRaw([]float64{1})
}

func (w *world) point(p pmetric.NumberDataPoint, value float64, attributes []string) {
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetDoubleValue(value)
	for pair := range slices.Chunk(attributes, 2) {
		p.Attributes().PutStr(pair[0], pair[1])
	}
}

// seconds since the scenario began, for counters.
func (w *world) seconds() float64 { return time.Since(w.started).Seconds() }

func (w *world) step(feed func(*world)) {
	w.batch = pmetric.NewMetrics()
	rm := w.batch.ResourceMetrics().AppendEmpty()
	for key, value := range map[string]string{"service.name": "node", "service.instance.id": "1", "host.name": "h1"} {
		rm.Resource().Attributes().PutStr(key, value)
	}
	w.metrics = rm.ScopeMetrics().AppendEmpty().Metrics()
	feed(w)
	if err := w.db.AppendOTLP(w.t.Context(), w.batch); err != nil {
		w.t.Fatal(err)
	}
	samples, _ := w.spans.Flush(time.Now())
	if err := w.db.Append(w.t.Context(), samples); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

func TestShippedRules(t *testing.T) {
	healthyCalls := func(w *world) { w.calls("web", 50, 20*time.Millisecond, wire.StatusUnset) }
	tests := []struct {
		name   string
		before func(*world)
		fault  func(*world)
		lasts  time.Duration
		want   []string      // "alert service"
		clear  time.Duration // how long after the fault at most
	}{
		{
			name: "healthy", before: healthyCalls, lasts: 3 * time.Minute,
			fault: func(w *world) {
				w.calls("web", 50, 20*time.Millisecond, wire.StatusUnset)
				w.sum("system.cpu.time", "s", true, 0.7*w.seconds(), "state", "idle", "cpu", "cpu0")
				w.sum("system.cpu.time", "s", true, 0.3*w.seconds(), "state", "user", "cpu", "cpu0")
				w.sum("system.memory.usage", "By", false, 50, "state", "used")
				w.sum("system.memory.usage", "By", false, 50, "state", "free")
				w.sum("db.client.connection.count", "{connection}", false, 5, "db.client.connection.state", "used", "db.client.connection.pool.name", "p")
				w.sum("db.client.connection.max", "{connection}", false, 10, "db.client.connection.pool.name", "p")
				w.sum("db.client.connection.pending_requests", "{request}", false, 0, "db.client.connection.pool.name", "p")
			},
		},
		{
			name: "latency of one service", before: healthyCalls, lasts: 30 * time.Second, clear: 40 * time.Second,
			fault: func(w *world) {
				healthyCalls(w)
				w.calls("stock", 20, 800*time.Millisecond, wire.StatusUnset)
			},
			want: []string{"HighLatency stock"},
		},
		{
			name: "errors", before: healthyCalls, lasts: 30 * time.Second, clear: 40 * time.Second,
			fault: func(w *world) {
				w.calls("web", 40, 20*time.Millisecond, wire.StatusUnset)
				w.calls("web", 10, 20*time.Millisecond, wire.StatusError)
			},
			want: []string{"HighErrorRatio web"},
		},
		{
			name: "errors since a change", before: healthyCalls, lasts: 30 * time.Second,
			fault: func(w *world) {
				w.gauge("service.config.change.time", "s", float64(time.Now().Add(-time.Minute).Unix()))
				w.calls("node", 10, 20*time.Millisecond, wire.StatusError)
			},
			want: []string{"ErrorsAfterChange node"},
		},
		{
			name: "errors long after a change", before: healthyCalls, lasts: 30 * time.Second,
			fault: func(w *world) {
				w.gauge("service.config.change.time", "s", float64(time.Now().Add(-time.Hour).Unix()))
				w.calls("node", 10, 20*time.Millisecond, wire.StatusError)
			},
			want: []string{"HighErrorRatio node"},
		},
		{
			name: "errors of a primary", before: healthyCalls, lasts: 30 * time.Second,
			fault: func(w *world) {
				w.gauge("upstream.endpoint.active", "{endpoint}", 1, "upstream", "stock", "endpoint.service", "stock")
				w.gauge("upstream.endpoint.active", "{endpoint}", 0, "upstream", "stock", "endpoint.service", "stock-2")
				w.calls("stock", 10, 20*time.Millisecond, wire.StatusError)
			},
			want: []string{"PrimaryFails stock"},
		},
		{
			name: "memory that grows", before: func(*world) {}, lasts: 5 * time.Minute,
			fault: func(w *world) {
				w.sum("go.memory.limit", "By", false, 1000)
				w.sum("process.memory.usage", "By", false, min(900, 4*w.seconds()))
			},
			want: []string{"MemoryRunsOut node"},
		},
		{
			name: "memory in good use", before: func(*world) {}, lasts: 10 * time.Minute,
			fault: func(w *world) {
				w.sum("go.memory.limit", "By", false, 1000)
				w.sum("process.memory.usage", "By", false, 850+10*math.Sin(w.seconds()/20))
			},
		},
		{
			name: "requests that never end", lasts: time.Minute,
			before: func(w *world) {
				w.sum("http.server.active_requests", "{request}", false, 1, "http.request.method", "GET")
				w.answered(10 * w.seconds())
			},
			fault: func(w *world) {
				w.sum("http.server.active_requests", "{request}", false, 40, "http.request.method", "GET")
				w.answered(10 * 55)
			},
			want: []string{"RequestsStuck node"},
		},
		{
			name: "connections that are meant to last", before: func(*world) {}, lasts: 2 * time.Minute,
			fault: func(w *world) {
				w.sum("http.server.active_requests", "{request}", false, 40, "http.request.method", "GET")
				w.answered(0)
			},
		},
		{
			name: "two bad calls a minute are no evidence", lasts: 2 * time.Minute,
			before: func(*world) {},
			fault: func(w *world) {
				if int(w.seconds())%30 == 0 {
					w.calls("web", 1, 5*time.Second, wire.StatusError)
				}
			},
		},
		{
			name: "a pool in use, with waiters", before: func(*world) {}, lasts: 30 * time.Second,
			fault: func(w *world) {
				w.sum("db.client.connection.count", "{connection}", false, 10, "db.client.connection.state", "used", "db.client.connection.pool.name", "p")
				w.sum("db.client.connection.count", "{connection}", false, 0, "db.client.connection.state", "idle", "db.client.connection.pool.name", "p")
				w.sum("db.client.connection.max", "{connection}", false, 10, "db.client.connection.pool.name", "p")
				w.sum("db.client.connection.pending_requests", "{request}", false, 3, "db.client.connection.pool.name", "p")
			},
			want: []string{"PoolSaturated node", "PoolWaiting node"},
		},
		{
			name: "a pool by its old names", before: func(*world) {}, lasts: 30 * time.Second,
			fault: func(w *world) {
				w.sum("db.client.connections.usage", "{connection}", false, 10, "state", "used", "pool.name", "p")
				w.sum("db.client.connections.max", "{connection}", false, 10, "pool.name", "p")
			},
			want: []string{"PoolSaturated node"},
		},
		{
			name: "CPU by time, 90 %", before: func(*world) {}, lasts: 6 * time.Minute,
			fault: func(w *world) {
				for _, cpu := range []string{"cpu0", "cpu1"} {
					w.sum("system.cpu.time", "s", true, 0.1*w.seconds(), "state", "idle", "cpu", cpu)
					w.sum("system.cpu.time", "s", true, 0.9*w.seconds(), "state", "user", "cpu", cpu)
				}
			},
			want: []string{"HighCPU node"},
		},
		{
			name: "CPU by utilization under its new names, 98 %", before: func(*world) {}, lasts: 3 * time.Minute,
			fault: func(w *world) {
				w.gauge("system.cpu.utilization", "1", 0.02, "cpu.mode", "idle")
				w.gauge("system.cpu.utilization", "1", 0.98, "cpu.mode", "user")
			},
			want: []string{"CriticalCPU node", "HighCPU node"},
		},
		{
			name: "CPU of a process", before: func(*world) {}, lasts: 3 * time.Minute,
			fault: func(w *world) {
				w.gauge("process.cpu.utilization", "1", 0.5, "cpu.mode", "user")
				w.gauge("process.cpu.utilization", "1", 0.4, "cpu.mode", "system")
			},
			want: []string{"HighCPU node"},
		},
		{
			name: "memory", before: func(*world) {}, lasts: 3 * time.Minute,
			fault: func(w *world) {
				w.sum("system.memory.usage", "By", false, 90, "system.memory.state", "used")
				w.sum("system.memory.usage", "By", false, 10, "system.memory.state", "free")
			},
			want: []string{"HighMemory node"},
		},
		{
			name: "disk, but not a read-only image", before: func(*world) {}, lasts: 3 * time.Minute,
			fault: func(w *world) {
				disk := func(mount, kind, state string, value float64) {
					w.sum("system.filesystem.usage", "By", false, value, "device", "/dev/"+mount, "mountpoint", "/"+mount, "type", kind, "state", state)
				}
				disk("data", "ext4", "used", 90)
				disk("data", "ext4", "free", 10)
				disk("snap", "squashfs", "used", 100)
				disk("snap", "squashfs", "free", 0)
				disk("root", "ext4", "used", 10)
				disk("root", "ext4", "free", 90)
			},
			want: []string{"HighDisk node"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, tt.before, tt.fault, tt.lasts, tt.clear, tt.want) })
		})
	}
}

// play runs before for a minute, the fault, and before again, and compares the
// alerts that fired, and that they cleared in time on fresh evidence.
func play(t *testing.T, before, fault func(*world), lasts, clearIn time.Duration, want []string) {
	db, err := series.Open(series.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var fired []series.RuleAlert
	open := map[string]bool{}
	rules := series.NewRules(db, series.RulesOptions{}, func(_ context.Context, alerts []series.RuleAlert) error {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range alerts {
			key := a.Name + " " + a.Labels["service_name"]
			if a.State == series.RuleFiring && !open[key] {
				fired = append(fired, a)
			}
			open[key] = a.State == series.RuleFiring
		}
		return nil
	})
	if err := rules.Load(series.DefaultRules()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rules.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()

	w := &world{t: t, db: db, spans: wire.New(wire.Options{}, time.Now()), started: time.Now()}
	phase := func(feed func(*world), d time.Duration) {
		for range d / (5 * time.Second) {
			w.step(feed)
		}
	}
	phase(before, time.Minute)
	phase(fault, lasts)
	var got []string
	for _, a := range fired {
		got = append(got, a.Name+" "+a.Labels["service_name"])
		if a.Labels["severity"] == "" || a.Labels["fault_type"] == "" || a.Annotations["summary"] == "" {
			t.Errorf("%s: got labels %v, annotations %v; want severity, fault_type and summary", a.Name, a.Labels, a.Annotations)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("alerts (-got +want):\n%s", diff)
	}
	for _, s := range rules.Status() {
		if s.Error != "" {
			t.Errorf("rule %s: %s", s.Name, s.Error)
		}
	}
	if clearIn == 0 {
		return
	}
	healed := time.Now()
	phase(func(w *world) {
		before(w)
		w.calls("stock", 20, 20*time.Millisecond, wire.StatusUnset)
	}, clearIn)
	for _, a := range fired {
		if open[a.Name+" "+a.Labels["service_name"]] {
			t.Errorf("%s still fires %s after the fault", a.Name, clearIn)
		}
		fresh, err := db.Newest(t.Context(), a.Expr, a.Labels, healed, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ever, err := db.Newest(t.Context(), a.Expr, a.Labels, w.started, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fresh {
			never := func(e series.Freshness) bool { return e.Selector == f.Selector && e.Newest.IsZero() }
			if slices.ContainsFunc(ever, never) {
				continue // what is never told of a service says nothing either way
			}
			if time.Since(f.Newest) > 10*time.Second {
				t.Errorf("%s: newest sample of %s is from %s, want a fresh one", a.Name, f.Selector, f.Newest)
			}
		}
		if holds, err := db.Holds(t.Context(), a.Expr, a.Labels, time.Now()); err != nil || holds {
			t.Errorf("%s holds: got %v, %v; want false", a.Name, holds, err)
		}
	}
}
