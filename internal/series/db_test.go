package series

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, opts Options) *DB {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	db, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// sample makes one from "name key=value ..." .
func sample(series string, at time.Time, value float64) heal.Sample {
	name, rest, _ := strings.Cut(series, " ")
	s := heal.Sample{Metric: name, At: at, Value: value}
	for pair := range strings.FieldsSeq(rest) {
		key, v, _ := strings.Cut(pair, "=")
		s.Labels = append(s.Labels, heal.Label{Name: key, Value: v})
	}
	return s
}

func appendAll(t *testing.T, db *DB, samples ...heal.Sample) {
	t.Helper()
	if err := db.Append(t.Context(), samples); err != nil {
		t.Fatal(err)
	}
}

// values gives the result of an instant query as "labels value", sorted as the
// engine gives it.
func values(t *testing.T, db *DB, expr string, at time.Time) []string {
	t.Helper()
	result, err := db.Instant(t.Context(), expr, at)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range result {
		out = append(out, strings.TrimPrefix(fmt.Sprint(s.Labels), "map")+fmt.Sprintf(" %g", s.Points[0].Value))
	}
	return out
}

func TestAppendAndQuery(t *testing.T) {
	db := open(t, Options{})
	now := time.Now().Truncate(time.Second)
	for i := range 5 {
		at := now.Add(time.Duration(i-4) * 10 * time.Second)
		appendAll(t, db, sample("calls_total service_name=cart", at, float64(i*10)), sample("calls_total service_name=web", at, 1))
	}
	if diff := cmp.Diff(values(t, db, `rate(calls_total{service_name="cart"}[30s])`, now), []string{"[service_name:cart] 1"}); diff != "" {
		t.Errorf("rate (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(values(t, db, `1 + 1`, now), []string{"[] 2"}); diff != "" {
		t.Errorf("scalar (-got +want):\n%s", diff)
	}
	got, err := db.Range(t.Context(), `calls_total{service_name="cart"}`, now.Add(-20*time.Second), now, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := []Series{{
		Labels: map[string]string{"__name__": "calls_total", "service_name": "cart"},
		Points: []Point{{now.Add(-20 * time.Second).UTC(), 20}, {now.Add(-10 * time.Second).UTC(), 30}, {now.UTC(), 40}},
	}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("range (-got +want):\n%s", diff)
	}
}

func TestSamplesThatCannotBeKeptAreCountedAndTheRestIsWritten(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	tests := []struct {
		name string
		bad  heal.Sample
		says string
	}{
		{"too old", sample("m a=1", now.Add(-5*time.Hour), 1), "m: too old sample"},
		{"too far ahead", sample("m a=2", now.Add(time.Hour), 1), "too far in the future"},
		{"no name", sample("", now, 1), "no name"},
		{"invalid UTF-8", sample("m a=\xff", now, 1), "not valid UTF-8"},
		{"long label", sample("m a="+strings.Repeat("x", 5000), now, 1), "longer than 4096 bytes"},
		{"same time, another value", sample("seed", now, 2), "duplicate sample"},
		{"many labels", heal.Sample{Metric: "m", At: now, Labels: func() (out []heal.Label) {
			for i := range 70 {
				out = append(out, heal.Label{Name: fmt.Sprintf("l%d", i), Value: "x"})
			}
			return out
		}()}, "71 labels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t, Options{})
			appendAll(t, db, sample("seed", now, 1))
			err := db.Append(t.Context(), []heal.Sample{tt.bad, sample("good", now, 7)})
			rejected, ok := errors.AsType[*heal.Rejected](err)
			if !ok || rejected.Count != 1 || !strings.Contains(rejected.Reason, tt.says) || !heal.Is(err, heal.Invalid) {
				t.Errorf("got %v, want 1 rejected saying %q", err, tt.says)
			}
			if diff := cmp.Diff(values(t, db, "good", now), []string{"[__name__:good] 7"}); diff != "" {
				t.Errorf("the good sample (-got +want):\n%s", diff)
			}
			if got := db.Stats(); got.Appended != 2 || got.Rejected != 1 {
				t.Errorf("stats: got %+v, want 2 appended, 1 rejected", got)
			}
		})
	}
}

func TestOutOfOrderWithinTheWindowIsTaken(t *testing.T) {
	db := open(t, Options{})
	now := time.Now().Truncate(time.Second)
	appendAll(t, db, sample("m", now, 3))
	appendAll(t, db, sample("m", now.Add(-9*time.Minute), 1))
	if diff := cmp.Diff(values(t, db, "m", now.Add(-9*time.Minute)), []string{"[__name__:m] 1"}); diff != "" {
		t.Errorf("the late sample (-got +want):\n%s", diff)
	}
}

func TestNewSeriesBeyondTheLimitAreRejectedKnownOnesGoOn(t *testing.T) {
	db := open(t, Options{MaxSeries: 2})
	now := time.Now().Truncate(time.Second)
	appendAll(t, db, sample("a", now, 1), sample("b", now, 1))
	err := db.Append(t.Context(), []heal.Sample{sample("a", now.Add(time.Second), 2), sample("c", now, 1)})
	if rejected, ok := errors.AsType[*heal.Rejected](err); !ok || rejected.Count != 1 || !strings.Contains(rejected.Reason, "c: the limit of series") {
		t.Errorf("got %v, want c rejected", err)
	}
	if diff := cmp.Diff(values(t, db, "a", now.Add(time.Second)), []string{"[__name__:a] 2"}); diff != "" {
		t.Errorf("a (-got +want):\n%s", diff)
	}
}

func TestDirectoryIsKeptAndLocked(t *testing.T) {
	dir := t.TempDir()
	now := time.Now().Truncate(time.Second)
	first, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, first, sample("m", now, 5))
	if _, err := Open(Options{Dir: dir}); !heal.Is(err, heal.Conflict) || !strings.Contains(err.Error(), dir) {
		t.Errorf("open twice: got %v, want a conflict naming %s", err, dir)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, Options{Dir: dir})
	if diff := cmp.Diff(values(t, second, "m", now), []string{"[__name__:m] 5"}); diff != "" {
		t.Errorf("after reopening (-got +want):\n%s", diff)
	}
	if _, err := Open(Options{}); !heal.Is(err, heal.Invalid) {
		t.Errorf("no directory: got %v, want invalid", err)
	}
}

func TestQueriesAreRefusedWithAReason(t *testing.T) {
	db := open(t, Options{MaxSamples: 10, MaxQueries: 1, QueryTimeout: time.Second})
	now := time.Now().Truncate(time.Second)
	for i := range 20 {
		appendAll(t, db, sample("m", now.Add(time.Duration(i-20)*time.Second), 1))
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	instant := func(ctx context.Context, expr string) error {
		_, err := db.Instant(ctx, expr, now)
		return err
	}
	steps := func(from, to time.Time, step time.Duration) error {
		_, err := db.Range(t.Context(), "m", from, to, step)
		return err
	}
	tests := []struct {
		name string
		err  error
		kind heal.Kind
		says string
	}{
		{"syntax, with its position", db.Check("sum(\n  rate(m[5m]) by)"), heal.Invalid, "2:15: parse error"},
		{"type", db.Check("rate(m)"), heal.Invalid, "1:6: parse error"},
		{"too long", db.Check(strings.Repeat("m+", 1<<20)), heal.Invalid, "at most 65536"},
		{"instant of a bad expression", instant(t.Context(), "sum("), heal.Invalid, "1:5"},
		{"text", instant(t.Context(), `"text"`), heal.Invalid, "expected numbers"},
		{"too many samples", instant(t.Context(), "count_over_time(m[1m])"), heal.Invalid, "too many samples"},
		{"canceled", instant(canceled, "m"), heal.Transient, "m"},
		{"no step", steps(now, now, 0), heal.Invalid, "above zero"},
		{"end before start", steps(now, now.Add(-time.Second), time.Second), heal.Invalid, "before the start"},
		{"too many steps", steps(now.Add(-time.Hour), now, time.Millisecond), heal.Invalid, "11000 points"},
	}
	for _, tt := range tests {
		if !heal.Is(tt.err, tt.kind) || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %v saying %q", tt.name, tt.err, tt.kind, tt.says)
		}
	}
	if err := db.Check("sum by (a) (rate(m[5m])) > 1"); err != nil {
		t.Errorf("a good expression: %v", err)
	}
}

func TestHolds(t *testing.T) {
	db := open(t, Options{})
	now := time.Now().Truncate(time.Second)
	appendAll(t, db, sample("cpu service_name=cart", now, 0.9), sample("cpu service_name=web", now, 0.1))
	tests := []struct {
		name, expr string
		match      map[string]string
		want       bool
	}{
		{"the element", "cpu > 0.8", map[string]string{"service_name": "cart"}, true},
		{"labels of the rule do not count", "cpu > 0.8", map[string]string{"service_name": "cart", "alertname": "HighCPU", "severity": "warning"}, true},
		{"another element", "cpu > 0.8", map[string]string{"service_name": "web"}, false},
		{"nothing", "cpu > 2", nil, false},
		{"aggregated away", "sum(cpu) > 0.8", map[string]string{"service_name": "web"}, true},
		{"scalar", "1", map[string]string{"service_name": "web"}, true},
	}
	for _, tt := range tests {
		got, err := db.Holds(t.Context(), tt.expr, tt.match, now)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
	if _, err := db.Holds(t.Context(), "sum(", nil, now); !heal.Is(err, heal.Invalid) {
		t.Errorf("a bad expression: got %v, want invalid", err)
	}
}

func TestNewest(t *testing.T) {
	db := open(t, Options{OutOfOrder: 2 * time.Hour})
	now := time.Now().Truncate(time.Second)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	appendAll(
		t, db,
		sample("calls service_name=cart status=ok", ago(50*time.Second), 1),
		sample("calls service_name=cart status=ok", ago(30*time.Second), 1),
		sample("calls service_name=cart status=error", ago(40*time.Second), 1),
		sample("calls service_name=web status=ok", ago(5*time.Second), 1),
		sample("bucket service_name=cart le=1", ago(20*time.Second), 1),
		sample("limit", ago(10*time.Second), 1),
		sample("calls service_name=cart status=ok", ago(time.Hour), 1),
	)
	cart := map[string]string{"service_name": "cart", "severity": "critical", "alertname": "A", "le": "7"}
	fresh := func(selector string, series int, d time.Duration) Freshness {
		return Freshness{selector, series, ago(d).UTC()}
	}
	tests := []struct {
		name, expr string
		match      map[string]string
		want       []Freshness
	}{
		{"narrowed", `sum by (service_name) (rate(calls[1m]))`, cart, []Freshness{fresh(`calls{service_name="cart"}`, 2, 30*time.Second)}},
		{"no match: all series", `calls`, nil, []Freshness{fresh(`calls`, 3, 5*time.Second)}},
		{
			"each selector by itself; limit has no service", `calls{status="error"} / calls > on () group_left limit`, cart,
			[]Freshness{fresh(`calls{service_name="cart",status="error"}`, 1, 40*time.Second), fresh(`calls{service_name="cart"}`, 2, 30*time.Second), fresh(`limit`, 1, 10*time.Second)},
		},
		{"the same selector twice", `rate(calls[1m]) / rate(calls[5m])`, cart, []Freshness{fresh(`calls{service_name="cart"}`, 2, 30*time.Second)}},
		{"another service", `calls`, map[string]string{"service_name": "gone"}, []Freshness{{Selector: `calls{service_name="gone"}`}}},
		{"no such metric", `absent(nothing)`, cart, []Freshness{{Selector: `nothing`}}},
		{"already narrowed", `calls{service_name="cart"}`, cart, []Freshness{fresh(`calls{service_name="cart"}`, 2, 30*time.Second)}},
		{"offset", `calls offset 59m30s`, cart, []Freshness{fresh(`calls{service_name="cart"} offset 59m30s`, 1, 30*time.Second)}},
		{"offset of a subquery", `max_over_time(calls[5m:1m] offset 59m30s)`, cart, []Freshness{fresh(`calls{service_name="cart"}`, 1, 30*time.Second)}},
		{"pinned with @ says nothing", `calls @ 100`, cart, []Freshness{}},
		{"no selector", `vector(1)`, cart, []Freshness{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := db.Newest(t.Context(), tt.expr, tt.match, ago(time.Minute), now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("freshness (-got +want):\n%s", diff)
			}
		})
	}
	if got, err := db.Newest(t.Context(), "calls", cart, now, ago(time.Minute)); !heal.Is(err, heal.Invalid) {
		t.Errorf("an empty time: got %v, %v; want invalid", got, err)
	}
}

func TestAnEndedSeriesIsNotFresh(t *testing.T) {
	db := open(t, Options{})
	now := time.Now().Truncate(time.Second)
	md := oneGauge("up", now.Add(-30*time.Second), 1)
	if err := db.AppendOTLP(t.Context(), md); err != nil {
		t.Fatal(err)
	}
	ended := oneGauge("up", now.Add(-10*time.Second), 0)
	point := ended.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0)
	point.SetFlags(point.Flags().WithNoRecordedValue(true))
	if err := db.AppendOTLP(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	got, err := db.Newest(t.Context(), "up", nil, now.Add(-time.Minute), now)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Freshness{{"up", 1, now.Add(-30 * time.Second).UTC()}}; cmp.Diff(got, want) != "" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := values(t, db, "up", now); len(got) != 0 {
		t.Errorf("got %v, want no value after the end", got)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`sum by (a) (rate(m{b=~"c.*"}[5m] offset 1h)) > 1`)
	f.Add(`max_over_time(m[5m:1m] @ end())`)
	db, err := Open(Options{Dir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	f.Fuzz(func(t *testing.T, expr string) {
		if db.Check(expr) != nil {
			return
		}
		if _, err := db.Newest(t.Context(), expr, nil, time.UnixMilli(0), time.UnixMilli(1000)); err != nil && !heal.Is(err, heal.Invalid) {
			t.Errorf("got %v, want an answer", err)
		}
	})
}
