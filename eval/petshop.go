package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

// petColumn names one series of PetShop.
type petColumn struct{ node, metric, statistic string }

// petTable is one file of PetShop's metrics: a value for each column at each
// time, not a number where the file has none.
type petTable struct {
	at     []time.Time
	values map[petColumn][]float64
}

// rows gives a part of the table.
func (t petTable) rows(from, until int) petTable {
	out := petTable{at: t.at[from:until], values: make(map[petColumn][]float64, len(t.values))}
	for c, v := range t.values {
		out.values[c] = v[from:until]
	}
	return out
}

// petIssue is one question and its answer.
type petIssue struct {
	name   string // part/issue
	table  petTable
	target petColumn
	began  time.Time
	truth  string
}

// petScenario is one load of the shop.
type petScenario struct {
	name   string
	graph  *topology.Graph
	normal petTable
	issues []petIssue
}

// petScenarios are the two loads the set has all files of.
var petScenarios = []string{"low_traffic", "high_traffic"}

func readPetScenario(dir, name string) (petScenario, error) {
	s := petScenario{name: name}
	dir = filepath.Join(dir, name)
	var err error
	if s.graph, err = readPetGraph(filepath.Join(dir, "graph.csv")); err != nil {
		return s, err
	}
	if s.normal, err = readPetTable(filepath.Join(dir, "noissue", "metrics.csv.gz")); err != nil {
		return s, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "issue_*", "target.json"))
	if err != nil {
		return s, err
	}
	slices.Sort(paths)
	for _, path := range paths {
		issue, err := readPetIssue(filepath.Dir(path))
		if err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
		s.issues = append(s.issues, issue)
	}
	return s, nil
}

func readPetIssue(dir string) (petIssue, error) {
	part, name := filepath.Base(filepath.Dir(dir)), filepath.Base(dir)
	issue := petIssue{name: part + "/" + name}
	raw, err := os.ReadFile(filepath.Join(dir, "target.json"))
	if err != nil {
		return issue, err
	}
	var label struct {
		Target struct {
			Node, Metric, Agg string
			Timestamp         int64
		}
		RootCause struct{ Node string } `json:"root_cause"`
	}
	if err := json.Unmarshal(raw, &label); err != nil {
		return issue, err
	}
	issue.target = petColumn{label.Target.Node, label.Target.Metric, label.Target.Agg}
	issue.began, issue.truth = time.Unix(label.Target.Timestamp, 0).UTC(), label.RootCause.Node
	issue.table, err = readPetTable(filepath.Join(dir, "metrics.csv.gz"))
	return issue, err
}

// readPetTable reads a file of metrics: three rows that name the columns, one
// that is empty, then seconds and a value for each column.
func readPetTable(path string) (petTable, error) {
	rows, err := readGzipCSV(path)
	if err != nil {
		return petTable{}, err
	}
	if len(rows) < 5 {
		return petTable{}, fmt.Errorf("%s: %d rows, expected four of heading and one of values at least", path, len(rows))
	}
	t := petTable{values: map[petColumn][]float64{}}
	for _, row := range rows[4:] {
		seconds, err := strconv.ParseFloat(row[0], 64)
		if err != nil {
			return t, fmt.Errorf("%s: time: %w", path, err)
		}
		t.at = append(t.at, time.Unix(int64(seconds), 0).UTC())
	}
	for i := 1; i < len(rows[0]); i++ {
		values := make([]float64, 0, len(t.at))
		for _, row := range rows[4:] {
			v, err := strconv.ParseFloat(row[i], 64)
			if row[i] == "" {
				v, err = math.NaN(), nil
			}
			if err != nil {
				return t, fmt.Errorf("%s: column %d: %w", path, i, err)
			}
			values = append(values, v)
		}
		t.values[petColumn{rows[0][i], rows[1][i], rows[2][i]}] = values
	}
	return t, nil
}

// readPetGraph reads an adjacency matrix: the node of a row calls that of a
// column where the number is not 0.
func readPetGraph(path string) (*topology.Graph, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	at := time.Unix(0, 0).UTC()
	var edges []topology.Observation
	for _, row := range rows[1:] {
		for i, cell := range row[1:] {
			if v, err := strconv.ParseFloat(cell, 64); err == nil && v != 0 {
				edges = append(edges, topology.Observation{From: heal.ServiceID(row[0]), To: heal.ServiceID(rows[0][i+1]), Source: "file", At: at})
			}
		}
	}
	m := topology.New(topology.Options{})
	if tally := m.Observe(edges, at); tally.Invalid > 0 {
		return nil, fmt.Errorf("%s: %w", path, tally.First)
	}
	return m.Snapshot(), nil
}

// petInput is the question as the product asks it.
func petInput(graph *topology.Graph, target petColumn, began time.Time, normal, window petTable) cause.Input {
	entity := heal.ServiceID(target.node)
	fault := heal.Fault{
		Key: heal.FaultKey{Type: petFaults[target.metric], Entity: entity}, Source: "alert",
		Message: target.metric + " " + target.statistic, Began: began, LastSeen: window.at[len(window.at)-1],
	}
	in := cause.Input{
		Incident: heal.Incident{ID: "case", BeganAt: began, Members: []heal.Member{{Fault: fault, Role: heal.Primary}}},
		Graph:    graph,
		Signals:  map[heal.EntityID]cause.Signals{},
		Now:      window.at[len(window.at)-1],
	}
	for c, values := range window.values {
		measure, known := petMeasures[c.metric]
		if !known {
			continue
		}
		series := cause.Series{
			Name: c.metric + " " + c.statistic, Measure: measure, Quantile: petQuantile(c.statistic),
			Normal: petSamples(c, normal.at, normal.values[c]), Window: petSamples(c, window.at, values),
		}
		e := heal.ServiceID(c.node)
		s := in.Signals[e]
		s.Series = append(s.Series, series)
		in.Signals[e] = s
	}
	return in
}

// petMeasures says what the metrics measure.
var petMeasures = map[string]cause.Measure{
	"latency": cause.MeasureLatency, "availability": cause.MeasureErrors, "requests": cause.MeasureTraffic,
}

// petSamples gives a column as the product measures: failing shares instead of
// percentages of success.
func petSamples(c petColumn, at []time.Time, values []float64) []cause.Sample {
	out := make([]cause.Sample, 0, len(values))
	for i, v := range values {
		if c.metric == "availability" {
			v = 1 - v/100
		}
		out = append(out, cause.Sample{At: at[i], Value: v})
	}
	return out
}

// petQuantile reads p99 as 0.99, anything else as 0.
func petQuantile(statistic string) float64 {
	v, err := strconv.ParseFloat(strings.TrimPrefix(statistic, "p"), 64)
	if err != nil {
		return 0
	}
	return v / 100
}

// petFaults says what kind of fault it is that a metric is out of bounds.
var petFaults = map[string]heal.FaultType{
	"latency": heal.PerformanceDegradation, "availability": heal.ErrorsRaised,
}

// petPlace is where the truth stands in an answer, from 1; 0: it does not. The
// answer's own order counts: equal scores are ordered by the entity's id.
func petPlace(d heal.Diagnosis, truth string) int {
	return 1 + slices.IndexFunc(d.Causes, func(c heal.Cause) bool { return c.Entity == heal.ServiceID(truth) })
}

// hits counts questions and those whose truth stands among the first 1 and 3.
type hits struct{ asked, first, third int }

func (h *hits) add(place int) {
	h.asked++
	if place == 1 {
		h.first++
	}
	if place >= 1 && place <= 3 {
		h.third++
	}
}

func share(part, whole int) float64 { return float64(part) / float64(max(whole, 1)) }

// petBars are the published shares among the first 1 and 3.
var petBars = map[string][2]float64{
	"low_traffic latency": {0.571, 0.571}, "low_traffic availability": {0.833, 1},
	"high_traffic latency": {0.571, 0.786}, "high_traffic availability": {0.667, 1}, "pooled": {0.654, 0.827},
}

func runPetShop(_ context.Context, dir string) (result, error) {
	dir, err := folder(dir, "petshop")
	if err != nil {
		return result{}, err
	}
	counts := map[string]*hits{}
	tally := func(group string, place int) {
		if counts[group] == nil {
			counts[group] = &hits{}
		}
		counts[group].add(place)
	}
	var quiet, splits, quietMore, splitsMore int
	for _, name := range petScenarios {
		s, err := readPetScenario(dir, name)
		if err != nil {
			return result{}, err
		}
		for _, issue := range s.issues {
			d := cause.Rank(petInput(s.graph, issue.target, issue.began, s.normal, issue.table))
			place := petPlace(d, issue.truth)
			part, _, _ := strings.Cut(issue.name, "/")
			for _, group := range []string{name + " " + issue.target.metric, "pooled", part} {
				tally(group, place)
			}
			if explained() {
				explain(name+"/"+issue.name+" "+issue.target.metric, issue.truth, place, d)
			}
		}
		q, n := petSpecificity(s, len(s.normal.at)/10)
		quiet, splits = quiet+q, splits+n
		q, n = petSpecificity(s, 10)
		quietMore, splitsMore = quietMore+q, splitsMore+n
	}
	var r result
	for _, group := range []string{"low_traffic latency", "low_traffic availability", "high_traffic latency", "high_traffic availability", "pooled", "train", "test"} {
		h := counts[group]
		if h == nil {
			continue
		}
		note := fmt.Sprintf("of %d", h.asked)
		r.add(group+" top-1", share(h.first, h.asked), petBars[group][0], note)
		r.add(group+" top-3", share(h.third, h.asked), petBars[group][1], note)
	}
	r.add("specificity", share(quiet, splits), 0, fmt.Sprintf("of %d splits of the normal time", splits))
	r.add("specificity, every tenth row", share(quietMore, splitsMore), 0, fmt.Sprintf("of %d splits of the normal time", splitsMore))
	return r, nil
}

// petSpecificity asks about times when nothing was wrong, and counts the empty
// answers: for each distinct target, the normal time is split at its middle row
// and every step rows after it.
func petSpecificity(s petScenario, step int) (quiet, asked int) {
	n := len(s.normal.at)
	for _, target := range petTargets(s) {
		for at := n / 2; at < n-3; at += step {
			d := cause.Rank(petInput(s.graph, target, s.normal.at[at], s.normal.rows(0, at), s.normal.rows(at, n)))
			asked++
			if len(d.Causes) == 0 {
				quiet++
			}
		}
	}
	return quiet, asked
}

// petTargets are the distinct targets of the issues.
func petTargets(s petScenario) []petColumn {
	var targets []petColumn
	for _, issue := range s.issues {
		if !slices.Contains(targets, issue.target) {
			targets = append(targets, issue.target)
		}
	}
	return targets
}

// explained reports whether answers are to be printed with their evidence.
func explained() bool { return os.Getenv("EVAL_EXPLAIN") != "" }

// explain prints an answer with its evidence.
func explain(name, truth string, place int, d heal.Diagnosis) {
	fmt.Fprintf(os.Stderr, "%s: %s at %d\n", name, truth, place)
	for _, c := range d.Causes[:min(5, len(d.Causes))] {
		fmt.Fprintf(os.Stderr, "  %.3f %s %s\n", c.Score, c.Entity, c.Pattern)
		for _, r := range c.For {
			fmt.Fprintf(os.Stderr, "      + %s\n", r.Text)
		}
		for _, r := range c.Against {
			fmt.Fprintf(os.Stderr, "      - %s\n", r.Text)
		}
	}
}
