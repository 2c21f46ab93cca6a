package playbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/expr"
)

// Describe says in one line for each task, in order, what would be done. What
// depends on outputs that are not there yet stands as it was written.
func (c *Compiled) Describe(vars map[string]any) []string {
	lines := make([]string, 0, len(c.Tasks))
	for i, t := range c.Order() {
		var b strings.Builder
		fmt.Fprintf(&b, "%d. ", i+1)
		if t.Name != "" {
			b.WriteString(t.Name + ": ")
		}
		if t.Confirm != nil {
			fmt.Fprintf(&b, "ask %s within %s: %q", t.Confirm.Owner, t.Confirm.Within, shown(t.Confirm.question, vars))
			if t.Type == TypeAction {
				b.WriteString(", then ")
			}
		}
		switch t.Type {
		case TypeAction:
			fmt.Fprintf(&b, "%s on %s%s", t.Action, shown(t.target, vars), c.shownParams(t, vars))
		case TypeWait:
			fmt.Fprintf(&b, "wait%s", c.shownParams(t, vars))
		case TypeApproval:
		}
		b.WriteString(t.details())
		lines = append(lines, b.String())
	}
	return lines
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
