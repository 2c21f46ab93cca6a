package playbook

import (
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Step is a task as a run carries it out: one of the playbook itself, or of one
// that it calls.
type Step struct {
	ID    string // of the task, after those of the calls it is in: "out.drain"
	Task  *Task
	Book  *Playbook // that has the task
	In    *Step     // the call it is in; nil: none
	Needs []string  // ids of the steps it depends on
}

// bind makes a playbook whose calls are sound ready to be carried out.
func bind(p *Playbook, specs map[string]action.Spec, shelf map[string]*Playbook) *Compiled {
	c := &Compiled{Playbook: p, specs: specs, called: map[string]*Playbook{}, byID: map[string]*Step{}}
	c.steps = c.stepsOf(p, nil, shelf)
	for _, s := range c.steps {
		c.byID[s.ID] = s
	}
	c.Pin = c.pin()
	return c
}

// stepsOf lists the steps of a playbook in the order of its source, those of a
// call behind it.
func (c *Compiled) stepsOf(p *Playbook, in *Step, shelf map[string]*Playbook) []*Step {
	var out []*Step
	prefix := ""
	if in != nil {
		prefix = in.ID + "."
	}
	for i := range p.Tasks {
		t := &p.Tasks[i]
		s := &Step{ID: prefix + t.ID, Task: t, Book: p, In: in}
		for _, need := range t.DependsOn {
			s.Needs = append(s.Needs, prefix+need)
		}
		out = append(out, s)
		if t.Call == nil {
			continue
		}
		callee := shelf[t.Call.Playbook]
		c.called[callee.ID] = callee
		out = append(out, c.stepsOf(callee, s, shelf)...)
	}
	return out
}

// Steps lists all steps in the order of the source, those of a call behind it.
func (c *Compiled) Steps() []*Step { return c.steps }

// Step finds a step by its id, or by that of an entry of a loop ("out.drain.2");
// nil if there is none.
func (c *Compiled) Step(id string) *Step {
	if s := c.byID[id]; s != nil {
		return s
	}
	at := strings.LastIndexByte(id, '.')
	if at < 0 {
		return nil
	}
	if s := c.byID[id[:at]]; s != nil && s.Task.Each != nil {
		return s
	}
	return nil
}

// Ordered lists all steps so that each stands behind those it depends on.
func (c *Compiled) Ordered() []*Step {
	var out []*Step
	var walk func(p *Playbook, prefix string)
	walk = func(p *Playbook, prefix string) {
		for _, t := range p.Order() {
			out = append(out, c.byID[prefix+t.ID])
			if t.Call != nil {
				walk(c.called[t.Call.Playbook], prefix+t.ID+".")
			}
		}
	}
	walk(c.Playbook, "")
	return out
}

// Does says what a step carries out: an action, or a playbook.
func (s *Step) Does() string {
	if s.Task.Call != nil {
		return "playbook " + s.Task.Call.Playbook
	}
	return s.Task.Action
}

// Asks gives the question before a step; nil if there is none. A playbook that
// always asks before it runs asks when it is called too.
func (c *Compiled) Asks(s *Step) *Confirm {
	if s.Task.Confirm != nil || s.Task.Call == nil {
		return s.Task.Confirm
	}
	callee := c.called[s.Task.Call.Playbook]
	if callee.Approval.Required != ApprovalAlways {
		return nil
	}
	a := callee.Approval
	return &Confirm{Question: "run playbook " + callee.ID + "?", Owner: a.Owner, Quorum: a.Quorum, Within: a.Within}
}

// Vars gives the variables of the templates and conditions of the playbook
// itself.
func (c *Compiled) Vars(scene Scene) map[string]any {
	return c.vars(scene, c.outputs(c.Playbook, "", scene.Outputs))
}

// StepVars gives the variables of a step's templates and conditions. item is the
// entry of its loop as Items gave it, "" if there is none.
func (c *Compiled) StepVars(s *Step, scene Scene, item string) (map[string]any, error) {
	vars, err := c.varsIn(s.In, scene)
	if err != nil || item == "" || s.Task.Each == nil {
		return vars, err
	}
	vars[s.Task.Each.As], err = DecodeItem(item)
	return vars, err
}

// varsIn gives the variables within a call: parameters and target as the call
// gives them, and the outputs of its own tasks.
func (c *Compiled) varsIn(call *Step, scene Scene) (map[string]any, error) {
	if call == nil {
		return c.Vars(scene), nil
	}
	outer, err := c.varsIn(call.In, scene)
	if err != nil {
		return nil, err
	}
	callee := c.called[call.Task.Call.Playbook]
	inner := scene
	if inner.Params, err = c.paramsOf(call, callee, outer); err != nil {
		return nil, err
	}
	if inner.Target, err = c.RenderTarget(call.Task, outer); err != nil {
		return nil, err
	}
	return callee.vars(inner, c.outputs(callee, call.ID+".", scene.Outputs)), nil
}

func (c *Compiled) paramsOf(call *Step, callee *Playbook, vars map[string]any) (map[string]any, error) {
	op := "params of task " + call.ID
	raw, err := call.Task.Call.params.renderFields(vars)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	params, err := action.CheckParams(callee.signature(), raw)
	return params, heal.Wrap(op, err)
}

// outputs gives the outputs of the tasks of a playbook, those of a call as keys
// of their tasks.
func (c *Compiled) outputs(p *Playbook, prefix string, all map[string]map[string]any) map[string]map[string]any {
	out := make(map[string]map[string]any, len(p.Tasks))
	for i := range p.Tasks {
		t := &p.Tasks[i]
		if t.Call == nil {
			out[t.ID] = all[prefix+t.ID]
			continue
		}
		callee := c.called[t.Call.Playbook]
		out[t.ID] = named(callee, c.outputs(callee, prefix+t.ID+".", all))
	}
	return out
}

// named adds the second names of outputs, and an empty one for each that is not
// there.
func named(p *Playbook, outputs map[string]map[string]any) map[string]any {
	out := make(map[string]any, len(p.Tasks))
	for i := range p.Tasks {
		t := &p.Tasks[i]
		out[t.ID] = orEmpty(outputs[t.ID])
		if t.Output != "" {
			out[t.Output] = out[t.ID]
		}
	}
	return out
}

// all reports whether a condition holds of all steps that carry out an action.
func (c *Compiled) all(holds func(*Task) bool) bool {
	return !slices.ContainsFunc(c.steps, func(s *Step) bool { return s.Task.Call == nil && !holds(s.Task) })
}
