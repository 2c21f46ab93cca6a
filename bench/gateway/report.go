package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one measured target under one workload.
type row struct {
	Section  string  `json:"section"`
	Target   string  `json:"target"`
	Load     string  `json:"load"`
	Cost     float64 `json:"cpu_s_per_million_spans"`
	Rate     float64 `json:"spans_per_s"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	P999     float64 `json:"p99.9_ms"`
	Resident float64 `json:"rss_mb"`
	Sent     int     `json:"acknowledged"`
	Kept     int     `json:"kept"`
	Lost     string  `json:"lost"`
	Refused  int     `json:"refused_requests"`
	Others   float64 `json:"others_cores"` // that everything else on the machine kept busy meanwhile
}

// bar is one promise.
type bar struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Bar   float64 `json:"bar"`
	Least bool    `json:"least,omitempty"` // Bar is a lower bound, else an upper one
	Met   bool    `json:"met"`
}

type report struct {
	rows []row
	bars []bar
	log  io.Writer // progress
}

func (r *report) add(section, target string, w *workload, res *result) {
	ms := func(q float64) float64 { return float64(res.quantile(q).Microseconds()) / 1000 }
	line := row{
		section, target, w.String(), res.cost(), res.perSecond(), ms(0.5), ms(0.99), ms(0.999), res.resident,
		res.acknowledged, res.kept, res.lost(), res.refused, res.others / res.took.Seconds(),
	}
	r.rows = append(r.rows, line)
	fmt.Fprintf(r.log, "bench-gateway: %s, %s: %.3f CPU-s/Mspan, %.0f spans/s, p99 %.2f ms, %.0f MB, lost %s, others used %.2f cores\n",
		w, target, line.Cost, line.Rate, line.P99, line.Resident, line.Lost, line.Others)
}

// atLeast judges a promise; NaN is not judged.
func (r *report) atLeast(least float64, value float64, format string, args ...any) {
	if math.IsNaN(value) {
		return
	}
	r.bars = append(r.bars, bar{fmt.Sprintf(format, args...), value, least, true, value >= least})
}

func (r *report) atMost(most float64, value float64, format string, args ...any) {
	r.bars = append(r.bars, bar{fmt.Sprintf(format, args...), value, most, false, value <= most})
}

// table writes everything for a person.
func (r *report) table(w io.Writer) {
	fmt.Fprintf(w, "machine  %s, %d cores, %s, load %s, %s\n\n", procField("/proc/cpuinfo", "model name"), runtime.NumCPU(), runtime.Version(), firstLine("/proc/loadavg"), time.Now().UTC().Format(time.DateTime))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "section\tload\ttarget\tCPU-s/Mspan\tspans/s\tp50 ms\tp99 ms\tp99.9 ms\tRSS MB\tkept\tlost\trefused\tothers' cores")
	for i := range r.rows {
		x := &r.rows[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%.3f\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f %%\t%s\t%d\t%.2f\n",
			x.Section, x.Load, x.Target, x.Cost, x.Rate, x.P50, x.P99, x.P999, x.Resident, 100*float64(x.Kept)/float64(max(x.Sent, 1)), x.Lost, x.Refused, x.Others)
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "promised\tfigure\tbar\t")
	for _, b := range r.bars {
		sign, verdict := "<=", "missed"
		if b.Least {
			sign = ">="
		}
		if b.Met {
			verdict = "met"
		}
		fmt.Fprintf(t, "%s\t%.3g\t%s %g\t%s\n", b.What, b.Value, sign, b.Bar, verdict)
	}
	_ = t.Flush() // a person's terminal
}

// lines writes the same as JSON lines.
func (r *report) lines(w io.Writer) error {
	enc := json.NewEncoder(w)
	for i := range r.rows {
		if err := enc.Encode(&r.rows[i]); err != nil {
			return err
		}
	}
	for i := range r.bars {
		if err := enc.Encode(&r.bars[i]); err != nil {
			return err
		}
	}
	return nil
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown" // not Linux
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// procField reads "name : value" from a file of /proc.
func procField(path, name string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown" // not Linux
	}
	for line := range strings.Lines(string(b)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
