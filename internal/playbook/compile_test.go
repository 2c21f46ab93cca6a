package playbook

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestDescribe(t *testing.T) {
	c := compiled(t, "testdata/full.yaml")
	got := strings.Join(c.Describe(testScene(t, c.Playbook)), "\n") + "\n"
	want := strings.Join([]string{
		`1. http.get on service/cart with url=http://localhost/cart (at most 5m0s a try; on success notify)`,
		`2. ask sre within 10m0s: "Go on with cart is slow?"`,
		`3. wait with duration=30s`,
		`4. Scale out: ask sre within 5m0s: "Scale cart to 4?", then process.scale on service/cart with instances=4 (only if outputs.probe.status != 200 && run.attempt < 3; only if value > 0.5 for rate(x{service="{{ target.name }}"}[{{ params.pause }}]); up to 3 tries; at most 1m0s a try; on failure roll back and escalate and notify; undone by process.scale)`,
		`5. Tell the scaler: ask sre within 10m0s: "Tell about cart?", then exec.command on service/cart with argv=[/bin/tell, {{ target.name }}, now {{ outputs.scaled.previous }}] env={ZONE: {{ incident.labels.zone }}} (at most 5m0s a try; on failure continue and notify)`,
	}, "\n") + "\n"
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
}

func TestRender(t *testing.T) {
	c := compiled(t, "testdata/full.yaml")
	scene := testScene(t, c.Playbook)
	scene.Outputs = map[string]map[string]any{"scale": {"previous": 2}, "probe": {"status": 503}, "pause": nil}
	vars := c.Vars(scene)
	params := func(id string) any {
		got, err := c.RenderParams(c.Task(id), vars)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	undo, err := c.RenderUndo(c.Task("scale"), vars)
	if err != nil {
		t.Fatal(err)
	}
	target, err := c.RenderTarget(c.Task("scale"), vars)
	if err != nil {
		t.Fatal(err)
	}
	question, err := c.Question(c.Task("ask"), vars)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{params("notify"), params("scale"), params("pause"), params("ask"), undo, target, question, c.Rollbackable(), c.Impact(), c.Estimate()}
	want := []any{
		map[string]any{"argv": []string{"/bin/tell", "cart", "now 2"}, "env": map[string]any{"ZONE": "a"}},
		map[string]any{"instances": int64(4)},
		map[string]any{"duration": 30 * time.Second},
		map[string]any{"duration": time.Duration(0)},
		map[string]any{"instances": int64(2)},
		heal.EntityID("service/cart"), "Go on with cart is slow?", false, action.Destructive, time.Minute,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
}

func TestRenderFills(t *testing.T) {
	p := parse(t, "playbook_id: a\nname: A\ntasks: [{id: one, action: process.restart}]")
	c, err := Compile(p, testSpecs())
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.RenderParams(c.Task("one"), c.Vars(Scene{Target: "service/a"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, map[string]any{"grace": 10 * time.Second}); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
}

func TestRenderRefuses(t *testing.T) {
	source := "playbook_id: a\nname: A\ntasks: [{id: one, action: process.scale, target: 'service/{{ incident.labels.to }}', parameters: {instances: '{{ incident.labels.x }}'}}]"
	c, err := Compile(parse(t, source), testSpecs())
	if err != nil {
		t.Fatal(err)
	}
	scene := Scene{Target: "service/a", Incident: Incident{Labels: map[string]string{"x": "q"}}}
	if _, err := c.RenderParams(c.Task("one"), c.Vars(scene)); !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "expected int") {
		t.Errorf("got %v, want the type refused", err)
	}
	for _, to := range []string{"*", "", "cart*", " "} {
		scene.Incident.Labels = map[string]string{"to": to}
		if got, err := c.RenderTarget(c.Task("one"), c.Vars(scene)); !heal.Is(err, heal.Invalid) {
			t.Errorf("target %q: got %q, %v, want an error of kind invalid", to, got, err)
		}
	}
	scene.Incident.Labels = nil
	if got, err := c.RenderTarget(c.Task("one"), c.Vars(scene)); !heal.Is(err, heal.Invalid) {
		t.Errorf("target without the label: got %q, %v, want an error of kind invalid", got, err)
	}
}

func TestConditions(t *testing.T) {
	c := compiled(t, "testdata/full.yaml")
	scene := testScene(t, c.Playbook)
	scene.Target = `service/a"} or vector(1) #'`
	scene.Outputs = map[string]map[string]any{"probe": {"status": 503}}
	vars := c.Vars(scene)
	conditions := c.Task("scale").Conditions
	if got, err := conditions[0].Holds(vars, 0, false); !got || err != nil {
		t.Errorf("got %v, %v, want the outputs to fit", got, err)
	}
	query, err := conditions[1].Query(vars)
	if err != nil {
		t.Fatal(err)
	}
	if want := `rate(x{service="a\"} or vector(1) #\'"}[30s])`; query != want {
		t.Errorf("got %s, want %s", query, want)
	}
	for _, tt := range []struct {
		value      float64
		seen, want bool
	}{{0.6, true, true}, {0.4, true, false}, {0.6, false, false}} {
		if got, err := conditions[1].Holds(vars, tt.value, tt.seen); got != tt.want || err != nil {
			t.Errorf("value %v seen %v: got %v, %v, want %v", tt.value, tt.seen, got, err, tt.want)
		}
	}
	promql, probe, err := c.RenderVerification(c.Vars(testScene(t, c.Playbook)))
	if err != nil || promql != `up{service="cart"} == 0` || probe != "cart" {
		t.Errorf("got %q, %q, %v, want the condition and monitor of cart", promql, probe, err)
	}
}

func TestParamValues(t *testing.T) {
	p := parse(t, `
playbook_id: a
name: A
params:
  n: {type: int, required: true}
  f: {type: float}
  b: {type: bool, default: true}
  d: {type: duration, default: 5s}
  l: {type: strings}
  o: {type: object}
  s: {}
tasks: [{id: one, action: process.start}]`)
	tests := []struct {
		name  string
		given map[string]string
		want  map[string]any
		fails string
	}{
		{"defaults", map[string]string{"n": "3"}, map[string]any{"n": int64(3), "b": true, "d": 5 * time.Second}, ""},
		{
			"all",
			map[string]string{"n": "-1", "f": "1.5", "b": "false", "d": "1m", "l": "x,y", "o": `{"k": 1}`, "s": "5"},
			map[string]any{"n": int64(-1), "f": 1.5, "b": false, "d": time.Minute, "l": []string{"x", "y"}, "o": map[string]any{"k": 1.0}, "s": "5"},
			"",
		},
		{"list as JSON", map[string]string{"n": "3", "l": `["a,b"]`}, map[string]any{"n": int64(3), "b": true, "d": 5 * time.Second, "l": []string{"a,b"}}, ""},
		{"missing", nil, nil, `parameter "n" (int) is required`},
		{"not a number", map[string]string{"n": "x"}, nil, `is the string "x", expected int`},
		{"not an object", map[string]string{"n": "1", "o": "x"}, nil, "expected an object"},
		{"unknown", map[string]string{"n": "1", "sss": "1"}, nil, `parameter "sss" is not declared by playbook a`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.ParamValues(tt.given)
			if tt.fails != "" {
				if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("got %v, want an error of kind invalid with %q", err, tt.fails)
				}
				return
			}
			if diff := cmp.Diff(got, tt.want); err != nil || diff != "" {
				t.Errorf("got (-) and want (+) differ: %v\n%s", err, diff)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	p := parse(t, `
playbook_id: m
name: M
trigger_conditions:
  - severity: critical
  - alert_name: [CartSlow, CartDown]
    service: cart
  - pattern: high_latency
    service: any
  - when: values.value > 90 && labels.zone == "a" && target.kind == "host"
  - {fault_type: unavailable, entity_kind: [host, pod]}
tasks: [{id: one, action: process.start}]`)
	tests := []struct {
		name        string
		subject     Subject
		ok          bool
		specificity int
		reason      string
		unanswered  int
	}{
		{"nothing fits", Subject{Severity: heal.Warning, Labels: map[string]string{"zone": "b"}, Values: heal.Values{"value": 91}}, false, 0, "no trigger of playbook m fits", 0},
		{"severity alone", Subject{Severity: heal.Critical, Values: heal.Values{"value": 1}}, true, 1, "fits because severity is critical", 0},
		{"most specific wins", Subject{Severity: heal.Critical, Pattern: heal.PatternHighLatency, AlertName: "CartDown", Service: "cart", Values: heal.Values{"value": 1}}, true, 96, "fits because alert is CartDown and service is cart", 0},
		{"other service", Subject{AlertName: "CartDown", Service: "payment", Values: heal.Values{"value": 1}}, false, 0, "no trigger of playbook m fits", 0},
		{"condition", Subject{Target: "host/h1", Values: heal.Values{"value": 91}, Labels: map[string]string{"zone": "a"}}, true, 8, `fits because values.value > 90 && labels.zone == "a" && target.kind == "host"`, 0},
		{"condition over a missing value", Subject{Pattern: heal.PatternHighLatency, Target: "host/h1"}, true, 16, "fits because pattern is high_latency", 1},
		{"fault type and kind", Subject{FaultType: heal.Unavailable, Target: "pod/p", Values: heal.Values{"value": 0}}, true, 6, "fits because fault type is unavailable and kind is pod", 0},
		{"fault type of another kind", Subject{FaultType: heal.Unavailable, Target: "service/p", Values: heal.Values{"value": 0}}, false, 0, "no trigger of playbook m fits", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := p.Matches(tt.subject)
			if got.OK != tt.ok || got.Specificity != tt.specificity || got.Reason.Text != tt.reason || len(got.Unanswered) != tt.unanswered {
				t.Errorf("got %+v, want %v %d %q and %d unanswered", got, tt.ok, tt.specificity, tt.reason, tt.unanswered)
			}
		})
	}
}

// TestTopological draws random graphs: an acyclic one keeps every dependency
// before its dependant, and one cycle is always found.
func TestTopological(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rng.IntN(40)
		place := rng.Perm(n) // node i may only need nodes of a lower place
		needs := make([][]int, n)
		for i := range n {
			for k := range n {
				if place[k] < place[i] && rng.IntN(4) == 0 {
					needs[i] = append(needs[i], k)
				}
			}
		}
		order := topological(needs)
		if len(order) != n {
			t.Fatalf("seed %d: got %d of %d nodes, want all", seed, len(order), n)
		}
		for i := range n {
			for _, k := range needs[i] {
				if slices.Index(order, k) > slices.Index(order, i) {
					t.Fatalf("seed %d: got %d after %d, want it before", seed, k, i)
				}
			}
		}
		at := rng.IntN(n)
		needs[at] = append(needs[at], at)
		if order := topological(needs); len(order) == n || slices.Contains(order, at) {
			t.Fatalf("seed %d: got node %d ordered, want it left out", seed, at)
		}
	}
}

// TestRandomGraphs parses whole playbooks with random graphs.
func TestRandomGraphs(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		n := 2 + rng.IntN(20)
		back := rng.IntN(2) == 0 // with one edge that closes a cycle
		var b strings.Builder
		b.WriteString("playbook_id: r\nname: R\ntasks:\n")
		for i := range n {
			var needs []string
			if i > 0 {
				needs = append(needs, fmt.Sprintf("t%d", rng.IntN(i)))
			}
			if back && i == 0 {
				needs = append(needs, "t1")
			}
			fmt.Fprintf(&b, "  - {id: t%d, action: process.start", i)
			if len(needs) > 0 {
				fmt.Fprintf(&b, ", depends_on: [%s]", strings.Join(needs, ", "))
			}
			b.WriteString("}\n")
		}
		p, problems := Parse("r.yaml", []byte(b.String()))
		if got := strings.Contains(problems.Error(), "wait for each other"); got != back || (p == nil) != back {
			t.Fatalf("seed %d: got cycle %v (%v), want %v", seed, got, problems, back)
		}
	}
}
