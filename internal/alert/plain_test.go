package alert

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

var plainAt = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

const plainAlert = `{"status":"firing","labels":{"alertname":"HighLatency","service":"cart"},"annotations":{"summary":"it is \"slow\" é"},` +
	`"startsAt":"2026-01-05T10:00:00.5Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/g?a=1&b=2","fingerprint":"00ff"}`

// oddGroups are bodies that encoding/json reads in its own way, or not at all.
var oddGroups = []string{
	``, `{}`, `[]`, `{"alerts":null}`, `{"alerts":[]}`, `{"alerts":[null]}`, `{"alerts":[` + plainAlert + `,]}`, `{"alerts":[` + plainAlert + `]} x`,
	`{"ALERTS":[` + plainAlert + `]}`, `{"alerts":[` + plainAlert + `],"alerts":[]}`, `{"alerts":[` + plainAlert + `],"truncatedAlerts":3}`,
	`{"alerts":[{"labels":{"a":"b"},"Labels":{"c":"d"}}]}`, `{"alerts":[{"labels":{"a":"b"},"labels":{"c":"d"}}]}`, `{"alerts":[{"labels":{"a":1}}]}`,
	`{"alerts":[{"labels":{"a":"\ud800"}}]}`, "{\"alerts\":[{\"labels\":{\"a\":\"\xff\"}}]}", `{"alerts":[{"labels":{"a":"b"},"x":01}]}`,
	`{"alerts":[{"labels":{"a":"b"},"x":[1,-0.5e+3,{"y":null}]}]}`, `{"alerts":[{"labels":{"a":"b"},"startsAt":"soon"}]}`, `{"alerts":[{"labels":{"a\`,
	`{"alerts":[{"labels":{"a":"b"},"ſtatus":"resolved"}]}`, `{"v":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,"alerts":[` + plainAlert + `]}`,
}

func TestPlainReadsWhatAlertmanagerWrites(t *testing.T) {
	am := NewAlertmanager(Options{})
	group := fmt.Sprintf(`{"version":"4","groupKey":"{}:{}","truncatedAlerts":0,"status":"firing","commonLabels":{}, "alerts":[%s, %[1]s]}`, plainAlert)
	got := am.plain([]byte(group), plainAt)
	want, skipped, err := am.careful([]byte(group), plainAt)
	if err != nil || len(skipped) != 0 || len(want) != 2 {
		t.Fatalf("got %d alerts, %v, %v, want two", len(want), skipped, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-encoding/json +plain):\n%s", diff)
	}
}

func FuzzPlainGroup(f *testing.F) {
	f.Add([]byte(`{"version":"4","alerts":[` + plainAlert + `]}`))
	for _, body := range oddGroups {
		f.Add([]byte(body))
	}
	files, err := filepath.Glob("testdata/alertmanager/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("sample bodies: got %d, %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	am := NewAlertmanager(Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		got := am.plain(body, plainAt)
		if got == nil {
			return
		}
		want, skipped, err := am.careful(body, plainAt)
		if err != nil || len(skipped) > 0 {
			t.Fatalf("encoding/json: got %v, %v, want what plain read", skipped, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +plain):\n%s", diff)
		}
	})
}

func FuzzRead(f *testing.F) {
	full := `{"alert_id":"a1","fingerprint":"f","source_system":"s","alert_name":"n","metric_name":"m","severity":"critical","status":"firing",` +
		`"service_name":"cart","host_ip":"10.0.0.1","entity":"service/cart","scope":{"tenant":"t","env":"e","cluster":"c","service":"cart"},` +
		`"metric_value":2.5,"threshold":1e-9,"rule_id":"r","timestamp":"2026-01-05T10:02:00.5Z","received_at":"2026-01-05T10:02:00+01:00","clock_skewed":true,` +
		`"labels":{"a":"\u003c&"},"description":"d","context":{},"acknowledged_by":"kim","acknowledged_at":"2026-01-05T10:02:00Z",` +
		`"resolved_at":"2026-01-05T10:02:00Z","condition":{"kind":"promql","expr":"up","interval":5},"count":3,"opened":2,"events":5,"raw":{"a":[1,"x"]}}`
	for _, body := range append(oddGroups, full, plainAlert, `{"count":1.0}`, `{"count":9223372036854775808}`, `{"timestamp":"2026-01-05"}`, `{"scope":{"Env":"x"}}`, `{"raw":null}`, `{"clock_skewed":t`) {
		f.Add([]byte(body))
	}
	if _, ok := Read([]byte(full)); !ok {
		f.Error("an alert as it is written was not read")
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := Read(body)
		if !ok {
			return
		}
		var want heal.Alert
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("encoding/json: got %v, want what Read read", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +Read):\n%s", diff)
		}
		data, err := want.AppendJSON(nil)
		if err != nil {
			return // a time that cannot be written
		}
		again, ok := Read(data)
		if written, err := again.AppendJSON(nil); !ok || err != nil || string(written) != string(data) {
			t.Errorf("read again: got %v, %v\n%s\nwant\n%s", ok, err, written, data)
		}
	})
}

func TestReadList(t *testing.T) {
	var others []string
	note := func(name, value string) bool {
		others = append(others, name+"="+value)
		return name != "Alerts"
	}
	got, ok := ReadList([]byte(`{"id":"d1", "alerts":[{"fingerprint":"a"},{"fingerprint":"b"}],"n": [1] }`), "alerts", note)
	if !ok || len(got) != 2 || got[1].Fingerprint != "b" {
		t.Errorf("got %+v, %v, want alerts a and b", got, ok)
	}
	if diff := cmp.Diff([]string{`id="d1"`, `n=[1]`}, others); diff != "" {
		t.Errorf("other members (-want +got):\n%s", diff)
	}
	for _, body := range []string{`{"Alerts":[]}`, `{"alerts":[],"alerts":[]}`, `{"alerts":[]`, `{"alerts":[{}],"id":}`} {
		if _, ok := ReadList([]byte(body), "alerts", note); ok {
			t.Errorf("%s: got read, want left to encoding/json", body)
		}
	}
}
