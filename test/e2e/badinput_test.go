//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/form"
)

// bad is one wrong thing to hand in, and what is to be said about it.
type bad struct {
	name   string
	body   string
	status int
	says   string // part of the answer: what is wrong, or where
}

// intake is one door with what is wrong for it.
type intake struct {
	name, path string
	wrong      []bad
}

// huge is more than any intake of JSON takes.
const huge = 10 << 20

// nested is JSON nested depth deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// wrongJSON is wrong for every door that takes JSON; before and after stand
// around a text in a body that is right but for it.
func wrongJSON(before, after string) []bad {
	return []bad{
		{"nothing", "", 0, ""},
		{"no JSON", "alerts, please", 400, "not JSON"},
		{"cut short", `{"alerts": [`, 400, "unexpected"},
		{"two documents", before + after + " " + before + after, 400, ""},
		{"another type", `"a text"`, 0, ""},
		{"null", `null`, 0, ""},
		{"deep", before + after[:len(after)-1] + `,"deep":` + nested(100_000) + "}", 400, "nested"},
		{"not UTF-8", before + "\xff\xfe" + after, 400, "UTF-8"},
		{"10 MB", before + strings.Repeat("x", huge) + after, 413, "bytes"},
	}
}

var (
	wrongWebhook = append(wrongJSON(`{"alerts":[{"labels":{"alertname":"`, `"}}]}`), []bad{
		{"no list", `{"version":"4"}`, 400, "alerts"},
		{"list of another type", `{"alerts":{}}`, 400, "alerts"},
		{"only wrong alerts", `{"alerts":[{"status":"firing","labels":{}}]}`, 400, "no labels"},
		{"wrong time", `{"alerts":[{"labels":{"alertname":"A"},"startsAt":"soon"}]}`, 400, "startsAt"},
		{"wrong status", `{"alerts":[{"status":"burning","labels":{"alertname":"A"}}]}`, 400, "firing or resolved"},
		{"too many", `{"alerts":[` + strings.Repeat(`{"labels":{"alertname":"A"}},`, 1000) + `{"labels":{"alertname":"A"}}]}`, 400, "1000"},
		{"label too long", `{"alerts":[{"labels":{"alertname":"A","x":"` + strings.Repeat("y", 1<<20) + `"}}]}`, 400, "x"},
	}...)
	wrongMapped = append(wrongJSON(`{"events":[{"check":"`, `","node":"n1"}]}`), []bad{
		{"no list", `{"events":7}`, 400, "events"},
		{"only wrong alerts", `{"events":[{"node":"n1"}]}`, 400, "name"},
	}...)
	wrongAlerts = append(wrongJSON(`{"alerts":[{"alert_name":"`, `"}]}`), []bad{
		{"no list", `{}`, 422, "alerts"},
		{"empty list", `{"alerts":[]}`, 422, "alerts"},
		{"unknown field", `{"alerts":[{"alert_name":"A","sevrity":"critical"}]}`, 422, "sevrity"},
		{"wrong type", `{"alerts":[{"alert_name":7}]}`, 422, "alert_name"},
		{"wrong severity", `{"alerts":[{"alert_name":"A","severity":"loud"}]}`, 422, "severity"},
		{"every target", `{"alerts":[{"alert_name":"A","entity":"*"}]}`, 422, "alerts[0]"},
		{"every service", `{"alerts":[{"alert_name":"A","entity":"service/*"}]}`, 422, "alerts[0]"},
		{"no service", `{"alerts":[{"alert_name":"A","entity":"service/"}]}`, 422, "alerts[0]"},
		{"one of two wrong", `{"alerts":[{"alert_name":"A","entity":"service/a"},{"alert_name":"B","entity":"service/*"}]}`, 422, "alerts[1]"},
	}...)
	wrongOrder = append(wrongJSON(`{"target":"service/`, `"}`), []bad{
		{"no target", `{}`, 422, "target"},
		{"empty target", `{"target":""}`, 422, "target"},
		{"every target", `{"target":"*"}`, 422, "target"},
		{"every service", `{"target":"service/*"}`, 422, "*"},
		{"some services", `{"target":"service/ca*"}`, 422, "*"},
		{"no service", `{"target":"service/"}`, 422, "service/"},
		{"unknown field", `{"target":"service/cart","dryrun":true}`, 422, "dryrun"},
		{"unknown parameter", `{"target":"service/cart","params":{"speed":"9"}}`, 422, "speed"},
	}...)
	wrongSource = append(wrongJSON(`{"source":"`, `"}`), []bad{
		{"no source", `{}`, 422, "source"},
		{"unknown field", `{"sauce":"x"}`, 422, "sauce"},
	}...)
)

// TestE2EBadInput hands every kind of wrong input to every intake over HTTP.
// Each must be refused with a word on what is wrong; what was right before and
// after must be there at the end, and nothing else.
func TestE2EBadInput(t *testing.T) {
	h := openHouse(t)
	doors := []intake{
		{"alertmanager", webhook, wrongWebhook},
		{"mapping", "/api/v1/webhooks/skywatch", wrongMapped},
		{"alerts", "/api/v1/alerts", wrongAlerts},
		{"run", "/api/v1/playbooks/look/runs", wrongOrder},
		{"playbook check", "/api/v1/playbook-check", wrongSource},
	}
	var want []string
	good := func(when, door string) {
		name := "service/" + when + "-" + strings.ReplaceAll(door, " ", "-")
		want = append(want, name)
		h.post(webhook, firing("Good", name))
	}
	for _, door := range doors {
		good("before", door.name)
		for _, b := range door.wrong {
			t.Run(door.name+"/"+b.name, func(t *testing.T) {
				h.refuses(t, h.do(http.MethodPost, door.path, []byte(b.body)), b)
			})
		}
		good("after", door.name)
	}
	h.pushOnce(t, "good_before")
	for _, signal := range []string{"traces", "metrics", "logs"} {
		t.Run("otlp/"+signal, func(t *testing.T) { h.wrongTelemetry(t, signal) })
	}
	h.pushOnce(t, "good_after")
	h.nothingLost(append(want, "service/telemetry"))
}

// openHouse is an installation with every intake open.
func openHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	mapping, rules := filepath.Join(dir, "skywatch.yaml"), filepath.Join(dir, "rules.yaml")
	must(t, os.WriteFile(mapping, []byte("source: skywatch\neach: body.events\nfields: {name: item.check, entity: \"'host/' + item.node\"}\nlabels: {check: item.check}\n"), 0o600))
	must(t, os.WriteFile(rules, []byte(`
groups:
  - name: telemetry
    interval: 500ms
    rules:
      - {alert: Good, expr: good_before > 0 and on (service_name) good_after > 0}
`), 0o600))
	h := newHouse(t, settings{
		"intake": settings{"mappings": []settings{{"name": "skywatch", "file": mapping}}},
		"rules":  settings{"files": []string{rules}},
	}, playbook{"look", "playbook_id: look\nname: Look\ntasks: [{id: look, type: wait, parameters: {duration: 1ms}}]\n"})
	h.start()
	return h
}

// refuses checks an answer to something wrong. A status of 0 means any refusal.
func (h *house) refuses(t *testing.T, got reply, b bad) {
	t.Helper()
	if got.err != nil || got.status/100 != 4 || b.status != 0 && got.status != b.status {
		t.Fatalf("answer: got %s, want %d", got, b.status)
	}
	p := got.problem()
	word := p.Detail
	for _, e := range p.Errors {
		word += " | " + e.Location + ": " + e.Message
	}
	if word == "" || p.Status != got.status || !strings.Contains(word, b.says) {
		t.Errorf("answer: got %s, want a problem that says %q", got, b.says)
	}
	if len(got.body) > 64<<10 {
		t.Errorf("answer: got %d bytes, want few", len(got.body))
	}
	if !h.alive() {
		t.Fatalf("the server is gone\n%s", tail(h.server.out.String()))
	}
}

// nothingLost checks that exactly these entities have alerts, on a server that
// never panicked, and again after it was started anew.
func (h *house) nothingLost(want []string) {
	h.t.Helper()
	slices.Sort(want)
	check := func(when string) {
		h.t.Helper()
		var got []string
		eventually(h.t, 20*time.Second, "every good alert is handled", func() bool {
			got = nil
			for _, a := range all[form.Alert](h, "/api/v1/alerts") {
				got = append(got, a.Entity)
			}
			return len(got) >= len(want)
		})
		slices.Sort(got)
		if diff := cmp.Diff(got, want); diff != "" {
			h.t.Errorf("entities with alerts %s, got (-) and want (+):\n%s", when, diff)
		}
		if log := h.server.out.String(); strings.Contains(log, "panic") {
			h.t.Errorf("something panicked\n%s", tail(log))
		}
	}
	check("at the end")
	if code := h.stop(); code != 0 {
		h.t.Errorf("exit code: got %d, want 0\n%s", code, tail(h.server.out.String()))
	}
	h.start()
	check("after a restart")
}

// pushOnce sends one good sample.
func (h *house) pushOnce(t *testing.T, name string) {
	t.Helper()
	if r := h.otlpPost("metrics", "application/json", gauge(name, "telemetry", 1, time.Now())); !r.ok() {
		t.Fatalf("push %s: %s", name, r)
	}
}

func (h *house) otlpPost(signal, contentType, body string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+h.otlp+"/v1/"+signal, strings.NewReader(body))
	must(h.t, err)
	req.Header.Set("Content-Type", contentType)
	return send(req)
}

// wrongTelemetry sends one signal wrongly, as JSON and as protobuf.
func (h *house) wrongTelemetry(t *testing.T, signal string) {
	const asJSON, asProto = "application/json", "application/x-protobuf"
	list := map[string]string{"traces": "resourceSpans", "metrics": "resourceMetrics", "logs": "resourceLogs"}[signal]
	resource := func(value string) string {
		return fmt.Sprintf(`{%q:[{"resource":{"attributes":[{"key":"service.name","value":%s}]}}]}`, list, value)
	}
	nothing := map[string]int{"traces": 400, "metrics": 200, "logs": 200}[signal]
	deep := strings.Repeat(`{"arrayValue":{"values":[`, 10_000) + `{}` + strings.Repeat(`]}}`, 10_000)
	tests := []struct {
		name, contentType, body string
		status                  int
		says                    string
	}{
		{"JSON cut short", asJSON, `{"` + list + `":[`, 400, ""},
		{"no JSON", asJSON, "spans, please", 400, ""},
		{"JSON of another type", asJSON, `{"` + list + `":7}`, 400, ""},
		{"deep JSON", asJSON, resource(deep), 400, "nested"},
		{"10 MB of no JSON", asJSON, strings.Repeat("x", huge), 400, ""},
		{"too long JSON", asJSON, resource(`{"stringValue":"` + strings.Repeat("x", 2*huge) + `"}`), 413, "bytes"},
		{"JSON with unknown fields", asJSON, `{"` + list + `":[],"more":{"x":1}}`, 200, ""}, // OTLP wants them ignored
		{"protobuf cut short", asProto, "\x0a\x7f\x0a", 400, "ends within a field"},
		{"no protobuf", asProto, "spans, please", 400, ""},
		{"deep protobuf", asProto, deepProto(1000), 400, "nested"},
		{"10 MB of no protobuf", asProto, strings.Repeat("\xff", huge), 400, "number of more than 64 bits"},
		{"too long protobuf", asProto, strings.Repeat("\x0a\x00", huge), 413, "bytes"},
		{"many resources with nothing of them", asProto, strings.Repeat("\x0a\x00", huge/4), nothing, ""}, // never decoded
		{"another content type", "text/plain", "x", 415, "text/plain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.otlpPost(signal, tt.contentType, tt.body)
			if got.err != nil || got.status != tt.status || !bytes.Contains(got.body, []byte(tt.says)) {
				t.Errorf("answer: got %s, want %d that says %q", got, tt.status, tt.says)
			}
			if tt.status != 200 && len(got.body) == 0 {
				t.Error("the answer says nothing")
			}
		})
	}
	for name, sent := range map[string][2]string{
		"JSON": {asJSON, resource("{\"stringValue\":\"\xff\xfe\"}")}, "protobuf": {asProto, resourceProto("\x0a\x02\xff\xfe")},
	} {
		t.Run(name+" not UTF-8", func(t *testing.T) { // taken with the text repaired, or refused
			if got := h.otlpPost(signal, sent[0], sent[1]); got.err != nil || got.status != 200 && got.status != 400 {
				t.Errorf("answer: got %s, want 200 or 400", got)
			}
		})
	}
	if !h.alive() {
		t.Fatalf("the server is gone\n%s", tail(h.server.out.String()))
	}
}

// field is a field of a protobuf message with content.
func field(number byte, content string) string {
	head := []byte{number<<3 | 2}
	n := len(content)
	for ; n >= 0x80; n >>= 7 {
		head = append(head, byte(n)|0x80)
	}
	return string(append(head, byte(n))) + content
}

// resourceProto is a request of any signal with one attribute of the resource;
// value is an AnyValue.
func resourceProto(value string) string {
	attribute := field(1, "service.name") + field(2, value)
	return field(1, field(1, field(1, attribute)))
}

// deepProto nests lists in lists.
func deepProto(depth int) string {
	value := ""
	for range depth {
		value = field(5, field(1, value))
	}
	return resourceProto(value)
}

// TestE2EBadFiles gives wrong files to the commands that read them: what is
// wrong is said with the place, and the exit code is that of wrong usage.
func TestE2EBadFiles(t *testing.T) {
	const playbookText, configText = "playbook_id: a\nname: A\ntasks: [{id: a, type: wait, parameters: {duration: 1s}}]\n", "log: {level: info}\n"
	wrong := func(right string) []bad {
		return []bad{
			{name: "malformed", body: right + "x: [\n", says: ":"},
			{name: "no keys", body: "- a\n- b\n", says: ":1"},
			{name: "10 MB", body: right + "# " + strings.Repeat("x", huge), says: "larger than"},
			{name: "not UTF-8", body: right + "x: \xff\xfe\n", says: "UTF-8"},
			{name: "unknown key", body: right + "colour: red\n", says: "colour"},
			{name: "key twice", body: right + right, says: ":"},
			{name: "bomb", body: right + "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n", says: ":"},
		}
	}
	for _, c := range []struct {
		command []string
		right   string
		more    []bad
	}{
		{[]string{"playbooks", "check"}, playbookText, []bad{
			{name: "every target", body: strings.Replace(playbookText, "type: wait", "type: wait, target: 'service/*'", 1), says: "*"},
			{name: "empty target", body: strings.Replace(playbookText, "type: wait", "type: wait, target: ''", 1), says: "target"},
			{name: "deep", body: playbookText + "params: " + nested(10_000) + "\n", says: ":4"},
		}},
		{[]string{"config", "check", "--config"}, configText, []bad{
			{name: "every target", body: "drivers: {processes: [{name: p, entity: 'service/*', command: [/bin/true]}]}\n", says: "service/*"},
			{name: "empty target", body: "drivers: {processes: [{name: p, entity: '', command: [/bin/true]}]}\n", says: "entity"},
			{name: "deep", body: configText + "monitors: " + nested(10_000) + "\n", says: ":2"},
		}},
	} {
		for _, b := range append(wrong(c.right), c.more...) {
			t.Run(strings.Join(c.command[:2], " ")+"/"+b.name, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "file.yaml")
				must(t, os.WriteFile(file, []byte(b.body), 0o600))
				code, stdout, stderr := run(t, 20*time.Second, append(slices.Clone(c.command), file)...)
				word := stdout + stderr
				if code != 2 || !strings.Contains(word, file) || !strings.Contains(word, b.says) || strings.Contains(word, "goroutine") {
					t.Errorf("got %d, %q; want 2 and a word on %q in %s", code, tail(word), b.says, file)
				}
				if len(word) > 64<<10 {
					t.Errorf("got %d bytes, want few", len(word))
				}
			})
		}
	}
}

// TestE2EBadAlertFile hands wrong files of alerts to the command that sends
// them.
func TestE2EBadAlertFile(t *testing.T) {
	h := openHouse(t)
	for _, b := range wrongAlerts {
		t.Run(b.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "alerts.json")
			must(t, os.WriteFile(file, []byte(b.body), 0o600))
			code, stdout, stderr := run(t, 20*time.Second, "alerts", "send", "--server", "http://"+h.api, "--token-file", h.tokenFile(), "--file", file)
			if code == 0 || stderr == "" || strings.Contains(stderr, "goroutine") {
				t.Errorf("got %d, %q, %q; want a refusal and why", code, tail(stdout), tail(stderr))
			}
		})
	}
	if got := all[json.RawMessage](h, "/api/v1/alerts"); len(got) > 0 {
		t.Errorf("alerts: got %s, want none", got)
	}
}

func (h *house) tokenFile() string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "data", "operator*token"))
	must(h.t, err)
	return found[0]
}
