package store

import (
	"fmt"

	"github.com/homeostat/homeostat/internal/heal"
)

// AlertKind stores alerts, one per fingerprint.
var AlertKind = Kind[heal.Alert]{
	Table: Alerts, Version: 1,
	Key: func(a *heal.Alert) string { return string(a.ID) },
	Columns: func(a *heal.Alert) []any {
		return []any{a.Fingerprint, standing(a), string(a.Severity), a.ServiceName, string(a.Entity), a.Name, a.SourceSystem, Nanos(a.ReceivedAt)}
	},
	Append: func(b []byte, a *heal.Alert) ([]byte, error) { return a.AppendJSON(b) },
}

// Silenced stands in the status column of alerts that fire while a silence
// holds them, acknowledged or not.
const Silenced = "silenced"

func standing(a *heal.Alert) string {
	if a.SilencedBy != "" && a.Status != heal.Resolved {
		return Silenced
	}
	return string(a.Status)
}

// SilenceKind stores silences.
var SilenceKind = Kind[heal.Silence]{
	Table: Silences, Version: 1,
	Key:     func(s *heal.Silence) string { return string(s.ID) },
	Columns: func(s *heal.Silence) []any { return []any{Nanos(s.Ends)} },
}

// AlertEventKind stores the history of alerts.
var AlertEventKind = Kind[heal.AlertEvent]{
	Table: AlertEvents, Version: 1,
	Key:     func(e *heal.AlertEvent) string { return fmt.Sprintf("%s/%08d", e.AlertID, e.Seq) },
	Columns: func(e *heal.AlertEvent) []any { return []any{string(e.AlertID), Nanos(e.At)} },
}

// IncidentKind stores cases.
var IncidentKind = Kind[heal.Incident]{
	Table: Incidents, Version: 1,
	Key: func(i *heal.Incident) string { return string(i.ID) },
	Columns: func(i *heal.Incident) []any {
		open := int64(1)
		if i.State.Ended() {
			open = 0
		}
		due := Nanos(i.DueAt)
		if i.State.Ended() {
			due = 0
		}
		if len(i.Owed) > 0 && (due == 0 || Nanos(i.Owed[0].At) < due) {
			due = Nanos(i.Owed[0].At) // what people must hear is due at once, also from an ended case
		}
		return []any{string(i.State), string(i.Severity), i.Scope.Service, string(i.Cause), open, due, Nanos(i.UpdatedAt)}
	},
}

// TimelineKind stores the story of cases.
var TimelineKind = Kind[heal.TimelineEntry]{
	Table: Timeline, Version: 1,
	Key:     func(e *heal.TimelineEntry) string { return fmt.Sprintf("%s/%08d", e.IncidentID, e.Seq) },
	Columns: func(e *heal.TimelineEntry) []any { return []any{string(e.IncidentID), e.Seq} },
}

// DecisionKind stores decisions.
var DecisionKind = Kind[heal.Decision]{
	Table: Decisions, Version: 1,
	Key:     func(d *heal.Decision) string { return string(d.ID) },
	Columns: func(d *heal.Decision) []any { return []any{string(d.IncidentID), Nanos(d.At)} },
}

// RunKind stores runs.
var RunKind = Kind[heal.Run]{
	Table: Runs, Version: 1,
	Key: func(r *heal.Run) string { return string(r.ID) },
	Columns: func(r *heal.Run) []any {
		ended := int64(0)
		if r.State.Ended() {
			ended = 1
		}
		return []any{string(r.IncidentID), string(r.State), r.Playbook, string(r.Target), ended, Nanos(r.CreatedAt)}
	},
}

// OutcomeKind stores what attempts taught.
var OutcomeKind = Kind[heal.Outcome]{
	Table: Outcomes, Version: 1,
	Key:     func(o *heal.Outcome) string { return fmt.Sprintf("%s/%d", o.IncidentID, o.Attempt) },
	Columns: func(o *heal.Outcome) []any { return []any{string(o.Pattern), o.Playbook, Nanos(o.At)} },
}

// ChangeKind stores what was changed in the systems looked after.
var ChangeKind = Kind[heal.Change]{
	Table: Changes, Version: 1,
	Key: func(c *heal.Change) string {
		return c.Scope.WithService("").String() + "/" + string(c.ID)
	},
	Columns: func(c *heal.Change) []any { return []any{string(c.Entity), string(c.Kind), c.Source, Nanos(c.At)} },
}

// ClockKind stores what servers agreed the time is; there is one record.
var ClockKind = Kind[Mark]{
	Table: Settings, Version: 1,
	Key: func(*Mark) string { return clockKey },
}
