package probe_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/probe"
)

var base = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// TestStep writes a row of results as o (well) and x (not), and the statuses
// after each as ?, U and D, with ! where the status changed.
func TestStep(t *testing.T) {
	for _, tc := range []struct {
		name, results, want string
		need                probe.Thresholds
	}{
		{"up from unknown", "ooo", "? U! U", probe.Thresholds{Failures: 3, Successes: 2}},
		{"down from unknown", "xxxx", "? ? D! D", probe.Thresholds{Failures: 3, Successes: 2}},
		{"one failure starts the row anew", "ooxxoxxx", "? U! U U U U U D!", probe.Thresholds{Failures: 3, Successes: 2}},
		{"down and up again", "ooxxxoo", "? U! U U D! D U!", probe.Thresholds{Failures: 3, Successes: 2}},
		{"a success while down is not up yet", "xxxoxo", "? ? D! D D D", probe.Thresholds{Failures: 3, Successes: 2}},
		{"at once", "oxo", "U! D! U!", probe.Thresholds{Failures: 1, Successes: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := probe.State{Status: probe.Unknown}
			var got []string
			for i, r := range tc.results {
				result := probe.Result{At: base.Add(time.Duration(i) * time.Second)}
				if r == 'x' {
					result.Err = errors.New("refused")
				}
				next, changed := probe.Step(s, result, tc.need)
				got = append(got, letter(next.Status, changed))
				s = next
			}
			if got := strings.Join(got, " "); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func letter(s probe.Status, changed bool) string {
	l := map[probe.Status]string{probe.Unknown: "?", probe.Up: "U", probe.Down: "D"}[s]
	if changed {
		l += "!"
	}
	return l
}

func TestStepRemembers(t *testing.T) {
	need := probe.Thresholds{Failures: 2, Successes: 1}
	s := probe.State{Status: probe.Unknown}
	for i, err := range []error{nil, errors.New("first"), fmt.Errorf("%s", strings.Repeat("é", 400))} {
		s, _ = probe.Step(s, probe.Result{At: base.Add(time.Duration(i) * time.Second), Latency: time.Millisecond, Err: err}, need)
	}
	want := probe.State{
		Status: probe.Down, Since: base.Add(time.Second), CheckedAt: base.Add(2 * time.Second), Latency: time.Millisecond,
		LastSuccess: base, LastFailure: base.Add(2 * time.Second), LastError: strings.Repeat("é", 250) + "...",
		Failures: 2, RowBegan: base.Add(time.Second),
	}
	if diff := cmp.Diff(s, want); diff != "" {
		t.Errorf("-got +want\n%s", diff)
	}
	if s.OK() {
		t.Error("OK: got true after a failure")
	}
}
