package playbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// MaxDepth is how many calls may be within each other: a playbook that calls
// none has depth 0.
const MaxDepth = 4

// Call makes a task carry out the tasks of another playbook.
type Call struct {
	Playbook string // its id

	params value
}

// call reads what a task says of another playbook; nil if it says nothing.
func (c *compiler) call(v view, k known) *Call {
	if !v.get("playbook").ok() {
		return nil
	}
	return &Call{Playbook: v.get("playbook").text(), params: c.value(v.get("params"), k)}
}

// callOnly checks what a task of type playbook may say: what it does is said by
// the playbook.
func (c *compiler) callOnly(t *Task) {
	if t.Call == nil {
		c.add(t.at, "", "is a task of type playbook without playbook, expected the id of another one")
		t.Call = &Call{}
	}
	for _, key := range []string{"action", "retries", "timeout", "rollback"} {
		if at := t.at.get(key); at.ok() {
			c.add(at, "the tasks of the other playbook say it for themselves", "a task of type playbook has none")
		}
	}
	if at := t.at.get("parameters"); at.ok() {
		c.add(at, "did you mean params?", "a task of type playbook has none")
	}
	if t.Each != nil {
		c.add(t.Each.at, "put the loop into the tasks of the other playbook", "a task of type playbook is no loop")
		t.Each = nil
	}
	t.Action, t.Retries = "", Retries{Attempts: 1}
}

// calls checks the tasks of p that carry out other playbooks: that these exist
// on the shelf, do not lead back, are not too many within each other, get every
// parameter in its type, and are no more dangerous than p says.
func (r *report) calls(p *Playbook, specs map[string]action.Spec, shelf map[string]*Playbook) {
	sound, fine := true, map[string]int{}
	for i := range p.Tasks {
		t := &p.Tasks[i]
		if t.Call == nil || t.Call.Playbook == "" {
			continue
		}
		at := t.at.get("playbook")
		callee := shelf[t.Call.Playbook]
		if t.Call.Playbook == p.ID {
			callee = p
		}
		if callee == nil {
			r.unknownPlaybook(at, t.Call.Playbook, shelf)
			sound = false
			continue
		}
		if text, hint := follow([]string{p.ID}, callee, shelf, fine); text != "" {
			r.add(at, hint, "%s", text)
			sound = false
			continue
		}
		if size(callee, shelf) > maxTasks {
			sound = false
			r.add(at, "", "the playbook %s has more than %d tasks together with those it calls", callee.ID, maxTasks)
			continue
		}
		unasked := func(t *Task) bool { return t.Confirm == nil && specs[t.Action].Impact == action.Destructive }
		if found := within(callee, shelf, unasked); found != nil && p.Approval.Required == ApprovalNever && t.Confirm == nil && callee.Approval.Required != ApprovalAlways {
			r.add(at, "give the task a confirm, or set approval.required to by_risk or always",
				"%s in the playbook %s is destructive, yet nobody is asked before it", found.Action, callee.ID)
		}
		r.params(callee.signature(), t.Call.params, t.at, "params")
		if riskRank(callee.Risk) > riskRank(p.Risk) {
			r.add(at, fmt.Sprintf("say risk: %s in this playbook too", callee.Risk), "the playbook %s is of risk %s, this one only of %s", callee.ID, callee.Risk, p.Risk)
		}
	}
	if sound && size(p, shelf) > maxTasks {
		r.add(p.at.get("tasks"), "", "are more than %d together with those of the playbooks they call", maxTasks)
	}
}

func (r *report) unknownPlaybook(at view, id string, shelf map[string]*Playbook) {
	if _, there := shelf[id]; there {
		r.add(at, "mend that one first", "the playbook %s has mistakes of its own", id)
		return
	}
	known := make([]string, 0, len(shelf))
	for other := range shelf {
		known = append(known, other)
	}
	slices.Sort(known)
	hint := "it must be loaded together with this one"
	if near := heal.Nearest(id, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.add(at, hint, "there is no playbook %q", clip(id))
}

// within finds a task of p, or of a playbook it calls, that meets the condition;
// nil if there is none.
func within(p *Playbook, shelf map[string]*Playbook, is func(*Task) bool) *Task {
	for i := range p.Tasks {
		t := &p.Tasks[i]
		if t.Call == nil && is(t) {
			return t
		}
		if t.Call == nil || shelf[t.Call.Playbook] == nil {
			continue
		}
		if found := within(shelf[t.Call.Playbook], shelf, is); found != nil {
			return found
		}
	}
	return nil
}

// follow walks the calls behind a playbook that path leads to, and says what is
// wrong with them; "" if nothing is. fine notes how far down a playbook was
// found to be well, so that none is walked more often than the depth allows.
func follow(path []string, p *Playbook, shelf map[string]*Playbook, fine map[string]int) (text, hint string) {
	if at := slices.Index(path, p.ID); at >= 0 {
		return "the playbooks call each other: " + strings.Join(append(path[at:], p.ID), " -> "), "remove one of the calls"
	}
	path = append(slices.Clone(path), p.ID)
	if len(path) > MaxDepth+1 {
		return fmt.Sprintf("is more than %d calls deep: %s", MaxDepth, strings.Join(path, " -> ")), "call the last ones from the first playbook"
	}
	if fine[p.ID] >= len(path) {
		return "", ""
	}
	for i := range p.Tasks {
		call := p.Tasks[i].Call
		if call == nil {
			continue
		}
		callee := shelf[call.Playbook]
		if callee == nil {
			return fmt.Sprintf("calls %s, which calls %q, which there is not", p.ID, clip(call.Playbook)), ""
		}
		if text, hint := follow(path, callee, shelf, fine); text != "" {
			return text, hint
		}
	}
	fine[p.ID] = len(path)
	return "", ""
}

// size counts the tasks of p and of all it calls, up to just above maxTasks.
func size(p *Playbook, shelf map[string]*Playbook) int {
	n := len(p.Tasks)
	for i := range p.Tasks {
		call := p.Tasks[i].Call
		if call == nil || n > maxTasks || shelf[call.Playbook] == nil || call.Playbook == p.ID {
			continue
		}
		n += size(shelf[call.Playbook], shelf)
	}
	return n
}

// signature is the parameters a playbook takes, as the checks want them.
func (p *Playbook) signature() action.Spec {
	s := action.Spec{Name: "playbook " + p.ID}
	for _, param := range p.Params {
		s.Params = append(s.Params, action.Param{Name: param.Name, Type: param.Type, Doc: param.Description, Required: param.Required, Default: param.Default})
	}
	return s
}

func riskRank(r heal.Risk) int {
	return slices.Index([]heal.Risk{heal.RiskLow, heal.RiskMedium, heal.RiskHigh, heal.RiskCritical}, r)
}
