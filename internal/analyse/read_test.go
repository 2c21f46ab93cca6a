package analyse_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/analyse"
	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// written puts a text into a file of its own folder.
func written(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestForms reads the same in every form it may have.
func TestForms(t *testing.T) {
	metrics := map[string][2]string{
		"wide":              {"cart_metric.csv", "time,p95_latency_ms\n2026-03-02T12:00:00Z,250\n"},
		"wide, of services": {"all.csv", "timestamp,cart:p95_latency_ms\n1772452800,250\n"},
		"long":              {"all.csv", "timestamp,service,metric,value\n2026-03-02 12:00:00,cart,p95_latency_ms,250\n"},
		"long, in ms":       {"all.csv", "ts,cmdb_id,kpi_name,value\n1772452800000,cart,p95_latency_ms,250\n"},
		"OTLP":              {"x.json", `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeMetrics":[{"metrics":[{"name":"p95_latency_ms","gauge":{"dataPoints":[{"timeUnixNano":"1772452800000000000","asInt":"250"}]}}]}]}]}`},
	}
	for name, file := range metrics {
		t.Run("metrics "+name, func(t *testing.T) {
			d, err := analyse.Read(analyse.Paths{Metrics: written(t, file[0], file[1])})
			if err != nil {
				t.Fatal(err)
			}
			want := []*analyse.Column{{Service: "cart", Name: "p95_latency_ms", Measure: cause.MeasureLatency, Unit: "s", Samples: []cause.Sample{{At: noon, Value: 0.25}}}}
			if diff := cmp.Diff(d.Columns, want); diff != "" {
				t.Errorf("got (-) and want (+):\n%s", diff)
			}
		})
	}
	traces := map[string][2]string{
		"JSON":              {"s.jsonl", `{"trace_id":"t","span_id":"s","parent_id":"p","service":"cart","operation":"GET /","kind":"server","start":"2026-03-02T12:00:00Z","duration_ms":20,"error":true}`},
		"JSON of many rows": {"s.json", "{\"traceID\":\"t\",\n\"spanID\":\"s\",\"parentSpanId\":\"p\",\n\"service.name\":\"cart\",\"name\":\"GET /\",\"kind\":\"SPAN_KIND_SERVER\",\"start\":1772452800,\"duration\":\"20ms\",\"status\":\"ERROR\"}"},
		"CSV":               {"s.csv", "TraceID,SpanID,ParentID,service,OperationName,kind,StartTimeUnixNano,EndTimeUnixNano,status_code\nt,s,p,cart,GET /,2,1772452800000000000,1772452800020000000,500\n"},
		"OTLP":              {"s.json", `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeSpans":[{"spans":[{"traceId":"t","spanId":"s","parentSpanId":"p","name":"GET /","kind":2,"startTimeUnixNano":"1772452800000000000","endTimeUnixNano":"1772452800020000000","status":{"code":2}}]}]}]}`},
	}
	for name, file := range traces {
		t.Run("traces "+name, func(t *testing.T) {
			d, err := analyse.Read(analyse.Paths{Traces: written(t, file[0], file[1])})
			if err != nil {
				t.Fatal(err)
			}
			want := []heal.Span{{TraceID: "t", SpanID: "s", ParentID: "p", Service: "cart", Operation: "GET /", Kind: heal.SpanServer, Start: noon, Duration: 20 * time.Millisecond, Error: true}}
			if diff := cmp.Diff(d.Spans, want); diff != "" {
				t.Errorf("got (-) and want (+):\n%s", diff)
			}
		})
	}
	logs := map[string][2]string{
		"plain": {"cart.log", "2026-03-02T12:00:00Z ERROR no connection\n\tat a.b(C.java:1)\n"},
		"Java":  {"cart.log", "2026-03-02 12:00:00,000 ERROR no connection\n\tat a.b(C.java:1)\n"},
	}
	for name, file := range logs {
		t.Run("logs "+name, func(t *testing.T) {
			d, err := analyse.Read(analyse.Paths{Logs: written(t, file[0], file[1])})
			if err != nil {
				t.Fatal(err)
			}
			want := []heal.LogRecord{{Time: noon, Observed: noon, Service: "cart", Severity: 17, Body: "ERROR no connection\n\tat a.b(C.java:1)"}}
			if diff := cmp.Diff(d.Logs, want); diff != "" {
				t.Errorf("got (-) and want (+):\n%s", diff)
			}
		})
	}
	for name, text := range map[string]string{"arrows": "# calls\nshop -> cart\n", "words": "shop cart\n", "CSV": "from,to\nshop,cart\n", "JSON": `{"edges":[{"from":"shop","to":"cart"}]}`} {
		t.Run("graph "+name, func(t *testing.T) {
			d, err := analyse.Read(analyse.Paths{Graph: written(t, "g.txt", text)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d.Edges, [][2]heal.EntityID{{"service/shop", "service/cart"}}); diff != "" {
				t.Errorf("got (-) and want (+):\n%s", diff)
			}
		})
	}
}

// TestWrongFiles wants the place and what was expected of every mistake.
func TestWrongFiles(t *testing.T) {
	tests := []struct {
		name, text string
		paths      func(path string) analyse.Paths
		says       []string
	}{
		{"m.csv", "a,b\n1,2\n", func(p string) analyse.Paths { return analyse.Paths{Metrics: p} }, []string{"m.csv:1", "no column of times", "expected"}},
		{"m.csv", "time,cpu\nsoon,2\n", func(p string) analyse.Paths { return analyse.Paths{Metrics: p} }, []string{"m.csv:2", `"soon"`, "expected RFC 3339"}},
		{"m.csv", "time,cpu\n\n2026-03-02T12:00:00Z\n", func(p string) analyse.Paths { return analyse.Paths{Metrics: p} }, []string{"m.csv:3", "1 fields, expected 2"}},
		{"m.csv", "time,service,metric,value\n2026-03-02T12:00:00Z,a,b,much\n", func(p string) analyse.Paths { return analyse.Paths{Metrics: p} }, []string{"m.csv:2", `"much" is no number`}},
		{"m.json", `{"a":1}`, func(p string) analyse.Paths { return analyse.Paths{Metrics: p} }, []string{"m.json:1", "expected OTLP"}},
		{"t.jsonl", "{\"trace_id\":\"t\"}\n", func(p string) analyse.Paths { return analyse.Paths{Traces: p} }, []string{"t.jsonl:1", "span_id"}},
		{"t.jsonl", `{"trace_id":"t","span_id":"s","start":"2026-03-02T12:00:00Z"}`, func(p string) analyse.Paths { return analyse.Paths{Traces: p} }, []string{"t.jsonl:1", "duration"}},
		{"t.jsonl", `{"trace_id":`, func(p string) analyse.Paths { return analyse.Paths{Traces: p} }, []string{"t.jsonl:1", "JSON"}},
		{"a.log", "hello\n", func(p string) analyse.Paths { return analyse.Paths{Logs: p} }, []string{"a.log:1", "begins with no time"}},
		{"g.txt", "a\n", func(p string) analyse.Paths { return analyse.Paths{Graph: p} }, []string{"g.txt:1", "is no edge"}},
		{"g.json", "{}", func(p string) analyse.Paths { return analyse.Paths{Graph: p} }, []string{"g.json:1", "edges"}},
		{"m.csv.gz", "time,cpu\n", func(p string) analyse.Paths { return analyse.Paths{Metrics: p} }, []string{"m.csv.gz", "gzip"}},
		{"x", "", func(p string) analyse.Paths { return analyse.Paths{Logs: p + "-not-there"} }, []string{"not-there", "no such file"}},
	}
	for _, tt := range tests {
		_, err := analyse.Read(tt.paths(written(t, tt.name, tt.text)))
		if err == nil {
			t.Errorf("%q: got no error, want one that says %q", tt.text, tt.says)
			continue
		}
		for _, word := range tt.says {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q: got %v, want a word of %q", tt.text, err, word)
			}
		}
		if heal.KindOf(err) != heal.Invalid {
			t.Errorf("%q: got kind %s, want invalid", tt.text, heal.KindOf(err))
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.csv", "time,service,metric,value\n1772452800,cart,cpu,1\n", "{\"trace_id\":\"t\",\"span_id\":\"s\",\"start\":1772452800,\"duration\":1}", "2026-03-02T12:00:00Z ERROR x\n", "a -> b\n", "at,service,version\n1772452800,cart,2\n")
	f.Add("b.json", `{"resourceMetrics":[{}]}`, `{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`, `{"edges":[{}]}`, `{"items":[{"at":"2026-03-02T12:00:00Z","entity":"database/x"}]}`)
	f.Fuzz(func(t *testing.T, name, metrics, traces, logs, graph, changes string) {
		name = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r == '.' {
				return r
			}
			return -1
		}, name)
		if len(name) < 2 || len(name) > 40 || strings.Trim(name, ".") == "" {
			name = "a.csv"
		}
		d, err := analyse.Read(analyse.Paths{Metrics: written(t, name, metrics), Traces: written(t, name, traces), Logs: written(t, name, logs), Graph: written(t, name, graph), Changes: written(t, name, changes)})
		if err == nil {
			_, err = analyse.Run(t.Context(), d, analyse.Options{})
		}
		if err != nil && heal.KindOf(err) != heal.Invalid {
			t.Errorf("got kind %s: %v", heal.KindOf(err), err)
		}
	})
}
