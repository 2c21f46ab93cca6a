package alert_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
)

func readMapping(t testing.TB, file string) *alert.Mapping {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := alert.ParseMapping(file, source, alert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMappingList(t *testing.T) {
	m := readMapping(t, "testdata/mapping/full.yaml")
	body, err := os.ReadFile("testdata/mapping/full.json")
	if err != nil {
		t.Fatal(err)
	}
	alerts, skipped, err := m.Parse(body, base)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	now, over, limit := 98.5, 91.0, 90.0
	common := heal.Alert{
		SourceSystem: "watchtower", Name: "Too many connections", MetricName: "connections",
		Scope: heal.DefaultScope, Threshold: &limit, Timestamp: base,
	}
	first, second, third := common, common, common
	first.Fingerprint, first.Severity, first.Status, first.Entity = "watchtower:9007199254740993", heal.Critical, heal.Firing, "database/db-1"
	first.MetricValue, first.Description = &now, "Too many connections on db-1"
	first.Labels = map[string]string{"host": "db-1", "zone": "a", "team": "data"}
	first.Context = map[string]string{"url": "http://w/1"}
	second.Fingerprint, second.Severity, second.Status, second.Entity = "watchtower:2", heal.Warning, heal.Acknowledged, "database/db-2"
	second.MetricValue, second.Description, second.AcknowledgedBy = &over, "Too many connections on db-2", "ada"
	second.Labels = map[string]string{"host": "db-2", "zone": "a", "team": "data"}
	third.Fingerprint, third.Severity, third.Status, third.Entity = "watchtower:3", heal.Warning, heal.Resolved, "external/watchtower"
	third.Description, third.ResolvedAt = "Too many connections on d*", base.Add(4*time.Minute)
	third.Labels = map[string]string{"host": "d*", "zone": "a", "team": "data"}
	ignore := cmpopts.IgnoreFields(heal.Alert{}, "Raw", "Context")
	if diff := cmp.Diff(alerts, []heal.Alert{first, second, third}, ignore); diff != "" {
		t.Errorf("alerts: -got +want\n%s", diff)
	}
	if diff := cmp.Diff(alerts[0].Context, first.Context); diff != "" {
		t.Errorf("context: -got +want\n%s", diff)
	}
	for i, want := range []string{"full.yaml:20: url: evaluate", "full.yaml:14: entity: entity id: \"database/d*\" has a wildcard"} {
		if got := alerts[i+1].Context["mapping_error"]; !strings.Contains(got, want) {
			t.Errorf("mapping_error of alert %d: got %q, want %q in it", i+1, got, want)
		}
	}
	if got, want := string(alerts[1].Raw), `{"id": 2, "rule"`; !strings.HasPrefix(got, want) {
		t.Errorf("raw: got %s, want its own JSON as it came", got)
	}
	for i, want := range []string{`full.yaml:6: status: "sideways" is no known status`, "full.yaml:5: name: evaluate"} {
		if got := skipped[i]; got.Index != i+3 || !strings.Contains(got.Reason, want) {
			t.Errorf("skipped %d: got %+v, want index %d with %q", i, got, i+3, want)
		}
	}
}

func TestMappingWithoutEach(t *testing.T) {
	source := `
source: cloud
fields:
  name: body.incident.policy_name
  status: body.incident.state
  fingerprint: body.incident.incident_id
  starts: body.incident.started_at
  ends: body.incident.ended_at
constants: {severity: critical}
`
	m, err := alert.ParseMapping("cloud.yaml", []byte(source), alert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"incident":{"incident_id":"f2","state":"open","started_at":1767607200,"ended_at":null,"policy_name":"Webserver"}}`
	opened, _, err := m.Parse([]byte(body), base)
	if err != nil {
		t.Fatal(err)
	}
	closed, _, err := m.Parse([]byte(strings.NewReplacer("open", "closed", "null", "1767607500").Replace(body)), base)
	if err != nil {
		t.Fatal(err)
	}
	if string(opened[0].Raw) != body {
		t.Errorf("raw: got %s, want the body", opened[0].Raw)
	}
	a, _, _ := alert.Apply(nil, opened[0], base, func() heal.AlertID { return "a1" })
	a, _, signal := alert.Apply(&a, closed[0], base, nil)
	if a.Status != heal.Resolved || signal != alert.SignalCleared || !a.ResolvedAt.Equal(base.Add(5*time.Minute)) {
		t.Errorf("closed: got %s at %s, signal %s, want resolved at 10:05, signal cleared", a.Status, a.ResolvedAt, signal)
	}
}

func TestMappingComputedListAndLabels(t *testing.T) {
	source := "source: s\neach: body.alerts.filter(a, a.on)\nfields: {name: item.n}\nlabels: item.tags\n"
	m, err := alert.ParseMapping("m.yaml", []byte(source), alert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	alerts, skipped, err := m.Parse([]byte(`{"alerts":[{"n":"a","on":true,"tags":{"service":"cart","port":80}},{"n":"b","on":false}]}`), base)
	if err != nil || len(alerts) != 1 || len(skipped) != 0 {
		t.Fatalf("got %v, %v, %v, want one alert", alerts, skipped, err)
	}
	if diff := cmp.Diff(alerts[0].Labels, map[string]string{"service": "cart", "port": "80"}); diff != "" {
		t.Errorf("labels: -got +want\n%s", diff)
	}
	if got, want := string(alerts[0].Raw), `{"n":"a","on":true,"tags":{"port":80,"service":"cart"}}`; got != want {
		t.Errorf("raw: got %s, want %s", got, want)
	}
}

func TestMappingBodyRefusals(t *testing.T) {
	m := readMapping(t, "testdata/mapping/full.yaml")
	for _, tc := range []struct{ name, body, want string }{
		{"not JSON", `{`, "body"},
		{"text after", `{} {}`, "more text after the JSON that ends at byte 2"},
		{"no list", `{"batch":{}}`, "full.yaml:3: each: body has no batch.incidents"},
		{"not a list", `{"batch":{"incidents":{}}}`, "full.yaml:3: each: body.batch.incidents is not a list"},
		{"not an object", `[1]`, "body has no batch: what is above it is not an object"},
		{"deep", strings.Repeat(`{"a":`, 50), "nested more than 32 levels"},
		{"too many", `{"batch":{"incidents":[` + strings.TrimSuffix(strings.Repeat("1,", 1001), ",") + `]}}`, "has 1001 alerts"},
		{"all bad", `{"batch":{"incidents":[1]}}`, "none of 1 alerts can be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := m.Parse([]byte(tc.body), base)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want kind invalid with %q", err, tc.want)
			}
		})
	}
}

func TestMappingMistakes(t *testing.T) {
	for _, tc := range []struct {
		name, source string
		want         []string
	}{
		{"empty", "", []string{"m.yaml:1:1: file is empty"}},
		{"not a mapping", "- a\n", []string{"m.yaml:1:1: is a list"}},
		{"not YAML", "source: s\n\tfields: {}\n", []string{"m.yaml:2:1: is not YAML: found a tab character"}},
		{"unknown keys and a hint", "source: s\nfeilds: {}\nlabels: {a: body.a}\n", []string{
			"m.yaml:2:1: feilds: is unknown, expected one of source, each", "did you mean fields?", "fields: is missing",
		}},
		{"every mistake at once", `source: Big Name
each: item.x
fields:
  name: body.(
  colour: body.c
  severity: 7 +
labels:
  host: [a]
  host: body.h
constants:
  severity: purple
  host_ip: nowhere
  entity: service/*
  starts: tomorrow
severities: {a: b}
statuses: {a: critical}
`, []string{
			"1:9: source: is \"Big Name\"", "2:7: each: reads item", "4:9: fields.name: expression: at ", "5:3: fields.colour: is unknown",
			"6:13: fields.severity: expression: at ", "8:9: labels.host: is a list, expected text", "9:3: labels.host: stands here twice",
			"11:13: constants.severity: is \"purple\"", "12:12: constants.host_ip: \"nowhere\" is not an IP address", "13:11: constants.entity:",
			"14:11: constants.starts: \"tomorrow\" is not a time", "15:17: severities.a: is \"b\"", "16:15: statuses.a: is \"critical\"",
		}},
		{"no identity", "source: s\nfields: {name: body.n}\n", []string{"labels: is missing, and so is fields.fingerprint"}},
		{"no name", "source: s\nfields: {fingerprint: body.f}\n", []string{"2:9: fields.name: is missing"}},
		{"alias", "source: &s s\nfields: *s\nlabels: {a: body.a}\n", []string{"2:9: fields: is an alias"}},
		{"constant and field", "source: s\nfields: {name: body.n}\nconstants: {name: n}\nlabels: {a: body.a}\n", []string{"constants.name: is also in fields"}},
		{"too large", strings.Repeat("#", alert.MaxMapping+1), []string{"file has 262145 bytes"}},
		{"invalid UTF-8", "source: \xff", []string{"not valid UTF-8 at byte 8"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := alert.ParseMapping("m.yaml", []byte(tc.source), alert.Options{})
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got %v, want kind invalid", err)
			}
			if _, ok := errors.AsType[alert.Problems](err); !ok {
				t.Errorf("got %T, want Problems in it", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got\n%v\nwant %q in it", err, want)
				}
			}
		})
	}
}

func FuzzMappingFile(f *testing.F) {
	source, err := os.ReadFile("testdata/mapping/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	body, err := os.ReadFile("testdata/mapping/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(source)
	f.Add([]byte("source: s\neach: body\nfields: {name: body.a}\nlabels: item"))
	f.Fuzz(func(t *testing.T, source []byte) {
		m, err := alert.ParseMapping("m.yaml", source, alert.Options{})
		if err != nil {
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got kind %s of %v, want invalid", heal.KindOf(err), err)
			}
			return
		}
		checkParse(t, m, body)
	})
}

func FuzzMappingBody(f *testing.F) {
	body, err := os.ReadFile("testdata/mapping/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"batch":{"incidents":[{"id":1e999,"rule":{"title":"t"},"state":"raised","prio":-1,"opened":1e300}]}}`))
	m := readMapping(f, "testdata/mapping/full.yaml")
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, m, body) })
}
