package heal_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// fullAlert has a value in every field, so that a new field that AppendJSON
// does not write is found.
func fullAlert() heal.Alert {
	value, threshold := 2.5, 1e-9
	at := time.Date(2026, 1, 5, 10, 2, 0, 500e6, time.UTC)
	return heal.Alert{
		ID: "a1", Fingerprint: "f", SourceSystem: "s", Name: "n", MetricName: "m", Severity: heal.Critical, Status: heal.Firing, ServiceName: "cart",
		HostIP: "10.0.0.1", Entity: "service/cart", Scope: heal.DefaultScope.WithService("cart"), MetricValue: &value, Threshold: &threshold, RuleID: "r",
		Timestamp: at, ReceivedAt: at.Add(1), ClockSkewed: true, Labels: map[string]string{"b": "2", "a": "1", "é\u2028": "<&>"}, Description: "it is \"down\"\n",
		Context: map[string]string{"url": "http://x/?a=1&b=2", "bad": "\xff"}, AcknowledgedBy: "kim", AcknowledgedAt: at, ResolvedAt: at, SilencedBy: "s1",
		Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: "up == 0", Labels: map[string]string{"x": "y"}, Probe: "p", Interval: time.Second},
		Count:     3, Opened: 2, Events: 5, Raw: json.RawMessage(`{ "a" : "<b>" }`),
	}
}

func TestAppendJSONIsEncodingJSON(t *testing.T) {
	full := fullAlert()
	for i := range reflect.TypeFor[heal.Alert]().NumField() {
		if reflect.ValueOf(full).Field(i).IsZero() {
			t.Errorf("field %s: the sample has no value in it", reflect.TypeFor[heal.Alert]().Field(i).Name)
		}
	}
	nan, far := math.NaN(), full
	far.Timestamp = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	notANumber, badRaw, emptyMaps := full, full, heal.Alert{Labels: map[string]string{}, Condition: heal.Condition{Labels: map[string]string{}}}
	notANumber.MetricValue, badRaw.Raw = &nan, json.RawMessage(`{"a":`)
	zoned := full
	zoned.Timestamp = full.Timestamp.In(time.FixedZone("", 5400))
	for name, a := range map[string]heal.Alert{
		"every field": full, "none": {}, "empty maps": emptyMaps, "a zone": zoned, "not a number": notANumber, "a far year": far, "raw that is no JSON": badRaw,
	} {
		t.Run(name, func(t *testing.T) {
			want, wantErr := json.Marshal(&a)
			got, err := a.AppendJSON([]byte("before"))
			if (err != nil) != (wantErr != nil) {
				t.Fatalf("got error %v, want one as %v", err, wantErr)
			}
			if err == nil && string(got) != "before"+string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("id", "label", "value", "text", int64(1), `{"a":1}`)
	f.Add("", "\u2028", "\xff<", "\x00\x7f\"\\", int64(-1), ``)
	f.Fuzz(func(t *testing.T, id, label, value, text string, n int64, raw string) {
		a := heal.Alert{
			ID: heal.AlertID(id), Name: text, Labels: map[string]string{label: value, value: text}, Description: text, Timestamp: time.Unix(0, n).UTC(), Count: int(n),
			Condition: heal.Condition{Expr: value, Interval: time.Duration(n)}, Raw: json.RawMessage(raw),
		}
		want, wantErr := json.Marshal(&a)
		got, err := a.AppendJSON(nil)
		if (err != nil) != (wantErr != nil) || err == nil && string(got) != string(want) {
			t.Errorf("got %s, %v\nwant %s, %v", got, err, want, wantErr)
		}
	})
}
