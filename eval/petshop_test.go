package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

// put writes a file below a folder, gzipped if its name says so.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	raw := []byte(text)
	if filepath.Ext(name) == ".gz" {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		raw = b.Bytes()
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// petMetrics writes n rows of two services; db is slow in the rows from slow on.
func petMetrics(from, n, slow int) string {
	text := "microservice,web,web,db,db\nmetric,latency,requests,latency,requests\nstatistic,Average,Sum,Average,Sum\nunix_timestamp,,,,\n"
	for i := range n {
		db := 0.01 + 0.0001*float64(i%7)
		if i >= slow {
			db += 0.2
		}
		text += fmt.Sprintf("%d,%g,100,%g,100\n", from+i*300, db+0.02, db)
	}
	return text
}

func TestPetShopScorer(t *testing.T) {
	dir := t.TempDir()
	for _, name := range petScenarios {
		put(t, dir, "petshop/"+name+"/graph.csv", ",web,db\nweb,0.0,1.0\ndb,0.0,0.0\n")
		put(t, dir, "petshop/"+name+"/noissue/metrics.csv.gz", petMetrics(0, 200, 200))
		put(t, dir, "petshop/"+name+"/train/issue_0/metrics.csv.gz", petMetrics(90_000, 5, 2))
		put(t, dir, "petshop/"+name+"/train/issue_0/target.json",
			`{"target": {"node": "web", "metric": "latency", "agg": "Average", "timestamp": 90610}, "root_cause": {"node": "db", "metric": null}}`)
	}
	r, err := runPetShop(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range r.Figures {
		got[f.Name] = f.Value
	}
	for _, name := range []string{"low_traffic latency top-1", "pooled top-1", "pooled top-3", "train top-1", "specificity"} {
		if got[name] != 1 {
			t.Errorf("%s: got %v, want 1", name, got[name])
		}
	}
	if _, there := got["test top-1"]; there {
		t.Error("got a figure for the part test, which has no issues")
	}
	changes, err := runPetChanges(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range changes.Figures {
		if f.Value != 1 && f.Name != "no call graph, a deploy of another" {
			t.Errorf("with deploys: %s: got %v (%s), want 1", f.Name, f.Value, f.Note)
		}
	}
	s, err := readPetScenario(filepath.Join(dir, "petshop"), "low_traffic")
	if err != nil {
		t.Fatal(err)
	}
	// Rows 100, 120, 140, 160 and 180: the last but three are left out.
	if _, asked := petSpecificity(s, 20); asked != 5 {
		t.Errorf("splits: got %d, want 5", asked)
	}
}

func TestPetPlace(t *testing.T) {
	d := heal.Diagnosis{Causes: []heal.Cause{{Entity: "service/a"}, {Entity: "service/b"}}}
	for truth, want := range map[string]int{"a": 1, "b": 2, "c": 0} {
		if got := petPlace(d, truth); got != want {
			t.Errorf("%s: got place %d, want %d", truth, got, want)
		}
	}
	var h hits
	for _, place := range []int{1, 2, 3, 4, 0} {
		h.add(place)
	}
	if want := (hits{asked: 5, first: 1, third: 3}); h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
}

func TestPetTable(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "m.csv.gz", "microservice,a,a\nmetric,availability,latency\nstatistic,Average,p99\nunix_timestamp,,\n300.0,,0.5\n600.0,98,\n")
	table, err := readPetTable(filepath.Join(dir, "m.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	gap := petColumn{"a", "availability", "Average"}
	if v := table.values[gap]; !math.IsNaN(v[0]) || v[1] != 98 {
		t.Errorf("got %v, want a gap and 98", v)
	}
	samples := petSamples(gap, table.at, table.values[gap])
	if got := samples[1].Value; math.Abs(got-0.02) > 1e-12 {
		t.Errorf("failing share: got %v, want 0.02", got)
	}
	if got := []float64{petQuantile("p99"), petQuantile("Average"), petQuantile("Sum")}; !slices.Equal(got, []float64{0.99, 0, 0}) {
		t.Errorf("quantiles: got %v", got)
	}
	for name, text := range map[string]string{
		"no rows": "a,b\nc,d\ne,f\ng,\n", "no time": "a,b\nc,d\ne,f\ng,\nnoon,1\n", "no number": "a,b\nc,d\ne,f\ng,\n300,x\n",
	} {
		put(t, dir, "bad.csv.gz", text)
		if _, err := readPetTable(filepath.Join(dir, "bad.csv.gz")); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if petMeasures["availability"] != cause.MeasureErrors {
		t.Error("availability is not read as its complement")
	}
}
