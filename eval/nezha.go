package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
	"github.com/homeostat/homeostat/internal/topology"
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
	nezhaKinds(w.Spans)
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

// nezhaKinds sets the kinds of spans, which the files do not have, by who calls
// whom: a request enters a service with a span whose parent is elsewhere, and
// leaves it with one that has a child elsewhere.
func nezhaKinds(spans []heal.Span) {
	at := make(map[[2]string]*heal.Span, len(spans))
	for i := range spans {
		at[[2]string{spans[i].TraceID, spans[i].SpanID}] = &spans[i]
		spans[i].Kind = heal.SpanInternal
	}
	for i := range spans {
		s := &spans[i]
		parent := at[[2]string{s.TraceID, s.ParentID}]
		if parent == nil || parent.Service != s.Service {
			s.Kind = heal.SpanServer
		}
		if parent != nil && parent.Service != s.Service && parent.Kind != heal.SpanServer {
			parent.Kind = heal.SpanClient
		}
	}
}

// nezhaMeasures says what the columns of a pod's metrics measure.
var nezhaMeasures = map[string]cause.Measure{
	"CpuUsageRate(%)": cause.MeasureCPU, "MemoryUsageRate(%)": cause.MeasureMemory,
	"NetworkReceiveBytes": cause.MeasureNetwork, "NetworkTransmitBytes": cause.MeasureNetwork,
	"PodServerLatencyP90(s)": cause.MeasureLatency, "PodServerLatencyP99(s)": cause.MeasureLatency, "PodWorkload(Ops)": cause.MeasureTraffic,
}

// nezhaUnit reads the unit in a column's name, as in CpuUsageRate(%).
func nezhaUnit(name string) string {
	_, unit, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	return unit
}

// nezhaPod is the metrics of one pod.
type nezhaPod struct {
	service string
	series  map[string][]cause.Sample // by column
}

func readNezhaPods(dir string) ([]nezhaPod, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "metric", "*_metric.csv.gz"))
	if err != nil {
		return nil, err
	}
	var pods []nezhaPod
	for _, path := range paths {
		rows, err := readNezhaRows(path, 20)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		pod := nezhaPod{nezhaService(strings.TrimSuffix(filepath.Base(path), "_metric.csv.gz")), map[string][]cause.Sample{}}
		for _, row := range rows[1:] {
			seconds, err := strconv.ParseInt(row[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: time: %w", path, err)
			}
			for i, name := range rows[0] {
				v, err := strconv.ParseFloat(row[i], 64)
				if nezhaMeasures[name] != "" && err == nil {
					pod.series[name] = append(pod.series[name], cause.Sample{At: time.Unix(seconds, 0).UTC(), Value: v})
				}
			}
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// nezhaInput is the question as the product asks it, without an alert: what is
// wrong in the minute before a time, given a minute when nothing was.
func nezhaInput(at time.Time, now, normal logmine.Work, pods []nezhaPod) cause.Input {
	const since = 2 * time.Minute // the minute of the injection
	in := cause.Input{
		Incident: heal.Incident{ID: "case", BeganAt: at.Add(-since)}, Now: at,
		Graph: nezhaGraph(at, now.Spans, normal.Spans), Signals: map[heal.EntityID]cause.Signals{},
		Limits: cause.Limits{Causes: 50},
	}
	for _, pod := range pods {
		id := heal.ServiceID(pod.service)
		s := in.Signals[id]
		for name, samples := range pod.series {
			series := cause.Series{Name: name, Measure: nezhaMeasures[name], Unit: nezhaUnit(name)}
			for _, sample := range samples {
				switch {
				case !sample.At.After(in.Incident.BeganAt):
					series.Normal = append(series.Normal, sample)
				case sample.At.Before(at.Add(time.Minute)): // up to that minute, which tells of the one before
					series.Window = append(series.Window, sample)
				}
			}
			s.Series = append(s.Series, series)
		}
		s.Spans = cause.Operations(pod.service, now.Spans, normal.Spans, nil)
		in.Signals[id] = s
	}
	for id, departs := range cause.DepartsOf(now, normal) {
		s := in.Signals[id]
		s.Departs = departs
		in.Signals[id] = s
	}
	return in
}

func nezhaGraph(at time.Time, all ...[]heal.Span) *topology.Graph {
	var edges []topology.Observation
	seen := map[[2]string]bool{}
	for _, spans := range all {
		services := make(map[[2]string]string, len(spans))
		for _, s := range spans {
			services[[2]string{s.TraceID, s.SpanID}] = s.Service
		}
		for _, s := range spans {
			caller := services[[2]string{s.TraceID, s.ParentID}]
			edge := [2]string{caller, s.Service}
			if caller != "" && caller != s.Service && !seen[edge] {
				seen[edge] = true
				edges = append(edges, topology.Observation{From: heal.ServiceID(caller), To: heal.ServiceID(s.Service), Source: "spans", At: at})
			}
		}
	}
	m := topology.New(topology.Options{})
	m.Observe(edges, at)
	return m.Snapshot()
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
	pods, err := readNezhaPods(dir)
	if err != nil {
		return result{}, err
	}
	places := map[string][]int{}
	for i, f := range faults {
		now, err := readNezhaWork(filepath.Join(dir, "faults"), f.at.Format("15_04"))
		if err != nil {
			return result{}, err
		}
		d := cause.Rank(nezhaInput(f.at, now, normal, pods))
		place := 1 + slices.IndexFunc(d.Causes, func(c heal.Cause) bool { return c.Entity == heal.ServiceID(f.truth) })
		half := "first half"
		if i >= len(faults)/2 {
			half = "second half"
		}
		for _, group := range []string{"all", half, f.kind} {
			places[group] = append(places[group], place)
		}
		if explained() {
			explain(f.at.Format("15:04")+" "+f.kind, f.truth, place, d)
		}
	}
	var r result
	bars := map[int]float64{1: 0.893, 3: 0.964, 5: 1} // Nezha's own by list place
	for _, group := range []string{"all", "first half", "second half", "return", "exception", "cpu_contention"} {
		for _, k := range []int{1, 3, 5} {
			hit := 0
			for _, p := range places[group] {
				if p >= 1 && p <= k {
					hit++
				}
			}
			bar := 0.0
			if group == "all" {
				bar = bars[k]
			}
			r.add(fmt.Sprintf("%s AS@%d", group, k), share(hit, len(places[group])), bar, fmt.Sprintf("%d of %d", hit, len(places[group])))
		}
	}
	quiet := 0
	for _, half := range []byte{0, 1} {
		at := time.Date(2023, 1, 29, 8, 50, 0, 0, time.UTC)
		if d := cause.Rank(nezhaInput(at, nezhaHalf(normal, half), nezhaHalf(normal, 1-half), pods)); len(d.Causes) == 0 {
			quiet++
		}
	}
	r.add("quiet halves of the normal minute", share(quiet, 2), 0, fmt.Sprintf("%d of 2", quiet))
	return r, nil
}

// nezhaHalf gives the work of every other trace, by the last bit of its id.
func nezhaHalf(w logmine.Work, bit byte) logmine.Work {
	odd := func(trace string) bool { return trace != "" && trace[len(trace)-1]&1 == bit }
	var half logmine.Work
	for _, s := range w.Spans {
		if odd(s.TraceID) {
			half.Spans = append(half.Spans, s)
		}
	}
	for _, l := range w.Logs {
		if odd(l.TraceID) {
			half.Logs = append(half.Logs, l)
		}
	}
	return half
}
