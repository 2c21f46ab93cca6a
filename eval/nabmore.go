package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

// runNABMore asks what the figures of runNAB hang on: each member left out, the
// data changed in ways that ought not to matter, and the threshold chosen on
// other series than it is used on.
func runNABMore(ctx context.Context, dir string) (result, error) {
	files, err := loadNAB(dir)
	if err != nil {
		return result{}, err
	}
	var r result
	tell := func(name string, files []nabFile, without func(detect.Method) bool) error {
		all, err := nabDetectAll(ctx, files, without)
		if err != nil {
			return err
		}
		n := nabWindows(all)
		var best [3]float64
		for i, p := range nabProfiles {
			_, sum := nabSearch(all, p)
			best[i] = nabFinal(sum, n, p)
		}
		r.add(name, best[0], 0, fmt.Sprintf("low FP %.1f, low FN %.1f; fixed: standard %.1f", best[1], best[2], nabAt(all, nabProfiles[0], nabFixed)))
		return nil
	}
	for _, method := range detect.Members() {
		if err := tell("without "+string(method), files, func(m detect.Method) bool { return m == method }); err != nil {
			return result{}, err
		}
	}
	for _, method := range detect.Members() {
		if err := tell("only "+string(method), files, func(m detect.Method) bool { return m != method }); err != nil {
			return result{}, err
		}
	}
	for _, c := range nabChanges {
		if err := tell(c.name, c.change(files), nil); err != nil {
			return result{}, err
		}
	}
	if err := nabHalves(ctx, files, &r); err != nil {
		return result{}, err
	}
	if err := nabQuiet(ctx, files, &r); err != nil {
		return result{}, err
	}
	return r, nil
}

// nabQuiet counts the alarms in series that have no window.
func nabQuiet(ctx context.Context, files []nabFile, r *result) error {
	all, err := nabDetectAll(ctx, files, nil)
	if err != nil {
		return err
	}
	var rows, alarms float64
	for _, s := range all {
		if len(s.windows) == 0 {
			c := nabScore(s.scores, nil, nabProfiles[0], nabFixed)
			alarms += float64(c.fp)
			rows += float64(c.fp + c.tn)
		}
	}
	r.add("alarms in 1,000 rows where nothing is wrong", 1000*alarms/rows, 0, fmt.Sprintf("%.0f in %.0f rows of series without a window, fixed threshold", alarms, rows))
	return nil
}

// nabChanges are changes of the data that ought not to matter, or little.
var nabChanges = []struct {
	name   string
	change func([]nabFile) []nabFile
}{
	{"in other units (7.3x - 5000)", func(f []nabFile) []nabFile { return nabMap(f, func(v float64) float64 { return 7.3*v - 5000 }, 0) }},
	{"upside down", func(f []nabFile) []nabFile { return nabMap(f, func(v float64) float64 { return -v }, 0) }},
	{"3 h 37 min later", func(f []nabFile) []nabFile {
		return nabMap(f, func(v float64) float64 { return v }, 3*time.Hour+37*time.Minute)
	}},
	{"every twentieth row missing", func(f []nabFile) []nabFile { return nabDrop(f, func(i int) bool { return i%20 == 7 }) }},
	{"two gaps of 150 rows", func(f []nabFile) []nabFile {
		return nabDrop(f, func(i int) bool { return i >= 300 && i < 450 || i >= 900 && i < 1050 })
	}},
}

func nabMap(files []nabFile, value func(float64) float64, later time.Duration) []nabFile {
	out := slices.Clone(files)
	for k, f := range files {
		out[k].values, out[k].at = make([]float64, len(f.values)), make([]time.Time, len(f.at))
		for i, v := range f.values {
			out[k].values[i], out[k].at[i] = value(v), f.at[i].Add(later)
		}
	}
	return out
}

// nabDrop leaves out rows. A window of which fewer than two are left is left out
// too: it has no width.
func nabDrop(files []nabFile, drop func(i int) bool) []nabFile {
	out := make([]nabFile, len(files))
	for k, f := range files {
		out[k].name = f.name
		kept := make([]int, len(f.values)+1) // how many rows before i are kept
		for i, v := range f.values {
			kept[i+1] = kept[i]
			if !drop(i) {
				kept[i+1]++
				out[k].values, out[k].at = append(out[k].values, v), append(out[k].at, f.at[i])
			}
		}
		for _, w := range f.windows {
			if first, last := kept[w.first], kept[w.last+1]-1; first < last {
				out[k].windows = append(out[k].windows, nabWindow{first, last})
			}
		}
	}
	return out
}

// nabHalves chooses the threshold on every other category and uses it on the
// others.
func nabHalves(ctx context.Context, files []nabFile, r *result) error {
	var categories []string
	var half [2][]nabFile
	for _, f := range files {
		category, _, _ := strings.Cut(f.name, "/")
		if !slices.Contains(categories, category) {
			categories = append(categories, category)
		}
		k := (len(categories) - 1) % 2
		half[k] = append(half[k], f)
	}
	var all [2][]nabSeries
	for k := range half {
		var err error
		if all[k], err = nabDetectAll(ctx, half[k], nil); err != nil {
			return err
		}
	}
	p := nabProfiles[0]
	for k, name := range []string{"even categories", "odd categories"} {
		own, sum := nabSearch(all[k], p)
		other, _ := nabSearch(all[1-k], p)
		r.add(name+", threshold of the other half", nabAt(all[k], p, other), 0,
			fmt.Sprintf("with their own best %.1f; thresholds %.3f, own %.3f", nabFinal(sum, nabWindows(all[k]), p), other, own))
	}
	return nil
}
