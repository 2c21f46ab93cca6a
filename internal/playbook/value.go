package playbook

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/expr"
)

// value is a parameter: plain data with templates in its texts.
type value struct {
	at     view
	plain  any            // if none of the others
	text   *expr.Template // a text
	list   []value
	keys   []string // of fields, in the order of the source
	fields map[string]value
	gives  expr.Type // of text
	broken bool      // a text that is no template; reported
	kind   yaml.Kind // ScalarNode, SequenceNode, MappingNode; 0: absent
}

// value compiles the texts within v.
func (c *compiler) value(v view, k known) value {
	out := value{at: v}
	if v.node == nil {
		return out
	}
	out.kind = v.node.Kind
	switch v.node.Kind {
	case yaml.SequenceNode:
		for _, item := range v.items() {
			out.list = append(out.list, c.value(item, k))
		}
	case yaml.MappingNode:
		out.keys = v.keys()
		out.fields = make(map[string]value, len(out.keys))
		for _, key := range out.keys {
			out.fields[key] = c.value(v.get(key), k)
		}
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
		out.plain = plainScalar(v.node)
		if _, isText := out.plain.(string); !isText {
			break
		}
		t := c.template(v, c.steps, k)
		if out.broken = t == nil; out.broken {
			break
		}
		out.text, out.gives = t, c.gives[t]
		if literal, ok := t.Literal(); ok {
			out.text, out.plain = nil, literal
		}
	}
	return out
}

// templated reports whether an expression is anywhere in v.
func (v value) templated() bool {
	if v.text != nil || v.broken || slices.ContainsFunc(v.list, value.templated) {
		return true
	}
	for _, f := range v.fields {
		if f.templated() {
			return true
		}
	}
	return false
}

// render gives the plain value.
func (v value) render(vars map[string]any) (any, error) {
	switch {
	case v.text != nil:
		return v.text.Render(vars)
	case v.kind == yaml.SequenceNode:
		out := make([]any, len(v.list))
		for i, item := range v.list {
			rendered, err := item.render(vars)
			if err != nil {
				return nil, err
			}
			out[i] = rendered
		}
		return out, nil
	case v.kind == yaml.MappingNode:
		return v.renderFields(vars)
	}
	return v.plain, nil
}

func (v value) renderFields(vars map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(v.fields))
	for _, key := range v.keys {
		rendered, err := v.fields[key].render(vars)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out[key] = rendered
	}
	return out, nil
}
