// Package wait is the driver of pauses between the steps of a playbook.
//
// Its one invariant: it changes nothing but the time. It is not for long waits:
// the engine knows wait.for and turns it into a timer that survives a restart;
// Do is what a caller without such timers gets.
package wait

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// For is the name of the one action.
const For = "wait.for"

var specs = []action.Spec{{
	Name: For,
	Doc:  "Waits before the next step.",
	Params: []action.Param{
		{Name: "duration", Type: action.Duration, Doc: "How long to wait, as in 30s.", Required: true},
	},
	Effect: action.ReadOnly,
	Impact: action.Harmless,
}}

// Driver waits. It is also its own previewer, having nothing to write.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Specs lists wait.for.
func (Driver) Specs() []action.Spec { return specs }

// Do returns when the duration is over; kind Transient if ctx ends first.
func (Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return action.Result{}, err
	}
	timer := time.NewTimer(duration(call))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return action.Result{}, heal.Errorf(heal.Transient, "wait "+duration(call).String(), "%w", err)
	}
	return action.Result{}, nil
}

// Observe cannot tell whether a wait was sat out; waiting again does no harm.
func (Driver) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	if _, err := action.CheckCall(specs, call); err != nil {
		return action.Observation{}, err
	}
	return action.Observation{State: action.CannotTell, Detail: "a wait leaves no trace"}, nil
}

// Preview says how long the wait would be.
func (Driver) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return action.Preview{}, err
	}
	return action.Preview{Text: fmt.Sprintf("Would wait %s.", duration(call))}, nil
}

func duration(call action.Call) time.Duration {
	d, _ := call.Params["duration"].(time.Duration)
	return d
}
