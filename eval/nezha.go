package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// nezhaFault is one question and its answer.
type nezhaFault struct {
	at    time.Time // the minute before which the file of the fault holds
	truth string    // service
	kind  string
}

// nezhaService gives the service of a pod: its name without the last two parts.
func nezhaService(pod string) string {
	parts := strings.Split(pod, "-")
	return strings.Join(parts[:max(0, len(parts)-2)], "-")
}

func readNezhaFaults(dir string) ([]nezhaFault, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "fault_list.json"))
	if err != nil {
		return nil, err
	}
	var list map[string][]struct {
		Time string `json:"inject_time"`
		Pod  string `json:"inject_pod"`
		Type string `json:"inject_type"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("fault_list.json: %w", err)
	}
	var faults []nezhaFault
	for _, hour := range list {
		for _, f := range hour {
			at, err := time.Parse(time.DateTime, f.Time)
			if err != nil {
				return nil, fmt.Errorf("fault_list.json: %w", err)
			}
			faults = append(faults, nezhaFault{at.Truncate(time.Minute).Add(2 * time.Minute), nezhaService(f.Pod), f.Type})
		}
	}
	slices.SortFunc(faults, func(a, b nezhaFault) int { return a.at.Compare(b.at) })
	return faults, nil
}

// readNezhaRows reads the lines of a gzipped file that have all fields. Some
// files hold lines that were written over each other.
func readNezhaRows(path string, fields int) ([][]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	lines := bufio.NewScanner(zip)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		row, err := csv.NewReader(strings.NewReader(lines.Text())).Read()
		if err == nil && len(row) >= fields {
			rows = append(rows, row)
		}
	}
	return rows, lines.Err()
}

// readNezhaWork reads the spans and logs of one minute.
func readNezhaWork(dir, minute string) (logmine.Work, error) {
	var w logmine.Work
	rows, err := readNezhaRows(filepath.Join(dir, "trace", minute+"_trace.csv.gz"), 8)
	if err != nil {
		return w, err
	}
	for _, row := range rows[1:] {
		from, err1 := strconv.ParseInt(row[5], 10, 64)
		until, err2 := strconv.ParseInt(row[6], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return w, fmt.Errorf("%s trace: %w", minute, err)
		}
		s := heal.Span{
			TraceID: row[0], SpanID: row[1], ParentID: row[2], Service: nezhaService(row[3]), Instance: row[3],
			Operation: row[4], Start: time.Unix(0, from).UTC(), Duration: time.Duration(until - from),
		}
		if s.ParentID == "root" {
			s.ParentID = ""
		}
		w.Spans = append(w.Spans, s)
	}
	rows, err = readNezhaRows(filepath.Join(dir, "log", minute+"_log.csv.gz"), 8)
	if err != nil {
		return w, err
	}
	for _, row := range rows[1:] {
		at, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			return w, fmt.Errorf("%s log: %w", minute, err)
		}
		w.Logs = append(w.Logs, heal.LogRecord{
			Time: time.Unix(0, at).UTC(), Service: nezhaService(row[3]), Instance: row[3], TraceID: row[5], SpanID: row[6], Body: row[7],
		})
	}
	return w, nil
}

func runNezha(_ context.Context, dir string) (result, error) {
	dir, err := folder(dir, "nezha-trainticket")
	if err != nil {
		return result{}, err
	}
	faults, err := readNezhaFaults(dir)
	if err != nil {
		return result{}, err
	}
	normal, err := readNezhaWork(filepath.Join(dir, "normal"), "08_50")
	if err != nil {
		return result{}, err
	}
	for _, f := range faults {
		now, err := readNezhaWork(filepath.Join(dir, "faults"), f.at.Format("15_04"))
		if errors.Is(err, fs.ErrNotExist) {
			return result{}, err
		}
		if err != nil {
			return result{}, err
		}
		d := logmine.Departures(now, normal)
		fmt.Println(f.at.Format("15:04"), f.truth, f.kind)
		for _, x := range d[:min(4, len(d))] {
			mark := " "
			if x.Service == f.truth {
				mark = ">"
			}
			fmt.Printf("  %s %s z %.1f  %d exp %.1f follows %s | %.90s | %.90s | %.90s\n", mark, x.Service, x.Score, x.Traces, x.Expected, x.Follows, x.After, x.Usually, x.Instead)
		}
	}
	_ = cause.Input{}
	return result{}, nil
}
