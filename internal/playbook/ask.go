package playbook

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// roles are the owners that stand for any number of people (see auth.Roles).
var roles = []string{"viewer", "operator", "approver", "admin"}

// approval reads who is asked before a run.
func (c *compiler) approval(v view) Approval {
	a := Approval{
		Required: ApprovalRule(v.get("required").or(string(ApprovalByRisk))),
		Owner:    ownerOf(v.get("owner"), DefaultOwner),
		Quorum:   v.get("quorum").integer(1),
		Within:   v.get("deadline").duration(DefaultApprovalWithin),
	}
	c.quorum(v, a.Owner, a.Quorum)
	return a
}

// confirm reads who is asked before a task.
func (c *compiler) confirm(p *Playbook, v view, k known) *Confirm {
	if !v.ok() {
		return nil
	}
	question := v
	out := &Confirm{Owner: p.Approval.Owner, Quorum: p.Approval.Quorum, Within: p.Approval.Within}
	if v.node.Kind == yaml.MappingNode {
		question = v.get("question")
		if v.get("owner").ok() {
			out.Owner, out.Quorum = ownerOf(v.get("owner"), out.Owner), 1
		}
		out.Quorum = v.get("quorum").integer(out.Quorum)
		out.Within = v.get("deadline").duration(out.Within)
		c.quorum(v, out.Owner, out.Quorum)
	}
	out.Question = question.text()
	if question.ok() {
		out.question = c.template(question, c.steps, k)
	}
	return out
}

func ownerOf(v view, fallback string) string {
	if names := v.texts(); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return fallback
}

// quorum checks that those who are asked can be as many as must say yes.
func (c *compiler) quorum(v view, owner string, quorum int) {
	names := strings.Split(owner, ", ")
	if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(roles, name) }) {
		return
	}
	slices.Sort(names)
	if people := len(slices.Compact(names)); people < quorum {
		at := v.get("quorum")
		if !at.ok() {
			at = v.get("owner")
		}
		c.add(at, "name more people, or a role", "wants %d yes, yet only %d are asked", quorum, people)
	}
}
