package alert_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestParseMatcher(t *testing.T) {
	tests := []struct {
		text string
		want heal.Matcher
		err  string
	}{
		{text: `service=cart`, want: heal.Matcher{Label: "service", Op: heal.MatchEqual, Value: "cart"}},
		{text: ` service = "cart" `, want: heal.Matcher{Label: "service", Op: heal.MatchEqual, Value: "cart"}},
		{text: `severity!="info"`, want: heal.Matcher{Label: "severity", Op: heal.MatchNotEqual, Value: "info"}},
		{text: `alertname=~High.*|Low.*`, want: heal.Matcher{Label: "alertname", Op: heal.MatchRegex, Value: "High.*|Low.*"}},
		{text: `path!~"/a=b\\.c"`, want: heal.Matcher{Label: "path", Op: heal.MatchNotRegex, Value: `/a=b\.c`}},
		{text: `service.name=`, want: heal.Matcher{Label: "service.name", Op: heal.MatchEqual}},
		{text: `note="say \"hi\"\n"`, want: heal.Matcher{Label: "note", Op: heal.MatchEqual, Value: "say \"hi\"\n"}},
		{text: ``, err: "no comparison"},
		{text: `service`, err: "no comparison"},
		{text: `=cart`, err: "no name of a label"},
		{text: `a b=cart`, err: "no name of a label"},
		{text: `service!cart`, err: "unknown comparison"},
		{text: `service="cart`, err: "not quoted well"},
		{text: `service=~"("`, err: "cannot be read"},
		{text: `service=~"a)|(b"`, err: "cannot be read"},
		{text: "service=\xff", err: "UTF-8"},
		{text: `service=` + strings.Repeat("x", 1025), err: "1024 bytes"},
		{text: strings.Repeat("x", 3000), err: "at most 2048"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := alert.ParseMatcher(tt.text)
			if tt.err != "" {
				if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want an error of kind Invalid that says %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// FuzzParseMatcher: what is read is written so that it is read as the same, and
// can be asked about any alert.
func FuzzParseMatcher(f *testing.F) {
	for _, seed := range []string{`service=cart`, `a!="b"`, `a=~"b|c"`, `a!~(x`, `"`, `a="\u00e9"`, `é=~.+`} {
		f.Add(seed, "cart")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		m, err := alert.ParseMatcher(text)
		if err != nil {
			if !heal.Is(err, heal.Invalid) {
				t.Errorf("got an error of kind %s, want Invalid: %v", heal.KindOf(err), err)
			}
			return
		}
		if again, err := alert.ParseMatcher(m.String()); len(m.String()) <= 2048 && (err != nil || again != m) {
			t.Errorf("%s: read again: got %+v, %v, want %+v", m, again, err, m)
		}
		now := time.Unix(1000, 0)
		all, err := alert.NewSilences([]heal.Silence{{ID: "s", Matchers: []heal.Matcher{m}, Starts: now, Ends: now.Add(1)}})
		if err != nil {
			t.Fatal(err)
		}
		a := heal.Alert{Labels: map[string]string{m.Label: value}}
		is := all.Of(&a, now) != nil
		switch m.Op {
		case heal.MatchEqual:
			if is != (alert.LabelOf(&a, m.Label) == m.Value) {
				t.Errorf("%s of %q: got %v", m, value, is)
			}
		case heal.MatchNotEqual:
			if is == (alert.LabelOf(&a, m.Label) == m.Value) {
				t.Errorf("%s of %q: got %v", m, value, is)
			}
		case heal.MatchRegex, heal.MatchNotRegex:
		}
	})
}

var silenceNow = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

func silenceOf(t *testing.T, id heal.SilenceID, from, until time.Duration, matchers ...string) heal.Silence {
	t.Helper()
	s := heal.Silence{ID: id, Starts: silenceNow.Add(from), Ends: silenceNow.Add(until), Reason: "why", Author: "ada"}
	for _, text := range matchers {
		m, err := alert.ParseMatcher(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Matchers = append(s.Matchers, m)
	}
	return s
}

func TestSilencesMatch(t *testing.T) {
	a := alert.New(alert.Observed{
		Source: "rules", Name: "HighLatency", Severity: heal.Critical, Labels: map[string]string{"service": "cart", "severity": "page", "zone": "eu-1"},
		Scope: heal.Scope{Tenant: "shop", Env: "prod", Cluster: "main"},
	})
	tests := []struct {
		name     string
		matchers []string
		scope    heal.Scope
		want     bool
	}{
		{"equal", []string{"service=cart"}, heal.Scope{}, true},
		{"not equal", []string{"service!=cart"}, heal.Scope{}, false},
		{"every one must match", []string{"service=cart", "zone=eu-2"}, heal.Scope{}, false},
		{"an expression matches the whole value", []string{"service=~car"}, heal.Scope{}, false},
		{"also with alternatives", []string{"service=~c|cart|t"}, heal.Scope{}, true},
		{"not an expression", []string{"zone!~us-.*"}, heal.Scope{}, true},
		{"the name", []string{"alertname=HighLatency"}, heal.Scope{}, true},
		{"a label of its own goes first", []string{"severity=page"}, heal.Scope{}, true},
		{"what was made of it stands behind", []string{"source=rules", "entity=service/cart"}, heal.Scope{}, true},
		{"what is not there is empty", []string{"team="}, heal.Scope{}, true},
		{"and not equal to anything", []string{"team!=shop"}, heal.Scope{}, true},
		{"its scope", []string{"service=cart"}, heal.Scope{Tenant: "shop", Env: "prod"}, true},
		{"another scope", []string{"service=cart"}, heal.Scope{Tenant: "shop", Env: "test"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := silenceOf(t, "s1", 0, time.Hour, tt.matchers...)
			s.Scope = tt.scope
			all, err := alert.NewSilences([]heal.Silence{s})
			if err != nil {
				t.Fatal(err)
			}
			if got := all.Of(&a, silenceNow) != nil; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCheckSilence(t *testing.T) {
	hour := time.Hour
	tests := []struct {
		name string
		s    heal.Silence
		err  string
	}{
		{"good", silenceOf(t, "", 0, hour, "service=cart"), ""},
		{"later", silenceOf(t, "", hour, 2*hour, "service=cart"), ""},
		{"as long as may be", silenceOf(t, "", 0, alert.MaxSilence, "service=cart"), ""},
		{"one wants something", silenceOf(t, "", 0, hour, "service=~.*", "severity!=critical", "alertname=~.+"), ""},
		{"no matcher", silenceOf(t, "", 0, hour), "0 matchers"},
		{"too many", silenceOf(t, "", 0, hour, slices.Repeat([]string{"a=b"}, 21)...), "21 matchers"},
		{"it matches everything", silenceOf(t, "", 0, hour, "service=~.*", "severity!=critical"), "matches what is not there"},
		{"it ends before it begins", silenceOf(t, "", hour, 0, "service=cart"), "an end after its start"},
		{"it is over", silenceOf(t, "", -2*hour, -hour, "service=cart"), "ended already"},
		{"too long", silenceOf(t, "", 0, alert.MaxSilence+1, "service=cart"), "at most 90 days"},
		{"too far away", silenceOf(t, "", alert.MaxSilence+1, alert.MaxSilence+hour, "service=cart"), "within as many"},
		{"no end", heal.Silence{Matchers: []heal.Matcher{{Label: "a", Op: "=", Value: "b"}}, Reason: "why"}, "no end"},
		{"no reason", func() heal.Silence { s := silenceOf(t, "", 0, hour, "a=b"); s.Reason = " "; return s }(), "reason"},
		{"no comparison", heal.Silence{Matchers: []heal.Matcher{{Label: "a", Value: "b"}}, Starts: silenceNow, Ends: silenceNow.Add(1), Reason: "why"}, "comparison"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := alert.CheckSilence(&tt.s, silenceNow)
			if tt.err == "" && err != nil || tt.err != "" && (!heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

// TestHold follows one alert through silences that come and go.
func TestHold(t *testing.T) {
	all, err := alert.NewSilences([]heal.Silence{
		silenceOf(t, "first", 10*time.Minute, 30*time.Minute, "service=cart"),
		silenceOf(t, "second", 20*time.Minute, 40*time.Minute, "service=~ca.*"),
		silenceOf(t, "other", 0, time.Hour, "service=pay"),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := alert.New(alert.Observed{Source: "rules", Name: "Down", Labels: map[string]string{"service": "cart"}})
	steps := []struct {
		at     time.Duration
		said   alert.Signal
		want   alert.Signal
		by     heal.SilenceID
		change heal.AlertChange
	}{
		{0, alert.SignalRaised, alert.SignalRaised, "", ""},
		{10 * time.Minute, alert.SignalNone, alert.SignalNone, "first", heal.AlertSilenced},
		{11 * time.Minute, alert.SignalChanged, alert.SignalNone, "first", ""},
		{25 * time.Minute, alert.SignalRaised, alert.SignalNone, "first", ""}, // the second ends later, the first holds it already
		{30 * time.Minute, alert.SignalNone, alert.SignalNone, "second", heal.AlertSilenced},
		{40 * time.Minute, alert.SignalNone, alert.SignalRaised, "", heal.AlertUnsilenced},
		{41 * time.Minute, alert.SignalNone, alert.SignalNone, "", ""},
	}
	for _, step := range steps {
		var events []heal.AlertEvent
		var got alert.Signal
		a, events, got = all.Hold(a, nil, step.said, silenceNow.Add(step.at))
		var changes, want []heal.AlertChange
		for _, e := range events {
			changes = append(changes, e.Change)
		}
		if step.change != "" {
			want = append(want, step.change)
		}
		if got != step.want || a.SilencedBy != step.by || !slices.Equal(changes, want) {
			t.Errorf("after %s: got signal %q, held by %q, %v; want %q, %q, %v", step.at, got, a.SilencedBy, changes, step.want, step.by, want)
		}
	}
	a.Status = heal.Resolved
	if _, events, got := all.Hold(a, nil, alert.SignalCleared, silenceNow.Add(15*time.Minute)); got != alert.SignalCleared || events != nil {
		t.Errorf("resolved: got %q, %v, want the signal that it cleared", got, events)
	}
	if diff := cmp.Diff(all.Active(silenceNow.Add(25*time.Minute)), []heal.SilenceID{"first", "other", "second"}); diff != "" {
		t.Errorf("active (-got +want):\n%s", diff)
	}
}
