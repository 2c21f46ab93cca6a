package loop

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// TestDeliveryIsEncodingJSON: a delivery is written and read as encoding/json
// would, so that any version reads any other's.
func TestDeliveryIsEncodingJSON(t *testing.T) {
	at := time.Date(2026, 1, 5, 10, 2, 0, 500e6, time.UTC)
	one := alert.New(alert.Observed{Source: "a <b>", Name: "HighLatency", Labels: map[string]string{"service": "cart"}, Starts: at, Raw: json.RawMessage(`{"a":[1,"&"]}`)})
	tests := map[string]delivery{
		"two":     {ID: "d1", Source: "a <b>", Received: at, Alerts: []heal.Alert{one, one}},
		"one":     {ID: "d1", Source: "alertmanager", Received: at, Alerts: []heal.Alert{one}},
		"nothing": {Alerts: []heal.Alert{}},
	}
	for name, d := range tests {
		t.Run(name, func(t *testing.T) {
			want, err := json.Marshal(&d)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := deliveryKind.Encode(&d, store.Absent)
			if got := string(rec.Body); err != nil || got != `{"v":1,"d":`+string(want)+`}` {
				t.Fatalf("written: got %v\n%s\nwant\n%s", err, got, want)
			}
			got, ok := readDelivery(want)
			var plain delivery
			if err := json.Unmarshal(want, &plain); err != nil || !ok {
				t.Fatalf("read: got %v, %v, want both", ok, err)
			}
			if diff := cmp.Diff(plain, got); diff != "" {
				t.Errorf("read (-encoding/json +got):\n%s", diff)
			}
		})
	}
}
