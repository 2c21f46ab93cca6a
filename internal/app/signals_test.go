package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/config"
)

// TestWhoHeldTheRequest: a case tells who held the slowest request of its
// service, from the spans that came in, and where it began to fail.
func TestWhoHeldTheRequest(t *testing.T) {
	cfg := freePorts(t)
	cfg.Loop.Settle = config.Duration(time.Second)
	r := run(t, cfg)
	onset := time.Now().Add(-10 * time.Second)
	span := func(service, id, parent, name string, kind, from, until, status int) string {
		return fmt.Sprintf(`{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":%q,"parentSpanId":%q,
			"name":%q,"kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{"code":%d,"message":"no row"}}]}]}`,
			service, id, parent, name, kind, onset.Add(time.Duration(1000+from)*time.Millisecond).UnixNano(), onset.Add(time.Duration(1000+until)*time.Millisecond).UnixNano(), status)
	}
	body := `{"resourceSpans":[` + strings.Join([]string{
		span("front", "000000000000000a", "", "GET /", 2, 0, 2000, 2), span("front", "000000000000000b", "000000000000000a", "call stock", 3, 50, 1950, 2),
		span("stock", "000000000000000c", "000000000000000b", "reserve", 2, 100, 1900, 2),
	}, ",") + `]}`
	if status, answer := r.call(http.MethodPost, "http://"+r.otlp.Addrs().HTTP+"/v1/traces", body); status != http.StatusOK {
		t.Fatalf("spans: got %d %s, want 200", status, answer)
	}
	r.post("/api/v1/alerts", fmt.Sprintf(`{"alerts":[{"alert_name":"Slow","service_name":"front","severity":"critical","timestamp":%q,"labels":{"fault_type":"performance_degradation"}}]}`, onset.UTC().Format(time.RFC3339Nano)))
	list := until(r, "/api/v1/incidents", func(p *form.Page[form.IncidentSummary]) bool { return len(p.Items) == 1 && p.Items[0].Cause != "" })
	c := until(r, "/api/v1/incidents/"+list.Items[0].ID, func(c *form.Incident) bool { return c.Diagnosis != nil })
	var noted []string
	for _, n := range c.Diagnosis.Noted {
		noted = append(noted, n.Text)
	}
	for _, want := range []string{"GET / of front, took 2s; reserve of stock held it for 1.8s of that (90 %)", "it began to fail in reserve of stock: no row"} {
		if !strings.Contains(strings.Join(noted, "\n"), want) {
			t.Errorf("noted: got %q, want %q", noted, want)
		}
	}
	signals := until(r, "/api/v1/incidents/"+list.Items[0].ID+"/signals", func(*form.Signals) bool { return true })
	s := signals.Slowest
	if s == nil || s.Seconds != 2 || len(s.Held) != 3 || s.Held[0].Service != "stock" || s.Held[0].Share != 0.9 || s.Failed == nil || s.Failed.Service != "stock" {
		t.Errorf("got %+v, want that stock held 1.8 s of 2 s", s)
	}
}

// TestWhatLogsCeasedToSay: a case tells which log texts came, went and fell off.
func TestWhatLogsCeasedToSay(t *testing.T) {
	cfg := freePorts(t)
	cfg.Loop.Settle = config.Duration(time.Second)
	r := run(t, cfg)
	onset := time.Now().Add(-20 * time.Second)
	var records []string
	say := func(at time.Time, severity int, text string) {
		records = append(records, fmt.Sprintf(`{"timeUnixNano":"%d","severityNumber":%d,"body":{"stringValue":%q}}`, at.UnixNano(), severity, text))
	}
	for i := range 40 {
		off := time.Duration(i) * 400 * time.Millisecond
		say(onset.Add(-2*time.Second-off), 9, fmt.Sprint("mail sent to user ", i))
		say(onset.Add(-2*time.Second-off), 9, fmt.Sprint("stock counted in ", i, " ms"))
		say(onset.Add(off), 17, fmt.Sprint("cannot reserve item ", i))
		if i%8 == 0 {
			say(onset.Add(off), 9, fmt.Sprint("stock counted in ", i, " ms"))
		}
	}
	body := `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeLogs":[{"logRecords":[` + strings.Join(records, ",") + `]}]}]}`
	if status, answer := r.call(http.MethodPost, "http://"+r.otlp.Addrs().HTTP+"/v1/logs", body); status != http.StatusOK {
		t.Fatalf("logs: got %d %s, want 200", status, answer)
	}
	r.post("/api/v1/alerts", fmt.Sprintf(`{"alerts":[{"alert_name":"Errors","service_name":"cart","severity":"critical","timestamp":%q,"labels":{"fault_type":"errors"}}]}`, onset.UTC().Format(time.RFC3339Nano)))
	list := until(r, "/api/v1/incidents", func(p *form.Page[form.IncidentSummary]) bool { return len(p.Items) == 1 && p.Items[0].Cause != "" })
	c := until(r, "/api/v1/incidents/"+list.Items[0].ID, func(c *form.Incident) bool { return c.Diagnosis != nil })
	var noted []string
	for _, n := range c.Diagnosis.Noted {
		noted = append(noted, n.Text)
	}
	for _, want := range []string{
		`cart say for the first time "cannot reserve item <*>" (40, 0 before)`, `cart no longer say "mail sent to user <*>" (0, 40 before)`, `cart say less often "stock counted in <*> ms" (5, 40 before)`,
	} {
		if !strings.Contains(strings.Join(noted, "\n"), want) {
			t.Errorf("noted: got\n%s\nwant %q", strings.Join(noted, "\n"), want)
		}
	}
}
