package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// served is a door on a real port.
func (d *door) served(t *testing.T) (base string, stop func() error) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, listener, d.Handler, quiet) }()
	stop = func() error {
		cancel()
		defer http.DefaultClient.CloseIdleConnections()
		return <-ended
	}
	return "http://" + listener.Addr().String(), stop
}

// events opens a watch and gives a function that reads the next event.
func (d *door) events(t *testing.T, role, base, query string, header ...string) func() (name string, c form.IncidentChange, ok bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/incidents/watch"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.Tokens[role])
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() (name string, c form.IncidentChange, ok bool) {
		for lines.Scan() {
			if rest, is := strings.CutPrefix(lines.Text(), "event: "); is {
				name = rest
			}
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				if err := json.Unmarshal([]byte(data), &c); err != nil {
					t.Errorf("%v: %s", err, data)
				}
				return name, c, true
			}
		}
		return "", c, false
	}
}

func (d *door) note(t *testing.T, id string) {
	t.Helper()
	read[form.Incident](t, d.ask("admin", "POST", "/api/v1/incidents/"+id+"/notes", `{"text":"x"}`), 200)
}

func TestWatch(t *testing.T) {
	d := open(t, nil)
	base, stop := d.served(t)
	list := read[form.Page[form.IncidentSummary]](t, d.ask("viewer", "GET", "/api/v1/incidents", ""), 200)
	d.note(t, apitest.PayCase)
	d.note(t, apitest.CartCase)

	next := d.events(t, "viewer", base, "?since="+itoa(list.Revision))
	for _, want := range []string{apitest.PayCase, apitest.CartCase} {
		name, c, ok := next()
		if !ok || name != "incident" || c.ID != want || c.Incident == nil || c.Revision <= list.Revision {
			t.Errorf("got %q %+v %v, want %s", name, c, ok, want)
		}
	}

	// What changes while watching, and only what one may see.
	mine := d.events(t, "cart", base, "")
	d.note(t, apitest.PayCase)
	d.note(t, apitest.CartCase)
	if name, c, ok := mine(); !ok || name != "incident" || c.ID != apitest.CartCase {
		t.Errorf("got %q %+v %v, want the case of cart only", name, c, ok)
	}
	must(t, d.Store.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(store.Incidents, apitest.CartCase) }))
	if name, c, ok := mine(); !ok || name != "deleted" || c.ID != apitest.CartCase || !c.Deleted {
		t.Errorf("got %q %+v %v, want the deletion", name, c, ok)
	}

	// A browser that reconnects says where it stopped.
	resumed := d.events(t, "viewer", base, "?since=1", "Last-Event-ID", itoa(list.Revision))
	if _, c, ok := resumed(); !ok || c.ID != apitest.PayCase {
		t.Errorf("got %+v %v, want what came after the last event", c, ok)
	}

	// Stopping ends streams instead of waiting for them.
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if _, _, ok := mine(); ok {
		t.Errorf("a stream goes on after the stop")
	}
}

func TestWatchGone(t *testing.T) {
	d := open(t, nil)
	must(t, d.Store.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(store.Incidents, apitest.PayCase) }))
	must(t, d.db.Compact(t.Context(), 0))
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents/watch?since=1", ""), http.StatusGone, "list again")
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents/watch?since=999999999", ""), http.StatusGone, "list again")
	problem(t, d.ask("viewer", "GET", "/api/v1/incidents/watch?since=-1", ""), 422, "query.since")
	problem(t, d.ask("sender", "GET", "/api/v1/incidents/watch", ""), 403)
}

func TestServe(t *testing.T) {
	slow := &slowCases{began: make(chan struct{}), proceed: make(chan struct{})}
	d := open(t, func(o *api.Options) { slow.Cases = o.Cases; o.Cases = slow })
	base, stop := d.served(t)
	answered := make(chan int, 1)
	go func() {
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, base+"/api/v1/incidents/"+apitest.PayCase+"/notes", strings.NewReader(`{"text":"x"}`))
		req.Header.Set("Authorization", "Bearer "+d.Tokens["admin"])
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-slow.began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(slow.proceed)
	if got := <-answered; got != 200 {
		t.Errorf("a request in flight was answered %d, want 200", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// slowCases takes its time.
type slowCases struct {
	api.Cases
	began, proceed chan struct{}
}

func (s *slowCases) Note(ctx context.Context, id heal.IncidentID, by, text string) error {
	close(s.began)
	<-s.proceed
	return s.Cases.Note(ctx, id, by, text)
}
