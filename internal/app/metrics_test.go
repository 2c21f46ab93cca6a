package app

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// labelsOfMetrics are the labels of each metric and what they may say; a metric
// that is not named here has none. Names of sources, actions, rules and
// playbooks are what is configured or built in.
var labelsOfMetrics = map[string]string{
	"healing_action_effectiveness":              "`action_type`: playbook; `result`: success, partial, failure",
	"homeostat_alerts_accepted_total":           "`source`: api, rules, monitor, alertmanager, names of mappings",
	"homeostat_alerts_refused_total":            "`source`: as above; `kind`: transient, invalid, internal",
	"homeostat_attempts_total":                  "`result`: healed, ineffective, failed, unknown, denied",
	"homeostat_cases_ended_total":               "`outcome`: healed, closed, merged",
	"homeostat_cases_held_total":                "`rule`: of the guard",
	"homeostat_cases_open":                      "`state`: open, diagnosing, deciding, waiting_approval, acting, verifying, escalated",
	"homeostat_changes_total":                   "`source`: api, telemetry",
	"homeostat_decisions_total":                 "`verb`: act, ask, observe, escalate",
	"homeostat_diagnosis_duration_seconds":      "`found`: true, false",
	"homeostat_guard_refusals_total":            "`rule`: of the guard",
	"homeostat_notify_messages_total":           "`result`: sent, failed, dropped",
	"homeostat_otlp_items_rejected_total":       "`signal`: traces, metrics, logs",
	"homeostat_otlp_items_total":                "`signal`: traces, metrics, logs",
	"homeostat_otlp_received_bytes_total":       "`signal`: traces, metrics, logs",
	"homeostat_otlp_requests_refused_total":     "`signal`: traces, metrics, logs",
	"homeostat_otlp_requests_total":             "`signal`: traces, metrics, logs",
	"homeostat_runs_ended_total":                "`state`: succeeded, failed, timed_out, cancelled, rolled_back",
	"homeostat_runs_open":                       "`state`: pending, waiting_approval, running, paused, unknown",
	"homeostat_span_metrics_dropped_total":      "`of`: edge, pending, peer",
	"homeostat_span_metrics_folded_total":       "`of`: operation, service",
	"homeostat_stage_batch":                     "`stage`: alerts, incidents",
	"homeostat_stage_failures_total":            "`stage`: alerts, incidents, cases",
	"homeostat_step_duration_seconds":           "`action`: of a driver",
	"homeostat_steps_total":                     "`action`: of a driver; `result`: succeeded, failed, timed_out, unknown, skipped",
	"homeostat_telemetry_dropped_total":         "`signal`: spans, logs; `reason`: why",
	"homeostat_telemetry_export_failures_total": "`signal`: traces, metrics, logs",
	"homeostat_telemetry_records":               "`signal`: spans, logs",
	"homeostat_cases_joined_total":              "`tie`: own_case, same_entity, depends_on_case, case_depends_on, same_service, began_together",
	"homeostat_verdicts_total":                  "`verdict`: cleared, persists, unknown",
}

// described is a metric as it is documented.
type described struct{ name, kind, about string }

// The generated part of docs/metrics.md stands between these lines.
const (
	metricsFile  = "../../docs/metrics.md"
	metricsBegin = "<!-- metrics: written by go test ./internal/app -rewrite -->\n"
	metricsEnd   = "<!-- end of metrics -->\n"
)

func TestDocsListEveryMetric(t *testing.T) {
	text, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), metricsBegin)
	got, after, ended := strings.Cut(rest, metricsEnd)
	if !found || !ended {
		t.Fatalf("%s: the lines that frame the metrics are missing", metricsFile)
	}
	want := metricTable(t)
	if *rewrite {
		if err := os.WriteFile(metricsFile, []byte(before+metricsBegin+want+metricsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s is not what the code says, -rewrite if it is meant (-got +want):\n%s", metricsFile, diff)
	}
}

func metricTable(t *testing.T) string {
	t.Helper()
	unused := maps.Clone(labelsOfMetrics)
	var out bytes.Buffer
	fmt.Fprint(&out, "\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, m := range instrumented(t) {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labelsOfMetrics[m.name], m.about)
		delete(unused, m.name)
	}
	out.WriteByte('\n')
	for name := range unused {
		t.Errorf("labelsOfMetrics speaks of %s, which is no metric", name)
	}
	return out.String()
}

// TestMetricsOfARealServer gives a server something to count, and compares what
// it then says with the document.
func TestMetricsOfARealServer(t *testing.T) {
	cfg := freePorts(t)
	cfg.Loop.Settle = config.Duration(10 * time.Millisecond)
	s := run(t, cfg)
	alert := `{"alerts":[{"alert_name":"Down","service_name":"cart","severity":"critical"}]}`
	if status, body := s.call(http.MethodPost, "http://"+s.APIAddr()+"/api/v1/alerts", alert); status != http.StatusOK {
		t.Fatalf("alerts: got %d %s, want 200", status, body)
	}
	now := time.Now().UnixNano()
	trace := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeSpans":[{"spans":[`+
		`{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"GET /","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, now, now+1e6)
	if status, body := s.call(http.MethodPost, "http://"+s.otlp.Addrs().HTTP+"/v1/traces", trace); status != http.StatusOK {
		t.Fatalf("spans: got %d %s, want 200", status, body)
	}
	s.untilDecided()

	status, text := s.get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: got %d %s", status, text)
	}
	for series, want := range map[string]string{
		`homeostat_alerts_accepted_total source="api"`: "1",
		`otlp_spans_total `:                            "1",
		`homeostat_otlp_items_total signal="traces"`:   "1",
		`homeostat_stage_batch_count stage="alerts"`:   "1",
		`homeostat_cases_open state="acting"`:          "0",
	} {
		if got := valueIn(text, series); got != want {
			t.Errorf("%s: got %q, want %q", series, got, want)
		}
	}

	documented := map[string]bool{}
	for _, m := range instrumented(t) {
		documented[m.name] = true
	}
	ofLibraries := regexp.MustCompile(`^(go_|process_|promhttp_|target_info|otel_scope_info)`)
	seen := 0
	for line := range strings.SplitSeq(text, "\n") {
		name, isType := strings.CutPrefix(line, "# TYPE ")
		name, _, _ = strings.Cut(name, " ")
		switch {
		case isType && ofLibraries.MatchString(name):
		case isType && !documented[name]:
			t.Errorf("%s is told but not documented", name)
		case isType:
			seen++
		default:
			checkLabels(t, line)
		}
	}
	if seen < 30 {
		t.Errorf("got %d metrics of our own, want at least 30", seen)
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "go_goroutines"} {
		if valueIn(text, name+" ") == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

// untilDecided waits, woken by commits, until a decision is on record and
// counted.
func (r *running) untilDecided() {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if _, text := r.get("/metrics"); strings.Contains(text, "homeostat_decisions_total{") {
			return
		}
		// The count follows its commit, which may be the last one for a while.
		ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Millisecond)
		_, err := r.store.Wait(ctx, r.revision())
		cancel()
		if err != nil && !heal.Is(err, heal.Transient) {
			r.t.Fatal(err)
		}
	}
	r.t.Fatal("no decision within 20 s")
}

func (r *running) revision() (at store.Revision) {
	r.t.Helper()
	err := r.store.View(r.t.Context(), func(rd store.Reader) error {
		at = rd.Revision()
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return at
}

var (
	seriesLine = regexp.MustCompile(`^([a-z_0-9]+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)
)

// checkLabels compares the labels of a series with those documented.
func checkLabels(t *testing.T, line string) {
	t.Helper()
	found := seriesLine.FindStringSubmatch(line)
	if found == nil || !strings.HasPrefix(found[1], "homeostat_") {
		return
	}
	for _, pair := range labelPair.FindAllStringSubmatch(found[2], -1) {
		own := !strings.HasPrefix(pair[1], "otel_scope_") && pair[1] != "le"
		if own && !strings.Contains(labelsOfMetrics[found[1]], "`"+pair[1]+"`") {
			t.Errorf("%s has the label %s, which is not documented", found[1], pair[1])
		}
	}
}

// valueIn finds the value of the series whose name and one label are given.
func valueIn(text, series string) string {
	name, label, _ := strings.Cut(series, " ")
	for line := range strings.SplitSeq(text, "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if ok && rest != "" && strings.ContainsRune("{ ", rune(rest[0])) && strings.Contains(rest, label) {
			return rest[strings.LastIndex(rest, " ")+1:]
		}
	}
	return ""
}

// instrumented lists every metric of our own, by the name it is served under.
func instrumented(t *testing.T) []described {
	t.Helper()
	r := &recorder{all: []described{{
		"homeostat_telemetry_export_failures_total", "counter", "Exports of Homeostat's own telemetry that failed; what they carried is lost.",
	}}}
	if _, err := engine.NewMetrics(r); err != nil {
		t.Fatal(err)
	}
	if _, err := loop.NewCounters(r); err != nil {
		t.Fatal(err)
	}
	if _, err := observe(r, metricsOfParts(), nil); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(r.all, func(a, b described) int { return strings.Compare(a.name, b.name) })
	return r.all
}

// recorder is a meter that only remembers what was made of it.
type recorder struct {
	noop.MeterProvider
	all []described
}

func (r *recorder) Meter(string, ...metric.MeterOption) metric.Meter { return meter{r: r} }

type meter struct {
	noop.Meter
	r *recorder
}

func (m meter) Int64Counter(name string, o ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c := metric.NewInt64CounterConfig(o...)
	m.r.remember(name, c.Unit(), "counter", c.Description())
	return m.Meter.Int64Counter(name)
}

func (m meter) Float64Histogram(name string, o ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	c := metric.NewFloat64HistogramConfig(o...)
	m.r.remember(name, c.Unit(), "histogram", c.Description())
	return m.Meter.Float64Histogram(name)
}

func (m meter) Float64ObservableCounter(name string, o ...metric.Float64ObservableCounterOption) (metric.Float64ObservableCounter, error) {
	c := metric.NewFloat64ObservableCounterConfig(o...)
	m.r.remember(name, c.Unit(), "counter", c.Description())
	return m.Meter.Float64ObservableCounter(name)
}

func (m meter) Float64ObservableGauge(name string, o ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	c := metric.NewFloat64ObservableGaugeConfig(o...)
	m.r.remember(name, c.Unit(), "gauge", c.Description())
	return m.Meter.Float64ObservableGauge(name)
}

// remember keeps a metric under its name in the Prometheus format.
func (r *recorder) remember(name, unit, kind, about string) {
	name = strings.ReplaceAll(name, ".", "_")
	switch unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if kind == "counter" {
		name += "_total"
	}
	r.all = append(r.all, described{name, kind, about})
}
