package playbook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/homeostat/homeostat/internal/heal"
)

// TestMessagesOfFilesTogether keeps the words of mistakes between files: each
// archive holds playbooks and all the problems that loading them reports.
func TestMessagesOfFilesTogether(t *testing.T) {
	archives, err := filepath.Glob("testdata/together/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("got %d archives, %v, want some", len(archives), err)
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar := readArchive(t, file)
			var files []File
			want := ""
			for _, f := range ar.Files {
				if f.Name == "problems" {
					want = string(f.Data)
					continue
				}
				files = append(files, File{Name: f.Name, Data: f.Data})
			}
			books, problems := Load(files, testSpecs())
			var got strings.Builder
			for _, problem := range problems {
				got.WriteString(problem.String() + "\n")
			}
			for _, b := range books {
				fmt.Fprintf(&got, "%s is taken\n", b.ID)
			}
			if *rewrite {
				ar.Files = ar.Files[:len(files)]
				ar.Files = append(ar.Files, txtar.File{Name: "problems", Data: []byte(got.String())})
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(got.String(), want); diff != "" {
				t.Errorf("got (-) and want (+) differ:\n%s", diff)
			}
		})
	}
}

// chain is playbooks that call each other in a row, the last a plain one.
func chain(calls int) []File {
	var files []File
	for i := range calls {
		files = append(files, File{fmt.Sprintf("p%d.yaml", i), fmt.Appendf(nil, "playbook_id: p%d\nname: P\ntasks: [{id: next, playbook: p%d}]\n", i, i+1)})
	}
	return append(files, File{fmt.Sprintf("p%d.yaml", calls), fmt.Appendf(nil, "playbook_id: p%d\nname: P\ntasks: [{id: last, action: process.start}]\n", calls)})
}

func TestCallsAreFollowedAsFarAsTheDepthAllows(t *testing.T) {
	books, problems := Load(chain(MaxDepth), testSpecs())
	if err := problems.Err(); err != nil || len(books) != MaxDepth+1 {
		t.Fatalf("%d calls deep: %d books, %v, want all", MaxDepth, len(books), err)
	}
	if got := books[0].Ordered(); got[len(got)-1].ID != "next.next.next.next.last" {
		t.Errorf("steps: got %v", got[len(got)-1].ID)
	}
	_, problems = Load(chain(MaxDepth+1), testSpecs())
	if len(problems) != 1 || problems[0].File != "p0.yaml" || !strings.Contains(problems[0].Text, "more than 4 calls deep") {
		t.Errorf("one deeper: %v, want it refused at the first", problems)
	}
}

// A few files must not stand for more work than a run can hold.
func TestCallsThatMultiplyAreRefused(t *testing.T) {
	var files []File
	for i := range MaxDepth {
		var b strings.Builder
		fmt.Fprintf(&b, "playbook_id: p%d\nname: P\ntasks:\n", i)
		for n := range 150 {
			fmt.Fprintf(&b, "  - {id: t%d, playbook: p%d}\n", n, i+1)
		}
		files = append(files, File{fmt.Sprintf("p%d.yaml", i), []byte(b.String())})
	}
	files = append(files, chain(MaxDepth)[MaxDepth])
	books, problems := Load(files, testSpecs())
	if len(books) != 1 || len(problems) < MaxDepth {
		t.Errorf("got %d books and %d problems, want only the last book", len(books), len(problems))
	}
	for _, p := range problems {
		if !strings.Contains(p.Text, "200") {
			t.Errorf("got %v, want the number of tasks", p)
		}
	}
}

const (
	caller = `
playbook_id: out
name: Out
params: {hosts: {type: strings, default: [service/a, service/b]}, wait: {type: duration, default: 5s}}
tasks:
  - {id: look, action: http.get, parameters: {url: "http://localhost/{{ target.name }}"}}
  - {id: drain, depends_on: look, playbook: drain, target: "{{ params.hosts[1] }}", params: {pause: "{{ params.wait }}", state: "{{ string(outputs.look.status) }}"}}
  - id: each
    depends_on: drain
    action: process.scale
    for_each: outputs.drain.stop.pids
    as: pid
    max_parallel: 2
    target: "process/p{{ string(pid) }}"
    conditions: pid > 1
    parameters: {instances: "{{ pid + 1 }}"}
    rollback: {action: process.scale, parameters: {instances: "{{ pid }}"}}
  - {id: last, depends_on: each, action: process.scale, parameters: {instances: "{{ outputs.each.items[0].item }}"}}
`
	called = `
playbook_id: drain
name: Drain
approval: {required: always, owner: sre}
params: {pause: {type: duration, required: true}, state: {required: true}, again: {type: int, default: 2}}
tasks:
  - {id: wait, type: wait, parameters: {duration: "{{ params.pause }}"}}
  - {id: stop, depends_on: wait, action: process.restart, conditions: params.state == "200" && params.again == 2, rollback: {action: process.start}}
`
)

// TestCalledPlaybook goes through a bundle as a run pins it: what each step sees
// is what it was given, and no more.
func TestCalledPlaybook(t *testing.T) {
	books, problems := Load([]File{{"out.yaml", []byte(caller)}, {"drain.yaml", []byte(called)}}, testSpecs())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if books[1].Pin.Digest != books[1].Digest || books[0].Pin.Digest == books[0].Digest {
		t.Errorf("pins: got %s of %s and %s of %s, want one's own for what calls nothing, another for a bundle",
			books[1].Pin.Digest, books[1].Digest, books[0].Pin.Digest, books[0].Digest)
	}
	c, err := Open(books[0].Pin.Source, testSpecs())
	if err != nil {
		t.Fatal(err)
	}
	if c.Pin.Digest != books[0].Pin.Digest {
		t.Errorf("opened again: got the pin %s, want %s", c.Pin.Digest, books[0].Pin.Digest)
	}
	scene := Scene{Target: "service/shop", Params: map[string]any{"hosts": []any{"service/a", "service/b"}, "wait": "5s"}, Outputs: map[string]map[string]any{
		"look": {"status": int64(200)}, "drain.stop": {"pids": []any{1, 7}}, "each": {"items": []any{map[string]any{"item": int64(3)}}},
	}}
	render := func(id, item string) string {
		s := c.Step(id)
		vars, err := c.StepVars(s, scene, item)
		if err != nil {
			t.Fatal(err)
		}
		target, err := c.RenderTarget(s.Task, vars)
		if err != nil {
			t.Fatal(err)
		}
		params, err := c.RenderParams(s.Task, vars)
		if err != nil {
			t.Fatal(err)
		}
		holds := true
		for i := range s.Task.Conditions {
			if holds, err = s.Task.Conditions[i].Holds(vars, 0, false); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("%s %v %t", target, params, holds)
	}
	items, err := c.Items(c.Step("each"), scene)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{render("drain.wait", ""), render("drain.stop", ""), render("each.1", items[0]), render("each.2", items[1]), render("last", ""), c.Asks(c.Step("drain")).Question}
	want := []string{
		"service/b map[duration:5s] true", "service/b map[grace:10s] true",
		"process/p1 map[instances:2] false", "process/p7 map[instances:8] true", "service/shop map[instances:3] true", "run playbook drain?",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
	got = c.Describe(scene)
	want = []string{
		"1. http.get on service/shop with url=http://localhost/shop (at most 5m0s a try)",
		`2. ask sre within 30m0s: "run playbook drain?", then playbook drain on service/b with pause={{ params.wait }} state={{ string(outputs.look.status) }}`,
		"3.   wait with duration=5s",
		`4.   process.restart on service/b with grace=10s (only if params.state == "200" && params.again == 2; at most 5m0s a try; undone by process.start)`,
		"5. for each pid of outputs.drain.stop.pids, 2 at once: process.scale on process/p{{ string(pid) }} with instances={{ pid + 1 }} (only if pid > 1; at most 5m0s a try; undone by process.scale)",
		"6. process.scale on service/shop with instances=3 (at most 5m0s a try)",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("description: got (-) and want (+) differ:\n%s", diff)
	}
}

func TestItems(t *testing.T) {
	tests := []struct{ name, list, want string }{
		{"texts", `params.list`, `["a" "b"]`},
		{"whole numbers", `[1, 2].map(n, n * 2)`, `["2" "4"]`},
		{"keys and values", `[{"b": 1, "a": "x"}]`, `[{"a":"x","b":1}]`},
		{"nothing", `params.list.filter(x, x == "c")`, `[]`},
		{"an output of JSON", `outputs.one.json`, `["1" "2"]`},
		{"true", `[true]`, "entry 1 is true or false, expected text, a whole number or keys and values"},
		{"a fraction", `[1, 1.5]`, "entry 2 is a number with a fraction"},
		{"no list", `outputs.one.status`, "gives a whole number, expected a list"},
		{"too many", `params.many`, "gives a list of 101 entries, at most 100 are taken"},
		{"too long", `[params.long]`, "entry 1 is 5002 bytes long, at most 4096 are kept"},
		{"not there", `outputs.one.nothing`, "no such key"},
	}
	many := make([]any, MaxItems+1)
	for i := range many {
		many[i] = "x"
	}
	scene := Scene{
		Target: "service/a", Params: map[string]any{"list": []any{"a", "b"}, "many": many, "long": strings.Repeat("x", 5000)},
		Outputs: map[string]map[string]any{"one": {"json": []any{float64(1), float64(2)}, "status": int64(200)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := parse(t, "playbook_id: a\nname: A\nparams: {list: {type: strings}, many: {type: strings}, long: {}}\ntasks:\n  - {id: one, action: exec.command, parameters: {argv: [x]}}\n  - id: two\n    depends_on: one\n    action: process.start\n    for_each: >-\n      "+tt.list+"\n")
			c, err := Compile(p, testSpecs())
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Items(c.Step("two"), scene)
			if err != nil {
				if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if text := fmt.Sprintf("%s", got); text != tt.want && fmt.Sprint(strings.ReplaceAll(text, `"`, "")) != strings.ReplaceAll(tt.want, `"`, "") {
				t.Errorf("got %s, want %s", text, tt.want)
			}
		})
	}
}

// TestExamineBesideOthers: a source is held against what it calls and against
// what calls it.
func TestExamineBesideOthers(t *testing.T) {
	books, problems := Load([]File{{"out.yaml", []byte(caller)}, {"drain.yaml", []byte(called)}}, testSpecs())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if _, problems := Examine("drain.yaml", []byte(called), testSpecs(), books...); len(problems) > 0 {
		t.Errorf("as it was: %v", problems)
	}
	more := strings.Replace(called, "again: {type: int, default: 2}", "again: {type: int, required: true}", 1)
	_, problems = Examine("drain.yaml", []byte(more), testSpecs(), books...)
	if len(problems) != 1 || problems[0].File != "out.yaml" || problems[0].Line != 7 || !strings.Contains(problems[0].Text, "playbook drain requires it") {
		t.Errorf("with a parameter more: got %v, want the mistake where it is called", problems)
	}
	back := strings.Replace(called, "{id: wait, type: wait, parameters: {duration: \"{{ params.pause }}\"}}", "{id: wait, playbook: out}", 1)
	_, problems = Examine("drain.yaml", []byte(back), testSpecs(), books...)
	if len(problems) != 1 || !strings.Contains(problems[0].Text, "drain -> out -> drain") {
		t.Errorf("a call back: got %v, want the cycle", problems)
	}
	if _, problems := Examine("out.yaml", []byte(caller), testSpecs()); len(problems) != 1 || !strings.Contains(problems[0].Text, `no playbook "drain"`) {
		t.Errorf("alone: got %v, want the missing playbook", problems)
	}
}

// FuzzOpen: whatever a bundle holds is opened or refused.
func FuzzOpen(f *testing.F) {
	books, problems := Load([]File{{"out.yaml", []byte(caller)}, {"drain.yaml", []byte(called)}}, testSpecs())
	if err := problems.Err(); err != nil {
		f.Fatal(err)
	}
	f.Add(books[0].Pin.Source)
	f.Add(books[1].Pin.Source)
	f.Add([]byte(`{"bundle":1,"first":"playbook_id: a\nname: A\ntasks: [{id: b, playbook: a}]","called":[]}`))
	f.Add([]byte(`{"bundle":1,"first":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Open(data, testSpecs())
		if (c == nil) != (err != nil) {
			t.Fatalf("got %v with %v, want one of them", c, err)
		}
		if err == nil {
			c.Describe(Scene{Target: "service/a"})
		}
	})
}

func FuzzDecodeItem(f *testing.F) {
	for _, text := range []string{`"a"`, `1`, `{"a":[1,1.5,1e400]}`, `[`, `null`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := DecodeItem(text)
		if err != nil {
			return
		}
		if again, err := encodeItem(v); err == nil {
			if twice, err := DecodeItem(again); err != nil || !cmp.Equal(twice, v) {
				t.Fatalf("got %v, %v, want %v", twice, err, v)
			}
		}
	})
}
