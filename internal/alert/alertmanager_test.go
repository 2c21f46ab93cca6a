package alert_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestAlertmanagerMixedGroup(t *testing.T) {
	body, err := os.ReadFile("testdata/alertmanager/mixed.json")
	if err != nil {
		t.Fatal(err)
	}
	alerts, skipped, err := alert.NewAlertmanager(alert.Options{}).Parse(body, base.Add(5*time.Minute))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	twenty := 20.0
	computed := func(labels map[string]string) string {
		return alert.Fingerprint("alertmanager", "PoolExhausted", labels)
	}
	pod := map[string]string{"alertname": "PoolExhausted", "pod": "cart-1", "namespace": "shop", "severity": "info"}
	host := map[string]string{"alertname": "PoolExhausted", "host": "db-2"}
	star := map[string]string{"alertname": "PoolExhausted", "service": "*"}
	want := []heal.Alert{
		{
			Fingerprint: "alertmanager:00ff00ff00ff00ff", SourceSystem: "alertmanager", Name: "PoolExhausted",
			Severity: heal.Critical, Status: heal.Firing, ServiceName: "inventory", HostIP: "10.1.0.7", Entity: "service/inventory",
			Scope: heal.DefaultScope.WithService("inventory"), MetricValue: &twenty, Threshold: &twenty,
			Timestamp: time.Date(2026, 1, 5, 10, 2, 0, 500e6, time.UTC),
			Labels:    map[string]string{"alertname": "PoolExhausted", "service": "inventory", "instance": "10.1.0.7:9000", "severity": "page"},
			Context: map[string]string{
				"description": "no free connection", "value": "20", "threshold": "20",
				"homeostat_condition": `pool_free{service="inventory"} == 0`, "generator_url": "http://prom.example/graph",
			},
			Description: "no free connection",
			Condition:   heal.Condition{Kind: heal.ConditionPromQL, Expr: `pool_free{service="inventory"} == 0`},
		},
		{
			Fingerprint: computed(pod), SourceSystem: "alertmanager", Name: "PoolExhausted",
			Severity: heal.Info, Status: heal.Resolved, Entity: "pod/shop/cart-1", Scope: heal.DefaultScope,
			Timestamp: base.Add(-10 * time.Minute), ResolvedAt: base.Add(90 * time.Second), Labels: pod,
		},
		{
			Fingerprint: computed(host), SourceSystem: "alertmanager", Name: "PoolExhausted",
			Severity: heal.Warning, Status: heal.Resolved, Entity: "host/db-2", Scope: heal.DefaultScope,
			Timestamp: base, ResolvedAt: base.Add(30 * time.Second), Labels: host,
		},
		{
			Fingerprint: computed(star), SourceSystem: "alertmanager", Name: "PoolExhausted",
			Severity: heal.Warning, Status: heal.Firing, Entity: "external/alertmanager", Scope: heal.DefaultScope, Labels: star,
		},
	}
	if diff := cmp.Diff(alerts, want, cmpopts.IgnoreFields(heal.Alert{}, "Raw")); diff != "" {
		t.Errorf("alerts: -got +want\n%s", diff)
	}
	if got := string(alerts[0].Raw); !strings.HasPrefix(got, `{"status": "firing"`) || !strings.Contains(got, `"extra": [1, 2]`) {
		t.Errorf("raw of the first alert: got %s, want its own JSON with unknown fields", got)
	}
	wantSkipped := []alert.Skipped{
		{Index: 2, Count: 1, Reason: "labels: found a JSON number, expected a string"},
		{Index: 3, Count: 1, Reason: `status is "odd", expected firing or resolved`},
		{Index: 6, Count: 1, Reason: "has no labels: nothing says what it is about"},
		{Index: -1, Count: 3, Reason: "3 more alerts of this group were left out by the sender (truncatedAlerts): raise its max_alerts"},
	}
	if diff := cmp.Diff(skipped, wantSkipped, cmpopts.IgnoreFields(alert.Skipped{}, "Raw")); diff != "" {
		t.Errorf("skipped: -got +want\n%s", diff)
	}
}

func TestAlertmanagerRefusals(t *testing.T) {
	one := func(labels string) string { return `{"alerts":[{"status":"firing","labels":{` + labels + `}}]}` }
	many := func(n int) string {
		return `{"alerts":[` + strings.TrimSuffix(strings.Repeat(`{"labels":{"a":"b"}},`, n), ",") + `]}`
	}
	labels := func(n int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(`"l%d":"v"`, i)
		}
		return strings.Join(parts, ",")
	}
	for _, tc := range []struct{ name, body, want string }{
		{"empty", " \n", "body is empty, expected JSON"},
		{"not JSON", `{"alerts":[}`, "body: is not JSON at byte 12"},
		{"text after", `{"alerts":[]} x`, "body: is not JSON at byte 15"},
		{"a list", `[]`, "expected an object"},
		{"no list", `{"version":"4"}`, `has no list "alerts"`},
		{"alerts of another type", `{"alerts":{"a":1}}`, "alerts: found a JSON object, expected a list"},
		{"too large", `{"alerts":[]}` + strings.Repeat(" ", 10<<20), "has 10485773 bytes, at most 5242880 are taken"},
		{"too deep", `{"alerts":` + strings.Repeat("[", 100000), "nested more than 32 levels deep at byte 41"},
		{"deep in a string is not deep", `{"alerts":"` + strings.Repeat("[", 100) + `"}`, "alerts: found a JSON string, expected a list"},
		{"invalid UTF-8", "{\"alerts\":[{\"labels\":{\"a\":\"\xff\"}}]}", "not valid UTF-8 at byte 27"},
		{"too many", many(1001), "has 1001 alerts, at most 1000 are taken"},
		{"all bad", `{"alerts":[null,{}]}`, "none of 2 alerts can be read; alert 0 has no labels"},
		{"too many labels", one(labels(65)), "has 65 labels, at most 64 are taken"},
		{"long label name", one(`"` + strings.Repeat("n", 300) + `":"v"`), "has a label with a name of 300 bytes, at most 256 are taken"},
		{"long label value", one(`"n":"` + strings.Repeat("v", 3000) + `"`), `label "n" has a value of 3000 bytes, at most 2048 are taken`},
		{"NUL", one(`"n":"a\u0000b"`), `label "n" has a NUL character`},
		{"label without a name", one(`"":"v"`), "has a label without a name"},
		{"bad start", `{"alerts":[{"labels":{"a":"b"},"startsAt":"yesterday"}]}`, `startsAt is "yesterday", expected a time`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			alerts, _, err := alert.NewAlertmanager(alert.Options{}).Parse([]byte(tc.body), base)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v, want an error of kind invalid with %q", alerts, err, tc.want)
			}
		})
	}
}

func TestLongAnnotationIsCutAndRawKept(t *testing.T) {
	long := strings.Repeat("ä", 20<<10)
	body := `{"alerts":[{"labels":{"alertname":"A"},"annotations":{"description":"` + long + `"}}]}`
	alerts, _, err := alert.NewAlertmanager(alert.Options{}).Parse([]byte(body), base)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := alerts[0].Description, strings.Repeat("ä", 8<<10)+"... (16384 of 40960 bytes)"; got != want {
		t.Errorf("description: got %d bytes ending in %q", len(got), got[len(got)-40:])
	}
	if !strings.Contains(string(alerts[0].Raw), long) {
		t.Error("raw: got a cut description, want the whole")
	}
}

func TestAlertmanagerOptions(t *testing.T) {
	opts := alert.Options{
		Source:              "am-eu",
		Scope:               heal.Scope{Tenant: "acme", Env: "prod", Cluster: "eu"},
		Entity:              []alert.EntityRule{{Label: "db", Kind: heal.KindDatabase}},
		SeverityLabel:       "prio",
		ConditionAnnotation: "expr",
	}
	body := `{"alerts":[{"labels":{"alertname":"A","db":"orders","service":"cart","prio":"P1"},"annotations":{"expr":"up == 0"},"fingerprint":"f"}]}`
	alerts, _, err := alert.NewAlertmanager(opts).Parse([]byte(body), base)
	if err != nil {
		t.Fatal(err)
	}
	a := alerts[0]
	got := []string{a.Fingerprint, a.SourceSystem, a.Scope.String(), string(a.Entity), string(a.Severity), a.Condition.Expr}
	want := []string{"am-eu:f", "am-eu", "acme/prod/eu", "database/orders", "critical", "up == 0"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("-got +want\n%s", diff)
	}
}

func FuzzAlertmanager(f *testing.F) {
	mixed, err := os.ReadFile("testdata/alertmanager/mixed.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mixed)
	f.Add([]byte(`{"alerts":[{"labels":{"a":"\ud800"}}]}`))
	adapter := alert.NewAlertmanager(alert.Options{})
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, adapter, body) })
}

// checkParse holds an adapter to its invariant on any body.
func checkParse(t *testing.T, adapter alert.Adapter, body []byte) {
	t.Helper()
	alerts, _, err := adapter.Parse(body, base)
	if err != nil {
		if !heal.Is(err, heal.Invalid) {
			t.Fatalf("got kind %s of %v, want invalid", heal.KindOf(err), err)
		}
		return
	}
	for _, a := range alerts {
		if a.Fingerprint == "" || a.Name == "" || a.Entity.Validate() != nil || !json.Valid(a.Raw) {
			t.Fatalf("got %+v, want a fingerprint, a name, a valid entity and raw JSON", a)
		}
		first, events, _ := alert.Apply(nil, a, base, func() heal.AlertID { return "id" })
		if len(events) == 0 || first.ReceivedAt.IsZero() || first.Timestamp.IsZero() {
			t.Fatalf("Apply: got %+v, %v", first, events)
		}
	}
}

// BenchmarkIntake is the work between a body and what is stored: parse a group
// of 50 and bring each alert into its life.
func BenchmarkIntake(b *testing.B) {
	body := groupOf(50)
	adapter := alert.NewAlertmanager(alert.Options{})
	id := func() heal.AlertID { return "019b8d5e-0000-7000-8000-000000000000" }
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		alerts, _, err := adapter.Parse(body, base)
		if err != nil || len(alerts) != 50 {
			b.Fatal(len(alerts), err)
		}
		for _, a := range alerts {
			first, _, _ := alert.Apply(nil, a, base, id)
			alert.Apply(&first, a, base, id)
		}
	}
	b.ReportMetric(float64(b.N)*50/b.Elapsed().Seconds(), "alerts/s")
}

func groupOf(n int) []byte {
	var list []map[string]any
	for i := range n {
		list = append(list, map[string]any{
			"status": "firing",
			"labels": map[string]string{
				"alertname": "HighLatency", "severity": "critical", "service": fmt.Sprintf("service-%d", i),
				"instance": fmt.Sprintf("10.0.0.%d:8080", i), "job": "shop", "team": "checkout",
			},
			"annotations":  map[string]string{"summary": "p99 over 500 ms for 5 minutes", "runbook_url": "https://wiki.example/latency"},
			"startsAt":     "2026-01-05T10:00:00.123Z",
			"endsAt":       "0001-01-01T00:00:00Z",
			"generatorURL": "http://prometheus.example:9090/graph?g0.expr=up",
			"fingerprint":  fmt.Sprintf("%016x", i),
		})
	}
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "alerts": list})
	if err != nil {
		panic(err)
	}
	return body
}

func TestLongConditionIsLeftOut(t *testing.T) {
	body := `{"alerts":[{"labels":{"alertname":"A"},"annotations":{"homeostat_condition":"` + strings.Repeat("x", 20<<10) + `"}}]}`
	alerts, _, err := alert.NewAlertmanager(alert.Options{}).Parse([]byte(body), base)
	if err != nil {
		t.Fatal(err)
	}
	got, note := alerts[0].Condition, alerts[0].Context["condition_error"]
	if got.Kind != heal.ConditionNone || !strings.Contains(note, "has 20480 bytes") {
		t.Errorf("got condition %q with note %q, want none and the reason", got.Kind, note)
	}
}
