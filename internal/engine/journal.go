package engine

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Entry is one line of a run's journal: what was intended before the world was
// touched, and what came of it.
type Entry struct {
	Run    heal.RunID        `json:"run"`
	At     time.Time         `json:"at"`
	Phase  Phase             `json:"phase"`
	Step   string            `json:"step,omitempty"` // a heal.StepKey
	Epoch  int64             `json:"epoch,omitempty"`
	Action string            `json:"action,omitempty"`
	Target heal.EntityID     `json:"target,omitempty"`
	By     string            `json:"by,omitempty"`
	Text   string            `json:"text,omitempty"`
	Params map[string]string `json:"params,omitempty"` // as given to the driver, secrets as references
}

// Phase is what a journal entry records.
type Phase string

// The phases.
const (
	PhaseProposed Phase = "proposed"
	PhaseApproved Phase = "approved"
	PhaseStarted  Phase = "started"
	PhaseFinished Phase = "finished"
	PhaseNoted    Phase = "noted"
)

var journalKind = store.Kind[Entry]{
	Table: store.Journal, Version: 1,
	Key: func(e *Entry) string {
		if e.Step == "" {
			return fmt.Sprintf("%s/%s/%d", e.Run, e.Phase, e.At.UnixNano())
		}
		return fmt.Sprintf("%s/%s/%d", e.Step, e.Phase, e.Epoch)
	},
	Columns: func(e *Entry) []any { return []any{string(e.Run), store.Nanos(e.At)} },
}

// Journal reads one page of a run's journal, oldest first.
func Journal(r store.Reader, run heal.RunID, cursor string) ([]Entry, string, error) {
	rows, next, err := journalKind.List(r, store.Query{
		Where: []store.Cond{{Column: "run", Op: store.Eq, Value: string(run)}}, Order: "seq", Cursor: cursor,
	})
	entries := make([]Entry, len(rows))
	for i := range rows {
		entries[i] = rows[i].Value
	}
	return entries, next, err
}
