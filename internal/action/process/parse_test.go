package process

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestParseStat(t *testing.T) {
	const tail = " 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200"
	for _, tc := range []struct {
		name string
		line string
		want stat
		fail bool
	}{
		{name: "plain", line: "4242 (cart) S" + tail, want: stat{State: 'S', Session: 4242, Start: 987654}},
		{name: "name with parentheses and spaces", line: "4242 (a) R 1 (b) Z" + tail, want: stat{State: 'Z', Session: 4242, Start: 987654}},
		{name: "cut short", line: "4242 (cart) S 1 2 3", fail: true},
		{name: "no name", line: "4242", fail: true},
		{name: "empty", fail: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.line))
			if got != tc.want || (err != nil) != tc.fail {
				t.Errorf("got %+v, %v, want %+v, failed %v", got, err, tc.want, tc.fail)
			}
		})
	}
	if s, err := readStat(os.Getpid()); err != nil || s.Start == 0 || s.gone() {
		t.Errorf("own stat: got %+v, %v", s, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 5"))
	f.Fuzz(func(_ *testing.T, line []byte) { _, _ = parseStat(line) })
}

func FuzzParseMark(f *testing.F) {
	f.Add([]byte("HOMEOSTAT_STEP_KEY=k\x00HOMEOSTAT_PROCESS=p\x00HOMEOSTAT_INSTANCE=0\x00HOMEOSTAT_STATE_DIR=/d"))
	f.Fuzz(func(t *testing.T, environ []byte) {
		if m, ok := parseMark(environ); ok && (m.Instance < 0 || m.Key == "") {
			t.Errorf("got %+v, want a whole mark", m)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"process":"cart","wanted":2,"instances":[{"pid":1,"instance":0}],"steps":[{"key":"k","want":1}]}`))
	f.Add([]byte(`{"version":1,"wanted":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(again); err != nil {
			t.Errorf("what was read cannot be written and read again: %v", err)
		}
	})
}

func TestConfigurationNamesEveryMistake(t *testing.T) {
	_, err := NewPreviewer(Options{
		StateDir: "relative",
		Signals:  []string{"HUPP"},
		Processes: []Process{
			{Name: "a/b", Command: []string{"sleep"}},
			{Name: "many", Command: []string{"/bin/sleep"}, Instances: 3, LogFile: "/tmp/one.log"},
			{Name: "many", Command: []string{"/bin/sleep"}, Entity: "service/*", ReadyURL: "ftp://x"},
			{Name: "env", Command: []string{"/bin/sleep"}, Env: map[string]string{markKey: "x"}},
		},
	})
	if !heal.Is(err, heal.Invalid) {
		t.Fatalf("got %v, want kind invalid", err)
	}
	for _, want := range []string{
		"not an absolute path", `"HUPP" is not known`, "letters, digits", "absolute path of a program",
		"share the log file", "configured twice", "wildcard", "http://host:port/path", "set by the driver",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to contain %q", err, want)
		}
	}
}

func TestStepsAreBounded(t *testing.T) {
	rec := &record{}
	for i := range 3 * maxSteps {
		rec.begin(step{Key: strings.Repeat("k", i+1)})
	}
	if got := len(rec.Steps); got != maxSteps {
		t.Errorf("got %d steps, want %d", got, maxSteps)
	}
	if got, want := rec.Steps[maxSteps-1].Key, strings.Repeat("k", 3*maxSteps); !cmp.Equal(got, want) {
		t.Error("the newest step was not kept")
	}
}
