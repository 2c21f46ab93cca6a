package series

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// process is one instance of a service that pushes metrics.
type process struct {
	t        *testing.T
	db       *DB
	instance string
}

// report makes an empty report of the process.
func (p process) report() (pmetric.Metrics, pmetric.MetricSlice) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "inventory")
	rm.Resource().Attributes().PutStr("service.instance.id", p.instance)
	return md, rm.ScopeMetrics().AppendEmpty().Metrics()
}

// push sends gauges of value 1, one point a time.
func (p process) push(name string, at ...time.Time) {
	p.t.Helper()
	md, list := p.report()
	m := list.AppendEmpty()
	m.SetName(name)
	m.SetEmptyGauge()
	for _, at := range at {
		point := m.Gauge().DataPoints().AppendEmpty()
		point.SetTimestamp(stamp(at))
		point.SetIntValue(1)
	}
	p.send(md)
}

func (p process) send(md pmetric.Metrics) {
	p.t.Helper()
	if err := p.db.AppendOTLP(p.t.Context(), md); err != nil {
		p.t.Fatal(err)
	}
}

// pushAll sends one metric of every kind, as of now, with value.
func (p process) pushAll(value int64) {
	p.t.Helper()
	at := stamp(time.Now())
	number := func(m pmetric.NumberDataPoint) { m.SetTimestamp(at); m.SetIntValue(value) }
	md, list := p.report()

	m := list.AppendEmpty()
	m.SetName("db.client.connection.max")
	number(m.SetEmptyGauge().DataPoints().AppendEmpty())

	m = list.AppendEmpty()
	m.SetName("db.client.connection.count")
	m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	number(m.Sum().DataPoints().AppendEmpty())

	m = list.AppendEmpty()
	m.SetName("timeouts")
	m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	m.Sum().SetIsMonotonic(true)
	number(m.Sum().DataPoints().AppendEmpty())

	m = list.AppendEmpty()
	m.SetName("classic")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	h := m.Histogram().DataPoints().AppendEmpty()
	h.SetTimestamp(at)
	h.ExplicitBounds().FromRaw([]float64{1})
	h.BucketCounts().FromRaw([]uint64{uint64(value), 0})
	h.SetCount(uint64(value))

	m = list.AppendEmpty()
	m.SetName("native")
	m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	e := m.ExponentialHistogram().DataPoints().AppendEmpty()
	e.SetTimestamp(at)
	e.SetCount(uint64(value))
	e.Positive().BucketCounts().FromRaw([]uint64{uint64(value)})
	p.send(md)
}

// pushPool sends how many of ten connections of a pool are used.
func (p process) pushPool(used int64) {
	p.t.Helper()
	md, list := p.report()
	for name, value := range map[string]int64{"db.client.connection.count": used, "db.client.connection.max": 10} {
		m := list.AppendEmpty()
		m.SetName(name)
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		point := m.Sum().DataPoints().AppendEmpty()
		point.SetTimestamp(stamp(time.Now()))
		point.SetIntValue(value)
		point.Attributes().PutStr("db.client.connection.pool.name", "p")
		if name == "db.client.connection.count" {
			point.Attributes().PutStr("db.client.connection.state", "used")
		}
	}
	p.send(md)
}

// inTime runs a test against a store that is Run, in time of its own.
func inTime(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := open(t, Options{})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := db.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		test(t, db)
		stop()
		running.Wait()
	})
}

// pass lets time go by until all that is due then is done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// has reports whether expr has a result now.
func has(t *testing.T, db *DB, expr string) bool {
	t.Helper()
	return len(values(t, db, expr, time.Now())) > 0
}

func TestOfARestartedProcessOnlyTheNewOneAnswers(t *testing.T) {
	for interval, patience := range map[time.Duration]time.Duration{
		time.Second:      10 * time.Second,
		10 * time.Second: 30 * time.Second,
		time.Minute:      3 * time.Minute,
	} {
		t.Run(interval.String(), func(t *testing.T) {
			inTime(t, func(t *testing.T, db *DB) {
				before, after := process{t, db, "before"}, process{t, db, "after"}
				for range 5 {
					before.pushAll(10)
					pass(interval)
				}
				killed := time.Now().Add(-interval) // its last push
				all := []string{"db_client_connection_max", "db_client_connection_count", "timeouts_total", "classic_bucket", "classic_count", "native"}
				for time.Since(killed) < patience+interval+5*time.Second {
					after.pushAll(2)
					for _, name := range all {
						got := has(t, db, `count(`+name+`{instance="before"})`)
						if silent := time.Since(killed); got && silent > patience+2*time.Second || !got && silent <= patience {
							t.Errorf("%s of the dead process after %s: got %t, want it for %s", name, silent, got, patience)
						}
						if !has(t, db, `count(`+name+`{instance="after"})`) {
							t.Errorf("%s of the new process is missing after %s", name, time.Since(killed))
						}
					}
					pass(interval)
				}
				if got := values(t, db, `sum(db_client_connection_count)`, time.Now()); len(got) != 1 || got[0] != "[] 2" {
					t.Errorf("what all processes say now: got %v, want 2", got)
				}
				if got := values(t, db, `sum(db_client_connection_count)`, killed); len(got) != 1 || got[0] != "[] 10" {
					t.Errorf("what the dead process said before: got %v, want 10", got)
				}
				for _, name := range all {
					fresh, err := db.Newest(t.Context(), name, map[string]string{"instance": "before"}, killed.Add(-time.Hour), time.Now())
					if err != nil || len(fresh) != 1 || !fresh[0].Newest.Equal(killed) {
						t.Errorf("newest %s: got %v, %v, want %s, its last push", name, fresh, err, killed)
					}
				}
			})
		})
	}
}

func TestADelayedPushAfterTheMark(t *testing.T) {
	inTime(t, func(t *testing.T, db *DB) {
		p := process{t, db, "one"}
		var last time.Time
		for range 5 {
			last = time.Now()
			p.push("g", last)
			pass(2 * time.Second)
		}
		pass(20 * time.Second)
		p.push("g", last.Add(-time.Second)) // written, but no life
		if has(t, db, "g") {
			t.Error("got a value after an older sample came late, want none")
		}
		if got := values(t, db, "sum(count_over_time(g[1m]))", time.Now()); len(got) != 1 || got[0] != "[] 6" {
			t.Errorf("got %v samples, want 6 with the late one", got)
		}
		p.push("g", last.Add(2*time.Second)) // it did live longer
		if !has(t, db, "g") {
			t.Error("got no value after a newer sample came late, want it")
		}
		pass(3 * time.Minute)
		if has(t, db, "g") {
			t.Error("got a value long after, want none")
		}
	})
}

func TestWhatEndsByLookbackOnly(t *testing.T) {
	t.Run("one push", func(t *testing.T) {
		inTime(t, func(t *testing.T, db *DB) {
			process{t, db, "one"}.push("g", time.Now())
			lastsLookback(t, db, "g")
		})
	})
	t.Run("samples of our own", func(t *testing.T) {
		inTime(t, func(t *testing.T, db *DB) {
			for range 5 {
				appendAll(t, db, sample("calls_total service_name=cart", time.Now(), 1))
				pass(time.Second)
			}
			lastsLookback(t, db, "calls_total")
		})
	})
	t.Run("longer intervals", func(t *testing.T) {
		inTime(t, func(t *testing.T, db *DB) {
			for range 4 {
				pass(2 * time.Minute)
				process{t, db, "one"}.push("g", time.Now())
			}
			lastsLookback(t, db, "g")
		})
	})
	t.Run("pushed before a restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			db, err := Open(Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				process{t, db, "gone"}.push("g", time.Now())
				process{t, db, "stays"}.push("g", time.Now())
				pass(time.Second)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = open(t, Options{Dir: dir})
			for range 4 {
				process{t, db, "stays"}.push("g", time.Now())
				pass(time.Second)
			}
			pass(20 * time.Second)
			if n, err := db.MarkStale(t.Context(), time.Now()); n != 1 || err != nil {
				t.Errorf("got %d ended, %v, want the one that pushed since", n, err)
			}
			if diff := cmp.Diff(values(t, db, "count by (instance) (g)", time.Now()), []string{"[instance:gone] 1"}); diff != "" {
				t.Errorf("left (-got +want):\n%s", diff)
			}
		})
	})
}

func lastsLookback(t *testing.T, db *DB, name string) {
	t.Helper()
	pass(4*time.Minute + 50*time.Second)
	if !has(t, db, name) {
		t.Error("got no value within the lookback, want one")
	}
	pass(20 * time.Second)
	if has(t, db, name) {
		t.Error("got a value after the lookback, want none")
	}
	if got := db.Stats().Ended; got != 0 {
		t.Errorf("got %d ended, want none", got)
	}
}

func TestASenderMayEndItsSeries(t *testing.T) {
	inTime(t, func(t *testing.T, db *DB) {
		p := process{t, db, "one"}
		for range 3 {
			p.pushAll(1)
			pass(time.Second)
		}
		last := time.Now().Add(-time.Second)
		md, list := p.report()
		m := list.AppendEmpty()
		m.SetName("native")
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		e := m.ExponentialHistogram().DataPoints().AppendEmpty()
		e.SetTimestamp(stamp(time.Now()))
		e.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		m = list.AppendEmpty()
		m.SetName("db.client.connection.max")
		g := m.SetEmptyGauge().DataPoints().AppendEmpty()
		g.SetTimestamp(stamp(time.Now()))
		g.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		p.send(md)
		for _, name := range []string{"native", "db_client_connection_max"} {
			if has(t, db, "count("+name+")") {
				t.Errorf("%s: got a value, want none", name)
			}
			fresh, err := db.Newest(t.Context(), name, nil, last.Add(-time.Minute), time.Now())
			if err != nil || len(fresh) != 1 || !fresh[0].Newest.Equal(last) {
				t.Errorf("%s: got newest %v, %v, want %s: a mark is no sample", name, fresh, err, last)
			}
		}
		pass(30 * time.Second)
		if got, want := db.Stats().Ended, uint64(5); got != want { // of 7 two were marked by the sender
			t.Errorf("got %d series marked, want %d", got, want)
		}
	})
}

// TestTheShippedPoolAlertEndsWithTheProcess restarts a process with an
// exhausted pool under the rules that are shipped.
func TestTheShippedPoolAlertEndsWithTheProcess(t *testing.T) {
	inTime(t, func(t *testing.T, db *DB) {
		var mu sync.Mutex
		var told []RuleAlert
		rules := NewRules(db, RulesOptions{}, func(_ context.Context, alerts []RuleAlert) error {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, alerts...)
			return nil
		})
		if err := rules.Load(DefaultRules()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := rules.Run(ctx); err != nil {
				t.Errorf("rules: %v", err)
			}
		})
		for range 30 {
			process{t, db, "before"}.pushPool(10)
			pass(time.Second)
		}
		killed := time.Now()
		for range 30 {
			process{t, db, "after"}.pushPool(3)
			pass(time.Second)
		}
		stop()
		running.Wait()
		var firing, resolved bool
		for _, a := range told {
			if a.Name != "PoolSaturated" || a.Labels["service_instance_id"] != "before" {
				t.Errorf("got %s of %v, want only that of the exhausted pool", a.Name, a.Labels)
			}
			firing = firing || a.State == RuleFiring
			resolved = a.State == RuleResolved && a.ResolvedAt.Sub(killed) <= 20*time.Second
		}
		if !firing || !resolved {
			t.Errorf("got %+v, want an alert resolved within 20 s of %s", told, killed)
		}
	})
}

// TestPushersAndMarksAtOnce is for the race detector.
func TestPushersAndMarksAtOnce(t *testing.T) {
	db := open(t, Options{})
	began := time.Now()
	var working sync.WaitGroup
	for _, instance := range []string{"a", "b", "c"} {
		working.Go(func() {
			for i := range 100 {
				md, list := process{t, db, instance}.report()
				m := list.AppendEmpty()
				m.SetName("g")
				g := m.SetEmptyGauge().DataPoints().AppendEmpty()
				g.SetTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(i) * time.Second)))
				if err := db.AppendOTLP(context.Background(), md); err != nil {
					t.Errorf("push: %v", err)
				}
			}
		})
	}
	working.Go(func() {
		for i := range 100 {
			if _, err := db.MarkStale(context.Background(), began.Add(time.Duration(i)*10*time.Second)); err != nil {
				t.Errorf("mark: %v", err)
			}
			if _, err := db.Instant(context.Background(), "sum(g)", began.Add(time.Duration(i)*time.Second)); err != nil {
				t.Errorf("query: %v", err)
			}
			db.Stats()
		}
	})
	working.Wait()
	if got := values(t, db, "count(count_over_time(g[5m]) == 100)", began.Add(100*time.Second)); len(got) != 1 || got[0] != "[] 3" {
		t.Errorf("got %v series with all samples, want 3", got)
	}
}
