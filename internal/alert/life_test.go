package alert_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into the scripts")

var base = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// TestLife plays the scripts of testdata/life: a command line, "----", and
// what must come of it. Blank lines part the steps.
func TestLife(t *testing.T) {
	files, err := filepath.Glob("testdata/life/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: got %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playLife(t, string(script))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(got, string(script)); diff != "" {
				t.Errorf("-got +want\n%s", diff)
			}
		})
	}
}

func playLife(t *testing.T, script string) string {
	t.Helper()
	var current *heal.Alert
	var out []string
	for step := range strings.SplitSeq(strings.TrimSpace(script), "\n\n") {
		head, _, ok := strings.Cut(step, "\n----")
		if !ok {
			t.Fatalf("step without ----: %s", step)
		}
		lines := strings.Split(head, "\n")
		a, text := playStep(t, current, strings.Fields(lines[len(lines)-1]))
		current = &a
		out = append(out, head+"\n----\n"+text)
	}
	return strings.Join(out, "\n\n") + "\n"
}

func playStep(t *testing.T, current *heal.Alert, words []string) (heal.Alert, string) {
	t.Helper()
	now := clock(t, words[0])
	args := map[string]string{}
	for _, w := range words[2:] {
		k, v, _ := strings.Cut(w, "=")
		args[k] = v
	}
	var a heal.Alert
	var events []heal.AlertEvent
	var signal alert.Signal
	var err error
	if current != nil {
		a = *current
	}
	switch words[1] {
	case "acknowledge":
		a, events, err = alert.Acknowledge(a, args["by"], args["note"], now)
	case "unacknowledge":
		a, events, err = alert.Unacknowledge(a, args["by"], args["note"], now)
	case "resolve":
		a, events, signal = alert.ResolveByHand(a, args["by"], args["note"], now)
	default:
		o := alert.Observed{
			Source: "test", Name: "HighLatency", Labels: map[string]string{"service": "cart"},
			Status: heal.AlertStatus(words[1]), Severity: heal.Severity(args["severity"]),
		}
		if args["start"] != "" {
			o.Starts = clock(t, args["start"])
		}
		if args["end"] != "" {
			o.Ends = clock(t, args["end"])
		}
		a, events, signal = alert.Apply(current, alert.New(o), now, func() heal.AlertID { return "a1" })
	}
	var seq int
	if current != nil {
		seq = current.Events
	}
	return a, describe(t, a, events, seq, signal, err)
}

func describe(t *testing.T, a heal.Alert, events []heal.AlertEvent, seq int, signal alert.Signal, err error) string {
	t.Helper()
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "%s: %v\n", heal.KindOf(err), err)
	}
	for _, e := range events {
		seq++
		if e.Seq != seq || e.AlertID != a.ID {
			t.Errorf("event %+v: want seq %d of alert %s", e, seq, a.ID)
		}
		fmt.Fprintf(&b, "%s by=%s", e.Change, e.By)
		if e.Note != "" {
			fmt.Fprintf(&b, " note=%q", e.Note)
		}
		b.WriteString("\n")
	}
	if a.Events != seq {
		t.Errorf("alert counts %d entries, want %d", a.Events, seq)
	}
	fmt.Fprintf(&b, "%s start=%s", a.Status, offset(a.Timestamp))
	if !a.ResolvedAt.IsZero() {
		fmt.Fprintf(&b, " end=%s", offset(a.ResolvedAt))
	}
	fmt.Fprintf(&b, " count=%d opened=%d", a.Count, a.Opened)
	if a.AcknowledgedBy != "" {
		fmt.Fprintf(&b, " ack=%s", a.AcknowledgedBy)
	}
	if a.ClockSkewed {
		b.WriteString(" skewed")
	}
	if signal == alert.SignalNone {
		signal = "none"
	}
	fmt.Fprintf(&b, " signal=%s", signal)
	return b.String()
}

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	var m, s int
	if _, err := fmt.Sscanf(text, "%d:%d", &m, &s); err != nil {
		t.Fatalf("time %q: %v", text, err)
	}
	return base.Add(time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
}

func offset(at time.Time) string {
	d := at.Sub(base)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
