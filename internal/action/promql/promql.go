// Package promql is the driver of questions to the metrics: promql.check waits
// until an expression meets a condition.
//
// Its one invariant: it only reads. No data never counts as a condition that
// holds. It is not for judging whether a heal worked (see verify).
package promql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Check is the name of the one action.
const Check = "promql.check"

// Source answers instant queries. Value gives the number the expression has
// now, false if it has none. An expression that cannot be evaluated at all is
// of kind Invalid; an error of any other kind is asked again.
type Source interface {
	Value(ctx context.Context, expr string) (float64, bool, error)
}

// Options of the driver.
type Options struct {
	Interval time.Duration // between two questions; 2 s if zero
}

var specs = []action.Spec{{
	Name: Check,
	Doc:  "Waits until a PromQL expression meets a condition.",
	Params: []action.Param{
		{Name: "expr", Type: action.String, Doc: "PromQL that gives one number.", Required: true},
		{Name: "op", Type: action.String, Doc: "One of > < >= <= == !=.", Required: true},
		{Name: "value", Type: action.Float, Doc: "The number to compare with.", Required: true},
		{Name: "for", Type: action.Duration, Doc: "How long the condition must hold without a break.", Default: "0s"},
		{Name: "timeout", Type: action.Duration, Doc: "When to give up; 0s asks once.", Default: "1m"},
	},
	Outputs:  []string{"value"},
	Effect:   action.ReadOnly,
	Impact:   action.Harmless,
	Duration: 10 * time.Second,
}}

// Driver asks the source. It is also its own previewer, having nothing to write.
type Driver struct {
	source   Source
	interval time.Duration
}

// New makes the driver.
func New(source Source, opts Options) *Driver {
	if opts.Interval <= 0 {
		opts.Interval = 2 * time.Second
	}
	return &Driver{source: source, interval: opts.Interval}
}

// Specs lists promql.check.
func (d *Driver) Specs() []action.Spec { return specs }

// Do returns once the condition has held for as long as asked; kind Transient
// if it did not in time, Invalid if the expression cannot be evaluated.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	q, err := parse(call)
	if err != nil {
		return action.Result{}, err
	}
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.timeout)
		defer cancel()
	}
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	var since time.Time
	for {
		a := d.ask(ctx, q)
		if heal.Is(a.err, heal.Invalid) {
			return action.Result{}, heal.Wrap("check "+q.String(), a.err)
		}
		switch {
		case !a.holds:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
		if a.holds && time.Since(since) >= q.hold {
			return action.Result{Output: map[string]any{"value": a.value}}, nil
		}
		if q.timeout == 0 && q.hold == 0 {
			return action.Result{}, heal.Errorf(heal.Transient, "check "+q.String(), "does not hold: %s", a)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return action.Result{}, heal.Errorf(heal.Transient, "check "+q.String(), "did not hold in time, last answer: %s", a)
		}
	}
}

// Observe cannot tell: a question leaves no trace, and asking again is free.
func (d *Driver) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	if _, err := parse(call); err != nil {
		return action.Observation{}, err
	}
	return action.Observation{State: action.CannotTell, Detail: "a question leaves no trace"}, nil
}

// Preview says what would be waited for.
func (d *Driver) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	q, err := parse(call)
	if err != nil {
		return action.Preview{}, err
	}
	return action.Preview{Text: fmt.Sprintf("Would wait up to %s until %s holds for %s.", q.timeout, q, q.hold)}, nil
}

// question is a checked call.
type question struct {
	expr, op      string
	value         float64
	hold, timeout time.Duration
}

func (q question) String() string { return fmt.Sprintf("%s %s %v", q.expr, q.op, q.value) }

func parse(call action.Call) (question, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return question{}, err
	}
	var q question
	q.expr, _ = call.Params["expr"].(string)
	q.op, _ = call.Params["op"].(string)
	q.value, _ = call.Params["value"].(float64)
	q.hold, _ = call.Params["for"].(time.Duration)
	q.timeout, _ = call.Params["timeout"].(time.Duration)
	switch {
	case q.expr == "" || len(q.expr) > 64<<10:
		return q, heal.Errorf(heal.Invalid, "check "+Check, "parameter \"expr\" has %d bytes, expected 1 to 65536", len(q.expr))
	case q.hold > q.timeout:
		return q, heal.Errorf(heal.Invalid, "check "+Check, "parameter \"for\" (%s) is longer than \"timeout\" (%s): it could never hold that long", q.hold, q.timeout)
	}
	if _, ok := compare(q.op, 0, 0); !ok {
		return q, heal.Errorf(heal.Invalid, "check "+Check, "parameter \"op\" is %.20q, expected one of > < >= <= == !=", q.op)
	}
	return q, nil
}

// answer is what the source said to one question.
type answer struct {
	value float64
	found bool
	holds bool
	err   error
}

func (a answer) String() string {
	switch {
	case a.err != nil:
		return a.err.Error()
	case !a.found:
		return "no data"
	}
	return fmt.Sprint(a.value)
}

func (d *Driver) ask(ctx context.Context, q question) answer {
	var a answer
	a.value, a.found, a.err = d.source.Value(ctx, q.expr)
	if errors.Is(a.err, context.DeadlineExceeded) || errors.Is(a.err, context.Canceled) {
		a.err = errors.New("the question was not answered in time")
	}
	if a.err == nil && ctx.Err() != nil {
		a.err = errors.New("the answer came too late")
	}
	if a.err == nil && a.found && !math.IsNaN(a.value) {
		a.holds, _ = compare(q.op, a.value, q.value)
	}
	return a
}

// compare reports whether "a op b" is true, and whether op is known.
func compare(op string, a, b float64) (holds, known bool) {
	switch op {
	case ">":
		return a > b, true
	case "<":
		return a < b, true
	case ">=":
		return a >= b, true
	case "<=":
		return a <= b, true
	case "==":
		return a == b, true
	case "!=":
		return a != b, true
	}
	return false, false
}
