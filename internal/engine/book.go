package engine

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Book is a playbook ready to be carried out.
type Book interface {
	// Plan is the graph and its reactions.
	Plan() *Plan

	// Work renders what one try of a task asks of its driver.
	Work(run *heal.Run, task string, undo bool) (Work, error)

	// Items evaluates the list of a loop: its entries, as JSON. A task that is
	// no loop has none.
	Items(run *heal.Run, task string) ([]string, error)

	// Conditional reports whether something must be asked before a task of the
	// run may be claimed: its conditions, or what is in the group it is.
	Conditional(run *heal.Run, task string) bool

	// Conditions asks whether a task is to run at all; why says what does not
	// hold. Live state is asked through live.
	Conditions(ctx context.Context, run *heal.Run, task string, live Live) (ok bool, why string, err error)
}

// Work is one try as a driver is asked for it.
type Work struct {
	Action  string
	Target  heal.EntityID
	Params  map[string]any
	Timeout time.Duration
	Owner   string // who is asked if nobody knows how it ended
}

// Live answers questions about the present, for conditions on live state.
type Live interface {
	Value(ctx context.Context, expr string) (value float64, ok bool, err error)
}

// Library turns a playbook's source into a Book. It must give the same Book
// for the same source for as long as a run may pin it.
type Library interface {
	Open(source []byte) (Book, error)
}

// Drivers carries actions out; action.Set is one.
type Drivers interface {
	Spec(name string) (action.Spec, bool)
	Do(ctx context.Context, call action.Call) (action.Result, error)
	Observe(ctx context.Context, call action.Call) (action.Observation, error)
}

// Listener hears of every change of a run, inside the transaction that makes
// it, so that what it writes stands or falls with the change.
type Listener interface {
	RunChanged(tx store.Tx, change Change) error
}
