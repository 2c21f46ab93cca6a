package loop

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// say makes the next line of a case's story; the case counts it.
func say(inc *heal.Incident, at time.Time, stage, text string, reasons ...heal.Reason) *heal.TimelineEntry {
	inc.Entries++
	return &heal.TimelineEntry{IncidentID: inc.ID, Seq: inc.Entries, At: at, Stage: stage, Text: text, Reasons: reasons}
}

// tell writes lines of a story in tx.
func tell(tx store.Tx, entries ...*heal.TimelineEntry) error {
	for _, e := range entries {
		if _, err := store.TimelineKind.Put(tx, e, store.Absent); err != nil {
			return err
		}
	}
	return nil
}

// maxOwed bounds the messages a case may owe; the oldest give way, the story
// keeps them all.
const maxOwed = 16

// owe notes a message that people must get. No two messages of a case have the
// same time, so that receivers can tell them apart by it.
func owe(inc *heal.Incident, at time.Time, severity heal.Severity, text string) {
	if n := len(inc.Owed); n > 0 && !at.After(inc.Owed[n-1].At) {
		at = inc.Owed[n-1].At.Add(1)
	}
	inc.Owed = append(inc.Owed, heal.Message{At: at, Severity: severity, Text: text})
	if extra := len(inc.Owed) - maxOwed; extra > 0 {
		inc.Owed = inc.Owed[extra:]
	}
}
