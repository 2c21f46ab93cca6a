package exec

import (
	"context"
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/internal/action"
)

// Previewer says what would be run. It cannot start a program.
type Previewer struct{ allow []Executable }

// NewPreviewer makes the previewer from the options of the driver.
func NewPreviewer(opts Options) (*Previewer, error) {
	if err := checkAllowed(opts.Allow); err != nil {
		return nil, err
	}
	return &Previewer{allow: slices.Clone(opts.Allow)}, nil
}

// Specs lists the actions.
func (v *Previewer) Specs() []action.Spec { return specs }

// Preview gives the argument list.
func (v *Previewer) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	c, err := parse(v.allow, call)
	if err != nil {
		return action.Preview{}, err
	}
	return action.Preview{Text: fmt.Sprintf("Would run %q in %s.", c.argv, c.dir)}, nil
}
