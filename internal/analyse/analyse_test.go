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

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/analyse"
	"github.com/homeostat/homeostat/internal/heal"
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

// TestChangesAreSuspected: a deploy before the trouble speaks for its service, one
// after it does not, and one of a service beside it is not named.
func TestChangesAreSuspected(t *testing.T) {
	p := incidentOf(t, true, 0, [3]string{"shop", "cart", "stock"})
	p.Changes = written(t, "changes.csv", "at,service,version,summary\n2026-03-02T12:44:00Z,stock,7,\"new pool\"\n2026-03-02T12:50:00Z,stock,8,back\n2026-03-02T12:44:30Z,mail,3,\n2026-03-02T09:00:00Z,cart,1,\n")
	r := run(t, p, analyse.Options{})
	if len(r.Cases) != 1 || r.Cases[0].Diagnosis.Top() == nil {
		t.Fatalf("got %+v, want one case with a cause", r.Cases)
	}
	d := r.Cases[0].Diagnosis
	all := func(list []heal.Reason) string {
		var texts []string
		for _, r := range list {
			texts = append(texts, r.Text)
		}
		return strings.Join(texts, "\n")
	}
	if got := all(d.Top().For); d.Top().Entity != "service/stock" || !strings.Contains(got, "before the case began: deploy of 7: new pool") || strings.Contains(got, "deploy of 8") {
		t.Errorf("for %s: got\n%s\nwant the deploy of 7 to stock, and not that of 8", d.Top().Entity, got)
	}
	if got := all(d.Top().Against); !strings.Contains(got, "deploy of 8: back") {
		t.Errorf("against: got\n%s\nwant that the deploy of 8 came after", got)
	}
	if got := all(d.Noted); strings.Contains(got, "mail") || strings.Contains(got, "cart was changed") || !strings.Contains(got, "stock held it for") {
		t.Errorf("noted: got\n%s\nwant nothing of mail, nor of what was long ago, and who held the slowest request", got)
	}
}

// TestChangeForms reads the same in every form it may have.
func TestChangeForms(t *testing.T) {
	want := []heal.Change{{ID: "c7", Kind: heal.ChangeDeploy, Entity: "service/cart", At: noon, By: "ci", Version: "2", Source: heal.FromCaller}}
	for name, file := range map[string][2]string{
		"CSV":            {"c.csv", "at,id,service,by,version\n2026-03-02T12:00:00Z,c7,cart,ci,2\n"},
		"JSON lines":     {"c.jsonl", `{"at":"2026-03-02T12:00:00Z","id":"c7","entity":"service/cart","by":"ci","version":"2"}`},
		"a page of ours": {"c.json", "{\"items\":[\n{\"id\":\"c7\",\"kind\":\"deploy\",\"entity\":\"service/cart\",\"at\":\"2026-03-02T12:00:00Z\",\"by\":\"ci\",\"version\":\"2\",\"source\":\"api\",\"text\":\"x\"}]}"},
		"a list":         {"c.json", `[{"time":1772452800,"id":"c7","service":"cart","author":"ci","tag":2}]`},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := analyse.Read(analyse.Paths{Changes: written(t, file[0], file[1])})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d.Changes, want); diff != "" {
				t.Errorf("got (-) and want (+):\n%s", diff)
			}
		})
	}
	for name, text := range map[string]string{
		"no time": "service\ncart\n", "nothing changed": "at,version\n2026-03-02T12:00:00Z,2\n", "another kind": "at,service,kind\n2026-03-02T12:00:00Z,cart,magic\n", "a short row": "at,service\ncart\n",
	} {
		if _, err := analyse.Read(analyse.Paths{Changes: written(t, "c.csv", text)}); !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "c.csv:2") {
			t.Errorf("%s: got %v, want the file and the line", name, err)
		}
	}
}
