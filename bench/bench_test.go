package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/engine"
)

// TestGroupBody: what the load generator sends is taken whole, each alert once.
func TestGroupBody(t *testing.T) {
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	var seen []string
	for _, first := range []int{0, groupSize, 1_000_000} {
		alerts, skipped, err := alert.NewAlertmanager(alert.Options{}).Parse(groupBody(first, at.Format(time.RFC3339Nano)), at)
		if err != nil || len(skipped) > 0 || len(alerts) != groupSize {
			t.Fatalf("parse the group from %d: got %d alerts, skipped %v, %v", first, len(alerts), skipped, err)
		}
		for _, a := range alerts {
			seen = append(seen, a.Fingerprint)
		}
	}
	slices.Sort(seen)
	if got := len(slices.Compact(seen)); got != 3*groupSize {
		t.Errorf("fingerprints: got %d, want %d", got, 3*groupSize)
	}
}

// TestFiveSteps: the playbook of the engine section is one, and each of its
// steps is guarded.
func TestFiveSteps(t *testing.T) {
	set, err := action.NewSet(&touches{})
	if err != nil {
		t.Fatal(err)
	}
	book, err := engine.Playbooks{Specs: set.Specs()}.Open([]byte(fiveSteps))
	if err != nil {
		t.Fatal(err)
	}
	guarded := 0
	for _, task := range book.Plan().Tasks {
		if task.Touches {
			guarded++
		}
	}
	if guarded != 5 {
		t.Errorf("guarded steps: got %d, want 5", guarded)
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[99-i] = time.Duration(i+1) * time.Millisecond
	}
	for _, test := range []struct {
		name string
		took []time.Duration
		q    float64
		want float64
	}{
		{"nothing", nil, 0.5, 0},
		{"one", []time.Duration{time.Millisecond}, 0.99, 1},
		{"p50", hundred, 0.5, 50},
		{"p99", hundred, 0.99, 99},
		{"slowest", hundred, 1, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := quantile(test.took, test.q); got != test.want {
				t.Errorf("got %v ms, want %v", got, test.want)
			}
		})
	}
}

func TestReadBenchmarks(t *testing.T) {
	out := `goos: linux
pkg: github.com/homeostat/homeostat/internal/store/sqlite
BenchmarkPut-2   	    8211	     61500 ns/op	     16000 updates/s	    5120 B/op	      96 allocs/op
PASS
ok  	github.com/homeostat/homeostat/internal/store/sqlite	1.2s
`
	r := &report{section: "code"}
	if err := readBenchmarks([]byte(out), r); err != nil {
		t.Fatal(err)
	}
	want := []figure{{Section: "code", Name: "store/sqlite Put-2", Value: 61.5, Unit: "us/op", Note: "16000 updates/s, 5120 B/op, 96 allocs/op"}}
	if diff := cmp.Diff(want, r.Figures); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) == 0 || slices.ContainsFunc(all, func(s section) bool { return s.long }) {
		t.Errorf("choose all: got %d sections, %v, want those that are not long", len(all), err)
	}
	if some, err := choose("engine,up"); err != nil || len(some) != 2 || some[0].name != "engine" {
		t.Errorf("choose two: got %v, %v", some, err)
	}
	if _, err := choose("engine,nothing"); err == nil {
		t.Error("choose what is not there: got no error")
	}
}
