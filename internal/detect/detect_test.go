package detect_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestClassify(t *testing.T) {
	for text, want := range map[string]heal.FaultType{
		"HighRequestLatency":                     heal.PerformanceDegradation,
		"http_server_request_duration_seconds":   heal.PerformanceDegradation,
		"p99 over 500 ms":                        heal.PerformanceDegradation,
		"CheckoutSlowQueries":                    heal.PerformanceDegradation,
		"HTTP5xxRateHigh":                        heal.ErrorsRaised,
		"KafkaConsumerErrors":                    heal.ErrorsRaised,
		"HostHighCPULoad":                        heal.ResourceExhaustion,
		"cpu_usage_total":                        heal.ResourceExhaustion,
		"ContainerOOMKilled":                     heal.ResourceExhaustion,
		"java.lang.OutOfMemoryError":             heal.ResourceExhaustion,
		"DiskFull":                               heal.ResourceExhaustion,
		"node_filesystem_avail_bytes":            heal.ResourceExhaustion,
		"DatabaseConnectionPoolExhausted":        heal.ResourceExhaustion,
		"TooManyConnections":                     heal.ResourceExhaustion,
		"connection refused":                     heal.ConnectionFailure,
		"RedisConnectionErrors":                  heal.ConnectionFailure,
		"InstanceDown":                           heal.Unavailable,
		"PaymentServiceUnavailable":              heal.Unavailable,
		"KubePodCrashLooping":                    heal.Unavailable,
		"NodeNotReady":                           heal.Unavailable,
		"PostgresDeadlocks":                      heal.Deadlock,
		"JVMMemoryLeak":                          heal.MemoryLeak,
		"TableChecksumMismatch":                  heal.DataCorruption,
		"Watchdog":                               heal.UnknownFault,
		"":                                       heal.UnknownFault,
		strings.Repeat("x", 10_000) + " latency": heal.UnknownFault, // beyond what is read
	} {
		if got := detect.Classify(text); got != want {
			t.Errorf("Classify(%.60q): got %s, want %s", text, got, want)
		}
	}
}

func TestFromAlert(t *testing.T) {
	value, threshold, nan := 0.9, 0.5, math.NaN()
	tests := []struct {
		name  string
		alert heal.Alert
		want  heal.Fault
	}{
		{
			name: "everything is carried over",
			alert: heal.Alert{
				ID: "a1", SourceSystem: "rules", Name: "HighLatency", Severity: heal.Critical, Status: heal.Firing,
				Entity: "service/cart", Scope: heal.DefaultScope.WithService("cart"), Description: "p99 is high",
				MetricValue: &value, Threshold: &threshold, Timestamp: now.Add(-time.Minute), ReceivedAt: now,
				Labels:    map[string]string{"shard": "7", "component": "db", "zone": "eu", "bad": "NaN"},
				Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: "x > 1"},
			},
			want: heal.Fault{
				Key:    heal.FaultKey{Type: heal.PerformanceDegradation, Entity: "service/cart"},
				Source: "rules", Severity: heal.Critical, Message: "p99 is high", Component: "db",
				Scope: heal.DefaultScope.WithService("cart"), AlertID: "a1", AlertName: "HighLatency",
				Values:    heal.Values{"value": 0.9, "threshold": 0.5, "shard": 7},
				Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: "x > 1"},
				Began:     now.Add(-time.Minute), Detected: now, LastSeen: now,
				Evidence: []heal.Evidence{{
					Kind: heal.EvidenceAlert, Entity: "service/cart", Summary: "rules raised HighLatency: p99 is high",
					Query: "x > 1", Value: &value, At: now,
				}},
			},
		},
		{
			name:  "the label goes before the words, an unknown label does not",
			alert: heal.Alert{Name: "HighLatency", Entity: "host/h", Labels: map[string]string{"fault_type": "deadlock"}},
			want:  minimal(heal.Deadlock, "host/h", "HighLatency", "alert"),
		},
		{
			name:  "unknown label",
			alert: heal.Alert{Name: "HighLatency", Entity: "host/h", Labels: map[string]string{"fault_type": "sadness"}},
			want:  minimal(heal.PerformanceDegradation, "host/h", "HighLatency", "alert"),
		},
		{
			name:  "no entity: the service",
			alert: heal.Alert{Name: "Watchdog", ServiceName: "cart", Entity: "*", MetricValue: &nan},
			want:  minimal(heal.UnknownFault, "service/cart", "Watchdog", "alert"),
		},
		{
			name:  "nothing known",
			alert: heal.Alert{},
			want:  minimal(heal.UnknownFault, "external/unknown", "", "alert"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := detect.FromAlert(tt.alert, now)
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

func minimal(typ heal.FaultType, entity heal.EntityID, name, source string) heal.Fault {
	message, raised := name, name
	if name == "" {
		message, raised = "alert without a name", "an alert without a name"
	}
	return heal.Fault{
		Key: heal.FaultKey{Type: typ, Entity: entity}, Source: source, Severity: heal.Warning,
		Message: message, AlertName: name, Began: now, Detected: now, LastSeen: now,
		Evidence: []heal.Evidence{{Kind: heal.EvidenceAlert, Entity: entity, Summary: "a source raised " + raised, At: now}},
	}
}

func TestFromAlertTimes(t *testing.T) {
	tests := []struct {
		name                          string
		alert                         heal.Alert
		wantBegan, wantSeen, wantGone time.Time
	}{
		{"event time ahead of our clock", heal.Alert{Timestamp: now.Add(time.Hour), ReceivedAt: now}, now, now, time.Time{}},
		{"receipt time ahead of our clock", heal.Alert{ReceivedAt: now.Add(time.Hour)}, now, now, time.Time{}},
		{"resolved with its time", heal.Alert{Status: heal.Resolved, ResolvedAt: now.Add(-time.Second)}, now, now, now.Add(-time.Second)},
		{"resolved without a time", heal.Alert{Status: heal.Resolved}, now, now, now},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := detect.FromAlert(tt.alert, now)
			if !f.Began.Equal(tt.wantBegan) || !f.LastSeen.Equal(tt.wantSeen) || !f.ClearedAt.Equal(tt.wantGone) {
				t.Errorf("got began %v, seen %v, cleared %v; want %v, %v, %v", f.Began, f.LastSeen, f.ClearedAt, tt.wantBegan, tt.wantSeen, tt.wantGone)
			}
		})
	}
}

func TestProbeWithoutTellingWordsIsUnavailable(t *testing.T) {
	f := detect.FromAlert(heal.Alert{Name: "cart", Entity: "service/cart", Condition: heal.Condition{Kind: heal.ConditionProbe, Probe: "cart"}}, now)
	if f.Key.Type != heal.Unavailable {
		t.Errorf("got %s, want %s", f.Key.Type, heal.Unavailable)
	}
}

func FuzzFromAlert(f *testing.F) {
	f.Add("HighLatency", "p99 is high", "service/cart", "3.5")
	f.Add("\xff\xfe", "A1b2C3dDD99z", "*", "NaN")
	f.Fuzz(func(t *testing.T, name, description, entity, label string) {
		got := detect.FromAlert(heal.Alert{
			Name: name, Description: description, Entity: heal.EntityID(entity),
			Labels: map[string]string{"x": label, detect.FaultTypeLabel: label},
		}, now)
		if err := got.Key.Entity.Validate(); err != nil {
			t.Errorf("entity: %v", err)
		}
		if got.Key.Type == "" {
			t.Error("no fault type")
		}
	})
}
