package api_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// large is a door in front of many alerts, each with its case.
func large(b *testing.B, n int) *apitest.House {
	b.Helper()
	db, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "house.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	h := apitest.New(b, db, func(o *api.Options) {
		l := loop.New(loop.Parts{Store: db}, loop.Options{Clock: time.Now, Entropy: rand.Reader, Logger: slog.New(slog.DiscardHandler), Backlog: 1 << 30})
		o.Alerts, o.Intake = l, l
	})
	states := []heal.CaseState{heal.CaseOpen, heal.CaseActing, heal.CaseHealed, heal.CaseEscalated, heal.CaseClosed}
	for from := 0; from < n; from += 1000 {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for i := from; i < from+1000; i++ {
				service := fmt.Sprintf("service-%d", i%500)
				at := apitest.Began.Add(time.Duration(i) * time.Second)
				a := heal.Alert{
					ID: heal.AlertID(alertID(i)), Fingerprint: fmt.Sprint("f", i), SourceSystem: "bench", Name: "HighLatency", Severity: heal.Warning, Status: heal.Firing,
					ServiceName: service, Entity: heal.ServiceID(service), Scope: heal.DefaultScope.WithService(service), Timestamp: at, ReceivedAt: at, Events: 1,
					Labels: map[string]string{"service": service, "instance": fmt.Sprint(i)}, Description: "p99 latency is above 500 ms for 5 minutes",
				}
				if _, err := store.AlertKind.Put(tx, &a, store.Absent); err != nil {
					return err
				}
				c := heal.Incident{
					ID: heal.IncidentID(alertID(i)), State: states[i%len(states)], Severity: heal.Warning, Title: service + " is slow", Scope: a.Scope,
					Members: []heal.Member{{Role: heal.Primary, Fault: heal.Fault{Message: a.Description}}}, BeganAt: at, DetectedAt: at, UpdatedAt: at,
				}
				if _, err := store.IncidentKind.Put(tx, &c, store.Absent); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return h
}

func alertID(i int) string { return fmt.Sprintf("0198b7a4-6f00-7000-8000-%012d", i) }

// timed asks once for each round and reports the spread.
func timed(b *testing.B, h *apitest.House, request func(i int) *http.Request) {
	b.Helper()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		r := request(i)
		r.Header.Set("Authorization", "Bearer "+h.Tokens["admin"])
		w := httptest.NewRecorder()
		began := time.Now()
		h.Handler.ServeHTTP(w, r)
		took = append(took, time.Since(began))
		if w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkAt100k asks a door with 100,000 alerts and as many cases.
func BenchmarkAt100k(b *testing.B) {
	const n = 100_000
	h := large(b, n)
	get := func(path string) func(int) *http.Request {
		return func(int) *http.Request {
			return httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/v1"+path, nil)
		}
	}
	for _, path := range []string{"/incidents", "/incidents?open=true", "/incidents?state=healed&severity=warning", "/incidents?service=service-7", "/alerts?status=firing"} {
		b.Run("GET "+path, func(b *testing.B) { timed(b, h, get(path)) })
	}
	b.Run("ack", func(b *testing.B) {
		timed(b, h, func(i int) *http.Request {
			verb := "ack"
			if i/n%2 == 1 {
				verb = "unack"
			}
			return httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v1/alerts/"+alertID(i%n)+"/"+verb, nil)
		})
	})
}

// BenchmarkIntake sends Alertmanager groups of 50, as many at once as a busy
// installation has senders.
func BenchmarkIntake(b *testing.B) {
	h := large(b, 0)
	var group strings.Builder
	group.WriteString(`{"version":"4","alerts":[`)
	for i := range 50 {
		if i > 0 {
			group.WriteByte(',')
		}
		fmt.Fprintf(&group, `{"status":"firing","labels":{"alertname":"HighLatency","service":"s%d","instance":"10.0.0.%d:80","severity":"critical"},"annotations":{"summary":"p99 latency is above 500 ms"},"startsAt":"2024-01-05T10:00:00Z","fingerprint":"%016x"}`, i, i, i)
	}
	group.WriteString(`]}`)
	body := group.String()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v1/webhooks/alertmanager", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+apitest.WebhookSecret)
			w := httptest.NewRecorder()
			h.Handler.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Errorf("%d %s", w.Code, w.Body)
				return
			}
		}
	})
	b.ReportMetric(50*float64(b.N)/b.Elapsed().Seconds(), "alerts/s")
}
