package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThresholds(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		want string
	}{
		{1, "0"},
		{2, "0"},
		{0.5, "8"},
		{0.25, "c"},
		{0.05, "f3333"},
		{0.01, "fd70a"},
		{0.001, "ffbe77"},
		{1.0 / (1 << 56), "ffffffffffffff"},
		{1e-30, "ffffffffffffff"},
		{0, "none"},
		{-1, "none"},
		{math.NaN(), "none"},
	} {
		least := thresholdOf(tt.rate)
		got := "none"
		if least < maxThreshold {
			got = string(appendThreshold(nil, least))
		}
		if got != tt.want {
			t.Errorf("rate %v: got %s, want %s", tt.rate, got, tt.want)
		}
	}
}

func TestTraceStateKeepsWhatIsNotOurs(t *testing.T) {
	long := strings.Repeat("a", 250)
	for _, tt := range []struct{ name, old, want string }{
		{"none", "", "ot=th:c"},
		{"replaced", "ot=th:8", "ot=th:c"},
		{"randomness stays", "ot=rv:e0000000000000;th:8", "ot=th:c;rv:e0000000000000"},
		{"changed first", "a=1, ot=th:8 ,b=2", "ot=th:c,a=1,b=2"},
		{"only the first ot counts", "ot=th:8,ot=th:1", "ot=th:c,ot=th:1"},
		{"what is too long goes, the last first", "a=" + long + ",b=" + long + ",c=1", "ot=th:c,a=" + long},
	} {
		if diff := cmp.Diff(string(appendTraceState(nil, []byte(tt.old), 0xc<<52)), tt.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", tt.name, diff)
		}
	}
}

// TestAdjustedCountsStayTrue estimates how many spans there were from those that
// were kept and what their tracestate says, after two samplers in a row.
func TestAdjustedCountsStayTrue(t *testing.T) {
	g := newTraffic()
	first, second := NewSampler(SamplerOptions{Rate: 0.5}), NewSampler(SamplerOptions{Rate: 0.1})
	for _, stages := range [][]*Sampler{{first, second}, {second, first}, {second, second}} {
		s := new(Scanner)
		var sent, estimate float64
		for range 40 {
			request := g.Request(t, 1000)
			_, all, _, _ := oracle(request)
			sent += float64(all.Spans)
			for _, stage := range stages {
				out, _, err := s.Scan(request, stage, nil)
				if err != nil {
					t.Fatal(err)
				}
				request = out
			}
			estimate += adjusted(t, request)
		}
		if off := math.Abs(estimate/sent - 1); off > 0.1 {
			t.Errorf("estimated %.0f spans of %.0f, want within 10 %%", estimate, sent)
		}
	}
}

// adjusted sums what each span stands for.
func adjusted(t *testing.T, request []byte) (sum float64) {
	t.Helper()
	for _, span := range spansOf(t, request) {
		state := readTraceState([]byte(span.GetTraceState()))
		sum += maxThreshold / (maxThreshold - float64(state.threshold))
	}
	return sum
}

func TestRateIsSteered(t *testing.T) {
	for _, tt := range []struct {
		s          Steering
		throughput float64
		want       float64
	}{
		{Steering{Target: 1000}, 20_000, 0.05},
		{Steering{Target: 1000}, 1_000_000, 0.01},
		{Steering{Target: 1000}, 2_000, 0.10},
		{Steering{Target: 1000}, 0, 0.10},
		{Steering{Target: 1000, Most: 5}, 500, 1},
		{Steering{Target: 1000, Least: 0.0001}, 1e9, 0.01},
		{Steering{Target: 1000, Least: 0.5, Most: 0.2}, 1e9, 0.5},
	} {
		if got := tt.s.Rate(tt.throughput); got != tt.want {
			t.Errorf("%+v at %g spans/s: got %g, want %g", tt.s, tt.throughput, got, tt.want)
		}
	}
}

func TestRequestsWithoutKeptSpansLeaveNothing(t *testing.T) {
	s := new(Scanner)
	out, result, err := s.Scan(newTraffic().Request(t, 50), NewSampler(SamplerOptions{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := result.Reasons[ReasonError] + result.Reasons[ReasonSlow]
	if got := len(spansOf(t, out)); got != bad || result.Kept() != bad {
		t.Errorf("got %d spans out and %+v, want the %d errors", got, result, bad)
	}
	out, _, err = s.Scan(nil, NewSampler(SamplerOptions{Rate: 1}), nil)
	if err != nil || len(out) > 0 {
		t.Errorf("an empty request gave %d bytes, %v", len(out), err)
	}
}

func TestEmptySpansAreNoBomb(t *testing.T) {
	scope := append([]byte{1<<3 | typeLen}, binary.AppendUvarint(nil, 100_000)...)
	inner := append([]byte{2<<3 | typeLen}, binary.AppendUvarint(nil, 99_996)...)
	request := append(append(scope, inner...), bytes.Repeat([]byte{2<<3 | typeLen, 0}, 49_998)...)
	for name, request := range map[string][]byte{"spans": request, "resources": bytes.Repeat([]byte{1<<3 | typeLen, 0}, 50_000)} {
		if _, _, err := new(Scanner).Scan(request, NewSampler(SamplerOptions{}), nil); !errors.Is(err, errMany) {
			t.Errorf("%s: got %v, want that there are too many", name, err)
		}
	}
}

func TestScanCostsNoAllocation(t *testing.T) {
	g, s, a := newTraffic(), new(Scanner), New(Options{}, start)
	sampler := NewSampler(SamplerOptions{Rate: 0.3, Slow: 1e9, Services: map[string]float64{"service-3": 1}})
	request, out := g.Request(t, 1000), make([]byte, 0, 1<<20)
	scan := func() {
		if _, _, err := s.Scan(request, sampler, out); err != nil {
			t.Fatal(err)
		}
		a.Take(s)
	}
	scan()
	a.Flush(at(1))
	scan()
	if got := testing.AllocsPerRun(20, scan); got != 0 {
		t.Errorf("got %v allocations for 1000 spans, want 0", got)
	}
}

func TestRefusalsSayWhere(t *testing.T) {
	request := newTraffic().Request(t, 3)
	_, _, err := new(Scanner).Scan(request[:len(request)-3], NewSampler(SamplerOptions{}), nil)
	if got, want := fmt.Sprint(err), "scan spans: span 1 of the request, or what surrounds it, ends within a field"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
