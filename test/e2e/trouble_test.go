//go:build e2e

package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// patientHouse is a house that watches one service, which falls ill and is well
// again once the world was called.
type patientHouse struct {
	*house
	world *target
	sick  atomic.Bool

	mu           sync.Mutex // guards the lists while reports are under way
	acknowledged []string   // names of alerts that were answered with 2xx
	refused      []string   // names of those that were not
}

func newPatientHouse(t *testing.T, more settings, books ...playbook) *patientHouse {
	t.Helper()
	p := &patientHouse{world: newTarget(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	all := settings{
		"monitors": []settings{{"name": "cart", "entity": "service/cart", "kind": "http", "target": server.URL, "interval": "300ms", "failures": 2}},
		"loop":     settings{"settle": "1s", "verify_window": "2s", "min_confidence": 0},
	}
	maps.Copy(all, more)
	p.house = newHouse(t, all, append(books, reviving("MonitorFailed", p.world.URL))...)
	return p
}

// trouble is something that happens to the store while a run is in flight.
type trouble struct {
	begin, end func()
	says       []string // readiness says one of it
}

// goThrough lets the service fall ill. The trouble begins while the call that
// heals it is in flight, so that its result cannot be recorded, and ends after
// a while in which alerts are sent all the time.
func (p *patientHouse) goThrough(tr trouble) {
	p.t.Helper()
	for i := range 20 {
		p.report(fmt.Sprintf("Before-%d", i))
	}
	if len(p.refused) > 0 {
		p.t.Fatalf("before the trouble %q were refused", p.refused)
	}
	called, goOn := make(chan struct{}, 10), make(chan struct{})
	p.world.whenCalled(func(_ call, gone <-chan struct{}) {
		called <- struct{}{}
		select {
		case <-goOn:
		case <-gone:
		}
		p.sick.Store(false)
	})
	p.sick.Store(true)
	select {
	case <-called:
	case <-time.After(60 * time.Second):
		p.t.Fatal("the service was not revived within 60s")
	}
	tr.begin()
	close(goOn)
	n := 0
	var ready reply
	defer func() { p.t.Logf("%d alerts sent at least; the last readiness: %s", n, ready) }()
	eventually(p.t, 90*time.Second, fmt.Sprintf("alerts are refused and readiness says any of %q", tr.says), func() bool {
		p.report(fmt.Sprintf("During-%d", n))
		n++
		ready = p.do(http.MethodGet, "/readyz", nil)
		return len(p.refused) > 0 && ready.status == http.StatusServiceUnavailable &&
			slices.ContainsFunc(tr.says, func(says string) bool { return strings.Contains(string(ready.body), says) })
	})
	var late sync.WaitGroup // each may wait for as long as the server is patient
	for _, name := range numbered("Late", 5) {
		late.Go(func() { p.report(name) })
	}
	late.Wait()
	tr.end()
	eventually(p.t, 60*time.Second, "the server is ready again", p.isReady)
	again := p.refused
	p.t.Logf("in trouble %d alerts were refused", len(again))
	p.refused = nil
	for _, name := range again { // as senders do
		p.report(name)
	}
	if len(p.refused) > 0 {
		p.t.Errorf("after the trouble %q were refused", p.refused)
	}
	p.checkAfter()
}

// report sends an alert about a host and notes whether it was acknowledged.
func (p *patientHouse) report(name string) {
	p.t.Helper()
	r := p.do(http.MethodPost, webhook, group(p.t, firing(name, "host/"+strings.ToLower(name))))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.ok():
		p.acknowledged = append(p.acknowledged, name)
	case r.status == http.StatusServiceUnavailable, r.status == http.StatusTooManyRequests:
		p.refused = append(p.refused, name)
	default:
		p.t.Errorf("report %s: got %s, want 2xx, 429 or 503", name, r)
	}
}

// checkAfter compares what was acknowledged with what is there, and what was
// done with what was to be.
func (p *patientHouse) checkAfter() {
	p.t.Helper()
	eventually(p.t, 60*time.Second, "every acknowledged alert is there", func() bool {
		var names []string
		for _, a := range all[form.Alert](p.house, "/api/v1/alerts") {
			names = append(names, a.Name)
		}
		return !slices.ContainsFunc(p.acknowledged, func(name string) bool { return !slices.Contains(names, name) })
	})
	var found form.IncidentSummary
	eventually(p.t, 120*time.Second, "the case of the service is healed", func() bool {
		of := slices.DeleteFunc(all[form.IncidentSummary](p.house, incidents), func(c form.IncidentSummary) bool { return c.Cause != "service/cart" })
		if len(of) != 1 {
			return false
		}
		found = of[0]
		if found.State == "escalated" || found.State == "closed" {
			p.tell(found.ID)
			p.t.Fatalf("the case ended %s", found.State)
		}
		return found.State == "healed"
	})
	c := p.incident(found.ID)
	if keys := distinct(p.world.keys("cart")); len(keys) != 1 || len(c.History) != 1 || c.History[0].Result != "healed" {
		p.tell(c.ID)
		p.t.Errorf("got calls %q and attempts %+v, want one attempt that healed by one call", keys, c.History)
	}
	p.t.Logf("%d acknowledged alerts, all there; one case, healed by one call", len(p.acknowledged))
	if stopped := p.stop(); stopped != 0 {
		p.t.Errorf("stop: got exit code %d, want 0\n%s", stopped, tail(p.server.out.String()))
	}
}
