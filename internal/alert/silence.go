package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// What a silence may be.
const (
	MaxMatchers = 20
	MaxSilence  = 90 * 24 * time.Hour // from its start to its end, and from now to its start
	maxReason   = 1000                // bytes
)

// CheckSilence refuses, with kind Invalid, a silence that nobody should make:
// one that has no end or a far one, that is over, that does not say why, or
// that matches what has no labels, which would be everything.
func CheckSilence(s *heal.Silence, now time.Time) error {
	const op = "silence alerts"
	refuse := func(format string, args ...any) error { return heal.Errorf(heal.Invalid, op, format, args...) }
	switch {
	case len(s.Matchers) == 0 || len(s.Matchers) > MaxMatchers:
		return refuse("there are %d matchers, expected 1 to %d", len(s.Matchers), MaxMatchers)
	case s.Ends.IsZero():
		return refuse("it has no end")
	case !s.Starts.Before(s.Ends):
		return refuse("it ends at %s, expected an end after its start at %s", s.Ends.UTC().Format(time.RFC3339), s.Starts.UTC().Format(time.RFC3339))
	case !now.Before(s.Ends):
		return refuse("it ended already, at %s", s.Ends.UTC().Format(time.RFC3339))
	case s.Ends.Sub(s.Starts) > MaxSilence || s.Starts.Sub(now) > MaxSilence:
		return refuse("it is to last from %s until %s, expected at most %d days, beginning within as many", s.Starts.UTC().Format(time.RFC3339), s.Ends.UTC().Format(time.RFC3339), int(MaxSilence.Hours()/24))
	case strings.TrimSpace(s.Reason) == "" || len(s.Reason) > maxReason:
		return refuse("its reason has %d bytes, expected 1 to %d", len(s.Reason), maxReason)
	}
	c, err := compileSilence(*s)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(c.matchers, func(m matcher) bool { return !m.matches("") }) {
		return refuse(`every matcher matches what is not there; one at least must want something, as alertname=~".+" does`)
	}
	return nil
}

// Silences are silences ready to be asked about alerts.
type Silences struct{ all []silence }

type silence struct {
	heal.Silence
	matchers []matcher
}

// NewSilences makes silences ready, those that end last first: they hold an
// alert that several match.
func NewSilences(all []heal.Silence) (Silences, error) {
	var out Silences
	for _, s := range all {
		c, err := compileSilence(s)
		if err != nil {
			return Silences{}, heal.Wrap("silence "+string(s.ID), err)
		}
		out.all = append(out.all, c)
	}
	slices.SortStableFunc(out.all, func(a, b silence) int { return b.Ends.Compare(a.Ends) })
	return out, nil
}

func compileSilence(s heal.Silence) (silence, error) {
	out := silence{Silence: s}
	for _, m := range s.Matchers {
		c, err := compile(m)
		if err != nil {
			return silence{}, err
		}
		out.matchers = append(out.matchers, c)
	}
	return out, nil
}

// Active are the ids of the silences that hold at a time, in order.
func (s Silences) Active(now time.Time) (out []heal.SilenceID) {
	for i := range s.all {
		if s.all[i].State(now) == heal.SilenceActive {
			out = append(out, s.all[i].ID)
		}
	}
	slices.Sort(out)
	return out
}

// Of gives the silence that holds an alert at a time, nil if none does. The one
// that holds it already goes on doing so while it may.
func (s Silences) Of(a *heal.Alert, now time.Time) *heal.Silence {
	var found *heal.Silence
	for i := range s.all {
		one := &s.all[i]
		if (found == nil || one.ID == a.SilencedBy) && one.State(now) == heal.SilenceActive && one.holds(a) {
			found = &one.Silence
		}
	}
	return found
}

func (s *silence) holds(a *heal.Alert) bool {
	if !s.Scope.Contains(a.Scope) {
		return false
	}
	for i := range s.matchers {
		if !s.matchers[i].matches(LabelOf(a, s.matchers[i].Label)) {
			return false
		}
	}
	return true
}

// Hold takes what happened to an alert under the silences of now. While one
// holds the alert, the incident stage hears of nothing but its end; when none
// does any more and it still fires, that counts as if it came then.
func (s Silences) Hold(a heal.Alert, events []heal.AlertEvent, signal Signal, now time.Time) (heal.Alert, []heal.AlertEvent, Signal) {
	if a.Status == heal.Resolved {
		return a, events, signal
	}
	by := s.Of(&a, now)
	switch {
	case by == nil && a.SilencedBy == "":
		return a, events, signal
	case by == nil:
		a.SilencedBy = ""
		return a, record(&a, events, now, heal.AlertUnsilenced, "", "the silence is over and it still fires"), SignalRaised
	case a.SilencedBy != by.ID:
		a.SilencedBy = by.ID
		note := fmt.Sprintf("until %s: %s", by.Ends.UTC().Format("2006-01-02 15:04:05 UTC"), by.Reason)
		events = record(&a, events, now, heal.AlertSilenced, by.Author, note)
	}
	return a, events, SignalNone
}
