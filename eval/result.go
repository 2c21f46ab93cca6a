package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one score. Higher is better unless Lower is set.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Bar   float64 `json:"bar,omitempty"`   // the best published, or the floor to stay above; 0: none
	Lower bool    `json:"lower,omitempty"` // the bar is an upper bound
	Note  string  `json:"note,omitempty"`
}

// beats reports whether a figure that has a bar is better than it.
func (f figure) beats() bool {
	if f.Lower {
		return f.Value < f.Bar
	}
	return f.Value > f.Bar
}

// result is what one set came to.
type result struct {
	Set     string   `json:"set"`
	Figures []figure `json:"figures"`
	Seconds float64  `json:"seconds"`
}

func (r *result) add(name string, value, bar float64, note string) {
	r.Figures = append(r.Figures, figure{Name: name, Value: value, Bar: bar, Note: note})
}

// version says what was scored.
type version struct {
	Commit string `json:"commit"`
	Go     string `json:"go"`
	Date   string `json:"date"`
}

func readVersion(ctx context.Context) version {
	v := version{Commit: "unknown", Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly)}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10").Output(); err == nil {
		v.Commit = strings.TrimSpace(string(out))
	}
	return v
}

// lines writes one JSON line a set.
func lines(w io.Writer, about version, results []result) error {
	enc := json.NewEncoder(w)
	for _, r := range results {
		if err := enc.Encode(struct {
			version
			result
		}{about, r}); err != nil {
			return err
		}
	}
	return nil
}

func table(w io.Writer, about version, results []result) {
	fmt.Fprintf(w, "\n%s, %s, %s\n", about.Commit, about.Go, about.Date)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "set\twhat\tfigure\tbar\t\tnote")
	for _, r := range results {
		for _, f := range r.Figures {
			bar, verdict := "", ""
			if f.Bar != 0 {
				bar, verdict = short(f.Bar), "not beaten"
				if f.beats() {
					verdict = "beaten"
				}
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Set, f.Name, short(f.Value), bar, verdict, f.Note)
		}
	}
	_ = t.Flush() // a person's terminal
}

// short writes the digits that matter.
func short(v float64) string {
	switch {
	case v >= 1000 || v == float64(int64(v)):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 2:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}
