package ottl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

func traces(t testing.TB) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "cart")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("net/http")
	for _, name := range []string{"GET /a", "GET /b"} {
		span := ss.Spans().AppendEmpty()
		span.SetName(name)
		span.Attributes().PutStr("http.request.header.authorization", "secret")
		span.Attributes().PutStr("user", "Jörg")
		span.Events().AppendEmpty().Attributes().PutStr("token", "secret")
	}
	b, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func metrics(t testing.TB) []byte {
	t.Helper()
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	for i := range 5 {
		m := sm.Metrics().AppendEmpty()
		m.SetName("m")
		switch i {
		case 0:
			m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutStr("user.id", "7")
		case 1:
			m.SetEmptySum().DataPoints().AppendEmpty().Attributes().PutStr("user.id", "7")
		case 2:
			m.SetEmptyHistogram().DataPoints().AppendEmpty().Attributes().PutStr("user.id", "7")
		case 3:
			m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes().PutStr("user.id", "7")
		case 4:
			m.SetEmptySummary().DataPoints().AppendEmpty().Attributes().PutStr("user.id", "7")
		}
	}
	b, err := new(pmetric.ProtoMarshaler).MarshalMetrics(md)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func logs(t testing.TB) []byte {
	t.Helper()
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	sl.LogRecords().AppendEmpty().Body().SetStr("login password=hunter2 ok")
	sl.LogRecords().AppendEmpty().Body().SetEmptyMap().PutStr("password", "hunter2")
	b, err := new(plog.ProtoMarshaler).MarshalLogs(ld)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clean gives a request as text after statements on its signal.
func clean(t *testing.T, sig otlp.Signal, request []byte, statements ...string) (text string, r Result) {
	t.Helper()
	c, problems := New([...]Options{otlp.SignalTraces: {Traces: statements}, otlp.SignalMetrics: {Metrics: statements}, otlp.SignalLogs: {Logs: statements}}[sig])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, r, err := c.Clean(t.Context(), sig, request)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), r
}

func TestStatementsReachEverything(t *testing.T) {
	for _, tt := range []struct {
		name      string
		sig       otlp.Signal
		statement string
		gone, new string
	}{
		{"span", otlp.SignalTraces, `delete_key(span.attributes, "http.request.header.authorization")`, "authorization", "GET /a"},
		{"only some spans", otlp.SignalTraces, `set(span.name, "GET /z") where span.name == "GET /b"`, "GET /b", "GET /z"},
		{"span event", otlp.SignalTraces, `delete_key(spanevent.attributes, "token")`, "token", "cart"},
		{"resource of spans", otlp.SignalTraces, `set(resource.attributes["service.name"], "basket")`, "cart", "basket"},
		{"scope of spans", otlp.SignalTraces, `set(scope.name, "http")`, "net/http", "http"},
		{"a span by its resource", otlp.SignalTraces, `set(span.name, Concat([resource.attributes["service.name"], span.name], " "))`, "nothing", "cart GET /a"},
		{"metric", otlp.SignalMetrics, `set(metric.name, "renamed")`, "nothing", "renamed"},
		{"points of every kind", otlp.SignalMetrics, `delete_key(datapoint.attributes, "user.id")`, "user.id", "m"},
		{"resource of metrics", otlp.SignalMetrics, `set(resource.attributes["cluster"], "c1")`, "nothing", "c1"},
		{"scope of metrics", otlp.SignalMetrics, `set(scope.version, "v9")`, "nothing", "v9"},
		{"log text", otlp.SignalLogs, `replace_pattern(log.body.string, "password=\\S+", "password=***") where IsString(log.body)`, "=hunter2", "password=*** ok"},
		{"log structure", otlp.SignalLogs, `delete_key(log.body, "password") where IsMap(log.body)`, "\bpassword", "login"},
		{"resource of logs", otlp.SignalLogs, `set(resource.attributes["cluster"], "c1")`, "nothing", "c1"},
		{"scope of logs", otlp.SignalLogs, `set(scope.name, "s9")`, "nothing", "s9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := map[otlp.Signal]func(testing.TB) []byte{otlp.SignalTraces: traces, otlp.SignalMetrics: metrics, otlp.SignalLogs: logs}[tt.sig](t)
			got, r := clean(t, tt.sig, request, tt.statement)
			if strings.Contains(got, tt.gone) || !strings.Contains(got, tt.new) {
				t.Errorf("got %q, want no %q and a %q", got, tt.gone, tt.new)
			}
			if r != (Result{}) {
				t.Errorf("got %+v, want nothing that failed", r)
			}
		})
	}
}

func TestWithoutStatementsNothingIsDecoded(t *testing.T) {
	c, problems := New(Options{Logs: []string{`set(log.severity_text, "INFO")`}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	garbage := []byte("no protobuf")
	got, _, err := c.Clean(t.Context(), otlp.SignalTraces, garbage)
	if err != nil || &got[0] != &garbage[0] {
		t.Errorf("got %q, %v, want the request itself", got, err)
	}
	if _, _, err := c.Clean(t.Context(), otlp.SignalLogs, garbage); !heal.Is(err, heal.Invalid) {
		t.Errorf("got %v, want a refusal for good", err)
	}
	if (*Cleaner)(nil).Has(otlp.SignalTraces) {
		t.Error("a Cleaner that is not there has statements")
	}
}

func TestAFailureLeavesTheItem(t *testing.T) {
	got, r := clean(t, otlp.SignalTraces, traces(t),
		`set(span.attributes["n"], ParseJSON(span.name))`, `set(span.attributes["after"], "done")`)
	if r.Failed != 2 || strings.Count(got, "done") != 2 {
		t.Errorf("got %+v and %d spans, want 2 failures and 2 spans that the next statement reached", r, strings.Count(got, "done"))
	}
}

func TestTextStaysUTF8(t *testing.T) {
	got, r := clean(t, otlp.SignalTraces, traces(t), `set(span.attributes["user"], Substring(span.attributes["user"], 0, 2))`)
	if r.Mended != 2 || !strings.Contains(got, "J?") {
		t.Errorf("got %+v %q, want two mended texts", r, got)
	}
	var s wire.Scanner
	if _, result, err := s.Scan([]byte(got), wire.NewSampler(wire.SamplerOptions{Rate: 1}), nil); err != nil || result.Spans != 2 {
		t.Errorf("got %+v, %v, want a request that can be kept", result, err)
	}
}

func TestMistakesAreToldWithAHint(t *testing.T) {
	_, problems := New(Options{
		Traces: []string{
			`set(span.name, "ok")`, `delete_kye(span.attributes, "a")`, `set(name, "x")`, `set(span.name "x")`, `set(log.body, "x")`, `set(span.nmae, "x")`,
			"set(" + strings.Repeat("a", maxStatement),
		},
		Logs: []string{`limit(log.attributes)`},
	})
	type told struct {
		Signal otlp.Signal
		Index  int
		Hint   string
	}
	var got []told
	for _, p := range problems {
		got = append(got, told{p.Signal, p.Index, p.Hint})
		if p.Text == "" || strings.Contains(p.Text, "\n") {
			t.Errorf("statement %d: got %q, want one line", p.Index, p.Text)
		}
	}
	paths := `a function and what it changes, with paths that begin with resource, scope, span, spanevent, as in delete_key(span.attributes, "http.request.header.authorization")`
	want := []told{
		{otlp.SignalTraces, 1, "delete_key(...)"},
		{otlp.SignalTraces, 2, paths},
		{otlp.SignalTraces, 3, paths},
		{otlp.SignalTraces, 4, paths},
		{otlp.SignalTraces, 5, paths},
		{otlp.SignalTraces, 6, "at most 16384"},
		{otlp.SignalLogs, 0, `a function and what it changes, with paths that begin with resource, scope, log, as in replace_pattern(log.body.string, "password=\\S+", "password=***")`},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s\n%v", diff, problems)
	}
}

// FuzzClean holds that whatever bytes come, they are refused or what is given back
// can be read and has as many items.
func FuzzClean(f *testing.F) {
	f.Add(uint8(0), traces(f))
	f.Add(uint8(1), metrics(f))
	f.Add(uint8(2), logs(f))
	f.Add(uint8(0), []byte{10, 2, 18, 0})
	c, problems := New(Options{
		Traces: []string{
			`set(span.attributes["user"], Substring(span.attributes["user"], 0, 2))`, `set(resource.attributes["x"], span.name)`,
			`limit(spanevent.attributes, 1, [])`, `truncate_all(scope.attributes, 3)`, `set(span.status.message, span.trace_id.string)`,
		},
		Metrics:         []string{`set(metric.description, metric.name)`, `keep_keys(datapoint.attributes, ["a"])`, `set(datapoint.attributes["v"], datapoint.value_double)`},
		Logs:            []string{`set(log.attributes["b"], log.body)`, `flatten(log.attributes)`, `set(log.body, ParseJSON(log.body.string)) where IsString(log.body)`},
		MaxRequestBytes: 1 << 20,
	})
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, which uint8, request []byte) {
		sig := otlp.Signal(which % 3)
		count := func(b []byte) (n int, err error) {
			switch sig {
			case otlp.SignalTraces:
				var s wire.Scanner
				result, err := s.Watch(b, wire.NewSampler(wire.SamplerOptions{Rate: 1}))
				return result.Spans, err
			case otlp.SignalMetrics:
				return wire.CheckMetrics(b)
			case otlp.SignalLogs:
				return wire.CheckLogs(b)
			}
			return 0, nil
		}
		before, err := count(request)
		if err != nil {
			return // refused before
		}
		cleaned, _, err := c.Clean(t.Context(), sig, request)
		if err != nil {
			if !heal.Is(err, heal.Invalid) {
				t.Errorf("got %v, want a refusal for good", err)
			}
			return
		}
		if after, err := count(cleaned); err != nil || after != before {
			t.Errorf("got %d items, %v, want %d", after, err, before)
		}
	})
}

// FuzzStatement holds that no text ends the process.
func FuzzStatement(f *testing.F) {
	f.Add(`set(span.attributes["a"], Concat(["x", span.name], "-")) where span.kind == SPAN_KIND_SERVER and not (IsMatch(span.name, "^a.*") or 1 + 2 * 3 > 4)`)
	f.Add(`delete_matching_keys(log.attributes, "(")`)
	f.Add("set(((((")
	f.Fuzz(func(t *testing.T, text string) {
		if c, problems := New(Options{Traces: []string{text}}); (c == nil) != (len(problems) > 0) {
			t.Errorf("got %v and %v", c, problems)
		}
	})
}
