package guard_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

const (
	weekend = "DTSTART;TZID=Europe/Berlin:20260102T180000\nRRULE:FREQ=WEEKLY;BYDAY=FR"
	nightly = "DTSTART:20260101T220000Z\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260102T220000Z"
	always  = "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"
	once    = "DTSTART:20260101T000000Z"
)

func TestCalendar(t *testing.T) {
	tests := []struct {
		name   string
		text   string
		lasts  time.Duration
		now    string
		on     bool
		change string // "": never
	}{
		{"before it starts", weekend, 62 * time.Hour, "2025-12-31T00:00:00Z", false, "2026-01-02T17:00:00Z"},
		{"at its begin", weekend, 62 * time.Hour, "2026-01-02T17:00:00Z", true, "2026-01-05T07:00:00Z"},
		{"just before its begin", weekend, 62 * time.Hour, "2026-01-02T16:59:59Z", false, "2026-01-02T17:00:00Z"},
		{"at its end", weekend, 62 * time.Hour, "2026-01-05T07:00:00Z", false, "2026-01-09T17:00:00Z"},
		{"over the change of clocks", weekend, 62 * time.Hour, "2026-03-28T12:00:00Z", true, "2026-03-30T07:00:00Z"},
		{"in summer", weekend, 62 * time.Hour, "2026-07-03T16:00:00Z", true, "2026-07-06T06:00:00Z"},
		{"years later", weekend, 62 * time.Hour, "2046-01-05T18:00:00Z", true, "2046-01-08T07:00:00Z"},
		{"a day that is left out", nightly, time.Hour, "2026-01-02T22:30:00Z", false, "2026-01-03T22:00:00Z"},
		{"its last time", nightly, time.Hour, "2026-01-03T22:30:00Z", true, "2026-01-03T23:00:00Z"},
		{"after its last time", nightly, time.Hour, "2026-01-03T23:00:00Z", false, ""},
		{"occurrences that touch", "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=3", 24 * time.Hour, "2026-01-01T12:00:00Z", true, "2026-01-04T00:00:00Z"},
		{"one time only", once, time.Hour, "2026-01-01T00:59:59Z", true, "2026-01-01T01:00:00Z"},
		{"dates", "DTSTART:20260101T000000Z\nRDATE:20260201T000000Z,20260301T000000Z", time.Hour, "2026-02-01T00:30:00Z", true, "2026-02-01T01:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := guard.ParseCalendar(tt.text, tt.lasts)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time from what it knows
				on, change := c.At(at(tt.now))
				var want time.Time
				if tt.change != "" {
					want = at(tt.change)
				}
				if on != tt.on || !change.Equal(want) {
					t.Errorf("got %t until %s, want %t until %s", on, change, tt.on, want)
				}
			}
		})
	}
}

// TestCalendarInAnyOrder asks one calendar for times in any order and from many
// sides: what it keeps of one answer must not change another.
func TestCalendarInAnyOrder(t *testing.T) {
	c, err := guard.ParseCalendar(weekend, 62*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 30 {
				now := at("2026-01-01T00:00:00Z").Add(time.Duration((i*7919+worker)%9000) * time.Hour)
				fresh, _ := guard.ParseCalendar(weekend, 62*time.Hour)
				on, change := c.At(now)
				if wantOn, want := fresh.At(now); on != wantOn || !change.Equal(want) {
					t.Errorf("at %s: got %t until %s, want %t until %s", now, on, change, wantOn, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestCalendarThatNeverEndsToBeLookedAt(t *testing.T) {
	c, err := guard.ParseCalendar("DTSTART:19700101T000000Z\nRRULE:FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if on, change := c.At(at("2026-01-01T12:30:00Z")); !on || change.IsZero() {
		t.Errorf("got %t until %s, want it taken as on, to be asked again", on, change)
	}
}

func TestCalendarMistakes(t *testing.T) {
	tests := []struct {
		name, text string
		lasts      time.Duration
		says       string
	}{
		{"nothing", "", time.Hour, "DTSTART"},
		{"no start", "RRULE:FREQ=DAILY", time.Hour, "DTSTART"},
		{"lasts nothing", always, 0, "lasts 0s"},
		{"lasts for ever", always, 1000 * 24 * time.Hour, "lasts"},
		{"every second", "DTSTART:20260101T000000Z\nRRULE:FREQ=SECONDLY", time.Hour, "FREQ is SECONDLY"},
		{"every hour", "DTSTART:20260101T000000Z\nRRULE:FREQ=HOURLY", time.Hour, "FREQ is HOURLY"},
		{"too many times a day", "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=1,2,3,4,5,6,7,8,9", time.Hour, "times a day"},
		{"an interval without sense", "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;INTERVAL=9000000000", time.Hour, "INTERVAL"},
		{"a day there is not", "DTSTART:20260101T000000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", time.Hour, "never occurs"},
		{"another century", "DTSTART:16000101T000000Z\nRRULE:FREQ=DAILY", time.Hour, "1970"},
		{"another property", "DTSTART:20260101T000000Z\nATTENDEE:me", time.Hour, "none of RRULE"},
		{"a zone there is not", "DTSTART;TZID=Nowhere/City:20260101T000000\nRRULE:FREQ=DAILY", time.Hour, "Nowhere"},
		{"what the library breaks on", "DTSTART0000\x83;", time.Hour, "RFC 5545"},
		{"too long", always + strings.Repeat("\nRDATE:20260101T000000Z", 400), time.Hour, "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := guard.ParseCalendar(tt.text, tt.lasts)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it invalid and to say %q", err, tt.says)
			}
		})
	}
}

func FuzzCalendar(f *testing.F) {
	for _, text := range []string{weekend, nightly, always, once, "DTSTART:20260101T000000Z\nRRULE:FREQ=YEARLY;BYEASTER=0;BYSETPOS=-1"} {
		f.Add(text, int64(3600))
	}
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		c, err := guard.ParseCalendar(text, time.Duration(seconds)*time.Second)
		if err != nil {
			return
		}
		moment := at("2026-06-01T12:00:00Z")
		for range 3 {
			on, change := c.At(moment)
			if !change.IsZero() && !change.After(moment) {
				t.Fatalf("at %s: got a change at %s, which is over", moment, change)
			}
			if change.IsZero() {
				return
			}
			_ = on
			moment = change
		}
	})
}

func TestFreezeHoldsAutomationBack(t *testing.T) {
	c, err := guard.ParseCalendar(always, 12*time.Hour) // until noon, every day
	if err != nil {
		t.Fatal(err)
	}
	person := func(r *guard.Request) { r.Incident = "" }
	tests := []struct {
		name   string
		scope  heal.Scope
		change func(*guard.Request)
		h      guard.History
		held   bool
	}{
		{"everything", heal.Scope{}, nil, guard.History{}, true},
		{"the service", heal.DefaultScope.WithService("cart"), nil, guard.History{}, true},
		{"another service", heal.DefaultScope.WithService("payment"), nil, guard.History{}, false},
		{"a person", heal.Scope{}, person, guard.History{}, false},
		{"a run under way", heal.Scope{}, nil, guard.History{Spent: true}, false},
		{"an undo", heal.Scope{}, func(r *guard.Request) { r.Undo = true }, guard.History{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := guard.DefaultLimits()
			l.Freezes = []guard.Freeze{{Name: "mornings", Scope: tt.scope, Why: "nobody is up", Calendar: c}}
			req := request()
			if tt.change != nil {
				tt.change(&req)
			}
			got := guard.Judge(req, tt.h, l, now)
			if held := got.Rule == guard.RuleFreeze; held != tt.held {
				t.Fatalf("got %q (%s), want held %t", got.Rule, got.Reason.Text, tt.held)
			}
			if tt.held && (!got.Retry.Equal(at("2026-01-01T12:00:00Z")) || !got.Page || !strings.Contains(got.Reason.Text, "nobody is up")) {
				t.Errorf("got retry %s page %t: %s, want it until noon, a page, and why", got.Retry, got.Page, got.Reason.Text)
			}
		})
	}
}
