package playbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/expr"
)

// Describe says in one line for each step, in order, what would be done. What
// depends on outputs that are not there yet, or on the entry of a loop, stands as
// it was written.
func (c *Compiled) Describe(scene Scene) []string {
	steps := c.Ordered()
	lines := make([]string, 0, len(steps))
	for i, s := range steps {
		t := s.Task
		vars, err := c.StepVars(s, scene, "")
		if err != nil {
			vars = map[string]any{}
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%d. ", i+1)
		for in := s.In; in != nil; in = in.In {
			b.WriteString("  ")
		}
		if t.Name != "" {
			b.WriteString(t.Name + ": ")
		}
		if ask := c.Asks(s); ask != nil {
			fmt.Fprintf(&b, "ask %s within %s: %q", ask.Owner, ask.Within, ask.text(vars))
			if t.Type != TypeApproval && t.Type != TypeWait {
				b.WriteString(", then ")
			}
		}
		if t.Each != nil {
			fmt.Fprintf(&b, "for each %s of %s, %d at once: ", t.Each.As, clip(t.Each.String()), t.Each.Parallel)
		}
		switch t.Type {
		case TypeAction:
			fmt.Fprintf(&b, "%s on %s%s", t.Action, shown(t.target, vars), c.shownParams(t, vars))
		case TypeWait:
			fmt.Fprintf(&b, "wait%s", c.shownParams(t, vars))
		case TypePlaybook:
			fmt.Fprintf(&b, "%s on %s%s", s.Does(), shown(t.target, vars), t.Call.params.sources())
		case TypeApproval:
		}
		b.WriteString(t.details())
		lines = append(lines, b.String())
	}
	return lines
}

// text is the question, as it was written if it cannot be known yet.
func (q *Confirm) text(vars map[string]any) string {
	if q.question == nil {
		return q.Question
	}
	return shown(q.question, vars)
}

// sources gives the fields of a value as they are written.
func (v value) sources() string {
	var b strings.Builder
	for i, name := range v.keys {
		if i == 0 {
			b.WriteString(" with")
		}
		b.WriteString(" " + name + "=" + v.fields[name].source())
	}
	return b.String()
}

// details lists what deviates from a plain step.
func (t *Task) details() string {
	var parts []string
	for i := range t.Conditions {
		parts = append(parts, "only if "+t.Conditions[i].String())
	}
	if t.Retries.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("up to %d tries", t.Retries.Attempts))
	}
	if t.Type == TypeAction {
		parts = append(parts, fmt.Sprintf("at most %s a try", t.Timeout))
	}
	if words := t.OnFailure.words(); len(words) > 0 {
		parts = append(parts, "on failure "+strings.Join(words, " and "))
	}
	if words := t.OnSuccess.words(); t.OnSuccess.Notify || t.OnSuccess.Escalate || t.OnSuccess.Rollback {
		parts = append(parts, "on success "+strings.Join(words, " and "))
	}
	if t.Rollback != nil {
		parts = append(parts, "undone by "+t.Rollback.Action)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// shownParams shows the parameters as they will be, defaults included, or as
// they are written if they cannot be known yet.
func (c *Compiled) shownParams(t *Task, vars map[string]any) string {
	params, err := c.RenderParams(t, vars)
	var parts []string
	if err == nil {
		for _, name := range slices.Sorted(maps.Keys(params)) {
			parts = append(parts, name+"="+shownValue(params[name]))
		}
	} else {
		for _, name := range t.parameters.keys {
			parts = append(parts, name+"="+t.parameters.fields[name].source())
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " with " + strings.Join(parts, " ")
}

func shownValue(v any) string {
	text, err := expr.Format(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if text == "" || strings.ContainsAny(text, " \n\t\"") {
		return fmt.Sprintf("%q", clip(text))
	}
	return clip(text)
}

// shown is the text of a template, or its source if it cannot be known yet.
func shown(t *expr.Template, vars map[string]any) string {
	text, err := t.Text(vars)
	if err != nil {
		return t.Source()
	}
	return text
}

// source gives the value as it is written.
func (v value) source() string {
	switch {
	case v.text != nil:
		return clip(v.text.Source())
	case v.plain != nil:
		return shownValue(v.plain)
	case v.kind == yaml.SequenceNode:
		parts := make([]string, len(v.list))
		for i, item := range v.list {
			parts[i] = item.source()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case v.kind == yaml.MappingNode:
		parts := make([]string, len(v.keys))
		for i, key := range v.keys {
			parts[i] = key + ": " + v.fields[key].source()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "null"
}
