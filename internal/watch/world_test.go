package watch_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/watch"
)

var begin = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

const interval = 15 * time.Second

// world makes the telemetry of services that are well, with what happens to
// such services: days, noise, bursts of traffic, moments of slowness, deploys
// with new instances, counters that begin anew.
type world struct {
	services []*service
	signals  map[string]watch.Signal // by expression
	now      time.Time               // what was made is of this time
	made     map[string][]heal.Sample
	silent   bool
}

type service struct {
	name             string
	rng              *rand.Rand
	base, phase      float64 // requests a second; part of a day
	slow, fail       float64 // p95 in s; share of requests
	deployed         time.Time
	spike            time.Time // one look of slowness
	burst            time.Time // ten minutes of double traffic
	memory, worked   float64
	version, resets  int
	broken           map[string]float64 // signal to the factor, or the share of errors
	restartsCounters time.Time
}

func newWorld(n int, seed uint64) *world {
	w := &world{signals: map[string]watch.Signal{}}
	for _, s := range watch.Signals(4*interval, []string{"service_name"}) {
		w.signals[s.Expr] = s
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		after := func() time.Time { return begin.Add(time.Duration(600+rng.IntN(3000)) * time.Second) }
		w.services = append(w.services, &service{
			name: fmt.Sprintf("s%02d", i), rng: rand.New(rand.NewPCG(seed, uint64(i)+2)), base: math.Exp(1 + 4*rng.Float64()), phase: rng.Float64(),
			slow: math.Exp(-5 + 4*rng.Float64()), fail: []float64{0, 0, 0.001, 0.01}[rng.IntN(4)], memory: 1e8 * math.Exp(3*rng.Float64()),
			deployed: after(), spike: after(), burst: after(), restartsCounters: after(), broken: map[string]float64{},
		})
	}
	return w
}

func (w *world) Vector(_ context.Context, expr string, at time.Time) ([]heal.Sample, error) {
	if w.silent {
		return nil, nil
	}
	if !at.Equal(w.now) {
		w.now, w.made = at, map[string][]heal.Sample{}
		for _, s := range w.services {
			s.make(w, at)
		}
	}
	s, ok := w.signals[expr]
	if !ok {
		return nil, heal.Errorf(heal.Invalid, "world", "nobody makes %q", expr)
	}
	return w.made[s.Name], nil
}

func (w *world) put(signal, metric string, at time.Time, v float64, labels ...string) {
	s := heal.Sample{Metric: metric, At: at, Value: v}
	for i := 0; i < len(labels); i += 2 {
		s.Labels = append(s.Labels, heal.Label{Name: labels[i], Value: labels[i+1]})
	}
	w.made[signal] = append(w.made[signal], s)
}

// factor is what is broken of a signal, 1 if nothing is.
func (s *service) factor(signal string) float64 {
	if f, ok := s.broken[signal]; ok {
		return f
	}
	return 1
}

func (s *service) make(w *world, at time.Time) {
	day := 2 * math.Pi * (float64(at.Unix())/86400 + s.phase)
	rate := s.base * (1 + 0.5*math.Sin(day)) * s.factor("traffic")
	if since := at.Sub(s.burst); since >= 0 && since < 10*time.Minute {
		rate *= 2
	}
	deployed := !at.Before(s.deployed)
	step := 1.0
	if deployed {
		step = 1.15
	}
	calls := math.Max(0, rate*60+math.Sqrt(rate*60)*s.rng.NormFloat64())
	noise := func(size float64) float64 { return math.Exp(size * s.rng.NormFloat64()) }
	p95 := s.slow * step * (1 + 0.2*rate/s.base) * noise(0.5/math.Sqrt(1+calls/100)) * s.factor("latency")
	if since := at.Sub(s.spike); since >= 0 && since < interval {
		p95 *= 6
	}
	failed := 0.0
	share := s.fail + s.broken["errors"]
	for range int(min(calls, 2000)) {
		if s.rng.Float64() < share {
			failed++
		}
	}
	ratio := failed / math.Max(1, math.Floor(min(calls, 2000)))
	me := []string{"service_name", s.name}
	w.put("requests", "", at, calls/60, me...)
	w.put("error ratio", "", at, ratio, me...)
	w.put("p95 latency", "", at, p95, me...)
	for op := range 3 {
		one := append([]string{"span_name", fmt.Sprintf("GET /%d", op)}, me...)
		w.put("requests of an operation", "", at, calls/180*noise(0.1), one...)
		w.put("error ratio of an operation", "", at, ratio, one...)
		w.put("mean latency of an operation", "", at, p95/2*noise(0.1), one...)
	}
	if deployed {
		s.version = 1
	}
	s.worked += calls * 0.25
	total := s.worked
	if !at.Before(s.restartsCounters) {
		total -= s.memory // it began anew
		if s.resets == 0 {
			s.resets, s.memory = 1, s.worked
			total = 0
		}
	}
	for i := range 2 {
		labels := append([]string{"service_instance_id", fmt.Sprintf("%s-%d-%d", s.name, s.version, i)}, me...)
		saw := float64(at.Unix()%600) / 600
		w.put("metrics by service_name", "process_memory_usage_bytes", at, 2e8*step*(1+0.3*saw)*noise(0.02)*s.factor("memory"), labels...)
		w.put("metrics by service_name", "go_goroutine_count", at, 50+rate/10*noise(0.1), labels...)
		w.put("metrics by service_name", "process_cpu_utilization_ratio", at, 0.1*(1+rate/s.base)*step*noise(0.1)*s.factor("cpu"), labels...)
		w.put("metrics by service_name", "http_server_requests_total", at, math.Max(0, total), labels...)
		w.put("metrics by service_name", "process_uptime_seconds", at, at.Sub(begin).Seconds(), labels...)
	}
}

// rig is a watcher of a world.
type rig struct {
	*watch.Watcher
	t     *testing.T
	world *world
	at    time.Time
	found []watch.Finding // told, but for those of services that are merely well
	open  map[string]bool
	fails bool // the sink takes nothing
}

func newRig(t *testing.T, w *world, opts watch.Options) *rig {
	t.Helper()
	r := &rig{t: t, world: w, at: begin, open: map[string]bool{}}
	opts.Interval = interval
	r.Watcher = watch.New(w, r.take, opts)
	return r
}

func (r *rig) take(_ context.Context, findings []watch.Finding) error {
	if r.fails {
		return heal.Errorf(heal.Transient, "take", "too many wait")
	}
	for _, f := range findings {
		key := string(f.Entity) + " " + string(f.Golden)
		if f.Over && !r.open[key] {
			continue
		}
		r.open[key] = !f.Over
		r.found = append(r.found, f)
	}
	return nil
}

// pass lets time go by, a look an interval.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for end := r.at.Add(d); r.at.Before(end); r.at = r.at.Add(interval) {
		r.Look(context.Background(), r.at)
	}
}

// told are the findings in short, repeats left out.
func (r *rig) told() []string {
	var out []string
	for _, f := range r.found {
		word := "suffers"
		if f.Over {
			word = "is well"
		}
		out = append(out, strings.Join([]string{string(f.Entity), string(f.Golden), word}, " "))
	}
	return slices.Compact(out) // what stands is told again and again
}
