// Package audit is the record of who or what did what, why and on which
// evidence: every decision, action, approval and refusal, and every write that
// a person asked for.
//
// Its one invariant: an entry is written in the transaction of what it tells,
// is never rewritten, and is soon sealed into a chain of hashes in which every
// edit, deletion, insertion and cut shows. It is not a log for looking for
// mistakes (see obs), nor what the product works from (see store).
package audit

import (
	"io"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Act says what kind of thing was done. What people ask for over the API is
// named by its operation ("turn-kill-switch", "approve").
type Act string

// The acts of the product itself.
const (
	Decided Act = "decided" // a plan was chosen, or none
	Acted   Act = "acted"   // a step ended, well or badly
	Refused Act = "refused" // a guard said no
	Expired Act = "expired" // a question was not answered in time
	Began   Act = "began"   // a run began
	Ended   Act = "ended"   // a run, or its rollback, ended
	Started Act = "started" // a server started with a configuration
	Moved   Act = "moved"   // the record came from another store
)

// System is the actor of what the product does by itself.
const System = "homeostat"

// Entry is one line of the record.
type Entry struct {
	ID       string            `json:"id"`
	At       time.Time         `json:"at"`
	Actor    string            `json:"actor"` // a principal's name, or System
	Act      Act               `json:"act"`
	Subject  string            `json:"subject,omitempty"` // what it was done to: an entity, or the id in the path
	Scope    heal.Scope        `json:"scope"`
	Incident heal.IncidentID   `json:"incident,omitempty"`
	Run      heal.RunID        `json:"run,omitempty"`
	Decision heal.DecisionID   `json:"decision,omitempty"`
	Result   string            `json:"result,omitempty"` // how it ended: done, denied, succeeded, failed, unknown
	Text     string            `json:"text"`             // a plain sentence
	Reasons  []heal.Reason     `json:"reasons,omitempty"`
	Details  map[string]string `json:"details,omitempty"`
}

// Results of what people ask for.
const (
	Done   = "done"
	Denied = "denied"
)

// Kind stores entries. Nothing but this package writes them.
var Kind = store.Kind[Entry]{
	Table: store.Audit, Version: 1,
	Key: func(e *Entry) string { return e.ID },
	Columns: func(e *Entry) []any {
		return []any{e.Actor, string(e.Act), e.Subject, string(e.Incident), string(e.Run), store.Nanos(e.At)}
	},
}

// Recorder writes entries. A nil Recorder writes none.
type Recorder struct {
	clock   func() time.Time
	entropy io.Reader
}

// NewRecorder makes a recorder; entropy is for ids.
func NewRecorder(clock func() time.Time, entropy io.Reader) *Recorder {
	return &Recorder{clock: clock, entropy: entropy}
}

// Record writes an entry in the transaction of what it tells. It sets the id,
// and the time and the actor where they are not given.
func (r *Recorder) Record(tx store.Tx, e Entry) error {
	if r == nil {
		return nil
	}
	if e.At.IsZero() {
		e.At = r.clock().UTC()
	}
	if e.Actor == "" {
		e.Actor = System
	}
	e.ID = heal.NewID(e.At, r.entropy)
	_, err := Kind.Put(tx, &e, store.Fresh)
	return heal.Wrap("record "+string(e.Act)+" in the audit", err)
}
