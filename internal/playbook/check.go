package playbook

import (
	"maps"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/expr"
	"github.com/homeostat/homeostat/internal/heal"
)

// Check compares a playbook with the actions there are: that they exist, that
// parameters are known, complete and of their type, that outputs which are read
// are given, and that what destroys is asked for first. The playbooks beside it
// are those it may call.
func Check(p *Playbook, specs map[string]action.Spec, beside ...*Playbook) Problems {
	r := &report{file: p.File}
	r.against(p, specs)
	r.together(p, specs, shelfOf(p, beside))
	return r.sorted()
}

// shelfOf is playbooks by their ids; first goes before another of its id.
func shelfOf(first *Playbook, beside []*Playbook) map[string]*Playbook {
	shelf := make(map[string]*Playbook, len(beside)+1)
	for _, p := range beside {
		shelf[p.ID] = p
	}
	shelf[first.ID] = first
	return shelf
}

// together reports what of a playbook does not fit those it calls.
func (r *report) together(p *Playbook, specs map[string]action.Spec, shelf map[string]*Playbook) {
	before := len(r.problems)
	r.calls(p, specs, shelf)
	if len(r.problems) > before {
		return // what is behind the calls cannot be walked
	}
	r.undoable(p, specs, shelf)
	r.outputs(p, specs, shelf)
}

// against reports what of a playbook does not fit the actions. The playbook may
// have other mistakes; what they leave open is passed over.
func (r *report) against(p *Playbook, specs map[string]action.Spec) {
	for i := range p.Tasks {
		t := &p.Tasks[i]
		if t.Rollback != nil {
			r.rollback(t, specs)
		}
		if t.Call != nil || !verbPattern.MatchString(t.Action) {
			continue // reported with the shape of the task
		}
		spec, ok := specs[t.Action]
		if !ok {
			r.unknownAction(t.at.get("action"), t.Action, specs)
			continue
		}
		if _, given := t.parameters.fields["duration"]; t.Type == TypeAction || given {
			r.params(spec, t.parameters, t.at, "parameters")
		}
		if spec.Impact == action.Destructive && t.Confirm == nil && p.Approval.Required == ApprovalNever {
			r.add(t.at.get("action"), "give the task a confirm, or set approval.required to by_risk or always",
				"%s is destructive, yet nobody is asked before it", t.Action)
		}
	}
}

func (r *report) unknownAction(at view, name string, specs map[string]action.Spec) {
	known := slices.Sorted(maps.Keys(specs))
	hint := "there are " + clipList(known)
	if near := heal.Nearest(name, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.add(at, hint, "there is no action %q", clip(name))
}

func (r *report) rollback(t *Task, specs map[string]action.Spec) {
	if !verbPattern.MatchString(t.Rollback.Action) {
		return
	}
	spec, ok := specs[t.Rollback.Action]
	if !ok {
		r.unknownAction(t.Rollback.at.get("action"), t.Rollback.Action, specs)
		return
	}
	r.params(spec, t.Rollback.parameters, t.Rollback.at, "parameters")
	if of, ok := specs[t.Action]; ok && t.Type == TypeAction && !of.Touches() {
		r.add(t.Rollback.at, "leave it out", "%s changes nothing that could be rolled back", t.Action)
	}
}

// params checks what is given under a key for the parameters of one action.
func (r *report) params(spec action.Spec, given value, parent view, under string) {
	known := make([]string, len(spec.Params))
	for i, p := range spec.Params {
		known[i] = p.Name
	}
	for _, name := range given.keys {
		if slices.Contains(known, name) {
			continue
		}
		hint := spec.Name + " takes none"
		if len(known) > 0 {
			hint = spec.Name + " takes " + strings.Join(known, ", ")
		}
		if near := heal.Nearest(name, known); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.add(given.fields[name].at, hint, "%s has no parameter %q", spec.Name, clip(name))
	}
	for _, p := range spec.Params {
		v, ok := given.fields[p.Name]
		switch {
		case !ok && p.Required:
			at := view{parent.node, join(join(parent.path, under), p.Name)}
			r.add(at, p.Doc, "is missing; %s requires it, of type %s", spec.Name, p.Type)
		case !ok || v.broken:
		case v.text != nil:
			if text := misfit(v.gives, p.Type); text != "" {
				r.add(v.at, conversion(v.gives, p.Type), "%s", text)
			}
		case v.templated():
		default:
			plain, err := v.render(nil)
			if err == nil {
				_, err = typed(p.Name, p.Type, plain)
			}
			if err != nil {
				r.add(v.at, "", "%v", err)
			}
		}
	}
}

// undoable checks that a task after whose failure the run is rolled back does
// not come after a destructive one that nothing undoes.
func (r *report) undoable(p *Playbook, specs map[string]action.Spec, shelf map[string]*Playbook) {
	stays := func(t *Task) bool { return t.Rollback == nil && specs[t.Action].Impact == action.Destructive }
	for i := range p.Tasks {
		t := &p.Tasks[i]
		if !t.OnFailure.Rollback {
			continue
		}
		for k := range p.Tasks {
			earlier := &p.Tasks[k]
			if !t.before[earlier.ID] {
				continue
			}
			id := earlier.ID
			if earlier.Call != nil {
				if earlier = within(shelf[earlier.Call.Playbook], shelf, stays); earlier == nil {
					continue
				}
				id += "." + earlier.ID
			}
			if stays(earlier) {
				r.add(t.at.get("on_failure"), "", "rolls back, but task %q before it is destructive and has no rollback", id)
			}
		}
	}
}

// outputs checks that the outputs which templates read are declared by the
// actions. An action that declares none may give any.
func (r *report) outputs(p *Playbook, specs map[string]action.Spec, shelf map[string]*Playbook) {
	given := map[string][]string{}
	for i := range p.Tasks {
		t := &p.Tasks[i]
		given[t.ID] = t.gives(specs, shelf)
		if t.Output != "" {
			given[t.Output] = given[t.ID]
		}
	}
	ask := func(at view, refs []expr.Ref) {
		for _, ref := range refs {
			if len(ref.Path) < 3 || ref.Path[0] != "outputs" {
				continue
			}
			keys := given[ref.Path[1]]
			if len(keys) == 0 || slices.Contains(keys, ref.Path[2]) {
				continue
			}
			r.add(at, "there are "+strings.Join(keys, ", "), "task %s gives no output %q", ref.Path[1], clip(ref.Path[2]))
		}
	}
	for i := range p.Tasks {
		p.Tasks[i].eachRef(ask)
	}
}

// LoopItems is the output of a loop: a list with what became of each entry.
const LoopItems = "items"

// gives lists the outputs of a task; nil: it may give any.
func (t *Task) gives(specs map[string]action.Spec, shelf map[string]*Playbook) []string {
	switch {
	case t.Each != nil:
		return []string{LoopItems}
	case t.Call == nil:
		return specs[t.Action].Outputs
	}
	var names []string
	for i := range shelf[t.Call.Playbook].Tasks {
		inner := &shelf[t.Call.Playbook].Tasks[i]
		names = append(names, inner.ID)
		if inner.Output != "" && inner.Output != inner.ID {
			names = append(names, inner.Output)
		}
	}
	return names
}

// eachRef gives the variables that each text of the task reads.
func (t *Task) eachRef(ask func(at view, refs []expr.Ref)) {
	if t.Each != nil {
		if t.Each.program != nil {
			ask(t.Each.at, t.Each.program.Refs())
		}
		t.Each.list.eachRef(ask)
	}
	if t.Call != nil {
		t.Call.params.eachRef(ask)
	}
	if t.target != nil {
		ask(t.at.get("target"), t.target.Refs())
	}
	t.parameters.eachRef(ask)
	if t.Rollback != nil {
		t.Rollback.parameters.eachRef(ask)
	}
	if t.Confirm != nil && t.Confirm.question != nil {
		ask(t.at.get("confirm"), t.Confirm.question.Refs())
	}
	for i := range t.Conditions {
		c := &t.Conditions[i]
		if c.program != nil {
			ask(t.at.get("conditions"), c.program.Refs())
		}
		if c.query != nil {
			ask(t.at.get("conditions"), c.query.Refs())
		}
	}
}

func (v value) eachRef(ask func(at view, refs []expr.Ref)) {
	if v.text != nil {
		ask(v.at, v.text.Refs())
	}
	for _, item := range v.list {
		item.eachRef(ask)
	}
	for _, key := range v.keys {
		v.fields[key].eachRef(ask)
	}
}
