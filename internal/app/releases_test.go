package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/store"
)

// until asks again after every change of the store, until the answer is as
// wanted.
func until[T any](r *running, path string, want func(*T) bool) T {
	r.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		var at store.Revision
		if err := r.store.View(r.t.Context(), func(v store.Reader) error { at = v.Revision(); return nil }); err != nil {
			r.t.Fatal(err)
		}
		status, body := r.get(path)
		var got T
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			r.t.Fatalf("%s: got %d %s, %v", path, status, body, err)
		}
		if want(&got) {
			return got
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: waited in vain, there is %s", path, body)
		}
		if _, err := r.store.Wait(r.t.Context(), at); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *running) post(path, body string) {
	r.t.Helper()
	if status, answer := r.call(http.MethodPost, "http://"+r.APIAddr()+path, body); status != http.StatusOK {
		r.t.Fatalf("%s: got %d %s, want 200", path, status, answer)
	}
}

// TestChangeIsSuspected: a deploy that was told before an alert speaks for its
// service; one that was told to have come later does not.
func TestChangeIsSuspected(t *testing.T) {
	cfg := freePorts(t)
	cfg.Loop.Settle = config.Duration(time.Millisecond)
	r := run(t, cfg)
	onset := time.Now().Add(-time.Minute).UTC()
	at := func(d time.Duration) string { return onset.Add(d).Format(time.RFC3339Nano) }
	r.post("/api/v1/changes", fmt.Sprintf(`{"id":"before","service":"cart","version":"2","by":"ci","at":%q}`, at(-time.Minute)))
	r.post("/api/v1/changes", fmt.Sprintf(`{"id":"after","kind":"configuration","service":"cart","summary":"more workers","at":%q}`, at(20*time.Second)))
	r.post("/api/v1/changes", fmt.Sprintf(`{"id":"unrelated","service":"mail","at":%q}`, at(-time.Second)))
	r.post("/api/v1/alerts", fmt.Sprintf(`{"alerts":[{"alert_name":"HighErrors","service_name":"cart","severity":"critical","timestamp":%q,"labels":{"fault_type":"errors"}}]}`, at(0)))

	list := until(r, "/api/v1/incidents", func(p *form.Page[form.IncidentSummary]) bool {
		return len(p.Items) == 1 && p.Items[0].Cause != ""
	})
	c := until(r, "/api/v1/incidents/"+list.Items[0].ID, func(c *form.Incident) bool { return c.Diagnosis != nil })
	if len(c.Diagnosis.Causes) != 1 || c.Diagnosis.Causes[0].Entity != "service/cart" {
		t.Fatalf("causes: got %+v, want cart alone", c.Diagnosis.Causes)
	}
	texts := func(list []form.Reason) string {
		var all []string
		for _, r := range list {
			all = append(all, r.Text)
		}
		return strings.Join(all, "\n")
	}
	if got := texts(c.Diagnosis.Causes[0].For); !strings.Contains(got, "changed 1m0s before the case began: deploy of 2 by ci") {
		t.Errorf("for: got\n%s\nwant the deploy", got)
	}
	if got := texts(c.Diagnosis.Causes[0].Against); !strings.Contains(got, "changed 20s after the case had begun, which is not what began it: change of configuration") {
		t.Errorf("against: got\n%s\nwant the change of configuration", got)
	}
	if got := texts(c.Diagnosis.Noted); !strings.Contains(got, "20s after") || !strings.Contains(got, "1m0s before") || strings.Contains(got, "mail") {
		t.Errorf("noted: got\n%s\nwant both changes of cart, and none of mail", got)
	}
}

// spans sends one span of cart, of a version and a time.
func (r *running) spans(version string, ago time.Duration, span int) {
	r.t.Helper()
	began := time.Now().Add(-ago).UnixNano()
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}},{"key":"service.version","value":{"stringValue":%q}}]},
		"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"%016x","name":"GET /","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{"code":2}}]}]}]}`,
		version, span, began, began+1e6)
	if status, answer := r.call(http.MethodPost, "http://"+r.otlp.Addrs().HTTP+"/v1/traces", body); status != http.StatusOK {
		r.t.Fatalf("spans: got %d %s, want 200", status, answer)
	}
}

// TestReleaseOverARestart: a restart is no deploy, and one that came meanwhile is
// seen once, unless somebody told of it.
func TestReleaseOverARestart(t *testing.T) {
	cfg := freePorts(t)
	deploys := func(r *running) (versions []string) {
		t.Helper()
		status, body := r.get("/api/v1/changes")
		var page form.Page[form.ChangeMade]
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
			t.Fatalf("changes: got %d %s, %v", status, body, err)
		}
		for _, c := range page.Items {
			versions = append(versions, c.Version+" by "+c.Source)
		}
		return versions
	}
	steps := []struct {
		name, told, version string
		want                []string // the newest first
	}{
		{"the first ever", "", "1.4.1", nil},
		{"a plain restart", "", "1.4.1", nil},
		{"a deploy while it was down", "", "1.4.2", []string{"1.4.2 by telemetry"}},
		{"a restart after it", "", "1.4.2", []string{"1.4.2 by telemetry"}},
		{"a deploy while it was down that somebody told of", "1.4.3", "1.4.3", []string{"1.4.3 by api", "1.4.2 by telemetry"}},
		{"a restart after that", "", "1.4.3", []string{"1.4.3 by api", "1.4.2 by telemetry"}},
	}
	for i, s := range steps {
		r := run(t, cfg)
		if s.told != "" {
			r.post("/api/v1/changes", fmt.Sprintf(`{"service":"cart","version":%q}`, s.told))
		}
		for n := range 3 {
			r.spans(s.version, time.Duration(3-n)*time.Millisecond, 10*i+n+1)
		}
		// What waits is handed on before the next life begins, at the latest.
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r = run(t, cfg)
		got := deploys(r)
		if len(got) < len(s.want) {
			until(r, "/api/v1/changes", func(p *form.Page[form.ChangeMade]) bool { return len(p.Items) >= len(s.want) })
			got = deploys(r)
		}
		if diff := cmp.Diff(got, s.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", s.name, diff)
		}
		if got := r.versions.Stats().Services; got != 1 {
			t.Errorf("%s: got %d services whose versions are known, want 1", s.name, got)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReleaseIsSeen: a service whose telemetry says another version was
// deployed, whoever told of it or not.
func TestReleaseIsSeen(t *testing.T) {
	r := run(t, freePorts(t))
	send := r.spans
	send("1.4.1", 5*time.Minute, 1)
	send("1.4.1", 4*time.Minute, 2)
	send("1.4.2", 3*time.Minute, 3)
	got := until(r, "/api/v1/changes?source=telemetry", func(p *form.Page[form.ChangeMade]) bool { return len(p.Items) > 0 })
	c := got.Items[0]
	if len(got.Items) != 1 || c.Entity != "service/cart" || c.Version != "1.4.2" || !strings.Contains(c.Text, "which nobody told of: its telemetry said 1.4.1 until then") {
		t.Errorf("got %+v, want one deploy of 1.4.2", got.Items)
	}
	if ago := time.Since(c.At); ago < 2*time.Minute || ago > 4*time.Minute {
		t.Errorf("at %s, want the time of the first span of it, 3 min ago", c.At)
	}
}
