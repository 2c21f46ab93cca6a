package playbook

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/heal"
)

// tasks reads the tasks: first the graph, then what may refer to it.
func (c *compiler) tasks(p *Playbook, v view) {
	outputs := map[string]bool{}
	for _, tv := range v.items() {
		t := Task{
			ID: tv.get("id").text(), Name: tv.get("name").text(),
			DependsOn: tv.get("depends_on").texts(), Output: tv.get("output_variable").text(), at: tv,
		}
		outputs[t.ID] = true
		p.Tasks = append(p.Tasks, t)
	}
	for i := range p.Tasks {
		c.outputName(&p.Tasks[i], outputs)
	}
	p.order = c.graph(p.Tasks, outputs)
	for i := range p.Tasks {
		t := &p.Tasks[i]
		c.task(p, t, known{fixed: stepKnown, params: c.declared, before: t.before, outputs: outputs})
	}
	c.rollbacks(p)
}

// outputName checks that outputs.<name> means one thing.
func (c *compiler) outputName(t *Task, outputs map[string]bool) {
	if t.Output == "" || t.Output == t.ID {
		return
	}
	if outputs[t.Output] {
		c.add(t.at.get("output_variable"), "choose another", "%q is already the name of another task's output", t.Output)
	}
	outputs[t.Output] = true
}

func (c *compiler) task(p *Playbook, t *Task, k known) {
	v := t.at
	t.Type = TaskType(v.get("type").or(string(TypeAction)))
	if v.get("playbook").ok() && !v.get("type").ok() {
		t.Type = TypePlaybook
	}
	t.Each = c.each(v, k)
	if t.Each != nil {
		c.entries(t.Each)
	}
	t.Action = v.get("action").text()
	t.Timeout = v.get("timeout").duration(DefaultTaskTimeout)
	t.Retries = Retries{
		Attempts:   v.get("retries").get("attempts").integer(1),
		Backoff:    v.get("retries").get("backoff").duration(DefaultBackoff),
		MaxBackoff: v.get("retries").get("max_backoff").duration(DefaultMaxBackoff),
		Jitter:     v.get("retries").get("jitter").number(DefaultJitter),
	}
	if t.Retries.MaxBackoff < t.Retries.Backoff {
		if v.get("retries").get("max_backoff").ok() {
			c.add(v.get("retries").get("max_backoff"), "", "is less than backoff, %s", t.Retries.Backoff)
		}
		t.Retries.MaxBackoff = t.Retries.Backoff
	}
	t.OnSuccess = c.reaction(v.get("on_success"), afterSuccess)
	t.OnFailure = c.reaction(v.get("on_failure"), afterFailure)
	t.Confirm = c.confirm(p, v.get("confirm"), k)
	c = c.inside(t.Each)
	c.target(t, k)
	t.parameters = c.value(v.get("parameters"), k)
	if t.Type == TypePlaybook {
		t.Call = c.call(v, k)
	}
	conditions := v.get("conditions").items()
	if v.get("conditions").scalar() {
		conditions = []view{v.get("conditions")}
	}
	for _, cv := range conditions {
		t.Conditions = append(t.Conditions, c.taskCondition(cv, k))
	}
	if rv := v.get("rollback"); rv.ok() && rv.node.Kind == yaml.MappingNode {
		undo := k
		undo.before = withOwn(k.before, t)
		t.Rollback = &Rollback{
			Action: rv.get("action").text(), Timeout: rv.get("timeout").duration(DefaultTaskTimeout),
			at: rv, parameters: c.value(rv.get("parameters"), undo),
		}
	}
	c.taskType(t)
	c.aside(t)
}

// withOwn adds the task's own output, which its rollback may use.
func withOwn(before map[string]bool, t *Task) map[string]bool {
	out := map[string]bool{t.ID: true}
	if t.Output != "" {
		out[t.Output] = true
	}
	for name := range before {
		out[name] = true
	}
	return out
}

// taskType checks what each type of task needs.
func (c *compiler) taskType(t *Task) {
	v := t.at
	switch t.Type {
	case TypeAction:
		if !v.get("action").ok() && v.node.Kind == yaml.MappingNode {
			c.add(view{v.node, join(v.path, "action")}, "", "is missing, expected an action as driver.verb, as in process.restart")
		}
	case TypeApproval:
		c.noAction(t)
		if t.Confirm == nil {
			c.add(v, "", "is a task of type approval without confirm, expected the question")
		}
		if t.parameters.kind != 0 {
			c.add(t.parameters.at, "", "a task of type approval takes no parameters")
		}
		t.Action = waitAction
		t.parameters = value{kind: yaml.MappingNode, keys: []string{"duration"}, fields: map[string]value{"duration": {plain: "0s", kind: yaml.ScalarNode}}}
	case TypeWait:
		c.noAction(t)
		if _, ok := t.parameters.fields["duration"]; !ok {
			c.add(v, "", "is a task of type wait without parameters.duration, expected a duration as in 30s")
		}
		t.Action = waitAction
	case TypePlaybook:
		c.callOnly(t)
	}
}

// aside reports keys that mean something in tasks of another type.
func (c *compiler) aside(t *Task) {
	if t.Type != TypePlaybook {
		for _, key := range []string{"playbook", "params"} {
			if at := t.at.get(key); at.ok() {
				c.add(at, "use type: playbook, or leave it out", "means something in a task of type playbook only")
			}
		}
	}
	if t.Type == TypeApproval && t.Each != nil {
		c.add(t.Each.at, "ask once, with confirm at the loop", "a task of type approval asks once, it is no loop")
	}
}

func (c *compiler) noAction(t *Task) {
	if at := t.at.get("action"); at.ok() {
		c.add(at, "leave it out, or use type: action", "a task of type %s carries out no action", t.Type)
	}
	if at := t.at.get("rollback"); at.ok() {
		c.add(at, "", "a task of type %s changes nothing that could be rolled back", t.Type)
	}
}

func (c *compiler) target(t *Task, k known) {
	at := t.at.get("target")
	t.Target = at.or(defaultTarget)
	if !at.ok() {
		t.target, _ = c.steps.ParseTemplate(defaultTarget)
		return
	}
	t.target = c.template(at, c.steps, k)
	if t.target == nil {
		return
	}
	if literal, ok := t.target.Literal(); ok {
		if err := heal.EntityID(literal).Validate(); err != nil {
			c.add(at, "leave it out to act on the cause of the case", "%v", err)
		}
	} else if strings.Contains(t.target.Outside(), "*") {
		c.add(at, "", "has a wildcard; exactly one entity must be named")
	}
}

func (c *compiler) taskCondition(v view, k known) Condition {
	if v.scalar() {
		return Condition{When: v.text(), program: c.condition(v, c.steps, k)}
	}
	out := Condition{PromQL: v.get("promql").text(), Is: v.get("is").text()}
	if at := v.get("promql"); at.ok() {
		out.query = c.template(at, c.steps, k)
	}
	if at := v.get("is"); at.ok() {
		out.program = c.condition(at, c.judges, k)
	}
	return out
}

// rollbacks checks that a run that may be rolled back has something to undo.
func (c *compiler) rollbacks(p *Playbook) {
	for i := range p.Tasks {
		if p.Tasks[i].Rollback != nil {
			return
		}
	}
	for i := range p.Tasks {
		t := &p.Tasks[i]
		for _, key := range []string{"on_failure", "on_success"} {
			r := t.OnFailure
			if key == "on_success" {
				r = t.OnSuccess
			}
			if r.Rollback {
				c.add(t.at.get(key), "give the tasks that can be undone a rollback", "rolls back, but no task says how it is undone")
			}
		}
	}
}
