package analyse_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/analyse"
)

// incidentOf writes an hour of three services that call each other in a row; from
// minute 45 on, if it is broken, the last waits for connections.
func incidentOf(t testing.TB, broken bool, shift time.Duration, names [3]string) analyse.Paths {
	t.Helper()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(7, 7))
	begin := noon.Add(shift)
	files := map[string]*strings.Builder{}
	to := func(name, format string, args ...any) {
		if files[name] == nil {
			files[name] = &strings.Builder{}
		}
		fmt.Fprintf(files[name], format+"\n", args...)
	}
	for _, s := range names {
		to("metrics/"+s+".csv", "time,process_cpu_utilization_ratio,db_pool_pending")
	}
	for minute := range 60 {
		bad := broken && minute >= 45
		at := begin.Add(time.Duration(minute) * time.Minute)
		for _, s := range names {
			pending := rng.IntN(2)
			if bad && s == names[2] {
				pending += 20
			}
			to("metrics/"+s+".csv", "%s,%.3f,%d", at.Format(time.RFC3339), 0.3+0.03*rng.Float64(), pending)
		}
		for k := range 12 {
			when := at.Add(time.Duration(5*k) * time.Second)
			own := 4 + 4*rng.Float64()
			failed := bad && rng.IntN(2) == 0
			if bad {
				own += 1500 + 1000*rng.Float64()
			}
			trace := fmt.Sprintf("%d-%d", minute, k)
			for depth, s := range names {
				parent := ""
				if depth > 0 {
					parent = fmt.Sprint(depth - 1)
				}
				to("traces/spans.jsonl", `{"trace_id":%q,"span_id":"%d","parent_id":%q,"service":%q,"operation":"GET /%s","start":%q,"duration_ms":%.3f,"error":%t}`,
					trace, depth, parent, s, s, when.Add(time.Duration(depth)*time.Millisecond).Format(time.RFC3339Nano), own+3*float64(2-depth), failed)
				to("logs/"+s+".log", "%s INFO request %s took %d ms", when.Format(time.RFC3339), trace, int(own))
			}
			if failed {
				to("logs/"+names[2]+".log", "%s ERROR no connection: connection pool exhausted after 1500 ms", when.Format(time.RFC3339))
			}
		}
	}
	to("graph.txt", "%s -> %s\n%s -> %s", names[0], names[1], names[1], names[2])
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return analyse.Paths{Metrics: filepath.Join(dir, "metrics"), Traces: filepath.Join(dir, "traces"), Logs: filepath.Join(dir, "logs"), Graph: filepath.Join(dir, "graph.txt")}
}

func run(t testing.TB, p analyse.Paths, o analyse.Options) analyse.Report {
	t.Helper()
	d, err := analyse.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	r, err := analyse.Run(context.Background(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPostMortem finds where an incident began and since when, whatever the
// services are called and whatever signals are missing.
func TestPostMortem(t *testing.T) {
	names := [3]string{"shop", "cart", "stock"}
	other := [3]string{"zeta", "B_1", "a.v2"}
	tests := []struct {
		name    string
		names   [3]string
		shift   time.Duration
		without func(*analyse.Paths)
		named   bool // the time of the trouble is named
		pattern string
	}{
		{"everything", names, 0, func(*analyse.Paths) {}, false, "pool_exhausted"},
		{"renamed, at another time", other, 1237 * time.Hour, func(*analyse.Paths) {}, false, "pool_exhausted"},
		{"without a graph", names, 0, func(p *analyse.Paths) { p.Graph = "" }, false, "pool_exhausted"},
		{"without metrics", names, 0, func(p *analyse.Paths) { p.Metrics = "" }, false, "pool_exhausted"},
		{"without logs", names, 0, func(p *analyse.Paths) { p.Logs = "" }, false, ""},
		{"logs alone", names, 0, func(p *analyse.Paths) { p.Metrics, p.Traces, p.Graph = "", "", "" }, true, "pool_exhausted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := incidentOf(t, true, tt.shift, tt.names)
			tt.without(&p)
			began := noon.Add(tt.shift + 45*time.Minute)
			var o analyse.Options
			if tt.named {
				o.Since = began
			}
			r := run(t, p, o)
			if len(r.Cases) != 1 {
				t.Fatalf("got %d cases, want one", len(r.Cases))
			}
			c := r.Cases[0]
			top := c.Diagnosis.Top()
			if top == nil || top.Entity.Name() != tt.names[2] || tt.pattern != "" && string(top.Pattern) != tt.pattern {
				t.Errorf("cause: got %+v, want %s on %s", top, tt.pattern, tt.names[2])
			}
			if off := c.Began.Sub(began).Abs(); off > 2*time.Minute {
				t.Errorf("began: got %s, want about %s", c.Began, began)
			}
		})
	}
}

// TestNothingWrong names no cause where nothing is wrong, not even of a time that
// somebody named.
func TestNothingWrong(t *testing.T) {
	p := incidentOf(t, false, 0, [3]string{"shop", "cart", "stock"})
	for _, o := range []analyse.Options{{}, {Since: noon.Add(30 * time.Minute)}, {Since: noon.Add(20 * time.Minute), Until: noon.Add(40 * time.Minute)}} {
		if r := run(t, p, o); len(r.Cases) != 0 {
			t.Errorf("%+v: got %+v, want no case", o, r.Cases)
		}
	}
	if r := run(t, incidentOf(t, true, 0, [3]string{"shop", "cart", "stock"}), analyse.Options{Until: noon.Add(40 * time.Minute)}); len(r.Cases) != 0 {
		t.Errorf("before the trouble: got %+v, want no case", r.Cases)
	}
}
