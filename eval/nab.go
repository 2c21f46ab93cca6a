package main

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

// nabFile is one series of the Numenta Anomaly Benchmark.
type nabFile struct {
	name    string // category/name.csv
	at      []time.Time
	values  []float64
	windows []nabWindow
}

const nabTime = "2006-01-02 15:04:05"

// readNAB reads every series and its labels, in the order of their names.
func readNAB(dir string) ([]nabFile, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "labels", "combined_windows.json"))
	if err != nil {
		return nil, err
	}
	labels := map[string][][]string{}
	if err := json.Unmarshal(raw, &labels); err != nil {
		return nil, fmt.Errorf("labels/combined_windows.json: %w", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.csv.gz"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []nabFile
	for _, path := range paths {
		name := filepath.Base(filepath.Dir(path)) + "/" + strings.TrimSuffix(filepath.Base(path), ".gz")
		windows, known := labels[name]
		if !known {
			return nil, fmt.Errorf("%s: no entry in labels/combined_windows.json", name)
		}
		f, err := readNABFile(path, name, windows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, f)
	}
	if len(out) != len(labels) {
		return nil, fmt.Errorf("got %d series, expected the %d that have labels", len(out), len(labels))
	}
	return out, nil
}

func readNABFile(path, name string, labels [][]string) (nabFile, error) {
	f := nabFile{name: name}
	rows, err := readGzipCSV(path)
	if err != nil {
		return f, err
	}
	stamps := map[string]int{}
	for i, row := range rows[1:] {
		at, err := time.Parse(nabTime, row[0])
		if err != nil {
			return f, err
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return f, err
		}
		f.at, f.values = append(f.at, at), append(f.values, v)
		if _, seen := stamps[row[0]]; !seen {
			stamps[row[0]] = i
		}
	}
	for _, l := range labels {
		if len(l) != 2 {
			return f, fmt.Errorf("window %q: expected a first and a last timestamp", l)
		}
		first, ok1 := stamps[strings.TrimSuffix(l[0], ".000000")]
		last, ok2 := stamps[strings.TrimSuffix(l[1], ".000000")]
		if !ok1 || !ok2 || last < first {
			return f, fmt.Errorf("window %q: no such rows", l)
		}
		f.windows = append(f.windows, nabWindow{first, last})
	}
	return f, nil
}

// readGzipCSV reads the rows of a gzipped CSV file, all of one length, its
// heading among them.
func readGzipCSV(path string) ([][]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return readCSV(zip)
}

func readCSV(r io.Reader) ([][]string, error) {
	rows, err := csv.NewReader(io.LimitReader(r, 1<<30)).ReadAll()
	if err == nil && len(rows) == 0 {
		err = errors.New("the file is empty")
	}
	return rows, err
}

// nabBest are the best published final scores, a profile each: of ARTime, of CAD
// OSE, of ARTime.
var nabBest = []float64{74.854, 66.977, 80.362}

func runNAB(ctx context.Context, dir string) (result, error) {
	files, err := loadNAB(dir)
	if err != nil {
		return result{}, err
	}
	all, err := nabDetectAll(ctx, files, nil)
	if err != nil {
		return result{}, err
	}
	var r result
	for i, p := range nabProfiles {
		threshold, sum := nabSearch(all, p)
		r.add(p.name, nabFinal(sum, nabWindows(all), p), nabBest[i], fmt.Sprintf("at %.3f, the best over the labels", threshold))
	}
	for _, p := range nabProfiles {
		r.add(p.name+", fixed", nabAt(all, p, nabFixed), 0, fmt.Sprintf("at %.1f, the product's own", nabFixed))
	}
	return r, nil
}

func loadNAB(dir string) ([]nabFile, error) {
	dir, err := folder(dir, "nab")
	if err != nil {
		return nil, err
	}
	return readNAB(dir)
}

// nabFixed is the threshold the product uses: what detect.Verdict calls an
// alarm.
const nabFixed = 0.5

// nabDetectAll gives each row of each series the score of the product's
// detector, as if the members for which without is true had not spoken; nil is
// the product as it is.
func nabDetectAll(ctx context.Context, files []nabFile, without func(detect.Method) bool) ([]nabSeries, error) {
	all := make([]nabSeries, len(files))
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all[i] = nabSeries{nabDetect(f, without), f.windows}
	}
	return all, nil
}

func nabDetect(f nabFile, without func(detect.Method) bool) []float64 {
	var s detect.Series
	var told detect.Told
	scores := make([]float64, len(f.values))
	for i, v := range f.values {
		verdict := s.Observe(f.at[i], v)
		if without != nil && verdict.Flaw == detect.Flawless {
			voices := s.Voices()
			for m, method := range detect.Members() {
				if without(method) {
					voices[m] = 0
				}
			}
			verdict = told.Judge(voices)
		}
		scores[i] = verdict.Score
	}
	return scores
}
