package cause_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
	"github.com/homeostat/homeostat/internal/telemetry"
)

func noted(d heal.Diagnosis) []string {
	var list []string
	for _, r := range d.Noted {
		list = append(list, r.Text)
	}
	return list
}

func textChange(kind logmine.ChangeKind, text string, count, before int) logmine.Change {
	return logmine.Change{Kind: kind, Text: text, Tally: logmine.Tally{Count: count, Baseline: before, Example: heal.LogRecord{Time: now}}}
}

func TestNoted(t *testing.T) {
	began := now.Add(-time.Minute)
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	slowest, ok := telemetry.CriticalPath([]heal.Span{
		{TraceID: "abc", SpanID: "1", Service: "front", Operation: "GET /", Start: began, Duration: ms(100), Error: true},
		{TraceID: "abc", SpanID: "2", ParentID: "1", Service: "stock", Operation: "reserve", Start: began.Add(ms(5)), Duration: ms(90), Error: true, StatusMessage: "no row"},
	})
	if !ok {
		t.Fatal("the trace has no path")
	}
	in := cause.Input{Incident: alerted("errors@cart"), Graph: graphOf(t, "cart->stock"), Now: now, Signals: map[heal.EntityID]cause.Signals{
		id("cart"): {Slowest: &slowest, Texts: []logmine.Change{
			textChange(logmine.ChangeLess, "cart <*> bought", 3, 30), textChange(logmine.ChangeGone, "sent mail to <*>", 0, 12),
			textChange(logmine.ChangeNew, "cannot reserve <*>", 6, 0), textChange(logmine.ChangeMore, "retry <*>", 9, 2),
		}},
		id("stock"): {Changes: []cause.Change{
			{ID: "c1", At: began.Add(-2 * time.Minute), Text: "deploy of 2"},
			{ID: "c2", At: began.Add(20 * time.Second), Text: "deploy of 1"},
			{ID: "c3", At: now.Add(time.Minute), Text: "to come"},
			{ID: "c4", At: began.Add(-2 * time.Hour), Text: "long ago"},
		}},
		id("bank"): {Fallen: 40},
		id("mail"): {Texts: []logmine.Change{textChange(logmine.ChangeNew, "of nobody's concern", 9, 0)}},
	}}
	d := cause.Rank(in)
	want := []string{
		"service/stock was changed 20s after the case had begun: deploy of 1",
		"service/stock was changed 2m0s before the case began: deploy of 2",
		"the slowest request of the case with service/cart, GET / of front, took 100ms; reserve of stock held it for 90ms of that (90 %)",
		"it began to fail in reserve of stock: no row",
		`the logs of service/cart say for the first time "cannot reserve <*>" (6, 0 before)`,
		`the logs of service/cart say more often "retry <*>" (9, 2 before)`,
		`the logs of service/cart no longer say "sent mail to <*>" (0, 12 before)`,
		`the logs of service/cart say less often "cart <*> bought" (3, 30 before)`,
	}
	if diff := cmp.Diff(noted(d), want); diff != "" {
		t.Errorf("noted (-got +want):\n%s", diff)
	}
	for _, r := range d.Noted {
		if len(r.Evidence) != 1 || r.Evidence[0].At.IsZero() || r.Evidence[0].Query == "" {
			t.Errorf("%q: got %+v, want how to look it up", r.Text, r.Evidence)
		}
	}
	for name, s := range in.Signals {
		s.Slowest, s.Texts = nil, nil
		in.Signals[name] = s
	}
	if diff := cmp.Diff(cause.Rank(in).Causes, d.Causes); diff != "" {
		t.Errorf("what is noted changed the causes (-without +with):\n%s", diff)
	}
}

func TestNotedSilence(t *testing.T) {
	for n, want := range map[int][]string{40: {"service/cart writes no logs since the case began, 40 records in as much time before"}, 9: nil, 0: nil} {
		d := cause.Rank(cause.Input{Incident: alerted("errors@cart"), Now: now, Signals: map[heal.EntityID]cause.Signals{id("cart"): {Fallen: n}}})
		if diff := cmp.Diff(noted(d), want); diff != "" {
			t.Errorf("%d records before (-got +want):\n%s", n, diff)
		}
	}
}

// TestNotedIsBounded: a day of many deploys and chattering logs fills no page.
func TestNotedIsBounded(t *testing.T) {
	s := cause.Signals{}
	for i := range 100 {
		s.Changes = append(s.Changes, cause.Change{At: now.Add(-time.Duration(i+61) * time.Second), Text: strings.Repeat("x", 5000)})
		s.Texts = append(s.Texts, textChange(logmine.ChangeNew, strings.Repeat("word ", i+1), 5, 0))
	}
	d := cause.Rank(cause.Input{Incident: alerted("errors@cart"), Now: now, Signals: map[heal.EntityID]cause.Signals{id("cart"): s}})
	if len(d.Noted) != 10 {
		t.Errorf("got %d notes, want 5 changes, 3 texts, and twice how many more", len(d.Noted))
	}
	for _, r := range d.Noted {
		if len(r.Text) > 400 {
			t.Errorf("a note of %d bytes", len(r.Text))
		}
	}
}

// TestChangesAfterTheBeginning: what came later is held against nobody.
func TestChangesAfterTheBeginning(t *testing.T) {
	in := cause.Input{Incident: alerted("errors@cart"), Now: now, Signals: map[heal.EntityID]cause.Signals{id("cart"): {}}}
	before := cause.Rank(in)
	in.Signals[id("cart")] = cause.Signals{Changes: []cause.Change{{ID: "c", At: now.Add(-30 * time.Second), Text: "deploy of 2"}}}
	after := cause.Rank(in)
	if got, want := after.Top().Score, before.Top().Score; got != want {
		t.Errorf("score: got %v, want %v as without the change", got, want)
	}
	if a := after.Top().Against; len(a) != 1 || a[0].Code != "change_after" || !strings.Contains(a[0].Text, "30s after") {
		t.Errorf("against: got %+v, want that the change came later", a)
	}
}
