package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRunWithoutData(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		absent bool
		want   string // in the error; empty: none
	}{
		{"absent", []string{"-only", "nab"}, true, "the data is absent"},
		{"absent and allowed", []string{"-only", "nab,smd8", "-allow-missing"}, false, ""},
		{"no such set", []string{"-only", "nabb"}, false, `there is no set "nabb"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := run(context.Background(), append(tc.args, "-data", t.TempDir()))
			if errors.Is(err, errAbsent) != tc.absent {
				t.Errorf("got %v, want it to be about absent data: %v", err, tc.absent)
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestNABDrop(t *testing.T) {
	f := nabFile{name: "a/b.csv", values: []float64{0, 1, 2, 3, 4, 5, 6, 7}, windows: []nabWindow{{1, 4}, {5, 6}}}
	f.at = make([]time.Time, len(f.values))
	got := nabDrop([]nabFile{f}, func(i int) bool { return i == 1 || i == 3 || i == 6 })[0]
	if diff := cmp.Diff(got.values, []float64{0, 2, 4, 5, 7}); diff != "" {
		t.Errorf("values: got -, want +:\n%s", diff)
	}
	// The first window keeps rows 2 and 4; of the second one row is left, too
	// few to be a window.
	if len(got.windows) != 1 || got.windows[0] != (nabWindow{1, 2}) {
		t.Errorf("got windows %v, want [{1 2}]", got.windows)
	}
}
