package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestNABScorer feeds the published scores of the Windowed Gaussian detector to
// the scorer and wants the published results. The data is no part of the
// repository: without it, and only then, the test is skipped.
func TestNABScorer(t *testing.T) {
	dir, err := folder(dataDir(), "nab")
	if errors.Is(err, errAbsent) {
		dir, err = folder(filepath.Join("..", defaultData), "nab")
	}
	if errors.Is(err, errAbsent) {
		t.Skipf("nothing to prove the scorer on: %v", err)
	}
	files, err := readNAB(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 58 {
		t.Errorf("got %d series, want 58", len(files))
	}
	var all []nabSeries
	windows := 0
	at := map[string]int{}
	for i, f := range files {
		rows, err := readGzipCSV(filepath.Join(dir, "results", "windowedGaussian", f.name+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		var scores []float64
		for _, row := range rows[1:] {
			scores = append(scores, number(t, row[0]))
		}
		if len(scores) != len(f.values) {
			t.Fatalf("%s: got %d scores, want one for each of %d rows", f.name, len(scores), len(f.values))
		}
		all = append(all, nabSeries{scores, f.windows})
		windows += len(f.windows)
		at[f.name] = i
	}
	for i, want := range []float64{39.649523, 20.867986, 47.410027} {
		p := nabProfiles[i]
		t.Run(p.name, func(t *testing.T) {
			threshold, sum := nabSearch(all, p)
			if threshold != 1 {
				t.Errorf("got threshold %v, want 1", threshold)
			}
			if got := nabFinal(sum, windows, p); math.Abs(got-want) > 1e-6 {
				t.Errorf("got %.6f, want %.6f", got, want)
			}
			if got := nabAt(all, p, threshold); math.Abs(got-want) > 1e-6 {
				t.Errorf("series by series: got %.6f, want %.6f", got, want)
			}
			rows, err := readPlainCSV(filepath.Join(dir, "results", "windowedGaussian", "windowedGaussian_"+p.name+"_scores.csv"))
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, row := range rows[1:] {
				if row[0] == "Totals" {
					continue
				}
				seen++
				s := all[at[row[2]]]
				got := nabScore(s.scores, s.windows, p, threshold)
				if want := number(t, row[4]); math.Abs(got.score-want) > 1e-9 {
					t.Errorf("%s: got %v, want %v", row[2], got.score, want)
				}
				for k, count := range []int{got.tp, got.tn, got.fp, got.fn} {
					if want := int(number(t, row[5+k])); count != want {
						t.Errorf("%s: %s: got %d, want %d", row[2], rows[0][5+k], count, want)
					}
				}
			}
			if seen != len(files) {
				t.Errorf("got %d published rows, want %d", seen, len(files))
			}
		})
	}
}

func readPlainCSV(path string) ([][]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readCSV(file)
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNABScoreByHand(t *testing.T) {
	standard := nabProfiles[0]
	window := []nabWindow{{10, 19}}
	fired := func(rows ...int) []float64 {
		s := make([]float64, 40)
		for _, i := range rows {
			s[i] = 1
		}
		return s
	}
	for _, tc := range []struct {
		name    string
		scores  []float64
		windows []nabWindow
		want    float64
	}{
		{"nothing said, nothing there", fired(), nil, 0},
		{"nothing said of a window", fired(), window, -1},
		{"said at the left edge", fired(10), window, 1},
		{"said twice in a window counts once, the better", fired(12, 10), window, 1},
		{"said in the probation", fired(0, 5), nil, 0},
		{"said where nothing was", fired(30), nil, -0.11},
		{"far behind a window", fired(39), []nabWindow{{10, 13}}, -1 - 0.11},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := nabScore(tc.scores, tc.windows, standard, 1).score; math.Abs(got-tc.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
