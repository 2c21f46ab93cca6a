package api_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// measured answers from a list: the end of the chain, beyond the door.
type measured struct{ asked *[]string }

func (m measured) Chart(_ context.Context, expr string, from, to time.Time, step time.Duration) (form.Chart, error) {
	*m.asked = append(*m.asked, fmt.Sprintf("%s from %s to %s by %s", expr, from.Format("15:04:05"), to.Format("15:04:05"), step))
	if expr == "broken" {
		return form.Chart{}, errors.New("it cannot be read")
	}
	one := 1.0
	return form.Chart{Query: expr, Times: []float64{1}, Curves: []form.Curve{
		{Labels: map[string]string{"service_name": "cart"}, Values: []*float64{&one}}, {Labels: map[string]string{"service_name": "pay"}, Values: []*float64{&one}},
	}}, nil
}

func (measured) Logs(_ context.Context, entity heal.EntityID, _, _ time.Time, limit int) ([]form.LogLine, error) {
	return []form.LogLine{{Service: entity.Name(), Severity: "error", Text: fmt.Sprint("at most ", limit)}}, nil
}

func (measured) Spans(context.Context, heal.EntityID, time.Time, time.Time, int) ([]form.SpanLine, error) {
	return nil, errors.New("no spans today")
}

func (measured) Slowest(_ context.Context, entity heal.EntityID, from, _ time.Time) (*form.Critical, error) {
	return &form.Critical{TraceID: "t", Service: entity.Name(), At: from, Held: []form.Hold{{Service: "pay", Spans: 1, Share: 1}}}, nil
}

func TestSignalsOfACase(t *testing.T) {
	var asked []string
	d := open(t, func(o *api.Options) {
		o.Signals = measured{&asked}
		o.Clock = func() time.Time { return apitest.Began.Add(time.Minute) }
	})
	if err := d.Store.Update(t.Context(), func(tx store.Tx) error {
		c := heal.Incident{
			ID: "measured", Scope: heal.DefaultScope.WithService("cart"), State: heal.CaseHealed, Cause: "service/cart",
			BeganAt: apitest.Began, DetectedAt: apitest.Began.Add(2 * time.Second), EndedAt: apitest.Began.Add(30 * time.Second),
			Attempts: []heal.Attempt{{N: 1, ActedAt: apitest.Began.Add(10 * time.Second)}},
			Members: []heal.Member{{Role: heal.Primary, Fault: heal.Fault{Key: heal.FaultKey{Entity: "service/cart"}, Evidence: []heal.Evidence{
				{Kind: heal.EvidenceAlert, Entity: "service/cart", Query: "a > 1", Summary: "too much"},
				{Kind: heal.EvidenceAlert, Entity: "service/cart", Query: "a > 1", Summary: "the same again"},
				{Kind: heal.EvidenceMetric, Entity: "service/cart", Query: "broken"},
				{Kind: heal.EvidenceLog, Entity: "service/cart", Query: "not PromQL"},
			}}}},
		}
		_, err := store.IncidentKind.Put(tx, &c, store.Absent)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := read[form.Signals](t, d.ask("cart", "GET", "/api/v1/incidents/measured/signals", ""), 200)
	one := 1.0
	want := form.Signals{
		From: apitest.Began.Add(-3 * time.Minute), Until: apitest.Began.Add(61 * time.Second),
		Marks: []form.Mark{
			{What: "began", At: apitest.Began},
			{What: "detected", At: apitest.Began.Add(2 * time.Second)},
			{What: "acted", At: apitest.Began.Add(10 * time.Second)},
			{What: "healed", At: apitest.Began.Add(30 * time.Second)},
		},
		Charts: []form.Chart{{Title: "too much", Entity: "service/cart", Query: "a > 1", Times: []float64{1}, Curves: []form.Curve{
			{Labels: map[string]string{"service_name": "cart"}, Values: []*float64{&one}},
		}}},
		Logs: []form.LogLine{{Service: "cart", Severity: "error", Text: "at most 40"}}, Spans: []form.SpanLine{},
		Slowest:  &form.Critical{TraceID: "t", Service: "cart", At: apitest.Began, Held: []form.Hold{{Service: "pay", Spans: 1, Share: 1}}},
		Problems: []string{"it cannot be read", "no spans today"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) and want (+):\n%s", diff)
	}
	if diff := cmp.Diff(asked, []string{"a > 1 from 09:57:00 to 10:01:01 by 1s", "broken from 09:57:00 to 10:01:01 by 1s"}); diff != "" {
		t.Errorf("asked (-) and want (+):\n%s", diff)
	}
	if got := d.ask("cart", "GET", "/api/v1/incidents/"+apitest.PayCase+"/signals", ""); got.status != 403 {
		t.Errorf("the telemetry of another's case: %d, want 403", got.status)
	}
}

func TestSearchAlerts(t *testing.T) {
	d := open(t, nil)
	tests := []struct {
		name, role, query string
		want              int
	}{
		{"a name, whatever the case", "viewer", "servicedown", 1},
		{"words of several fields", "viewer", "latency+pay", 1},
		{"a label", "viewer", "service=cart", 1},
		{"nothing", "viewer", "nowhere", 0},
		{"with a filter", "viewer", "cart&status=resolved&limit=500", 40},
		{"what another sees", "cart", "latency", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := read[form.Page[form.Alert]](t, d.ask(tt.role, "GET", "/api/v1/alerts?q="+tt.query, ""), 200)
			if len(got.Items) != tt.want || got.Cursor != "" {
				t.Errorf("got %d and the cursor %q, want %d and none", len(got.Items), got.Cursor, tt.want)
			}
		})
	}
	t.Run("page by page", func(t *testing.T) {
		seen, cursor := map[string]bool{}, ""
		for range 62 {
			got := read[form.Page[form.Alert]](t, d.ask("viewer", "GET", "/api/v1/alerts?q=cart&limit=3&cursor="+cursor, ""), 200)
			if len(got.Items) > 3 {
				t.Errorf("a page of %d, want at most 3", len(got.Items))
			}
			for _, a := range got.Items {
				if seen[a.ID] {
					t.Errorf("%s came twice", a.ID)
				}
				seen[a.ID] = true
			}
			if cursor = got.Cursor; cursor == "" {
				break
			}
		}
		if len(seen) != 41 || cursor != "" {
			t.Errorf("found %d, cursor %q; want 41 and the end", len(seen), cursor)
		}
	})
}

func TestTasksSayWhatTheyFollow(t *testing.T) {
	d := open(t, nil)
	started := read[form.Run](t, d.ask("operator", "POST", "/api/v1/playbooks/long-wait/runs", `{"target":"service/cart"}`), 201)
	got := map[string][]string{}
	for _, task := range started.Tasks {
		got[task.ID] = task.DependsOn
	}
	if diff := cmp.Diff(got, map[string][]string{"wait": nil, "touch": {"wait"}}); diff != "" {
		t.Errorf("got (-) and want (+):\n%s", diff)
	}
}
