// Package telemetrytest is the suite every telemetry.Store passes.
//
// Its one invariant: it asks only for what the contract promises, so that a
// driver that passes can take the place of any other. It is not for the bounds
// of one driver; those are tested beside it.
package telemetrytest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// Harness is an empty Store under test.
type Harness struct {
	Store  telemetry.Store
	Settle func() // returns once everything appended before can be read
}

// Run runs the suite; open makes an empty Store for each test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	tests := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"empty", testEmpty},
		{"logs by field", testLogFields},
		{"logs by keyword", testKeyword},
		{"any keyword is safe", testKeywordSafe},
		{"log round trip", testLogRoundTrip},
		{"spans by field", testSpanFields},
		{"span round trip and trace", testTrace},
		{"limit", testLimit},
		{"newest", testNewest},
		{"late and early", testClocks},
		{"refused queries", testRefused},
		{"concurrent use", testConcurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func (h Harness) appendLogs(t *testing.T, logs ...heal.LogRecord) {
	t.Helper()
	if err := h.Store.AppendLogs(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
	h.Settle()
}

func (h Harness) appendSpans(t *testing.T, spans ...heal.Span) {
	t.Helper()
	if err := h.Store.AppendSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	h.Settle()
}

func (h Harness) logs(t *testing.T, q telemetry.LogQuery) []heal.LogRecord {
	t.Helper()
	logs, err := h.Store.Logs(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

func (h Harness) spans(t *testing.T, q telemetry.SpanQuery) []heal.Span {
	t.Helper()
	spans, err := h.Store.Spans(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

func bodies(logs []heal.LogRecord) string {
	var out []string
	for _, r := range logs {
		out = append(out, r.Body)
	}
	return strings.Join(out, " | ")
}

func operations(spans []heal.Span) string {
	var out []string
	for _, s := range spans {
		out = append(out, s.Operation)
	}
	return strings.Join(out, " | ")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(got, want, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}

func ago(d time.Duration) time.Time { return time.Now().UTC().Add(-d) }

func traceID(n int) string { return fmt.Sprintf("%032x", n) }

func testEmpty(t *testing.T, h Harness) {
	equal(t, "logs", h.logs(t, telemetry.LogQuery{}), []heal.LogRecord{})
	equal(t, "spans", h.spans(t, telemetry.SpanQuery{}), []heal.Span{})
	newest, err := h.Store.Newest(t.Context(), "cart")
	if err != nil || newest != (telemetry.Newest{}) {
		t.Errorf("Newest: got %+v, %v, want zero times", newest, err)
	}
	if _, err := h.Store.Trace(t.Context(), traceID(1)); !heal.Is(err, heal.NotFound) {
		t.Errorf("Trace: got %v, want kind not_found", err)
	}
	if err := h.Store.AppendLogs(t.Context(), nil); err != nil {
		t.Errorf("AppendLogs of nothing: got %v, want nil", err)
	}
}

func testLogFields(t *testing.T, h Harness) {
	base := ago(time.Minute)
	h.appendLogs(
		t,
		heal.LogRecord{Time: base, Service: "cart", Host: "h1", Instance: "i1", Severity: 9, Body: "a"},
		heal.LogRecord{Time: base.Add(2 * time.Second), Service: "cart", Host: "h2", Instance: "i2", Severity: 17, Body: "c", TraceID: traceID(7)},
		heal.LogRecord{Time: base.Add(time.Second), Service: "pay", Host: "h1", Instance: "i3", Severity: 13, Body: "b", TraceID: "not hex"},
	)
	tests := []struct {
		name string
		q    telemetry.LogQuery
		want string
	}{
		{"all, newest first", telemetry.LogQuery{}, "c | b | a"},
		{"service", telemetry.LogQuery{Service: "cart"}, "c | a"},
		{"host", telemetry.LogQuery{Host: "h1"}, "b | a"},
		{"instance", telemetry.LogQuery{Instance: "i2"}, "c"},
		{"severity", telemetry.LogQuery{MinSeverity: 13}, "c | b"},
		{"trace", telemetry.LogQuery{TraceID: traceID(7)}, "c"},
		{"trace of another form", telemetry.LogQuery{TraceID: "not hex"}, "b"},
		{"from inclusive, to exclusive", telemetry.LogQuery{From: base, To: base.Add(time.Second)}, "a"},
		{"all together", telemetry.LogQuery{Service: "cart", Host: "h2", MinSeverity: 17, Keyword: "c", From: base}, "c"},
		{"limit", telemetry.LogQuery{Limit: 1}, "c"},
		{"unknown service", telemetry.LogQuery{Service: "ghost"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { equal(t, "logs", bodies(h.logs(t, tt.q)), tt.want) })
	}
}

func testKeyword(t *testing.T, h Harness) {
	base := ago(time.Minute)
	for i, body := range []string{
		"HikariPool-1 - Connection is not available, request timed out after 30000ms.",
		"dial tcp 10.0.0.7:5432: connect: connection refused",
		"连接池耗尽,请稍后重试",
		"étage über straße",
		"----",
	} {
		h.appendLogs(t, heal.LogRecord{Time: base.Add(time.Duration(i) * time.Second), Service: "cart", Body: body})
	}
	tests := []struct {
		keyword string
		want    int // bodies found
	}{
		{"connection", 2},
		{"CONNECTION", 2},
		{"connection refused", 1},
		{"refused connection", 1},
		{"hikari", 0},
		{"hikari*", 1},
		{"conn* ref*", 1},
		{"10.0.0.7:5432", 1},
		{"耗尽", 1},
		{"über", 1},
		{"--", 1},
		{"connection nowhere", 0},
		{"", 5},
	}
	for _, tt := range tests {
		t.Run(tt.keyword, func(t *testing.T) {
			equal(t, "bodies found", len(h.logs(t, telemetry.LogQuery{Keyword: tt.keyword})), tt.want)
		})
	}
}

func testKeywordSafe(t *testing.T, h Harness) {
	h.appendLogs(t, heal.LogRecord{Time: ago(time.Minute), Service: "cart", Body: "plain text"})
	for _, keyword := range []string{
		`"`, `""`, `'`, `*`, `plain*`, `NEAR(plain text)`, `body:plain`, `plain OR nothing`, `plain AND`, `(`, `^plain`, `{body}`, `-plain`, `%`, `\`,
		"plain\x00text", "plain \xff\xfe", "'; DROP TABLE log; --", strings.Repeat("a ", 500), "\u0301", "{{.}}", `|= "x"`,
	} {
		if _, err := h.Store.Logs(t.Context(), telemetry.LogQuery{Keyword: keyword}); err != nil {
			t.Errorf("keyword %q: got %v, want no error", keyword, err)
		}
	}
	equal(t, "bodies found", len(h.logs(t, telemetry.LogQuery{Keyword: `"plain"`})), 1)
}

func testLogRoundTrip(t *testing.T, h Harness) {
	at := ago(time.Minute)
	want := heal.LogRecord{
		Time: at, Observed: at.Add(time.Second), Service: "cart", Instance: "cart-1", Host: "h1", Severity: 17,
		Body: "line one\nline \"two\" \u2713", TraceID: traceID(1), SpanID: "00000000000000ff",
		Attributes: map[string]string{"exception.type": "E", "k": "v\"'"},
	}
	h.appendLogs(t, want)
	equal(t, "log", h.logs(t, telemetry.LogQuery{}), []heal.LogRecord{want})
}

func testSpanFields(t *testing.T, h Harness) {
	base := ago(time.Minute)
	h.appendSpans(
		t,
		heal.Span{Start: base, Service: "cart", Operation: "get", Kind: heal.SpanServer, Duration: 5 * time.Millisecond, TraceID: traceID(1)},
		heal.Span{Start: base.Add(2 * time.Second), Service: "cart", Operation: "put", Kind: heal.SpanServer, Duration: 3 * time.Millisecond, Error: true, TraceID: traceID(2)},
		heal.Span{Start: base.Add(time.Second), Service: "pay", Operation: "charge", Kind: heal.SpanClient, Duration: 9 * time.Millisecond, TraceID: traceID(1)},
	)
	tests := []struct {
		name string
		q    telemetry.SpanQuery
		want string
	}{
		{"all, newest first", telemetry.SpanQuery{}, "put | charge | get"},
		{"slowest first", telemetry.SpanQuery{Order: telemetry.SlowestFirst}, "charge | get | put"},
		{"slowest one", telemetry.SpanQuery{Order: telemetry.SlowestFirst, Limit: 1}, "charge"},
		{"service", telemetry.SpanQuery{Service: "cart"}, "put | get"},
		{"operation", telemetry.SpanQuery{Operation: "get"}, "get"},
		{"kind", telemetry.SpanQuery{Kind: heal.SpanClient}, "charge"},
		{"errors", telemetry.SpanQuery{OnlyErrors: true}, "put"},
		{"duration", telemetry.SpanQuery{MinDuration: 5 * time.Millisecond}, "charge | get"},
		{"from inclusive, to exclusive", telemetry.SpanQuery{From: base, To: base.Add(2 * time.Second)}, "charge | get"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { equal(t, "spans", operations(h.spans(t, tt.q)), tt.want) })
	}
}

func testTrace(t *testing.T, h Harness) {
	base := ago(time.Minute)
	child := heal.Span{
		TraceID: traceID(5), SpanID: "00000000000000bb", ParentID: "00000000000000aa", Service: "pay", Instance: "pay-1",
		Operation: "charge", Kind: heal.SpanClient, Start: base.Add(time.Millisecond), Duration: time.Millisecond,
		Error: true, StatusMessage: "declined", Attributes: map[string]string{"http.route": "/x"},
		Exceptions: []heal.Exception{{Type: "Declined", Message: "no", Stacktrace: "at a\nat b"}},
	}
	root := heal.Span{
		TraceID: traceID(5), SpanID: "00000000000000aa", Service: "cart", Operation: "checkout", Kind: heal.SpanServer,
		Start: base, Duration: 3 * time.Millisecond,
	}
	other := heal.Span{TraceID: traceID(6), SpanID: "00000000000000cc", Service: "cart", Operation: "get", Kind: heal.SpanServer, Start: base}
	h.appendSpans(t, child, other)
	h.appendSpans(t, root)
	got, err := h.Store.Trace(t.Context(), traceID(5))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "trace", got, []heal.Span{root, child})
}

func testLimit(t *testing.T, h Harness) {
	at := ago(time.Minute)
	var logs []heal.LogRecord
	for range telemetry.MaxLimit + 100 {
		logs = append(logs, heal.LogRecord{Time: at, Service: "cart", Body: "same moment"})
	}
	h.appendLogs(t, logs...)
	equal(t, "records without limit", len(h.logs(t, telemetry.LogQuery{})), telemetry.MaxLimit)
	equal(t, "records above the limit", len(h.logs(t, telemetry.LogQuery{Limit: telemetry.MaxLimit + 50})), telemetry.MaxLimit)
	for _, r := range h.logs(t, telemetry.LogQuery{Keyword: "moment"}) {
		if !r.Time.Equal(at) {
			t.Fatalf("time: got %s, want %s unchanged", r.Time, at)
		}
	}
}

func testNewest(t *testing.T, h Harness) {
	base := ago(time.Minute)
	h.appendSpans(
		t,
		heal.Span{Start: base, Service: "cart", Operation: "get", TraceID: traceID(1)},
		heal.Span{Start: base.Add(-time.Second), Service: "cart", Operation: "get", TraceID: traceID(2)},
		heal.Span{Start: base.Add(time.Second), Service: "pay", Operation: "get", TraceID: traceID(3)},
	)
	h.appendLogs(t, heal.LogRecord{Time: base.Add(-time.Minute), Service: "cart", Body: "x"})
	got, err := h.Store.Newest(t.Context(), "cart")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Newest", got, telemetry.Newest{Span: base, Log: base.Add(-time.Minute)})
}

func testClocks(t *testing.T, h Harness) {
	late, early := ago(25*time.Hour), ago(-2*time.Hour)
	h.appendLogs(
		t,
		heal.LogRecord{Time: late, Service: "cart", Body: "late"},
		heal.LogRecord{Time: early, Service: "cart", Body: "early"},
		heal.LogRecord{Service: "cart", Body: "undated"},
	)
	h.appendSpans(t, heal.Span{Start: early, Service: "cart", Operation: "early", TraceID: traceID(1)})

	equal(t, "by the time of the late one", bodies(h.logs(t, telemetry.LogQuery{From: late, To: late.Add(time.Second)})), "late")
	skewed := h.logs(t, telemetry.LogQuery{Keyword: "early", To: ago(-time.Second)})
	if len(skewed) != 1 || skewed[0].Attributes[telemetry.AttrSkewed] != "true" || !skewed[0].Time.Equal(early) {
		t.Errorf("early log: got %+v, want it under its receipt time, flagged, its own time kept", skewed)
	}
	undated := h.logs(t, telemetry.LogQuery{Keyword: "undated"})
	if len(undated) != 1 || time.Since(undated[0].Time).Abs() > time.Minute {
		t.Errorf("undated log: got %+v, want it dated by its receipt", undated)
	}
	newest, err := h.Store.Newest(t.Context(), "cart")
	if err != nil {
		t.Fatal(err)
	}
	if limit := time.Now().Add(time.Second); newest.Log.After(limit) || newest.Span.After(limit) || newest.Span.IsZero() {
		t.Errorf("Newest: got %+v, want no time after receipt", newest)
	}
}

func testRefused(t *testing.T, h Harness) {
	now := time.Now()
	for name, q := range map[string]telemetry.LogQuery{
		"negative limit":   {Limit: -1},
		"window reversed":  {From: now, To: now.Add(-time.Second)},
		"unknown severity": {MinSeverity: 25},
		"endless keyword":  {Keyword: strings.Repeat("x", 10<<20)},
	} {
		if _, err := h.Store.Logs(t.Context(), q); !heal.Is(err, heal.Invalid) {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}
	if _, err := h.Store.Spans(t.Context(), telemetry.SpanQuery{Order: "fastest"}); !heal.Is(err, heal.Invalid) {
		t.Errorf("unknown order: got %v, want kind invalid", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	h.appendLogs(t, heal.LogRecord{Time: ago(time.Minute), Service: "cart", Body: "x"})
	if _, err := h.Store.Logs(stopped, telemetry.LogQuery{}); !heal.Is(err, heal.Transient) {
		t.Errorf("context ended: got %v, want kind transient", err)
	}
}

func testConcurrent(t *testing.T, h Harness) {
	var wait sync.WaitGroup
	at := ago(time.Minute)
	for k := range 4 {
		wait.Go(func() {
			for i := range 25 {
				body := fmt.Sprintf("writer %d record %d", k, i)
				if err := h.Store.AppendLogs(t.Context(), []heal.LogRecord{{Time: at, Service: "cart", Body: body}}); err != nil {
					t.Error(err)
				}
				if _, err := h.Store.Logs(t.Context(), telemetry.LogQuery{Keyword: "writer"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	h.Settle()
	equal(t, "records", len(h.logs(t, telemetry.LogQuery{Service: "cart"})), 100)
}
