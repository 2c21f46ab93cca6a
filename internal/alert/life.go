package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Signal says what the incident stage must know about a change.
type Signal string

// The signals.
const (
	SignalNone    Signal = ""        // nothing new for it
	SignalRaised  Signal = "raised"  // began to fire, or fires again
	SignalChanged Signal = "changed" // still fires, but differently: severity, entity, condition
	SignalCleared Signal = "cleared" // no longer fires
)

// LateWindow is how long after a resolve was received a firing delivery from
// before it is taken for late and ignored. Senders that are several deliver
// within seconds of each other (Alertmanager peers: 15 s apart); a source that
// insists for longer does fire, and is believed.
const LateWindow = time.Minute

// Apply takes one delivery into the alert of its fingerprint, prev, nil if
// there is none. It gives the alert as it is now, what to append to its
// history, and what the incident stage must know. Maps are shared, not copied.
//
// Deliveries are put in order by the source's own times, because only they are
// on one clock: a firing one by its start, a resolved one by its end. Without
// times, and for two deliveries of the same start, the order of receipt counts.
// A delivery from before what is known is counted and noted, nothing more.
func Apply(prev *heal.Alert, in heal.Alert, now time.Time, newID func() heal.AlertID) (heal.Alert, []heal.AlertEvent, Signal) {
	switch {
	case prev == nil:
		return first(in, now, newID())
	case prev.Status == heal.Resolved && in.Status == heal.Resolved:
		return resolvedAgain(*prev, in, now)
	case prev.Status == heal.Resolved:
		return firingAfterResolve(*prev, in, now)
	case in.Status == heal.Resolved:
		return resolve(*prev, in, now)
	}
	return firingAgain(*prev, in, now)
}

func first(in heal.Alert, now time.Time, id heal.AlertID) (heal.Alert, []heal.AlertEvent, Signal) {
	a := in
	a.ID, a.ReceivedAt, a.Count, a.Opened, a.Events = id, now, 1, 1, 0
	a.ClockSkewed = skewed(in, now)
	if in.Status == heal.Resolved {
		a.Opened = 0
		setEnd(&a, in, now)
		if a.Timestamp.IsZero() {
			a.Timestamp = a.ResolvedAt
		}
		events := record(&a, nil, now, heal.AlertResolved, a.SourceSystem, "was never seen firing")
		return a, events, SignalNone
	}
	if a.Timestamp.IsZero() {
		a.Timestamp = now
	}
	a.Status, a.ResolvedAt = heal.Firing, time.Time{}
	events := record(&a, nil, now, heal.AlertOpened, a.SourceSystem, "")
	events = bySource(&a, in, events, now)
	return a, events, SignalRaised
}

func firingAgain(prev, in heal.Alert, now time.Time) (heal.Alert, []heal.AlertEvent, Signal) {
	if !in.Timestamp.IsZero() && in.Timestamp.Before(prev.Timestamp) {
		prev.ReceivedAt = now
		prev.Count++
		events := record(&prev, nil, now, heal.AlertRepeated, in.SourceSystem, "an older delivery: what is newer was kept")
		return prev, events, SignalNone
	}
	a := update(prev, in, now)
	changes := changed(prev, a)
	if len(changes) == 0 {
		events := record(&a, nil, now, heal.AlertRepeated, a.SourceSystem, "")
		events = bySource(&a, in, events, now)
		return a, events, SignalNone
	}
	events := record(&a, nil, now, heal.AlertUpdated, a.SourceSystem, strings.Join(changes, ", "))
	events = bySource(&a, in, events, now)
	return a, events, SignalChanged
}

func resolve(prev, in heal.Alert, now time.Time) (heal.Alert, []heal.AlertEvent, Signal) {
	if !in.Timestamp.IsZero() && in.Timestamp.Before(prev.Timestamp) && !in.ResolvedAt.After(prev.Timestamp) {
		prev.Count++
		events := record(&prev, nil, now, heal.AlertRepeated, in.SourceSystem, "an older resolve: it began to fire again since")
		return prev, events, SignalNone
	}
	a := update(prev, in, now)
	a.Count = prev.Count
	a.Status, a.SilencedBy = heal.Resolved, ""
	a.ClockSkewed = prev.ClockSkewed || skewed(in, now)
	setEnd(&a, in, now)
	events := record(&a, nil, now, heal.AlertResolved, a.SourceSystem, "")
	return a, events, SignalCleared
}

func resolvedAgain(prev, in heal.Alert, now time.Time) (heal.Alert, []heal.AlertEvent, Signal) {
	older := !in.Timestamp.IsZero() && in.Timestamp.Before(prev.Timestamp)
	if older || in.ResolvedAt.IsZero() || in.ResolvedAt.Before(prev.ResolvedAt) {
		prev.Count++
		events := record(&prev, nil, now, heal.AlertRepeated, in.SourceSystem, "was resolved already")
		return prev, events, SignalNone
	}
	a := update(prev, in, now)
	a.Status = heal.Resolved
	setEnd(&a, in, now)
	events := record(&a, nil, now, heal.AlertRepeated, a.SourceSystem, "was resolved already")
	return a, events, SignalNone
}

func firingAfterResolve(prev, in heal.Alert, now time.Time) (heal.Alert, []heal.AlertEvent, Signal) {
	known := !in.Timestamp.IsZero()
	before := known && (in.Timestamp.Before(prev.ResolvedAt) || !in.Timestamp.After(prev.Timestamp))
	if before && now.Sub(prev.ReceivedAt) <= LateWindow {
		// ReceivedAt stays: the window must not move with each late delivery.
		prev.Count++
		events := record(&prev, nil, now, heal.AlertRepeated, in.SourceSystem, "a late delivery from before the resolve")
		return prev, events, SignalNone
	}
	a := update(prev, in, now)
	if !known {
		a.Timestamp = now
	}
	a.Status, a.ResolvedAt = heal.Firing, time.Time{}
	a.AcknowledgedBy, a.AcknowledgedAt = "", time.Time{}
	a.ClockSkewed = skewed(in, now)
	a.Count = 1
	a.Opened++
	change := heal.AlertReopened
	if a.Opened == 1 {
		change = heal.AlertOpened
	}
	note := ""
	if before {
		note = "the source still reports it after the resolve"
	}
	events := record(&a, nil, now, change, a.SourceSystem, note)
	events = bySource(&a, in, events, now)
	return a, events, SignalRaised
}

// update is the newer delivery with what belongs to the alert, not to one
// delivery, kept.
func update(prev, in heal.Alert, now time.Time) heal.Alert {
	a := in
	a.ID, a.Fingerprint = prev.ID, prev.Fingerprint
	a.Status = prev.Status
	a.AcknowledgedBy, a.AcknowledgedAt = prev.AcknowledgedBy, prev.AcknowledgedAt
	a.ResolvedAt, a.SilencedBy = prev.ResolvedAt, prev.SilencedBy
	a.ReceivedAt = now
	a.Count, a.Opened, a.Events = prev.Count+1, prev.Opened, prev.Events
	a.ClockSkewed = prev.ClockSkewed || in.Timestamp.Sub(now) > heal.ClockSkewLimit
	if a.Timestamp.IsZero() {
		a.Timestamp = prev.Timestamp
	}
	if a.Condition.Kind == heal.ConditionNone {
		a.Condition = prev.Condition
	}
	return a
}

// setEnd gives a resolved alert its end: the source's, else the receipt.
func setEnd(a *heal.Alert, in heal.Alert, now time.Time) {
	a.ResolvedAt = in.ResolvedAt
	if a.ResolvedAt.IsZero() {
		a.ResolvedAt = now
	}
}

// bySource takes over an acknowledgement given in the source system.
func bySource(a *heal.Alert, in heal.Alert, events []heal.AlertEvent, now time.Time) []heal.AlertEvent {
	if in.Status != heal.Acknowledged || a.Status == heal.Acknowledged {
		return events
	}
	by := in.AcknowledgedBy
	if by == "" {
		by = in.SourceSystem
	}
	a.Status, a.AcknowledgedBy, a.AcknowledgedAt = heal.Acknowledged, by, now
	return record(a, events, now, heal.AlertAcknowledged, by, "in the source system")
}

// changed names what the incident stage judges by and that is different now.
func changed(prev, next heal.Alert) []string {
	var out []string
	note := func(what, from, to string) {
		if from != to {
			out = append(out, fmt.Sprintf("%s %s -> %s", what, orNone(from), orNone(to)))
		}
	}
	note("severity", string(prev.Severity), string(next.Severity))
	note("name", prev.Name, next.Name)
	note("entity", string(prev.Entity), string(next.Entity))
	note("service", prev.ServiceName, next.ServiceName)
	note("condition", conditionText(prev.Condition), conditionText(next.Condition))
	return out
}

func conditionText(c heal.Condition) string {
	return strings.TrimSpace(string(c.Kind) + " " + c.Expr + c.Probe)
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// skewed tells whether the time the delivery speaks of and that of its receipt
// are too far apart.
func skewed(in heal.Alert, now time.Time) bool {
	event := in.Timestamp
	if in.Status == heal.Resolved {
		event = in.ResolvedAt
	}
	return !event.IsZero() && now.Sub(event).Abs() > heal.ClockSkewLimit
}

// record appends an entry to the history and numbers it.
func record(a *heal.Alert, events []heal.AlertEvent, at time.Time, change heal.AlertChange, by, note string) []heal.AlertEvent {
	a.Events++
	return append(events, heal.AlertEvent{AlertID: a.ID, Seq: a.Events, At: at, Change: change, By: by, Note: note})
}
