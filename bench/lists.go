package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// asks is how many times each question is asked.
const asks = 400

// measureLists asks a full store what people ask it.
func measureLists(ctx context.Context, o *options, r *report) (err error) {
	dir := filepath.Join(o.dir, "full")
	if err := fill(ctx, dir, o); err != nil {
		return err
	}
	s, err := up(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	r.atMost(2, fmt.Sprintf("ready with %d alerts, %d open cases", o.alerts, o.open), s.took.Seconds(), "s", "from exec to 200 of /readyz")
	for _, q := range []struct{ name, path string }{
		{"incident list, page of 50", "/api/v1/incidents?limit=50"},
		{"incident list, open", "/api/v1/incidents?limit=50&open=true"},
		{"incident list, one service", "/api/v1/incidents?limit=50&service=service-7"},
		{"incident list, one service and critical", "/api/v1/incidents?limit=50&service=service-7&severity=critical"},
		{"incident list, one state", "/api/v1/incidents?limit=50&state=escalated"},
		{"incident list, one severity", "/api/v1/incidents?limit=50&severity=info"},
		{"alert list, page of 50", "/api/v1/alerts?limit=50"},
		{"alert list, firing and critical", "/api/v1/alerts?limit=50&status=firing&severity=critical"},
		{"alert list, one service", "/api/v1/alerts?limit=50&service=service-7"},
	} {
		took, err := timed(ctx, 4, asks, func(int) error {
			var page struct{ Items []json.RawMessage }
			if err := s.get(ctx, q.path, &page); err != nil || len(page.Items) > 0 {
				return err
			}
			return fmt.Errorf("GET %s: the page is empty", q.path)
		})
		if err != nil {
			return err
		}
		r.atMost(100, q.name+", p99", quantile(took, 0.99), "ms", fmt.Sprintf("p50 %s ms, 4 readers", short(quantile(took, 0.5))))
	}
	return changes(ctx, s, r)
}

// changes times what people do to alerts and cases.
func changes(ctx context.Context, s *server, r *report) error {
	for _, c := range []struct {
		name, list, path, body string
		conns                  int
	}{
		{"alert acknowledged", "/api/v1/alerts?status=firing&limit=500", "/api/v1/alerts/%s/ack", "", 1},
		{"alert unacknowledged, 8 people at once", "/api/v1/alerts?status=acknowledged&limit=500", "/api/v1/alerts/%s/unack", "", 8},
		{"case closed", "/api/v1/incidents?open=true&limit=500", "/api/v1/incidents/%s/close", `{"reason":"bench"}`, 1},
	} {
		var page struct {
			Items []struct {
				ID      string
				AlertID string `json:"alert_id"`
			}
		}
		if err := s.get(ctx, c.list, &page); err != nil {
			return err
		}
		if len(page.Items) < asks {
			return fmt.Errorf("GET %s: %d items, want %d", c.list, len(page.Items), asks)
		}
		took, err := timed(ctx, c.conns, asks, func(i int) error {
			path := fmt.Sprintf(c.path, page.Items[i].ID+page.Items[i].AlertID)
			var body []byte
			if c.body != "" {
				body = []byte(c.body)
			}
			status, answer, err := s.do(ctx, http.MethodPost, path, body)
			if err != nil || status == http.StatusOK {
				return err
			}
			return fmt.Errorf("POST %s: %d %s", path, status, tail(string(answer)))
		})
		if err != nil {
			return err
		}
		r.atMost(20, c.name+", p99", quantile(took, 0.99), "ms", fmt.Sprintf("p50 %s ms", short(quantile(took, 0.5))))
	}
	return nil
}

// timed calls f n times from several goroutines and gives how long each took.
func timed(ctx context.Context, conns, n int, f func(i int) error) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	failed := make(chan error, conns)
	var wg sync.WaitGroup
	for c := range conns {
		wg.Go(func() {
			for i := c; i < n && ctx.Err() == nil; i += conns {
				began := time.Now()
				if err := f(i); err != nil {
					failed <- err
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
		return took, ctx.Err()
	}
}

// fill writes a store as a busy year leaves it: alerts, cases that wait for a
// person, and as many that are over.
func fill(ctx context.Context, dir string, o *options) (err error) {
	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "homeostat.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	at := time.Now().Add(-time.Hour).UTC()
	const batch = 1000
	for from := 0; from < max(o.alerts, 2*o.open, o.changes); from += batch {
		err := db.Update(ctx, func(tx store.Tx) error {
			for i := from; i < from+batch; i++ {
				if err := fillOne(tx, o, i, at.Add(time.Duration(i)*time.Millisecond)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func fillOne(tx store.Tx, o *options, i int, at time.Time) error {
	severity := []heal.Severity{heal.Info, heal.Warning, heal.Critical}[i%3]
	entity := heal.ServiceID(fmt.Sprintf("service-%d", i%services))
	scope := heal.DefaultScope.WithService(fmt.Sprintf("service-%d", i%services))
	id := fmt.Sprintf("01890000-0000-7000-8000-%012d", i)
	if i < o.alerts {
		a := heal.Alert{
			ID: heal.AlertID(id), Fingerprint: fmt.Sprintf("%016x", i), SourceSystem: "alertmanager", Name: "HighLatency",
			Severity: severity, Status: heal.Firing, ServiceName: scope.Service, Entity: entity, Scope: scope, Timestamp: at, ReceivedAt: at,
			Labels:      map[string]string{"alertname": "HighLatency", "instance": fmt.Sprintf("host-%d.example:8080", i), "job": "shop", "team": "checkout"},
			Description: "p99 of requests is over 500 ms for 5 minutes", Context: map[string]string{"runbook_url": "https://wiki.example/runbooks/latency"},
			Count: 1, Opened: 1, Events: 1, Raw: json.RawMessage(`{"status":"firing"}`),
		}
		if _, err := store.AlertKind.Put(tx, &a, store.Absent); err != nil {
			return err
		}
	}
	if i < o.changes {
		c := heal.Change{
			ID: heal.ChangeID("ci-" + id), Kind: heal.ChangeDeploy, Entity: entity, Scope: scope, At: at, ReceivedAt: at, By: "ci", Version: fmt.Sprintf("1.%d", i),
			Summary: "new way to count stock", Link: fmt.Sprintf("https://ci.example.com/builds/%d", i), Source: heal.FromCaller,
			Suspected: []heal.Suspicion{{Incident: heal.IncidentID(id), Scope: scope, Title: "the latency of the service is high"}},
		}
		if _, err := store.ChangeKind.Put(tx, &c, store.Absent); err != nil {
			return err
		}
	}
	if i >= 2*o.open {
		return nil
	}
	inc := heal.Incident{
		ID: heal.IncidentID(id), Scope: scope, State: heal.CaseEscalated, Severity: severity, Title: "the latency of the service is high",
		BeganAt: at, DetectedAt: at, UpdatedAt: at, DueAt: at.AddDate(1, 0, 0),
		Members: []heal.Member{{Role: heal.Primary, Fault: heal.Fault{
			Key: heal.FaultKey{Type: heal.PerformanceDegradation, Entity: heal.EntityID(fmt.Sprintf("service/alone-%d", i))}, Source: "alertmanager", Severity: severity,
			Message: "p99 is 2.3 s, the objective is 0.5 s", Scope: scope, Began: at, Detected: at, LastSeen: at,
		}}},
	}
	if i%2 == 1 {
		inc.State, inc.EndedAt = heal.CaseClosed, at
	}
	_, err := store.IncidentKind.Put(tx, &inc, store.Absent)
	return err
}
