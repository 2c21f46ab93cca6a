package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/homeostat/homeostat/internal/detect"
)

// smdMachine is one machine of the Server Machine Dataset.
type smdMachine struct {
	name        string
	train, test [][]float64
	label       []bool
}

// readSMD reads every machine below dir, in the order of their names.
func readSMD(dir string) ([]smdMachine, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "machine-*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []smdMachine
	for _, path := range paths {
		m := smdMachine{name: filepath.Base(path)}
		var label [][]float64
		for name, into := range map[string]*[][]float64{"train": &m.train, "test": &m.test, "label": &label} {
			if *into, err = readNumbers(filepath.Join(path, name+".csv.gz")); err != nil {
				return nil, fmt.Errorf("%s/%s: %w", m.name, name, err)
			}
		}
		for _, row := range label {
			m.label = append(m.label, row[0] != 0)
		}
		if len(m.label) != len(m.test) {
			return nil, fmt.Errorf("%s: got %d labels, expected one for each of %d rows", m.name, len(m.label), len(m.test))
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: expected folders machine-* in %s", errAbsent, dir)
	}
	return out, nil
}

func readNumbers(path string) ([][]float64, error) {
	rows, err := readGzipCSV(path)
	if err != nil {
		return nil, err
	}
	out := make([][]float64, len(rows))
	for i, row := range rows {
		out[i] = make([]float64, len(row))
		for k, cell := range row {
			if out[i][k], err = strconv.ParseFloat(cell, 64); err != nil {
				return nil, fmt.Errorf("row %d: %w", i, err)
			}
		}
	}
	return out, nil
}

// rowF1 is the F1 of "score at least threshold" against the labels, row by row,
// without any adjustment.
func rowF1(scores []float64, label []bool, threshold float64) float64 {
	var tp, fp, fn float64
	for i, s := range scores {
		switch hit := s >= threshold; {
		case hit && label[i]:
			tp++
		case hit:
			fp++
		case label[i]:
			fn++
		}
	}
	if tp == 0 {
		return 0
	}
	return 2 * tp / (2*tp + fp + fn)
}

// bestF1 is the greatest rowF1 over all thresholds.
func bestF1(scores []float64, label []bool) float64 {
	order := make([]int, len(scores))
	var positive float64
	for i := range order {
		order[i] = i
		if label[i] {
			positive++
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	var best, tp float64
	for k, i := range order {
		if label[i] {
			tp++
		}
		if k+1 < len(order) && scores[order[k+1]] == scores[i] {
			continue
		}
		best = max(best, 2*tp/(float64(k+1)+positive))
	}
	return best
}

// smdFloor scores by the mean over the columns of |x-m|/s, from train: the bar
// to stay above, and with its known figures the proof of this scorer.
func smdFloor(m smdMachine) []float64 {
	n := float64(len(m.train))
	width := len(m.train[0])
	mean, spread := make([]float64, width), make([]float64, width)
	for _, row := range m.train {
		for k, v := range row {
			mean[k] += v / n
		}
	}
	low, high := slices.Clone(m.train[0]), slices.Clone(m.train[0])
	for _, row := range m.train {
		for k, v := range row {
			spread[k] += (v - mean[k]) * (v - mean[k]) / n
			low[k], high[k] = min(low[k], v), max(high[k], v)
		}
	}
	out := make([]float64, len(m.test))
	for i, row := range m.test {
		for k, v := range row {
			if high[k] > low[k] {
				out[i] += math.Abs(v-mean[k]) / math.Sqrt(spread[k])
			}
		}
	}
	return out
}

// smdDetect learns from train alone and scores both parts.
func smdDetect(m smdMachine) (train, test []float64, err error) {
	j, err := detect.NewJoint(len(m.train[0]))
	if err != nil {
		return nil, nil, err
	}
	for _, row := range m.train {
		j.Observe(row, true)
	}
	for _, row := range m.train {
		train = append(train, j.Observe(row, false))
	}
	for _, row := range m.test {
		test = append(test, j.Observe(row, false))
	}
	return train, test, nil
}

// smdFixed is the share of the learning time that the fixed threshold leaves
// below it.
const smdFixed = 0.99

// smdBar is the mean best F1 of smdFloor.
const smdBar = 0.579

func runSMD8(ctx context.Context, dir string) (result, error) {
	dir, err := folder(dir, "smd8")
	if err != nil {
		return result{}, err
	}
	machines, err := readSMD(dir)
	if err != nil {
		return result{}, err
	}
	var r result
	var best, fixed, floor float64
	n := float64(len(machines))
	for _, m := range machines {
		if err := ctx.Err(); err != nil {
			return result{}, err
		}
		train, test, err := smdDetect(m)
		if err != nil {
			return result{}, err
		}
		slices.Sort(train)
		at := train[int(smdFixed*float64(len(train)))]
		b, f, low := bestF1(test, m.label), rowF1(test, m.label, at), bestF1(smdFloor(m), m.label)
		r.add(m.name, b, low, fmt.Sprintf("best F1 over all thresholds; %.3f at the fixed one", f))
		best, fixed, floor = best+b/n, fixed+f/n, floor+low/n
	}
	r.add("mean", best, smdBar, "the bar is the mean deviation, counted here as "+short(floor))
	r.add("mean, fixed", fixed, 0, fmt.Sprintf("threshold: the %.2f quantile of the score on train", smdFixed))
	return r, nil
}
