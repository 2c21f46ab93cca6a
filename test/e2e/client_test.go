//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// reply is an answer of the server.
type reply struct {
	status int
	body   []byte
	header http.Header
	err    error // the server did not answer
}

func (r reply) ok() bool { return r.err == nil && r.status/100 == 2 }

func (r reply) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("%d %.600s", r.status, r.body)
}

// problem is the answer as a problem document.
func (r reply) problem() form.ProblemDetails {
	var p form.ProblemDetails
	_ = json.Unmarshal(r.body, &p) // one that is none has no detail, which tests look at
	return p
}

// token is the one the first start left.
func (h *house) token() string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "data", "operator*token"))
	must(h.t, err)
	if len(found) != 1 {
		h.t.Fatalf("token files: got %q, want one", found)
	}
	text, err := os.ReadFile(found[0])
	must(h.t, err)
	return strings.TrimSpace(string(text))
}

var client = &http.Client{Timeout: 40 * time.Second}

// do asks the API; header holds names and values in turn.
func (h *house) do(method, path string, body []byte, header ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, "http://"+h.api+path, bytes.NewReader(body))
	must(h.t, err)
	req.Header.Set("Authorization", "Bearer "+h.token())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(req)
}

func send(req *http.Request) reply {
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	return reply{resp.StatusCode, body, resp.Header, err}
}

// post sends JSON and wants a 2xx.
func (h *house) post(path string, body any, header ...string) reply {
	h.t.Helper()
	data, err := json.Marshal(body)
	must(h.t, err)
	r := h.do(http.MethodPost, path, data, header...)
	if !r.ok() {
		h.t.Fatalf("POST %s: %s", path, r)
	}
	return r
}

// ask reads one thing.
func ask[T any](h *house, path string) T {
	h.t.Helper()
	r := h.do(http.MethodGet, path, nil)
	if !r.ok() {
		h.t.Fatalf("GET %s: %s", path, r)
	}
	return read[T](h.t, r)
}

func read[T any](t *testing.T, r reply) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%v in %s", err, r)
	}
	return v
}

// all reads a list to its end.
func all[T any](h *house, path string, query ...string) []T {
	h.t.Helper()
	values := url.Values{"limit": {"500"}}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	var items []T
	for {
		page := ask[form.Page[T]](h, path+"?"+values.Encode())
		items = append(items, page.Items...)
		if page.Cursor == "" {
			return items
		}
		values.Set("cursor", page.Cursor)
	}
}

const (
	webhook   = "/api/v1/webhooks/alertmanager"
	incidents = "/api/v1/incidents"
	runs      = "/api/v1/runs"
)

func (h *house) incident(id string) form.Incident {
	h.t.Helper()
	return ask[form.Incident](h, incidents+"/"+id)
}

func (h *house) run(id string) form.Run {
	h.t.Helper()
	return ask[form.Run](h, runs+"/"+id)
}

func (h *house) story(id string) []form.TimelineEntry {
	h.t.Helper()
	return all[form.TimelineEntry](h, incidents+"/"+id+"/timeline")
}

// started runs a playbook by hand.
func (h *house) started(playbook, target string, header ...string) form.Run {
	h.t.Helper()
	return read[form.Run](h.t, h.post("/api/v1/playbooks/"+playbook+"/runs", form.RunOrder{Target: target}, header...))
}

// theCase waits for the one case there is to be as wanted.
func (h *house) theCase(within time.Duration, what string, want func(form.IncidentSummary) bool) form.Incident {
	h.t.Helper()
	var last []form.IncidentSummary
	var found string
	defer func() {
		if found == "" {
			h.t.Logf("cases: %+v", last)
			for _, c := range last {
				h.tell(c.ID)
			}
		}
	}()
	eventually(h.t, within, what, func() bool {
		last = all[form.IncidentSummary](h, incidents)
		if len(last) == 1 && want(last[0]) {
			found = last[0].ID
		}
		return found != ""
	})
	return h.incident(found)
}

// tell logs the story of a case.
func (h *house) tell(id string) {
	h.t.Helper()
	for _, e := range h.story(id) {
		h.t.Logf("%s %-8s %s", e.At.Format("15:04:05.000"), e.Stage, e.Text)
		for _, r := range e.Reasons {
			h.t.Logf("             . %s: %s", r.Code, r.Text)
		}
	}
}

// alertGroup is a webhook of Alertmanager, version 4.
type alertGroup struct {
	Version string    `json:"version"`
	Status  string    `json:"status"`
	Alerts  []amAlert `json:"alerts"`
}

type amAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
}

// firing is a group of alerts, one on each entity.
func firing(name string, entities ...string) alertGroup {
	g := alertGroup{Version: "4", Status: "firing"}
	for _, e := range entities {
		g.Alerts = append(g.Alerts, amAlert{"firing", map[string]string{"alertname": name, "entity": e, "severity": "critical"}, nil, time.Now().UTC()})
	}
	return g
}
