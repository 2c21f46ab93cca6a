package alert

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Acknowledge records that somebody looks after the alert. It stays so across
// repeats, until the alert is resolved. Acknowledging twice changes nothing;
// a resolved alert is refused with kind Conflict.
func Acknowledge(a heal.Alert, by, note string, now time.Time) (heal.Alert, []heal.AlertEvent, error) {
	switch a.Status {
	case heal.Acknowledged:
		return a, nil, nil
	case heal.Resolved:
		return a, nil, heal.Errorf(heal.Conflict, "acknowledge alert "+string(a.ID), "it was resolved at %s", a.ResolvedAt.Format(time.RFC3339))
	case heal.Firing:
	}
	a.Status, a.AcknowledgedBy, a.AcknowledgedAt = heal.Acknowledged, by, now
	events := record(&a, nil, now, heal.AlertAcknowledged, by, note)
	return a, events, nil
}

// Unacknowledge takes an acknowledgement back. An alert that has none is left
// as it is; a resolved one is refused with kind Conflict.
func Unacknowledge(a heal.Alert, by, note string, now time.Time) (heal.Alert, []heal.AlertEvent, error) {
	switch a.Status {
	case heal.Firing:
		return a, nil, nil
	case heal.Resolved:
		return a, nil, heal.Errorf(heal.Conflict, "unacknowledge alert "+string(a.ID), "it was resolved at %s", a.ResolvedAt.Format(time.RFC3339))
	case heal.Acknowledged:
	}
	a.Status, a.AcknowledgedBy, a.AcknowledgedAt = heal.Firing, "", time.Time{}
	events := record(&a, nil, now, heal.AlertUnacknowledged, by, note)
	return a, events, nil
}

// ResolveByHand closes the alert on a person's word. If its source goes on
// reporting it past LateWindow, it reopens. Resolving twice changes nothing.
func ResolveByHand(a heal.Alert, by, note string, now time.Time) (heal.Alert, []heal.AlertEvent, Signal) {
	if a.Status == heal.Resolved {
		return a, nil, SignalNone
	}
	a.Status, a.ResolvedAt, a.SilencedBy = heal.Resolved, now, ""
	a.ReceivedAt = now // LateWindow counts from here
	events := record(&a, nil, now, heal.AlertResolved, by, note)
	return a, events, SignalCleared
}
