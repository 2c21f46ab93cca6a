package series

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestCheckRules(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"good", "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n", nil},
		{"empty", "", nil},
		{
			"every mistake with its line",
			"groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n  - record: 'a b{'\n    expr: up\n  - alert: B\n    expr: up\n    labels: {'': x}\n    annotations: {a: '{{ .x'}\n",
			[]string{
				`f.yaml:5:11: group "g", rule 1, "A": could not parse expression: 1:5: parse error: unclosed left parenthesis`,
				`f.yaml:6:13: group "g", rule 2, "a b{": braces present`,
				`f.yaml:8:5: group "g", rule 3, "B": invalid label name`,
				`f.yaml:8:5: group "g", rule 3, "B": annotation "a": template: __alert_B:1`,
			},
		},
		{"unknown fields", "groups:\n- name: g\n  rulez: []\n  rules:\n  - alert: A\n    expr: up\n    fro: 5m\n", []string{"f.yaml:3: field rulez not found", "f.yaml:7: field fro not found"}},
		{"no expression and no name", "groups:\n- name: g\n  rules:\n  - labels: {a: b}\n", []string{"f.yaml:4:5: group \"g\", rule 1, \"\": one of 'record' or 'alert'", "f.yaml:4:5: group \"g\", rule 1, \"\": field 'expr' must be set"}},
		{"two names", "groups:\n- name: g\n  rules:\n  - {alert: A, record: r, expr: up}\n", []string{"f.yaml:4:24: group \"g\", rule 1, \"A\": only one of"}},
		{"group twice", "groups:\n- name: g\n- name: g\n", []string{"f.yaml:3:3: groupname"}},
		{"group without a name", "groups:\n- rules: []\n", []string{"f.yaml:2:3: Groupname must not be empty"}},
		{"not YAML", "groups: [", []string{"f.yaml:1: did not find expected node content"}},
		{"another shape", "- a\n", []string{"f.yaml:1: cannot unmarshal"}},
		{"two documents", "groups: []\n---\ngroups: []\n", []string{"several YAML documents"}},
		{"invalid UTF-8", "groups: \xff\n", []string{"f.yaml:"}},
		{"too large", strings.Repeat("#", maxRuleFile+1), []string{"at most 4194304"}},
		{"deep", "groups: " + strings.Repeat("[", 100_000), []string{"f.yaml:"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs := CheckRules("f.yaml", []byte(tt.file))
			if len(errs) != len(tt.want) {
				t.Fatalf("got %d mistakes %v, want %d", len(errs), errs, len(tt.want))
			}
			for i, err := range errs {
				if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.want[i]) {
					t.Errorf("got %v, want %q", err, tt.want[i])
				}
			}
		})
	}
	if errs := CheckRules("default.yaml", DefaultRules().Data); errs != nil {
		t.Errorf("the shipped rules: %v", errs)
	}
}

func FuzzCheckRules(f *testing.F) {
	f.Add([]byte("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n    labels: {a: '{{ $value }}'}\n"))
	f.Add([]byte("groups:\n- name: g\n  rules:\n  - record: 0\n    alert: \n    expr: up(\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, err := range CheckRules("f", data) {
			if !strings.HasPrefix(err.Error(), "check rules: f:") {
				t.Errorf("got %v, want the file's name first", err)
			}
		}
	})
}

// inbox is a RuleSink that keeps what it took, as "name state value".
type inbox struct {
	mu     sync.Mutex
	alerts []RuleAlert
	refuse error
}

func (b *inbox) take(_ context.Context, alerts []RuleAlert) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	b.alerts = append(b.alerts, alerts...)
	return nil
}

func (b *inbox) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = err
}

// drain gives what came in since the last call.
func (b *inbox) drain() (lines []string, alerts []RuleAlert) {
	b.mu.Lock()
	defer b.mu.Unlock()
	alerts, b.alerts = b.alerts, nil
	for _, a := range alerts {
		lines = append(lines, fmt.Sprintf("%s %s %g", a.Labels["service_name"], a.State, a.Value))
	}
	return lines, alerts
}

// running starts rules over a store in a bubble of fake time.
func running(t *testing.T, opts RulesOptions, files ...RuleFile) (*DB, *Rules, *inbox, func()) {
	t.Helper()
	db, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	box := &inbox{}
	r := NewRules(db, opts, box.take)
	if err := r.Load(files...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return db, r, box, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

const hot = `groups:
- name: g
  interval: 10s
  rules:
  - alert: Hot
    expr: temperature > 50
    for: 20s
    labels: {severity: critical}
    annotations: {summary: '{{ $labels.service_name }} at {{ $value }}'}
`

func TestAlertsAreToldAtTransitionsAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, r, box, stop := running(t, RulesOptions{ResendDelay: time.Minute}, RuleFile{"hot.yaml", []byte(hot)})
		defer stop()
		pass := func(d time.Duration, value float64) []string {
			for range d / (10 * time.Second) {
				appendAll(t, db, sample("temperature service_name=cart", time.Now(), value))
				time.Sleep(10 * time.Second)
				synctest.Wait()
			}
			lines, _ := box.drain()
			return lines
		}
		steps := []struct {
			name  string
			d     time.Duration
			value float64
			want  []string
		}{
			{"cold", 30 * time.Second, 20, nil},
			{"hot, but not for long", 20 * time.Second, 60, nil},
			{"hot for 20 s", 20 * time.Second, 60, []string{"cart firing 60"}},
			{"still hot: repeated after a minute", time.Minute, 70, []string{"cart firing 70"}},
			{"cold: resolved once", 2 * time.Minute, 20, []string{"cart resolved 70"}},
			{"hot again", time.Minute, 80, []string{"cart firing 80"}},
		}
		for _, step := range steps {
			if diff := cmp.Diff(pass(step.d, step.value), step.want); diff != "" {
				t.Errorf("%s (-got +want):\n%s", step.name, diff)
			}
		}
		status := r.Status()
		if len(status) != 1 || status[0].Active != 1 || status[0].Error != "" || time.Since(status[0].LastEvaluation) > 10*time.Second ||
			status[0].Interval != 10*time.Second || status[0].For != 20*time.Second || !status[0].Alerting {
			t.Errorf("status: got %+v, want one healthy rule just evaluated", status)
		}
	})
}

func TestWhatTheSinkRefusesComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, r, box, stop := running(t, RulesOptions{ResendDelay: time.Hour}, RuleFile{"hot.yaml", []byte(hot)})
		defer stop()
		pass := func(d time.Duration, value float64) {
			for range d / (10 * time.Second) {
				appendAll(t, db, sample("temperature service_name=cart", time.Now(), value))
				time.Sleep(10 * time.Second)
			}
			synctest.Wait()
		}
		box.set(errors.New("disk full"))
		pass(time.Minute, 60) // fires, not taken
		box.set(nil)
		pass(10*time.Second, 65)
		lines, alerts := box.drain()
		if diff := cmp.Diff(lines, []string{"cart firing 65"}); diff != "" {
			t.Errorf("after the sink is back (-got +want):\n%s", diff)
		}
		if len(alerts) == 1 {
			a := alerts[0]
			want := RuleAlert{
				Name: "Hot", Expr: "temperature > 50", Group: "g", State: RuleFiring, Value: 65,
				Interval: 10 * time.Second, For: 20 * time.Second,
				Labels:      map[string]string{"alertname": "Hot", "service_name": "cart", "severity": "critical"},
				Annotations: map[string]string{"summary": "cart at 65"},
				ActiveAt:    a.ActiveAt, FiredAt: a.FiredAt,
			}
			if diff := cmp.Diff(a, want); diff != "" {
				t.Errorf("the alert (-got +want):\n%s", diff)
			}
			if a.FiredAt.Sub(a.ActiveAt) != 20*time.Second {
				t.Errorf("got fired %s after active, want 20s", a.FiredAt.Sub(a.ActiveAt))
			}
		}

		box.set(errors.New("disk full"))
		pass(time.Minute, 20) // resolves, not taken
		pass(time.Minute, 90) // a second episode, not taken
		pass(time.Hour, 20)   // over, longer than the rule remembers it
		box.set(nil)
		pass(10*time.Second, 20)
		lines, _ = box.drain()
		if diff := cmp.Diff(lines, []string{"cart firing 90", "cart resolved 90"}); diff != "" {
			t.Errorf("what was missed (-got +want):\n%s", diff)
		}
		if got := r.DeliveryStats(); got.Delivered != 3 || got.Failed == 0 {
			t.Errorf("stats: got %+v, want 3 delivered and some failed", got)
		}
	})
}

func TestAFailingRuleSaysSoAndNothingElse(t *testing.T) {
	const file = `groups:
- name: g
  interval: 10s
  rules:
  - alert: Joined
    expr: temperature > 50 and on (a) temperature * on (a) limit
  - record: doubled
    expr: temperature * 2
`
	synctest.Test(t, func(t *testing.T) {
		db, r, box, stop := running(t, RulesOptions{ResendDelay: 20 * time.Second}, RuleFile{"f.yaml", []byte(file)})
		defer stop()
		pass := func(samples ...heal.Sample) []string {
			for range 3 {
				for i := range samples {
					samples[i].At = time.Now()
				}
				appendAll(t, db, samples...)
				time.Sleep(10 * time.Second)
				synctest.Wait()
			}
			lines, _ := box.drain()
			return lines
		}
		temperature, limit := sample("temperature a=1 service_name=cart", time.Time{}, 60), sample("limit a=1", time.Time{}, 1)
		if diff := cmp.Diff(pass(temperature, limit), []string{"cart firing 60", "cart firing 60"}); diff != "" {
			t.Errorf("healthy (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(values(t, db, "doubled", time.Now()), []string{"[__name__:doubled a:1 service_name:cart] 120"}); diff != "" {
			t.Errorf("recorded (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(pass(temperature, limit, sample("limit a=1 b=2", time.Time{}, 1)), []string(nil)); diff != "" {
			t.Errorf("while the rule fails (-got +want):\n%s", diff)
		}
		if status := r.Status(); !strings.Contains(status[0].Error, "many-to-many") && !strings.Contains(status[0].Error, "duplicate series") {
			t.Errorf("status: got %+v, want the error of the expression", status[0])
		}
	})
}

func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, r, box, stop := running(t, RulesOptions{ResendDelay: time.Hour}, RuleFile{"hot.yaml", []byte(hot)})
		defer stop()
		pass := func() []string {
			for range 4 {
				appendAll(t, db, sample("temperature service_name=cart", time.Now(), 60))
				time.Sleep(10 * time.Second)
				synctest.Wait()
			}
			lines, _ := box.drain()
			return lines
		}
		if diff := cmp.Diff(pass(), []string{"cart firing 60"}); diff != "" {
			t.Errorf("before (-got +want):\n%s", diff)
		}
		err := r.Load(RuleFile{"a.yaml", []byte("groups: 5")}, RuleFile{"b.yaml", []byte("groups: 6")}, RuleFile{"b.yaml", nil})
		if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "a.yaml:1") || !strings.Contains(err.Error(), "b.yaml:1") || !strings.Contains(err.Error(), "two files") {
			t.Errorf("bad files: got %v, want every mistake", err)
		}
		if len(r.Status()) != 1 {
			t.Errorf("after bad files: got %+v, want the rules there were", r.Status())
		}
		more := strings.Replace(hot, "temperature > 50", "temperature > 55", 1)
		if err := r.Load(RuleFile{"hot.yaml", []byte(more)}, DefaultRules()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pass(), []string(nil)); diff != "" {
			t.Errorf("a changed rule keeps its alerts (-got +want):\n%s", diff)
		}
		if err := r.Load(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pass(), []string(nil)); diff != "" {
			t.Errorf("without rules (-got +want):\n%s", diff)
		}
		if len(r.Status()) != 0 {
			t.Errorf("got %+v, want no rule", r.Status())
		}
	})
}
