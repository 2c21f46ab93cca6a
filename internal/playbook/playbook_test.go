package playbook

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// testSpecs are actions of every effect and impact.
func testSpecs() map[string]action.Spec {
	grace := action.Param{Name: "grace", Type: action.Duration, Doc: "Time to end.", Default: "10s"}
	specs := map[string]action.Spec{}
	for _, s := range []action.Spec{
		{Name: "process.start", Outputs: []string{"pids"}, Effect: action.Observable, Impact: action.Reversible, Duration: 5 * time.Second},
		{Name: "process.stop", Params: []action.Param{grace}, Effect: action.Observable, Impact: action.Disruptive},
		{Name: "process.restart", Params: []action.Param{grace}, Outputs: []string{"pids"}, Effect: action.Observable, Impact: action.Disruptive, Duration: 10 * time.Second},
		{Name: "process.scale", Params: []action.Param{{Name: "instances", Type: action.Int, Doc: "How many.", Required: true}}, Outputs: []string{"previous"}, Effect: action.Observable, Impact: action.Reversible},
		{Name: "exec.command", Params: []action.Param{{Name: "argv", Type: action.Strings, Doc: "Program and arguments.", Required: true}, {Name: "env", Type: action.Object}}, Effect: action.Once, Impact: action.Destructive},
		{Name: "http.get", Params: []action.Param{{Name: "url", Type: action.String, Required: true}}, Outputs: []string{"status", "json"}, Effect: action.ReadOnly, Impact: action.Harmless},
		{Name: "wait.for", Params: []action.Param{{Name: "duration", Type: action.Duration, Required: true}}, Effect: action.ReadOnly, Impact: action.Harmless},
	} {
		specs[s.Name] = s
	}
	return specs
}

func readArchive(t *testing.T, path string) *txtar.Archive {
	t.Helper()
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// TestMessages keeps the words of every mistake: each archive holds a playbook
// and all the problems that loading it reports.
func TestMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d archives, %v, want some", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar := readArchive(t, file)
			_, problems := Examine("playbook.yaml", ar.Files[0].Data, testSpecs())
			var got strings.Builder
			for _, problem := range problems {
				got.WriteString(problem.String() + "\n")
			}
			if *rewrite {
				ar.Files = append(ar.Files[:1], txtar.File{Name: "problems", Data: []byte(got.String())})
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(got.String(), string(ar.Files[1].Data)); diff != "" {
				t.Errorf("got (-) and want (+) differ:\n%s", diff)
			}
		})
	}
}

func parse(t *testing.T, source string) *Playbook {
	t.Helper()
	p, problems := Parse("playbook.yaml", []byte(source))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func compiled(t *testing.T, file string) *Compiled {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(parse(t, string(data)), testSpecs())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testScene(t *testing.T, p *Playbook) Scene {
	t.Helper()
	params, err := p.ParamValues(map[string]string{"instances": "4"})
	if err != nil {
		t.Fatal(err)
	}
	return Scene{
		Params: params, Target: "service/cart",
		Incident: Incident{ID: "i1", Severity: heal.Critical, Pattern: heal.PatternPoolExhausted, Title: "cart is slow", Values: heal.Values{"value": 95}, Labels: map[string]string{"zone": "a"}},
		Run:      Run{ID: "r1", Attempt: 2},
	}
}

func TestParseFull(t *testing.T) {
	p := compiled(t, "testdata/full.yaml").Playbook
	scale := p.Task("scale")
	got := map[string]any{
		"tier": p.Tier, "trust": p.Trust, "risk": p.Risk, "timeout": p.Timeout, "estimate": p.EstimatedTime,
		"approval": p.Approval, "order": ids(p.Order()), "retries": scale.Retries, "failure": scale.OnFailure,
		"confirm": scale.Confirm.Owner, "within": scale.Confirm.Within, "params": p.Params, "taskTimeout": p.Task("probe").Timeout,
		"rollback": scale.Rollback.Action,
	}
	want := map[string]any{
		"tier": heal.TierStandard, "trust": heal.TrustAuto, "risk": heal.RiskHigh, "timeout": 20 * time.Minute, "estimate": time.Minute,
		"approval": Approval{Required: ApprovalAlways, Owner: "sre", Quorum: 1, Within: 10 * time.Minute},
		"order":    []string{"probe", "ask", "pause", "scale", "notify"},
		"retries":  Retries{Attempts: 3, Backoff: 2 * time.Second, MaxBackoff: 20 * time.Second, Jitter: 0.5},
		"failure":  Reaction{Rollback: true, Escalate: true, Notify: true},
		"confirm":  "sre", "within": 5 * time.Minute,
		"params": []Param{
			{Name: "instances", Type: action.Int, Required: true, Description: "How many shall run."},
			{Name: "pause", Type: action.Duration, Default: 30 * time.Second},
			{Name: "hosts", Type: action.Strings, Default: []string{"a", "b"}},
		},
		"taskTimeout": DefaultTaskTimeout, "rollback": "process.scale",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
	if len(p.Digest) != 64 {
		t.Errorf("got digest %q, want 64 hex digits", p.Digest)
	}
}

func ids(tasks []*Task) []string {
	var out []string
	for _, t := range tasks {
		out = append(out, t.ID)
	}
	return out
}

func TestParseDefaults(t *testing.T) {
	p := parse(t, "playbook_id: a\nname: A\ntasks: [{id: one, action: process.start}]")
	task := p.Tasks[0]
	got := []any{p.Tier, p.Trust, p.Risk, p.Approval, p.Timeout, task.Type, task.Target, task.Timeout, task.Retries.Attempts, task.OnFailure}
	want := []any{
		heal.TierQuickFix, heal.TrustObserve, heal.RiskMedium,
		Approval{Required: ApprovalByRisk, Owner: DefaultOwner, Quorum: 1, Within: DefaultApprovalWithin},
		DefaultRunTimeout, TypeAction, "{{ target.id }}", 300 * time.Second, 1,
		Reaction{},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
}

func TestParseHostile(t *testing.T) {
	head := "playbook_id: a\nname: A\n"
	tests := []struct{ name, source, want string }{
		{"empty", "", "is empty"},
		{"only a comment", "# nothing", "is empty"},
		{"not YAML", "a: [", "is no YAML"},
		{"tabs", "a:\n\t- b", "is no YAML"},
		{"a list", "- a", "expected keys and values"},
		{"a text", "hello", "expected keys and values"},
		{"10 MB", strings.Repeat("# ten bytes\n", 1<<20), "at most 1 MiB"},
		{"invalid UTF-8", head + "description: \xff", "playbook.yaml:3:14: is not valid UTF-8"},
		{"deep lists", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested"},
		{"very deep lists", strings.Repeat("[", 400_000), "is no YAML"},
		{"deep parameters", head + "tasks: [{id: a, action: a.b, parameters: {x: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}}]", "nested more than"},
		{"alias bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", "alias *a is not taken"},
		{"merge", "a: &a {x: y}\nb:\n  <<: *a", "<<"},
		{"tag", "playbook_id: !!binary aGk=", "tag !!binary is not taken"},
		{"own tag", "playbook_id: !x a", "tag !x is not taken"},
		{"key that is a list", "? [a]\n: b", "a key that is no text"},
		{"two documents", "a: b\n---\nc: d", "a second document"},
		{"duplicate key", head + "name: B\ntasks: []", "given twice, first on line 2"},
		{"null", head + "tasks: ~", "is empty, expected a list"},
		{"very many tasks", head + "tasks:\n" + strings.Repeat("  - {id: a, action: a.b}\n", 300), "has 300 items, expected 1 to 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, problems := Parse("playbook.yaml", []byte(tt.source))
			if p != nil || !heal.Is(problems.Err(), heal.Invalid) {
				t.Fatalf("got %v, %v, want no playbook and an error of kind invalid", p, problems)
			}
			if !strings.Contains(problems.Error(), tt.want) {
				t.Errorf("got %q, want it to contain %q", problems.Error(), tt.want)
			}
			if len(problems) > maxProblems {
				t.Errorf("got %d problems, want at most %d", len(problems), maxProblems)
			}
		})
	}
}

// shippedBooks are the playbooks that come with Homeostat, by id. That they
// compile with the actions there are is tested where those are joined, in app.
func shippedBooks(t *testing.T) map[string]*Playbook {
	t.Helper()
	books := map[string]*Playbook{}
	err := fs.WalkDir(Shipped(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Shipped(), path)
		if err != nil {
			return err
		}
		p, problems := Parse(path, data)
		if problems.Err() != nil {
			return problems.Err()
		}
		if p.Trust == heal.TrustAuto || p.ID+".yaml" != path || p.Description == "" {
			return fmt.Errorf("%s: got trust %s and id %s, want a playbook that asks, is named like its file and says what it does", path, p.Trust, p.ID)
		}
		books[p.ID] = p
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return books
}

// TestShippedTriggers says which shipped playbooks a case brings to the choice.
func TestShippedTriggers(t *testing.T) {
	value := func(v float64) heal.Values { return heal.Values{"value": v} }
	books := shippedBooks(t)
	tested := map[string]bool{}
	for _, tc := range []struct {
		name    string
		subject Subject
		want    []string
	}{
		{"a dead process", Subject{Pattern: heal.PatternProcessDown, Target: "service/a"}, []string{"restart-crashed-service"}},
		{"memory that runs out", Subject{Pattern: heal.PatternMemoryPressure, Target: "service/a"}, []string{"restart-leaking-service", "restart-unhealthy-service"}},
		{"a deadlock", Subject{Pattern: heal.PatternDeadlock, Target: "service/a"}, []string{"kill-hung-service", "restart-unhealthy-service"}},
		{"errors since a change", Subject{Pattern: heal.PatternHighErrors, AlertName: "ErrorsAfterChange", Target: "service/a"}, []string{"restart-unhealthy-service", "roll-back-bad-setting"}},
		{"errors beside a backup", Subject{Pattern: heal.PatternHighErrors, AlertName: "PrimaryFails", Target: "service/a"}, []string{"fail-over-to-backup", "restart-unhealthy-service"}},
		{"a full pool", Subject{Pattern: heal.PatternPoolExhausted, Target: "service/a", Values: value(2.1)}, []string{"relieve-exhausted-pool"}},
		{"CPU as a share", Subject{Pattern: heal.PatternCPUSaturation, Target: "service/a", Values: value(0.93)}, []string{"scale-out-busy-service"}},
		{"CPU per cent", Subject{Pattern: heal.PatternCPUSaturation, Target: "process/a", Values: value(91)}, []string{"scale-out-busy-service"}},
		{"CPU under 90 %", Subject{Pattern: heal.PatternCPUSaturation, Target: "service/a", Values: value(0.85)}, nil},
		{"CPU under 90 per cent", Subject{Pattern: heal.PatternCPUSaturation, Target: "service/a", Values: value(85)}, nil},
		{"CPU of a host", Subject{Pattern: heal.PatternCPUSaturation, Target: "host/a", Values: value(0.99)}, nil},
		{"latency over 500 ms", Subject{Pattern: heal.PatternHighLatency, Target: "service/a", Values: value(0.6)}, []string{"restart-unhealthy-service", "troubleshoot-slow-service"}},
		{"latency under 500 ms", Subject{Pattern: heal.PatternHighLatency, Target: "service/a", Values: value(0.4)}, []string{"restart-unhealthy-service"}},
		{"latency without a value", Subject{Pattern: heal.PatternHighLatency, Target: "service/a"}, []string{"restart-unhealthy-service"}},
		{"a full disk", Subject{Pattern: heal.PatternDiskFull, Target: "host/a", Values: value(0.9)}, []string{"clean-full-disk"}},
		{"a disk at 80 per cent", Subject{Pattern: heal.PatternDiskFull, Target: "host/a", Values: value(80)}, nil},
		{"database errors, counted", Subject{Pattern: heal.PatternConnectionFailed, Target: "database/a", Values: value(6)}, []string{"check-database-errors"}},
		{"database errors, all of them", Subject{Pattern: heal.PatternHighErrors, Target: "database/a", Values: value(1)}, []string{"check-database-errors"}},
		{"database errors, few", Subject{Pattern: heal.PatternHighErrors, Target: "database/a", Values: value(3)}, nil},
		{"errors of a service", Subject{Pattern: heal.PatternHighErrors, Target: "service/a", Values: value(6)}, []string{"restart-unhealthy-service"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, id := range slices.Sorted(maps.Keys(books)) {
				if books[id].Matches(tc.subject).OK {
					got = append(got, id)
					tested[id] = true
				}
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("got (-) and want (+) differ:\n%s", diff)
			}
		})
	}
	if len(tested) != len(books) {
		t.Errorf("got cases for %v, want one for each of %v", slices.Sorted(maps.Keys(tested)), slices.Sorted(maps.Keys(books)))
	}
	first, then := books["troubleshoot-slow-service"].Tier, books["restart-unhealthy-service"].Tier
	if first.Rank() >= then.Rank() {
		t.Errorf("a slow service is looked into at tier %s and restarted at %s, want looking first", first, then)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "shipped/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("playbook_id: a\nname: A\ntasks: [{id: b, action: c.d, depends_on: b}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, problems := Parse("f.yaml", data)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("got playbook %v with problems %v, want one of them", p, problems)
		}
		for _, problem := range problems {
			if problem.Line < 1 || problem.Column < 1 || problem.Text == "" {
				t.Fatalf("got %+v, want a place and a text", problem)
			}
		}
		if p == nil {
			return
		}
		if len(p.Order()) != len(p.Tasks) {
			t.Fatalf("got %d tasks in order, want %d", len(p.Order()), len(p.Tasks))
		}
		if c, err := Compile(p, testSpecs()); err == nil {
			c.Describe(Scene{Target: "service/a"})
		}
	})
}
