package probe

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	tail := " 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 "
	for _, tc := range []struct {
		name, text string
		want       procStat
		err        string
	}{
		{"plain", "42 (cart) S" + tail + "98765 1 2", procStat{'S', 98765}, ""},
		{"name with spaces and parentheses", "42 (a) b (c)) Z" + tail + "5 1", procStat{'Z', 5}, ""},
		{"cut off", "42 (cart) S 1 2", procStat{}, "has 3 fields"},
		{"no name", "42 cart S" + tail + "5", procStat{}, "fields after the name"},
		{"negative start", "42 (cart) S" + tail + "-5 1", procStat{}, "start time"},
		{"empty", "", procStat{}, "has 0 fields"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.text))
			if got != tc.want || (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %+v, %v, want %+v, %q", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestParsePIDFile(t *testing.T) {
	for _, tc := range []struct {
		text  string
		pid   int
		start int64
		ok    bool
	}{
		{"12\n", 12, 0, true},
		{" 12 345 \n", 12, 345, true},
		{"12\n345\n", 12, 345, true},
		{"", 0, 0, false},
		{"0", 0, 0, false},
		{"-1", 0, 0, false},
		{"99999999999", 0, 0, false},
		{"12 x", 0, 0, false},
	} {
		pid, start, err := parsePIDFile([]byte(tc.text))
		if pid != tc.pid || start != tc.start || (err == nil) != tc.ok {
			t.Errorf("%q: got %d, %d, %v, want %d, %d, ok %t", tc.text, pid, start, err, tc.pid, tc.start, tc.ok)
		}
	}
}

func TestParseBootTime(t *testing.T) {
	got, err := parseBootTime([]byte("cpu 1 2\nbtime 1767607200\nprocesses 3\n"))
	if want := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := parseBootTime([]byte("cpu 1 2\n")); err == nil {
		t.Error("without btime: got no error")
	}
}

func FuzzProcFiles(f *testing.F) {
	if text, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(text)
	}
	f.Add([]byte("12 345"))
	f.Add([]byte("btime 1"))
	f.Add([]byte("sleep\x0010\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil && s.start < 0 {
			t.Errorf("parseStat: got %+v", s)
		}
		if pid, start, err := parsePIDFile(text); err == nil && (pid <= 0 || start < 0) {
			t.Errorf("parsePIDFile: got %d, %d", pid, start)
		}
		if len(splitCmdline(text)) == 0 {
			t.Error("splitCmdline: got no argument, want at least one")
		}
		_, _ = parseBootTime(text) // must not panic
	})
}
