package engine

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Event is something that happened to a run. The set is closed.
type Event interface{ event() }

// The events.
type (
	// Begin starts a pending run.
	Begin struct{}

	// Started says that a try was claimed and journalled; the driver is called
	// next.
	Started struct{ Key heal.StepKey }

	// Entered opens a group: its parts may begin. Items are the entries of a
	// loop, as JSON.
	Entered struct {
		Key   heal.StepKey
		Items []string
	}

	// Finished is the good end of a try.
	Finished struct {
		Key    heal.StepKey
		Output map[string]any
	}

	// Failed is the bad end of a try: the effect did not happen.
	Failed struct {
		Key       heal.StepKey
		Kind      heal.Kind
		Error     string
		Unstarted bool // it could not even be asked of a driver
		TimedOut  bool
		Roll      float64 // randomness for the back-off, in [0,1)
	}

	// Uncertain says that nobody knows whether the effect of a try happened.
	Uncertain struct {
		Key   heal.StepKey
		Error string
		Ask   Ask
	}

	// Skipped says that a task's conditions do not hold.
	Skipped struct {
		Key heal.StepKey
		Why string
	}

	// Refused says that a guard did not let the try start.
	Refused struct {
		Key    heal.StepKey
		Reason heal.Reason
		Retry  time.Time // when to ask again; zero: the refusal is final
		Pause  bool      // hold the whole run until a person resumes it
	}

	// Answered is a person's answer to a question; Task is empty for the run's
	// own approval. An answer of somebody who is not asked is of kind Denied.
	Answered struct {
		Task   string
		Answer string // heal.Approved or heal.DeniedBy
		By     string
		As     []string // the names and roles By may answer under; empty: By alone
		Note   string
	}

	// Settled is a person's word on an uncertain task.
	Settled struct {
		Task string
		As   Settlement
		By   string
		Note string
	}

	// Tick says that time passed: deadlines are looked at.
	Tick struct{}

	// PauseAsked holds new tries back.
	PauseAsked struct{ By, Why string }

	// ResumeAsked lets a paused run go on.
	ResumeAsked struct{ By string }

	// CancelAsked ends the run once what is in flight has ended.
	CancelAsked struct{ By, Why string }

	// RollbackAsked undoes the completed tasks of a run, also of an ended one.
	RollbackAsked struct{ By, Why string }
)

// Settlement is how a person settles an uncertain task.
type Settlement string

// The settlements.
const (
	SettleHappened Settlement = "happened" // it did happen: go on
	SettleRetry    Settlement = "retry"    // it did not: try again
	SettleGiveUp   Settlement = "give_up"  // treat the task as failed
)

func (Begin) event()         {}
func (Started) event()       {}
func (Entered) event()       {}
func (Finished) event()      {}
func (Failed) event()        {}
func (Uncertain) event()     {}
func (Skipped) event()       {}
func (Refused) event()       {}
func (Answered) event()      {}
func (Settled) event()       {}
func (Tick) event()          {}
func (PauseAsked) event()    {}
func (ResumeAsked) event()   {}
func (CancelAsked) event()   {}
func (RollbackAsked) event() {}

// Effect is what the shell must do after it has made the new state durable.
// The set is closed.
type Effect interface{ effect() }

// The effects.
type (
	// Queue makes a try due.
	Queue struct {
		Key heal.StepKey
		Due time.Time
	}

	// Wake asks for a Tick.
	Wake struct{ At time.Time }

	// Interrupt stops tries in flight at their next safe point.
	Interrupt struct{}

	// Tell informs people.
	Tell struct{ Text string }

	// Escalate hands something to a person.
	Escalate struct{ Text string }

	// Over says that the run, or its rollback, ended.
	Over struct{}
)

func (Queue) effect()     {}
func (Wake) effect()      {}
func (Interrupt) effect() {}
func (Tell) effect()      {}
func (Escalate) effect()  {}
func (Over) effect()      {}
