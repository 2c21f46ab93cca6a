package logmine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func record(second, severity int, body string) heal.LogRecord {
	return heal.LogRecord{Time: noon.Add(time.Duration(second) * time.Second), Service: "stock", Severity: severity, Body: body}
}

func TestSummarise(t *testing.T) {
	var calm, trouble []heal.LogRecord
	for i := range 20 {
		calm = append(calm, record(-600+i, 9, fmt.Sprintf("GET /items/%d answered 200 in %d ms", i, i*3)))
	}
	calm = append(calm, record(-500, 17, "connection pool exhausted: 10 of 10 in use"))
	for i := range 6 {
		trouble = append(trouble,
			record(i, 9, fmt.Sprintf("GET /items/%d answered 200 in %d ms", 100+i, i)),
			record(i, 17, fmt.Sprintf("connection pool exhausted: 10 of 10 in use, %d waiting", i)))
	}
	trouble = append(trouble, record(7, 0, `{"level":"error","msg":"query failed","error":"java.lang.IllegalStateException: x\n\tat a.B.c(B.java:1)"}`))
	s := logmine.Summarise(trouble, calm)

	equal(t, "records and errors", []int{s.Records, s.Errors, s.BaselineRecords, s.BaselineErrors}, []int{13, 7, 21, 1})
	equal(t, "span of time", []time.Time{s.First, s.Last}, []time.Time{noon, noon.Add(7 * time.Second)})
	if len(s.Patterns) != 1 {
		t.Fatalf("patterns: got %+v, want one", s.Patterns)
	}
	p := s.Patterns[0]
	equal(t, "pattern", p, logmine.Finding{Pattern: logmine.PoolExhausted, Tally: logmine.Tally{
		Count: 6, Errors: 6, First: noon, Last: noon.Add(5 * time.Second), Example: record(5, 17, "connection pool exhausted: 10 of 10 in use, 5 waiting"),
		Baseline: 1, Share: 6.0 / 13, BaselineShare: 1.0 / 21,
	}})
	var templates []string
	for _, x := range s.Templates {
		templates = append(templates, fmt.Sprintf("%d before %d: %s", x.Count, x.Baseline, x.Text))
	}
	equal(t, "templates", templates, []string{
		"6 before 20: GET <*> answered <*> in <*> ms",
		"6 before 0: connection pool exhausted: <*> of <*> in use, <*> waiting",
		"1 before 0: query failed",
	})
	if !s.Templates[1].New(s) || s.Templates[0].New(s) {
		t.Error("New: want it of the second template only")
	}
	if len(s.Stacks) != 1 || s.Stacks[0].Exception != "java.lang.IllegalStateException" {
		t.Errorf("stacks: got %+v, want the Java one", s.Stacks)
	}
	equal(t, "text", s.Text, "7 of 13 log records are errors (1 of 21 before); they speak of pool exhausted 6 times. Most frequent stack trace: java.lang.IllegalStateException in a.B.c B.java:1 (java), 1 times."+
		` New: "connection pool exhausted: <*> of <*> in use, <*> waiting" (6, 0 before).`+
		` Less often: "GET <*> answered <*> in <*> ms" (6, 20 before).`)
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}

func TestSummariseNothing(t *testing.T) {
	equal(t, "summary", logmine.Summarise(nil, nil), logmine.Summary{Text: "No log records."})
}

func TestErrorsAreToldByWhatIsThere(t *testing.T) {
	tests := []struct {
		name   string
		r      heal.LogRecord
		errors int
	}{
		{"severity", record(0, 17, "x"), 1},
		{"severity says info, text says error", record(0, 9, "ERROR x"), 0},
		{"level in text", record(0, 0, "2026-03-01 12:00:00,123 ERROR [main] c.e.Cart - x"), 1},
		{"level in brackets", record(0, 0, "[error] x"), 1},
		{"level as field", record(0, 0, `time=2026 level=ERROR msg="x"`), 1},
		{"calm level in text", record(0, 0, "INFO 0 errors, last error a day ago"), 0},
		{"level in JSON", record(0, 0, `{"severity":"CRITICAL","message":"x"}`), 1},
		{"stack trace only", record(0, 0, "oops\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'x'"), 1},
		{"nothing", record(0, 0, "all is well"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			equal(t, "errors", logmine.Summarise([]heal.LogRecord{tt.r}, nil).Errors, tt.errors)
		})
	}
}

func TestExceptionAttributesAreRead(t *testing.T) {
	r := record(0, 17, "unhandled")
	r.Attributes = map[string]string{
		"exception.type": "java.lang.NullPointerException", "exception.message": "oops",
		"exception.stacktrace": "java.lang.NullPointerException: oops\n\tat a.B.c(B.java:1)",
	}
	s := logmine.Summarise([]heal.LogRecord{r}, nil)
	if len(s.Patterns) != 1 || s.Patterns[0].Pattern != logmine.NullPointer || len(s.Stacks) != 1 || s.Stacks[0].TopFrame != "a.B.c B.java:1" {
		t.Errorf("got patterns %+v and stacks %+v, want the null pointer in a.B.c", s.Patterns, s.Stacks)
	}
}

func TestOrderHasNoSay(t *testing.T) {
	var records []heal.LogRecord
	for i := range 200 {
		records = append(records, record(i%7, 9+i%9, fmt.Sprintf("worker %d of pool %c did %d things in %s", i, 'a'+i%3, i*i, []string{"vain", "time", "haste"}[i%3])))
	}
	want := logmine.Summarise(records, nil)
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(records), func(i, k int) { records[i], records[k] = records[k], records[i] })
	equal(t, "summary of shuffled records", logmine.Summarise(records, nil), want)
}

func TestHostileText(t *testing.T) {
	for name, body := range map[string]string{
		"ten megabytes": strings.Repeat("pool ", 2<<20),
		"one word":      strings.Repeat("x", 10<<20),
		"nested JSON":   strings.Repeat(`{"a":`, 100_000),
		"not UTF-8":     "\xff\xfe error \xc0",
		"zeros":         "\x00\x00",
		"many lines":    strings.Repeat("\tat a.b(\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if got := logmine.Summarise([]heal.LogRecord{record(0, 17, body)}, nil); got.Records != 1 {
				t.Errorf("records: got %d, want 1", got.Records)
			}
		})
	}
}

func FuzzSummarise(f *testing.F) {
	f.Add("connection pool exhausted", "ERROR x 12", 17)
	f.Add(`{"msg":"a","level":"error","error":{"b":[1]}}`, "\xff", 0)
	f.Fuzz(func(t *testing.T, a, b string, severity int) {
		records := []heal.LogRecord{record(0, severity, a), record(1, severity, b), record(1, severity, a+b)}
		got, again := logmine.Summarise(records, records[:1]), logmine.Summarise(records, records[:1])
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("two summaries of one input differ:\n%s", diff)
		}
		if got.Errors > got.Records {
			t.Errorf("errors: got %d of %d", got.Errors, got.Records)
		}
	})
}

func BenchmarkSummarise500(b *testing.B) {
	var records []heal.LogRecord
	for i := range 500 {
		records = append(records, record(i, 17, fmt.Sprintf("request %d of user %d failed: connection pool exhausted after %d ms", i, i*7, i*3)))
	}
	for b.Loop() {
		logmine.Summarise(records, records)
	}
}
