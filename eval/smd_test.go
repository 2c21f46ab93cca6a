package main

import (
	"errors"
	"math"
	"path/filepath"
	"testing"
)

// TestSMDScorer wants the known figures of the mean deviation. The data is no
// part of the repository: without it, and only then, the test is skipped.
func TestSMDScorer(t *testing.T) {
	dir, err := folder(dataDir(), "smd8")
	if errors.Is(err, errAbsent) {
		dir, err = folder(filepath.Join("..", defaultData), "smd8")
	}
	if errors.Is(err, errAbsent) {
		t.Skipf("nothing to prove the scorer on: %v", err)
	}
	machines, err := readSMD(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"machine-1-6": .813, "machine-1-7": .563, "machine-2-1": .251, "machine-2-2": .262,
		"machine-2-7": .811, "machine-2-8": .969, "machine-3-3": .076, "machine-3-4": .890,
	}
	if len(machines) != len(want) {
		t.Errorf("got %d machines, want %d", len(machines), len(want))
	}
	mean := 0.0
	for _, m := range machines {
		got := bestF1(smdFloor(m), m.label)
		mean += got / float64(len(machines))
		if math.Abs(got-want[m.name]) > 0.0006 {
			t.Errorf("%s: got %.4f, want %.3f", m.name, got, want[m.name])
		}
	}
	if math.Abs(mean-smdBar) > 0.0006 {
		t.Errorf("mean: got %.4f, want %.3f", mean, smdBar)
	}
}

func TestF1ByHand(t *testing.T) {
	label := []bool{false, true, true, false, false}
	for _, tc := range []struct {
		name      string
		scores    []float64
		best, at1 float64 // over all thresholds; at 1
	}{
		{"right", []float64{0, 2, 1, 0, 0}, 1, 1},
		{"one missed, no false alarm", []float64{0, 2, 0, 0, 0}, 2.0 / 3, 2.0 / 3},
		{"ties count together", []float64{1, 1, 1, 0, 0}, 0.8, 0.8},
		{"nothing told", []float64{0, 0, 0, 0, 0}, 4.0 / 7, 0},
		{"all wrong way round", []float64{3, 0, 0, 3, 3}, 4.0 / 7, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := bestF1(tc.scores, label); math.Abs(got-tc.best) > 1e-12 {
				t.Errorf("best: got %v, want %v", got, tc.best)
			}
			if got := rowF1(tc.scores, label, 1); math.Abs(got-tc.at1) > 1e-12 {
				t.Errorf("at 1: got %v, want %v", got, tc.at1)
			}
		})
	}
}
