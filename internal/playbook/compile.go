package playbook

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Compiled is a playbook bound to the actions it uses and to the playbooks it
// calls. It may be used by several goroutines at once.
type Compiled struct {
	*Playbook
	Pin Pin // what a run of it depends on

	specs  map[string]action.Spec
	called map[string]*Playbook // by id: all it calls, also through others
	steps  []*Step
	byID   map[string]*Step
}

// Compile binds a playbook to the actions and to those beside it. The error, of
// kind Invalid, holds the Problems of Check.
func Compile(p *Playbook, specs map[string]action.Spec, beside ...*Playbook) (*Compiled, error) {
	problems := Check(p, specs, beside...)
	for _, other := range beside {
		problems = append(problems, Check(other, specs, beside...)...)
	}
	if err := problems.Err(); err != nil {
		return nil, heal.Wrap("compile playbook "+p.ID, err)
	}
	return bind(p, specs, shelfOf(p, beside)), nil
}

// Spec gives the declaration of an action the playbook uses.
func (c *Compiled) Spec(name string) action.Spec { return c.specs[name] }

// Touches reports whether a task changes the world.
func (c *Compiled) Touches(t *Task) bool { return c.specs[t.Action].Touches() }

// Rollbackable reports whether every task that changes the world says how it
// is undone.
func (c *Compiled) Rollbackable() bool {
	return c.all(func(t *Task) bool { return !c.Touches(t) || t.Rollback != nil })
}

// Impact is the worst the playbook's actions declare.
func (c *Compiled) Impact() action.Impact {
	worst := action.Harmless
	for _, s := range c.steps {
		if impact := c.specs[s.Task.Action].Impact; s.Task.Call == nil && rank(impact) > rank(worst) {
			worst = impact
		}
	}
	return worst
}

func rank(i action.Impact) int {
	switch i {
	case action.Harmless:
		return 0
	case action.Reversible:
		return 1
	case action.Disruptive:
		return 2
	case action.Destructive:
		return 3
	}
	return 3
}

// Estimate is the time the playbook says it takes, else the sum of what its
// actions take one after another.
func (c *Compiled) Estimate() time.Duration {
	if c.EstimatedTime > 0 {
		return c.EstimatedTime
	}
	var sum time.Duration
	for _, s := range c.steps {
		sum += c.specs[s.Task.Action].Duration
	}
	return sum
}

// RenderTarget gives the one entity a task acts on.
func (c *Compiled) RenderTarget(t *Task, vars map[string]any) (heal.EntityID, error) {
	text, err := t.target.Text(vars)
	if err != nil {
		return "", heal.Wrap("target of task "+t.ID, err)
	}
	id := heal.EntityID(text)
	return id, heal.Wrap("target of task "+t.ID, id.Validate())
}

// RenderParams gives the parameters of a task in the types its action
// declares, defaults filled in.
func (c *Compiled) RenderParams(t *Task, vars map[string]any) (map[string]any, error) {
	return c.render("parameters of task "+t.ID, t.Action, t.parameters, vars)
}

// RenderUndo is RenderParams for the rollback of a task; it must have one.
func (c *Compiled) RenderUndo(t *Task, vars map[string]any) (map[string]any, error) {
	return c.render("rollback of task "+t.ID, t.Rollback.Action, t.Rollback.parameters, vars)
}

func (c *Compiled) render(op, name string, v value, vars map[string]any) (map[string]any, error) {
	raw, err := v.renderFields(vars)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	params, err := action.CheckParams(c.specs[name], raw)
	return params, heal.Wrap(op, err)
}

// Question gives the text a person is asked before a task; it must have a
// Confirm.
func (c *Compiled) Question(t *Task, vars map[string]any) (string, error) {
	text, err := t.Confirm.question.Text(vars)
	return text, heal.Wrap("question of task "+t.ID, err)
}

// Query gives the PromQL of a condition on live state, "" for any other. Texts
// that templates put into it are escaped for a quoted string.
func (c *Condition) Query(vars map[string]any) (string, error) {
	if c.query == nil {
		return "", nil
	}
	text, err := c.query.TextIn(vars, quotable)
	return text, heal.Wrap("condition on live state", err)
}

// Holds judges the condition. value is the first sample of its query and seen
// whether there was one: a query without a result never holds. Both are
// ignored for a condition without a query.
func (c *Condition) Holds(vars map[string]any, value float64, seen bool) (bool, error) {
	if c.query == nil {
		return c.program.Bool(vars)
	}
	if !seen {
		return false, nil
	}
	with := map[string]any{"value": value}
	maps.Copy(with, vars)
	return c.program.Bool(with)
}

// String gives the condition as it was written.
func (c *Condition) String() string {
	if c.PromQL != "" {
		return c.Is + " for " + c.PromQL
	}
	return c.When
}

// RenderVerification gives the PromQL and the monitor that tell whether the
// fault persists; "" for what the playbook leaves to the fault's own condition.
func (p *Playbook) RenderVerification(vars map[string]any) (promql, probe string, err error) {
	if t := p.Verification.condition; t != nil {
		if promql, err = t.TextIn(vars, quotable); err != nil {
			return "", "", heal.Wrap("verification of playbook "+p.ID, err)
		}
	}
	if t := p.Verification.probe; t != nil {
		if probe, err = t.Text(vars); err != nil {
			return "", "", heal.Wrap("verification of playbook "+p.ID, err)
		}
	}
	return promql, probe, nil
}

// quotable escapes a text for the inside of a PromQL string.
func quotable(text string) string {
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], "'", `\'`)
}
