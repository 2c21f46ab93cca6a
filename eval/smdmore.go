package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

// smdWays are ways to score a vector, for comparison: parts of the product's,
// and the isolation forest.
var smdWays = []struct {
	name  string
	score func(now, recent, step, forest float64) float64
}{
	{"vector, mean, step (the product's)", func(now, recent, step, _ float64) float64 { return now + recent + step }},
	{"without the vector", func(_, recent, step, _ float64) float64 { return recent + step }},
	{"without the mean of the last", func(now, _, step, _ float64) float64 { return now + step }},
	{"without the step", func(now, recent, _, _ float64) float64 { return now + recent }},
	{"isolation forest alone", func(_, _, _, forest float64) float64 { return forest }},
	{"the product's times the forest", func(now, recent, step, forest float64) float64 { return (now + recent + step) * forest }},
}

// smdMean is over how many rows every way is averaged, as the product does.
const smdMean = 10

// runSMD8More asks what the figures of runSMD8 hang on.
func runSMD8More(ctx context.Context, dir string) (result, error) {
	dir, err := folder(dir, "smd8")
	if err != nil {
		return result{}, err
	}
	machines, err := readSMD(dir)
	if err != nil {
		return result{}, err
	}
	best, fixed := make([]float64, len(smdWays)), make([]float64, len(smdWays))
	for _, m := range machines {
		if err := ctx.Err(); err != nil {
			return result{}, err
		}
		train, test, err := smdScores(m)
		if err != nil {
			return result{}, err
		}
		for w := range smdWays {
			slices.Sort(train[w])
			at := train[w][int(smdFixed*float64(len(train[w])))]
			best[w] += bestF1(test[w], m.label) / float64(len(machines))
			fixed[w] += rowF1(test[w], m.label, at) / float64(len(machines))
		}
	}
	var r result
	for w, way := range smdWays {
		r.add(way.name, best[w], 0, fmt.Sprintf("mean of the best F1; %.3f at the fixed threshold", fixed[w]))
	}
	if err := smdCalm(ctx, machines, &r); err != nil {
		return result{}, err
	}
	return r, nil
}

// smdCalm counts what detect.Series, which no one fitted to this data, calls an
// alarm in train, which is meant as mostly normal: each column a series of its
// own, a point a minute.
func smdCalm(ctx context.Context, machines []smdMachine, r *result) error {
	var points, alarms float64
	for _, m := range machines {
		for k := range m.train[0] {
			if err := ctx.Err(); err != nil {
				return err
			}
			var s detect.Series
			for i, row := range m.train {
				points++
				if s.Observe(time.Unix(int64(i)*60, 0), row[k]).Alarm() {
					alarms++
				}
			}
		}
	}
	r.add("series: alarms in 1,000 points of train", 1000*alarms/points, 1, "one in 1,000 is what an alarm means; train is only mostly normal")
	r.Figures[len(r.Figures)-1].Lower = true
	return nil
}

// smdScores are the scores of each way, on train and on test.
func smdScores(m smdMachine) (train, test [][]float64, err error) {
	j, err := detect.NewJoint(len(m.train[0]))
	if err != nil {
		return nil, nil, err
	}
	forest, err := detect.NewForest(m.train, detect.ForestOptions{Seed: 1})
	if err != nil {
		return nil, nil, err
	}
	for _, row := range m.train {
		j.Observe(row, true)
	}
	ask := func(rows [][]float64) [][]float64 {
		out := make([][]float64, len(smdWays))
		raw := make([][]float64, len(smdWays))
		for i, row := range rows {
			j.Observe(row, false)
			now, recent, step := j.Parts()
			unlike := forest.Score(row)
			for w, way := range smdWays {
				raw[w] = append(raw[w], way.score(now, recent, step, unlike))
				sum := 0.0
				last := raw[w][max(0, i+1-smdMean):]
				for _, s := range last {
					sum += s
				}
				out[w] = append(out[w], sum/float64(len(last)))
			}
		}
		return out
	}
	return ask(m.train), ask(m.test), nil
}
