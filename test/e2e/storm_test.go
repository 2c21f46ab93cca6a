//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// Promises of the product for a storm of alerts that have nothing to do with
// each other.
const (
	stormAlerts    = 500
	stormGroup     = 50          // alerts of one webhook, as Alertmanager groups them
	stormWithin    = time.Second // in which all of them come
	firstStepLimit = 5 * time.Second
)

// reviving is a playbook that tells the world of its target, for whatever
// alert of that name.
func reviving(alert, world string) playbook {
	return playbook{"revive", strings.NewReplacer("@alert@", alert, "@world@", world).Replace(`
playbook_id: revive
name: Revive it
trust: auto
risk: low
trigger_conditions:
  - alert_name: "@alert@"
tasks:
  - id: revive
    action: http.request_idempotent
    parameters:
      url: "@world@/{{ target.name }}"
    retries: {attempts: 3, backoff: 100ms}
    timeout: 10s
`)}
}

// group is the body of a webhook.
func group(t *testing.T, g alertGroup) []byte {
	t.Helper()
	text, err := json.Marshal(g)
	must(t, err)
	return text
}

// TestE2EAlertStorm sends 500 alerts on 500 entities within one second: each
// becomes a case of its own, and each case acts in time.
func TestE2EAlertStorm(t *testing.T) {
	world := newTarget(t)
	// Nobody has told how many there are, so the guards would act on them one by one.
	h := newHouse(t, settings{"guard": settings{"small_scope": 0}}, reviving("Down", world.URL))
	h.start()
	names := numbered("service/unit", stormAlerts)
	sent := h.storm("Down", names)

	eventually(t, 60*time.Second, "a step for every alert", func() bool { return len(world.first()) >= len(names) })
	steps := world.first()
	var waits []time.Duration
	for name, at := range sent {
		step, ok := steps[strings.TrimPrefix(name, "service/")]
		if !ok {
			t.Fatalf("no step on %s", name)
		}
		waits = append(waits, step.Sub(at))
	}
	slices.Sort(waits)
	p50, p99 := waits[len(waits)/2], waits[len(waits)*99/100]
	t.Logf("from sending an alert to the call of its first step: p50 %s, p99 %s, last %s",
		p50.Round(time.Millisecond), p99.Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
	if p99 > firstStepLimit {
		t.Errorf("first steps: p99 %s, want at most %s", p99, firstStepLimit)
	}
	h.oneEach(names)
}

// storm sends alerts in groups, spread evenly over the time they come in, and
// gives when each was sent.
func (h *house) storm(name string, entities []string) map[string]time.Time {
	h.t.Helper()
	sent := map[string]time.Time{}
	groups := slices.Collect(slices.Chunk(entities, stormGroup))
	next := time.NewTicker(stormWithin / time.Duration(len(groups)))
	defer next.Stop()
	began := time.Now()
	for _, part := range groups {
		at := time.Now()
		got := read[form.Accepted](h.t, h.post(webhook, firing(name, part...)))
		if got.Accepted != len(part) || len(got.Skipped) > 0 {
			h.t.Fatalf("accepted: got %+v, want all %d", got, len(part))
		}
		for _, e := range part {
			sent[e] = at
		}
		<-next.C
	}
	h.t.Logf("%d alerts acknowledged in %s", len(entities), time.Since(began).Round(time.Millisecond))
	return sent
}

// oneEach checks that every entity has one alert, one case and one run.
func (h *house) oneEach(entities []string) {
	h.t.Helper()
	want := slices.Sorted(slices.Values(entities))
	var alerts, cases, targets []string
	for _, a := range all[form.Alert](h, "/api/v1/alerts") {
		alerts = append(alerts, a.Entity)
	}
	for _, c := range all[form.IncidentSummary](h, incidents) {
		cases = append(cases, c.Cause)
	}
	for _, r := range all[form.RunSummary](h, runs) {
		targets = append(targets, r.Target)
	}
	for what, got := range map[string][]string{"alerts": alerts, "cases": cases, "runs": targets} {
		slices.Sort(got)
		if !slices.Equal(got, want) {
			h.t.Errorf("%s: got %d of %d entities, want one for each of %d", what, len(got), len(distinct(got)), len(want))
		}
	}
}

// first gives when each task was first called.
func (w *target) first() map[string]time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := map[string]time.Time{}
	for _, c := range w.calls {
		if _, seen := first[c.task]; !seen {
			first[c.task] = c.at
		}
	}
	return first
}

// TestE2EAlertRepeatedWhileVerifying sends the same alert 100 times more while
// its case watches whether what was done helped.
func TestE2EAlertRepeatedWhileVerifying(t *testing.T) {
	const times = 100
	world := newTarget(t)
	h := newHouse(t, settings{"loop": settings{"settle": "0s", "verify_window": "60s"}}, reviving("Down", world.URL))
	h.start()
	body := group(t, firing("Down", "service/cart"))
	send := func() {
		if r := h.do(http.MethodPost, webhook, body); !r.ok() {
			t.Fatalf("send: %s", r)
		}
	}
	send()
	h.theCase(20*time.Second, "the case watches", func(c form.IncidentSummary) bool { return c.State == "verifying" })
	for range times {
		send()
	}
	eventually(t, 20*time.Second, "every repetition is counted", func() bool {
		list := all[form.Alert](h, "/api/v1/alerts")
		return len(list) == 1 && list[0].Count == 1+times
	})
	h.theCase(5*time.Second, "the case still watches", func(c form.IncidentSummary) bool {
		return c.State == "verifying" && c.Attempts == 1 && c.Faults == 1
	})
	if got := len(all[form.RunSummary](h, runs)); got != 1 {
		t.Errorf("runs: got %d, want 1", got)
	}
	if got := world.keys("cart"); len(got) != 1 {
		t.Errorf("effects: got %q, want one", got)
	}
}
