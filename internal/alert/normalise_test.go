package alert_test

import (
	"testing"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestSeverity(t *testing.T) {
	for text, want := range map[string]heal.Severity{
		"page": heal.Critical, "ERROR": heal.Critical, " High ": heal.Critical, "Disaster": heal.Critical, "P1": heal.Critical,
		"warn": heal.Warning, "average": heal.Warning, "": heal.Warning, "purple": heal.Warning,
		"Information": heal.Info, "Not classified": heal.Info, "none": heal.Info,
	} {
		if got := alert.Severity(text); got != want {
			t.Errorf("Severity(%q): got %s, want %s", text, got, want)
		}
	}
}

func TestEntityOf(t *testing.T) {
	for _, tc := range []struct {
		name   string
		labels map[string]string
		want   heal.EntityID
	}{
		{"whole id wins", map[string]string{"entity": "queue/orders", "service": "cart"}, "queue/orders"},
		{"invalid id is passed over", map[string]string{"entity": "*", "service": "cart"}, "service/cart"},
		{"wildcard is passed over", map[string]string{"service": "ca*", "host": "h1"}, "host/h1"},
		{"job", map[string]string{"job": "node", "instance": "h1:9100"}, "service/node"},
		{"pod without namespace", map[string]string{"pod": "cart-1"}, "pod/cart-1"},
		{"host and port", map[string]string{"instance": "h1:9100"}, "host/h1"},
		{"IPv6", map[string]string{"instance": "[fd00::1]:9100"}, "host/fd00::1"},
		{"bare IPv6", map[string]string{"node": "fd00::1"}, "host/fd00::1"},
		{"nothing known", map[string]string{"team": "a"}, "external/zabbix"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := alert.EntityOf(alert.DefaultEntityRules(), tc.labels, "zabbix"); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFingerprintKeepsLabelsApart(t *testing.T) {
	a := alert.Fingerprint("s", "n", map[string]string{"a": "b", "c": "d"})
	for name, b := range map[string]string{
		"moved border": alert.Fingerprint("s", "n", map[string]string{"a": "bc", "": "d"}),
		"other name":   alert.Fingerprint("s", "m", map[string]string{"a": "b", "c": "d"}),
		"other source": alert.Fingerprint("t", "n", map[string]string{"a": "b", "c": "d"}),
	} {
		if a == b {
			t.Errorf("%s: got the same fingerprint %s, want different ones", name, a)
		}
	}
	if b := alert.Fingerprint("s", "n", map[string]string{"c": "d", "a": "b", "e": ""}); a != b {
		t.Errorf("empty label: got %s, want %s", b, a)
	}
}
