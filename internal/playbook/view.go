package playbook

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// view is a YAML node and where it stands. Its getters give zero values for
// what is absent or of another form: the shape pass has reported that.
type view struct {
	node *yaml.Node // nil if absent
	path string
}

func (v view) position() (line, column int) {
	if v.node == nil || v.node.Line == 0 {
		return 1, 1
	}
	return v.node.Line, v.node.Column
}

func (v view) ok() bool { return v.node != nil && v.node.Tag != "!!null" }

func (v view) scalar() bool { return v.ok() && v.node.Kind == yaml.ScalarNode }

// get is the value of a key. An absent one stands where its parent stands.
func (v view) get(key string) view {
	if v.node != nil && v.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if v.node.Content[i].Value == key {
				return view{node: v.node.Content[i+1], path: join(v.path, key)}
			}
		}
	}
	return view{path: join(v.path, key)}
}

// keys lists the keys of a mapping in the order of the source.
func (v view) keys() []string {
	if v.node == nil || v.node.Kind != yaml.MappingNode {
		return nil
	}
	keys := make([]string, 0, len(v.node.Content)/2)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		keys = append(keys, v.node.Content[i].Value)
	}
	return keys
}

func (v view) items() []view {
	if v.node == nil || v.node.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]view, len(v.node.Content))
	for i, n := range v.node.Content {
		out[i] = view{node: n, path: v.path + "[" + strconv.Itoa(i) + "]"}
	}
	return out
}

func (v view) text() string {
	if !v.scalar() {
		return ""
	}
	return v.node.Value
}

// texts reads one text or a list of texts.
func (v view) texts() []string {
	if v.scalar() {
		return []string{v.node.Value}
	}
	var out []string
	for _, item := range v.items() {
		out = append(out, item.text())
	}
	return out
}

func (v view) duration(fallback time.Duration) time.Duration {
	d, err := time.ParseDuration(v.text())
	if err != nil {
		return fallback
	}
	return d
}

func (v view) integer(fallback int) int {
	n, err := strconv.Atoi(v.text())
	if err != nil {
		return fallback
	}
	return n
}

func (v view) number(fallback float64) float64 {
	n, err := strconv.ParseFloat(v.text(), 64)
	if err != nil {
		return fallback
	}
	return n
}

func (v view) boolean() bool {
	return v.scalar() && v.node.Tag == "!!bool" && strings.EqualFold(v.node.Value, "true")
}

func (v view) or(fallback string) string {
	if text := v.text(); text != "" {
		return text
	}
	return fallback
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
