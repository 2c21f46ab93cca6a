package api_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

func TestMe(t *testing.T) {
	d := open(t, nil)
	for role, want := range map[string]form.Me{
		"viewer": {Name: "viewer", Grants: []form.Grant{{Role: "viewer"}}},
		"cart":   {Name: "cart", Grants: []form.Grant{{Role: "operator", Scope: "default/default/default/cart"}}},
		"sender": {Name: "sender", Grants: []form.Grant{{Role: "sender"}}},
	} {
		if diff := cmp.Diff(read[form.Me](t, d.ask(role, "GET", "/api/v1/me", ""), 200), want); diff != "" {
			t.Errorf("%s, got (-) and want (+):\n%s", role, diff)
		}
	}
}

func TestOverview(t *testing.T) {
	d := open(t, nil)
	escalated := form.OpenCount{State: "escalated", Severity: "critical", Count: 1}
	tests := []struct {
		role string
		want []form.OpenCount
	}{
		{"viewer", []form.OpenCount{escalated, {State: "open", Severity: "critical", Count: 1}}},
		{"cart", []form.OpenCount{escalated}},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			got := read[form.Overview](t, d.ask(tt.role, "GET", "/api/v1/overview", ""), 200)
			if diff := cmp.Diff(got.Open, tt.want); diff != "" || got.Total != len(tt.want) || !got.Complete || got.Revision == 0 {
				t.Errorf("got %+v, open (-) and want (+):\n%s", got, diff)
			}
		})
	}
	if got := d.ask("sender", "GET", "/api/v1/overview", ""); got.status != 403 {
		t.Errorf("a sender sees the overview: %d", got.status)
	}
}

func TestTrend(t *testing.T) {
	until := apitest.Began.Add(time.Hour)
	d := open(t, func(o *api.Options) { o.Clock = func() time.Time { return until } })
	heals := []struct {
		ended time.Duration // before until
		took  time.Duration
		asked bool
	}{{time.Hour, 10 * time.Second, false}, {2 * time.Hour, 30 * time.Second, true}, {25 * time.Hour, time.Minute, false}, {72 * time.Hour, time.Minute, false}}
	if err := d.Store.Update(t.Context(), func(tx store.Tx) error {
		for i, h := range heals {
			ended := until.Add(-h.ended)
			c := heal.Incident{
				ID: heal.IncidentID("healed" + string(rune('0'+i))), Scope: heal.DefaultScope.WithService("cart"), State: heal.CaseHealed, Severity: heal.Info,
				DetectedAt: ended.Add(-h.took), EndedAt: ended, UpdatedAt: ended,
			}
			if h.asked {
				c.Decision = &heal.Decision{Verb: heal.VerbAsk}
			}
			if _, err := store.IncidentKind.Put(tx, &c, store.Absent); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got := read[form.Trend](t, d.ask("cart", "GET", "/api/v1/trend?days=2", ""), 200)
	want := form.Trend{Complete: true, Days: []form.TrendDay{
		{From: until.Add(-48 * time.Hour), Healed: 1, Unattended: 1, MTTRSeconds: 60, MTTRP90: 60},
		{From: until.Add(-24 * time.Hour), Healed: 2, Unattended: 1, MTTRSeconds: 20, MTTRP90: 30},
	}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+):\n%s", diff)
	}
	if got := d.ask("viewer", "GET", "/api/v1/trend?days=91", ""); got.status != 422 {
		t.Errorf("91 days: %d, want 422", got.status)
	}
}

func TestWatchEverything(t *testing.T) {
	d := open(t, nil)
	base, stop := d.served(t)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.Tokens["cart"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := d.Store.Update(t.Context(), func(tx store.Tx) error {
		for _, service := range []string{"pay", "cart"} { // pay is not for this reader
			scope := heal.DefaultScope.WithService(service)
			if _, err := store.IncidentKind.Put(tx, &heal.Incident{ID: heal.IncidentID("case-" + service), Scope: scope}, store.Any); err != nil {
				return err
			}
			if _, err := store.RunKind.Put(tx, &heal.Run{ID: heal.RunID("run-" + service), IncidentID: heal.IncidentID("case-" + service), Scope: scope}, store.Any); err != nil {
				return err
			}
			if _, err := store.AlertKind.Put(tx, &heal.Alert{ID: heal.AlertID("alert-" + service), Fingerprint: service, Scope: scope}, store.Any); err != nil {
				return err
			}
		}
		return guard.Turn(tx, guard.Switch{On: true, By: "test", Why: "test", At: apitest.Began})
	}); err != nil {
		t.Fatal(err)
	}
	var got []string
	lines := bufio.NewScanner(resp.Body)
	for len(got) < 4 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			got = append(got, name)
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && strings.Contains(data, "pay") {
			t.Errorf("a reader of cart is told of %s", data)
		}
	}
	if diff := cmp.Diff(got, []string{"incident", "run", "alert", "switch"}); diff != "" {
		t.Errorf("got (-) and want (+):\n%s", diff)
	}
}
