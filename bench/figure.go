package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// figure is one measured value.
type figure struct {
	Section string  `json:"section"`
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Bar     float64 `json:"bar,omitempty"`   // what is promised; 0: nothing
	Least   bool    `json:"least,omitempty"` // the bar is a lower bound, else an upper one
	Met     *bool   `json:"met,omitempty"`   // absent without a bar
	Note    string  `json:"note,omitempty"`
}

// report collects figures.
type report struct {
	Machine machine
	Figures []figure
	section string
	log     io.Writer // progress
}

func (r *report) begin(section string) {
	r.section = section
	r.say("measuring %s", section)
}

func (r *report) say(format string, args ...any) {
	fmt.Fprintf(r.log, "bench: "+format+"\n", args...)
}

// add takes a figure that has no bar.
func (r *report) add(name string, value float64, unit, note string) {
	r.Figures = append(r.Figures, figure{Section: r.section, Name: name, Value: value, Unit: unit, Note: note})
}

// atLeast takes a figure that must reach a bar.
func (r *report) atLeast(bar float64, name string, value float64, unit, note string) {
	met := value >= bar
	r.Figures = append(r.Figures, figure{r.section, name, value, unit, bar, true, &met, note})
}

// atMost takes a figure that must stay below a bar.
func (r *report) atMost(bar float64, name string, value float64, unit, note string) {
	met := value <= bar
	r.Figures = append(r.Figures, figure{r.section, name, value, unit, bar, false, &met, note})
}

func (r *report) table(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "machine  %s, %d cores, %d MB, %s\n", m.CPU, m.Cores, m.MemoryMB, m.Kernel)
	fmt.Fprintf(w, "version  %s, %s\n", m.Commit, m.Go)
	fmt.Fprintf(w, "disk     fsync of 4 KiB p50 %s, p99 %s (%s)\n", time.Duration(m.FsyncP50), time.Duration(m.FsyncP99), m.Dir)
	fmt.Fprintf(w, "load     %s before, %s after\n\n", m.Load, loadAverage())
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "section\twhat\tfigure\tbar\t\tnote")
	for _, f := range r.Figures {
		bar, verdict := "", ""
		if f.Met != nil {
			sign := "<= "
			if f.Least {
				sign = ">= "
			}
			bar, verdict = sign+short(f.Bar), "missed"
			if *f.Met {
				verdict = "met"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\t%s\t%s\n", f.Section, f.Name, short(f.Value), f.Unit, bar, verdict, f.Note)
	}
	_ = t.Flush() // a person's terminal
	fmt.Fprintln(w)
}

// lines writes the machine, then one figure a line.
func (r *report) lines(w io.Writer) error {
	enc := json.NewEncoder(w)
	if err := enc.Encode(map[string]machine{"machine": r.Machine}); err != nil {
		return err
	}
	for _, f := range r.Figures {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// short writes three digits that matter.
func short(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// quantile is the nearest-rank quantile of durations, in milliseconds; 0 for
// none.
func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	rank := max(1, int(math.Ceil(q*float64(len(took)))))
	return float64(took[rank-1].Nanoseconds()) / 1e6
}
