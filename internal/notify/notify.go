// Package notify tells people what Homeostat is about to do and what came of
// it.
//
// Its one invariant: telling never holds up healing. What cannot be delivered
// is tried again for a while, then dropped and counted. It is not for asking:
// approvals have a life of their own in the engine.
package notify

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Phase says when a message is sent.
type Phase string

// The phases.
const (
	Before Phase = "before" // something is about to be done
	After  Phase = "after"  // it was done, or given up
	Note   Phase = "note"   // neither: a step of a playbook says something
)

// Message is one thing to tell.
type Message struct {
	ID         string // the same in every try, so that receivers can tell repetitions
	Phase      Phase
	Severity   heal.Severity
	Title      string
	Text       string
	At         time.Time
	IncidentID heal.IncidentID
	RunID      heal.RunID
	Entity     heal.EntityID
	Reasons    []heal.Reason
	Link       string // to the case, for people
}

// Channel delivers messages. Send tries once; kind Transient says that it may
// be tried again.
type Channel interface {
	Name() string
	Send(ctx context.Context, m Message) error
}
