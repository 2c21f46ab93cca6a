// Package action is the contract of the drivers: what touches the world when
// Homeostat heals. Each driver family lives in a package of its own below and
// passes action/actiontest.
//
// Its one invariant: a driver never does what its Spec does not declare, and a
// Previewer has no write path at all. It is not for deciding whether an action
// is allowed (see guard) nor for retrying it (see engine).
package action

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Driver carries out actions.
type Driver interface {
	// Specs lists the actions of this driver.
	Specs() []Spec

	// Do carries the action out. ctx carries the deadline. An error of kind
	// Unknown says that the effect may or may not have happened, Transient
	// that it did not and may be tried again; every other kind that it did not
	// happen and trying again is useless.
	Do(ctx context.Context, call Call) (Result, error)

	// Observe asks the world whether the effect of call.Key happened. It is
	// called after a crash, for actions whose Effect is Observable. It never
	// changes anything.
	Observe(ctx context.Context, call Call) (Observation, error)
}

// Previewer says what an action would do. It is made without the means to
// write, so that a dry run cannot act.
type Previewer interface {
	Specs() []Spec
	Preview(ctx context.Context, call Call) (Preview, error)
}

// Effect says what the engine may promise about an action.
type Effect string

// The effects.
const (
	// ReadOnly actions change nothing and may be repeated at will.
	ReadOnly Effect = "read_only"
	// Idempotent actions may be repeated with the same key to the same end.
	Idempotent Effect = "idempotent"
	// Observable actions can be looked for by key after a crash.
	Observable Effect = "observable"
	// Once actions are neither: after a crash a person is asked.
	Once Effect = "once"
)

// Impact says how much an action can hurt.
type Impact string

// The impacts, from least to most.
const (
	Harmless    Impact = "harmless"
	Reversible  Impact = "reversible"
	Disruptive  Impact = "disruptive"
	Destructive Impact = "destructive"
)

// Spec declares one action.
type Spec struct {
	Name     string // "<driver>.<verb>", for example "process.restart"
	Doc      string // one sentence
	Params   []Param
	Outputs  []string
	Effect   Effect
	Impact   Impact
	Duration time.Duration // typical, for estimates
}

// Touches reports whether the action changes what it is aimed at. A message to
// people happens, and touches nothing.
func (s Spec) Touches() bool { return s.Effect != ReadOnly && s.Impact != Harmless }

// ParamType is the type of a parameter.
type ParamType string

// The types of parameters.
const (
	String   ParamType = "string"
	Int      ParamType = "int"
	Float    ParamType = "float"
	Bool     ParamType = "bool"
	Duration ParamType = "duration" // as in "30s"
	Strings  ParamType = "strings"  // list of strings
	Object   ParamType = "object"   // map of string to any
)

// Param declares one parameter.
type Param struct {
	Name     string
	Type     ParamType
	Doc      string
	Required bool
	Default  any
}

// Call is one try of one action.
type Call struct {
	Key    heal.StepKey
	Epoch  int64 // of the claim; a target that can, refuses lower ones
	Action string
	Target heal.EntityID
	Params map[string]any // checked against the Spec, defaults filled in
}

// Result is what an action gave back. Output becomes the task's output.
type Result struct {
	Output map[string]any
}

// State is what Observe found.
type State string

// The states of an observed effect.
const (
	Happened    State = "happened"
	NotHappened State = "not_happened"
	CannotTell  State = "cannot_tell"
)

// Observation is the answer of Observe; Result is filled when it happened.
type Observation struct {
	State  State
	Result Result
	Detail string
}

// Preview says what would be done.
type Preview struct {
	Text string // one or more plain sentences
	Diff string // before and after, where there is something to compare
}
