package alert_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
)

func TestRuleExpression(t *testing.T) {
	const link = "http://prometheus.example:9090/graph?g0.expr=up%7Bjob%3D%22node%22%7D+%3D%3D+0&g0.tab=1"
	tests := []struct {
		name, link, annotation string
		on                     bool
		want                   string
	}{
		{"of the link", link, "", true, `up{job="node"} == 0`},
		{"said by hand", link, "absent(up)", true, "absent(up)"},
		{"nobody can be asked", link, "", false, ""},
		{"no expression", "http://prometheus.example/graph", "", true, ""},
		{"no link", "", "", true, ""},
		{"not a link", "http://%zz", "", true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			annotations, err := json.Marshal(map[string]string{"homeostat_condition": tt.annotation})
			if err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Down","service":"cart"},"annotations":%s,"generatorURL":%q}]}`, annotations, tt.link)
			alerts, _, err := alert.NewAlertmanager(alert.Options{RuleExpression: tt.on}).Parse([]byte(body), time.Now())
			if err != nil || len(alerts) != 1 {
				t.Fatalf("got %d alerts, %v", len(alerts), err)
			}
			if got := alerts[0].Condition.Expr; got != tt.want {
				t.Errorf("condition: got %q, want %q", got, tt.want)
			}
		})
	}
}
