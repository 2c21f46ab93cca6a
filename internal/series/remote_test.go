package series_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/series"
)

// prometheus is a server of Prometheus' query API over one series: up{job="node"}
// with a sample a second up to now.
type prometheus struct {
	*httptest.Server
	broken atomic.Bool
	asked  atomic.Value // the last query
}

func newPrometheus(t *testing.T, now time.Time) *prometheus {
	t.Helper()
	p := &prometheus{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.broken.Load() || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, `{"status":"error","error":"not today"}`, http.StatusServiceUnavailable)
			return
		}
		p.asked.Store(r.FormValue("query"))
		var samples []string
		for at := now.Add(-10 * time.Second); !at.After(now); at = at.Add(time.Second) {
			samples = append(samples, fmt.Sprintf(`[%d,"0"]`, at.Unix()))
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"node"},"values":[%s]}]}}`, strings.Join(samples, ","))
	}))
	t.Cleanup(p.Close)
	return p
}

func TestRemote(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	p := newPrometheus(t, now)
	db, err := series.Open(series.Options{Dir: t.TempDir(), Remotes: []series.Remote{{URL: p.URL + "/", Token: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx := t.Context()
	if err := db.Append(ctx, []heal.Sample{{Metric: "up", Labels: []heal.Label{{Name: "job", Value: "own"}}, At: now, Value: 1}}); err != nil {
		t.Fatal(err)
	}
	found, err := db.Instant(ctx, "up", now)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, s := range found {
		got[s.Labels["job"]] = s.Points[0].Value
	}
	if diff := cmp.Diff(got, map[string]float64{"own": 1, "node": 0}); diff != "" {
		t.Errorf("both stores (-got +want):\n%s", diff)
	}
	if asked, want := p.asked.Load(), `{__name__="up"}[`; !strings.HasPrefix(fmt.Sprint(asked), want) {
		t.Errorf("asked %v, want a range of %s", asked, want)
	}
	holds, err := db.Holds(ctx, `up == 0`, map[string]string{"job": "node"}, now)
	if err != nil || !holds {
		t.Errorf("up == 0: got %v, %v, want it to hold", holds, err)
	}
	fresh, err := db.Newest(ctx, `up{job="node"} == 0`, nil, now.Add(-time.Minute), now)
	if err != nil || len(fresh) != 1 || !fresh[0].Newest.Equal(now) {
		t.Errorf("newest: got %+v, %v, want %s", fresh, err, now)
	}

	p.broken.Store(true)
	if found, err := db.Instant(ctx, "up", now); err != nil || len(found) != 1 || found[0].Labels["job"] != "own" {
		t.Errorf("a remote that is down: got %+v, %v, want what is here", found, err)
	}
	if fresh, err := db.Newest(ctx, `up{job="node"}`, nil, now.Add(-time.Minute), now); err != nil || len(fresh) != 1 || !fresh[0].Newest.IsZero() {
		t.Errorf("newest of a remote that is down: got %+v, %v, want none", fresh, err)
	}
	if got := db.Stats().Silent; got < 2 {
		t.Errorf("answers missed: got %d, want them counted", got)
	}
}

func TestRemoteIsBounded(t *testing.T) {
	gone := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(gone) })
	db, err := series.Open(series.Options{Dir: t.TempDir(), Remotes: []series.Remote{{URL: slow.URL, Timeout: 50 * time.Millisecond}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if found, err := db.Instant(ctx, "up", time.Now()); err != nil || len(found) != 0 {
		t.Errorf("a remote that does not answer: got %v, %v, want nothing", found, err)
	}
	for _, bad := range []string{"", "localhost:9090", "ftp://x", "http://"} {
		if db, err := series.Open(series.Options{Dir: t.TempDir(), Remotes: []series.Remote{{URL: bad}}}); !heal.Is(err, heal.Invalid) {
			t.Errorf("remote %q: got %v, want kind invalid", bad, err)
			_ = db.Close()
		}
	}
}

// Where rules look at remotes, one that does not answer is an error of the
// rule: what is missing does not resolve an alert.
func TestRulesOverRemotes(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	p := newPrometheus(t, now)
	db, err := series.Open(series.Options{Dir: t.TempDir(), Remotes: []series.Remote{{URL: p.URL, Token: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	alerts := make(chan series.RuleAlert, 100)
	rules := series.NewRules(db, series.RulesOptions{Everywhere: true}, func(_ context.Context, found []series.RuleAlert) error {
		for _, a := range found {
			alerts <- a
		}
		return nil
	})
	err = rules.Load(series.RuleFile{Name: "down.yaml", Data: []byte(`groups: [{name: g, interval: 100ms, rules: [{alert: Down, expr: "up{job=\"node\"} == 0"}]}]`)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- rules.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if a := <-alerts; a.Labels["job"] != "node" || !a.ResolvedAt.IsZero() {
		t.Errorf("got %+v, want Down of node firing", a)
	}
	p.broken.Store(true)
	for status := rules.Status(); len(status) != 1 || !strings.Contains(status[0].Error, "ask "); status = rules.Status() {
		if ctx.Err() != nil {
			t.Fatalf("the rule says nothing of the remote: %+v", status)
		}
	}
	for {
		select {
		case a := <-alerts:
			if !a.ResolvedAt.IsZero() {
				t.Errorf("resolved because the remote does not answer: %+v", a)
			}
			continue
		default:
		}
		break
	}
	if active := rules.Status()[0].Active; active != 1 {
		t.Errorf("%d alerts active, want the one that fired", active)
	}
}
