package detect_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
)

func grown(t testing.TB, vectors [][]float64, o detect.ForestOptions) *detect.Forest {
	t.Helper()
	f, err := detect.NewForest(vectors, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRestoredForestGoesOn restores in the midst of a stream and wants the same
// of every vector after.
func TestRestoredForestGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	stream := service(rng, 3000)
	for i := 2000; i < len(stream); i += 7 { // some that are unlike, and some with holes
		stream[i][rng.IntN(4)] *= 3
		stream[i+1][rng.IntN(4)] = math.NaN()
	}
	for _, o := range []detect.ForestOptions{{Seed: 1}, {Seed: 2, Trees: 1, Sample: 2}, {Seed: 3, Trees: 7, Sample: 4096}} {
		whole := grown(t, stream[:1500], o)
		half := grown(t, stream[:1500], o)
		for i, v := range stream[1500:] {
			if i == 700 {
				state := half.Append([]byte("before"))
				restored, err := detect.RestoreForest(state[len("before"):])
				if err != nil {
					t.Fatalf("%+v: %v", o, err)
				}
				if again := restored.Append(nil); !bytes.Equal(again, state[len("before"):]) {
					t.Fatalf("%+v: the state of what was restored is another", o)
				}
				half = restored
			}
			if got, want := half.Score(v), whole.Score(v); got != want {
				t.Fatalf("%+v: vector %d: got %v, want %v", o, i, got, want)
			}
			if i%100 == 0 {
				if diff := cmp.Diff(half.Shares(v, 4), whole.Shares(v, 4)); diff != "" {
					t.Fatalf("%+v: shares of vector %d (-got +want):\n%s", o, i, diff)
				}
			}
		}
	}
}

func TestRestoreForestRefuses(t *testing.T) {
	state := grown(t, service(rand.New(rand.NewPCG(1, 1)), 50), detect.ForestOptions{Trees: 3}).Append(nil)
	edited := func(at int, b byte) []byte {
		out := bytes.Clone(state)
		out[at] = b
		return out
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "another version": edited(0, 9), "no metrics": edited(1, 0), "too many metrics": edited(1, 200), "fewer metrics than it cuts": edited(1, 1),
		"a million trees": edited(4, 9), "a billion nodes": edited(9, 0x7f), "cut off": state[:len(state)-1], "too long": append(bytes.Clone(state), 0),
	} {
		if _, err := detect.RestoreForest(bad); !heal.Is(err, heal.Invalid) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	// A large state of a small size must not be believed.
	if _, err := detect.RestoreForest([]byte{1, 4, 1, 0, 0, 0, 0xff, 0xff, 0x70, 0}); !heal.Is(err, heal.Invalid) {
		t.Errorf("a size without content: got %v, want it refused", err)
	}
}

// FuzzRestoreForest wants no panic, and of what it accepts, that every way down a
// tree ends and that it can be saved again.
func FuzzRestoreForest(f *testing.F) {
	f.Add(grown(f, service(rand.New(rand.NewPCG(1, 1)), 40), detect.ForestOptions{Trees: 2, Sample: 8}).Append(nil))
	f.Add(grown(f, [][]float64{{1}, {2}}, detect.ForestOptions{Trees: 1}).Append(nil))
	f.Fuzz(func(t *testing.T, state []byte) {
		forest, err := detect.RestoreForest(state)
		if err != nil {
			return
		}
		for _, v := range [][]float64{nil, {1, 2, 3, 4}, {math.NaN(), math.Inf(1), -1e300}} {
			if got := forest.Score(v); !(got >= 0) || got > 1 {
				t.Errorf("got a score of %v, want 0 to 1", got)
			}
			forest.Shares(v, 3)
		}
		if !bytes.Equal(forest.Append(nil), state) {
			t.Error("the state of what was restored is another")
		}
	})
}
