package cause_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

// random makes a case over a random graph with random signals.
func random(t testing.TB, seed uint64) cause.Input {
	r := rand.New(rand.NewPCG(seed, seed))
	n := 1 + r.IntN(12)
	name := func() string { return fmt.Sprintf("s%d", r.IntN(n)) }
	var edges, faults []string
	for range r.IntN(3 * n) {
		edges = append(edges, name()+"->"+name())
	}
	types := []heal.FaultType{heal.ErrorsRaised, heal.PerformanceDegradation, heal.Unavailable, heal.ResourceExhaustion, heal.UnknownFault}
	for range r.IntN(4) {
		faults = append(faults, string(types[r.IntN(len(types))])+"@"+name())
	}
	odd := []float64{0, 0.01, 0.3, 0.9, 1, 2, 1e9, -1, math.NaN(), math.Inf(1), math.Inf(-1)}
	number := func() float64 { return odd[r.IntN(len(odd))] }
	ids := []string{cause.LatencyP99, cause.ErrorRatio, cause.CPU, cause.Memory, cause.MemoryBytes, cause.Network, cause.PoolUsed, cause.PoolPending, cause.Restarts, cause.InboundP99, cause.InboundErrors, cause.RequestRate, cause.Disk}
	patterns := []string{"pool_exhausted", "timeout", "refused", "out_of_memory", "strange"}
	signals := map[heal.EntityID]cause.Signals{}
	for range r.IntN(n + 1) {
		s := cause.Signals{Metrics: map[string]cause.Metric{}, Newest: now.Add(-time.Duration(r.IntN(200)) * time.Second), Cadence: time.Duration(r.IntN(20)) * time.Second}
		for range r.IntN(5) {
			m := metric(number())
			if r.IntN(2) == 0 {
				m = metric(number(), number())
			}
			s.Metrics[ids[r.IntN(len(ids))]] = m
		}
		for range r.IntN(3) {
			s.Logs = append(s.Logs, cause.Log{Pattern: patterns[r.IntN(len(patterns))], Count: r.IntN(50) - 2, Baseline: number()})
			s.Spans = append(s.Spans, cause.Operation{Name: fmt.Sprint("op", r.IntN(3)), Count: r.IntN(9), P99: number(), ErrorShare: number(), SelfShare: number(), Callee: id(name()), CalleeShare: number(), CalleeErrorShare: number()})
			s.Probes = append(s.Probes, cause.Probe{Name: fmt.Sprint("p", r.IntN(3)), Healthy: r.IntN(2) == 0, At: now.Add(-time.Duration(r.IntN(400)) * time.Second), Error: "timeout"})
			s.Changes = append(s.Changes, cause.Change{At: now.Add(-time.Duration(r.IntN(9000)) * time.Second), Text: fmt.Sprint(r.IntN(9))})
		}
		signals[id(name())] = s
	}
	return cause.Input{Incident: alerted(faults...), Graph: graphOf(t, edges...), Signals: signals, Now: now}
}

// shuffled is the same input with every list in another order.
func shuffled(in cause.Input) cause.Input {
	out := in
	out.Signals = map[heal.EntityID]cause.Signals{}
	for entity, s := range in.Signals {
		s.Logs, s.Spans, s.Probes, s.Changes = slices.Clone(s.Logs), slices.Clone(s.Spans), slices.Clone(s.Probes), slices.Clone(s.Changes)
		slices.Reverse(s.Logs)
		slices.Reverse(s.Spans)
		slices.Reverse(s.Probes)
		slices.Reverse(s.Changes)
		out.Signals[entity] = s
	}
	return out
}

func holds(t *testing.T, in cause.Input) {
	t.Helper()
	d := cause.Rank(in)
	if diff := cmp.Diff(cause.Rank(shuffled(in)), d); diff != "" {
		t.Fatalf("the order of the input changes the diagnosis:\n%s", diff)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Fatalf("the diagnosis cannot be stored: %v", err)
	}
	if !(d.Confidence >= 0 && d.Confidence <= 1) {
		t.Fatalf("confidence %v, want 0 to 1", d.Confidence)
	}
	last := 1.0
	for _, c := range d.Causes {
		if !(c.Score >= 0 && c.Score <= last) {
			t.Fatalf("score %v after %v, want falling within 0 to 1", c.Score, last)
		}
		last = c.Score
		if len(c.For) == 0 || len(c.Path) == 0 || c.Path[len(c.Path)-1] != c.Entity || c.Pattern == "" || c.Type == "" {
			t.Fatalf("incomplete cause %+v", c)
		}
	}
	// A victim ranks below what explains it: below some other candidate.
	for i, c := range d.Causes {
		for _, r := range c.Against {
			if r.Code == "explained_by_dependency" && i == 0 && len(d.Causes) > 1 && c.Score > d.Causes[1].Score {
				t.Fatalf("%s is explained by a dependency and ranks first", c.Entity)
			}
		}
	}
}

func TestRankProperties(t *testing.T) {
	for seed := range uint64(3000) {
		holds(t, random(t, seed))
	}
}

func FuzzRank(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { holds(t, random(t, seed)) })
}

func FuzzOperations(f *testing.F) {
	f.Add("web", "a", "b", "c", int64(5), int64(3))
	f.Add("web", "a", "a", "a", int64(-5), int64(1<<62))
	f.Fuzz(func(t *testing.T, service, one, two, three string, first, second int64) {
		spans := []heal.Span{
			{TraceID: "t", SpanID: one, ParentID: three, Service: service, Kind: heal.SpanServer, Duration: time.Duration(first), Start: now, Error: true},
			{TraceID: "t", SpanID: two, ParentID: one, Service: service, Kind: heal.SpanClient, Duration: time.Duration(second), Start: now, Error: true},
			{TraceID: "t", SpanID: three, ParentID: two, Service: "db", Kind: heal.SpanServer, Duration: time.Duration(second), Start: now.Add(time.Duration(first))},
		}
		for _, op := range cause.Operations(service, spans, spans, nil) {
			for _, v := range []float64{op.ErrorShare, op.SelfShare, op.CalleeShare, op.CalleeErrorShare} {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("%+v: a share is not within 0 to 1", op)
				}
			}
		}
	})
}
