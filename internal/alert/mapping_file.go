package alert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/expr"
	"github.com/homeostat/homeostat/internal/heal"
)

// MaxMapping is the largest mapping file taken, in bytes.
const MaxMapping = 256 << 10

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)

// ParseMapping reads a mapping file. The error is of kind Invalid and wraps
// Problems, which holds every mistake at once.
func ParseMapping(file string, source []byte, opts Options) (*Mapping, error) {
	r := &mappingReader{file: file}
	m := &Mapping{file: file, constants: map[string]string{}}
	if root := r.root(source); root != nil {
		r.read(root, m)
	}
	if len(r.problems) > 0 {
		return nil, heal.Errorf(heal.Invalid, "read mapping "+file, "%w", r.problems)
	}
	m.opts = opts.withDefaults(m.source)
	return m, nil
}

// mappingReader walks the YAML and collects mistakes.
type mappingReader struct {
	file     string
	problems Problems
	env      *expr.Env
}

func (r *mappingReader) add(n *yaml.Node, key, format string, args ...any) {
	line, column := 1, 1
	if n != nil {
		line, column = n.Line, n.Column
	}
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Column: column, Key: key, Text: fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// root parses the text to its one mapping node, nil if there is none.
func (r *mappingReader) root(source []byte) *yaml.Node {
	if len(source) > MaxMapping {
		r.add(nil, "", "file has %d bytes, at most %d are taken", len(source), MaxMapping)
		return nil
	}
	if !utf8.Valid(source) {
		r.add(nil, "", "file is not valid UTF-8 at byte %d", invalidUTF8(source))
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(source, &doc); err != nil {
		n := &yaml.Node{Line: 1, Column: 1}
		text := err.Error()
		if at := yamlLine.FindStringSubmatch(text); at != nil {
			_, _ = fmt.Sscan(at[1], &n.Line) // digits by the pattern
			text = text[len(at[0]):]
		}
		r.add(n, "", "is not YAML: %s", text)
		return nil
	}
	if len(doc.Content) == 0 {
		r.add(nil, "", "file is empty, expected at least source, fields and labels")
		return nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		r.add(doc.Content[0], "", "is %s, expected keys such as source, fields and labels", nodeWord(doc.Content[0]))
		return nil
	}
	return doc.Content[0]
}

func (r *mappingReader) read(root *yaml.Node, m *Mapping) {
	env, err := expr.NewEnv(map[string]expr.Type{"body": expr.Dyn, "item": expr.Dyn})
	if err != nil {
		r.add(root, "", "%v", err)
		return
	}
	r.env = env
	where := map[string]*yaml.Node{}
	known := []string{"source", "each", "fields", "labels", "annotations", "constants", "severities", "statuses"}
	r.pairs(root, "", known, func(key string, value *yaml.Node) {
		where[key] = value
		switch key {
		case "source":
			m.source = r.scalar(value, key)
			if !sourceName.MatchString(m.source) {
				r.add(value, key, "is %.80q, expected lower-case letters, digits, dots, dashes and underscores, at most 64", m.source)
			}
		case "each":
			m.each = r.list(value)
		case "fields":
			m.fields = r.programs(value, key, mappingFields())
		case "labels":
			if value.Kind == yaml.ScalarNode {
				m.allLabels = r.program(value, key, key)
				return
			}
			m.labels = r.programs(value, key, nil)
		case "annotations":
			m.annotations = r.programs(value, key, nil)
		case "constants":
			r.constants(value, m)
		case "severities":
			m.severities = r.table(value, key, []string{"info", "warning", "critical"})
		case "statuses":
			m.statuses = r.table(value, key, []string{"firing", "acknowledged", "resolved"})
		}
	})
	r.whole(root, where, m)
}

// whole checks what takes more than one key to see.
func (r *mappingReader) whole(root *yaml.Node, where map[string]*yaml.Node, m *Mapping) {
	if where["source"] == nil {
		r.add(root, "source", "is missing, expected a name for where these alerts come from")
	}
	has := map[string]bool{}
	for key := range m.constants {
		has[key] = true
	}
	for _, p := range m.fields {
		if has[p.key] {
			r.add(where["constants"], "constants."+p.key, "is also in fields; keep one of them")
		}
		has[p.key] = true
	}
	if !has[fieldName] && where["fields"] == nil {
		r.add(root, "fields", "is missing, expected at least name, or constants with a name")
	} else if !has[fieldName] && !r.mentions("fields."+fieldName) {
		r.add(where["fields"], "fields.name", "is missing, expected an expression for the name of the alert")
	}
	if !has[fieldFingerprint] && where["labels"] == nil && len(m.fixedLabels) == 0 && !r.mentions("fields."+fieldFingerprint) {
		r.add(root, "labels", "is missing, and so is fields.fingerprint: nothing tells alerts of one name apart")
	}
	if m.each != nil && plainPath.MatchString(m.each.code.Source()) {
		m.eachPath = strings.Split(m.each.code.Source(), ".")[1:]
	}
}

// mentions tells whether a mistake about the key is noted already.
func (r *mappingReader) mentions(key string) bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Key == key })
}

// pairs visits the entries of a mapping; known, if not nil, is all that may
// stand there.
func (r *mappingReader) pairs(n *yaml.Node, path string, known []string, visit func(key string, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.add(n, path, "is %s, expected keys with values", nodeWord(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := strings.TrimPrefix(path+"."+k.Value, ".")
		switch {
		case k.Kind != yaml.ScalarNode || k.Value == "" || k.Tag == "!!merge":
			r.add(k, path, "has %s as a key, expected plain text", nodeWord(k))
		case seen[k.Value]:
			r.add(k, key, "stands here twice")
		case known != nil && !slices.Contains(known, k.Value):
			hint := ""
			if near := heal.Nearest(k.Value, known); near != "" {
				hint = "; did you mean " + near + "?"
			}
			r.add(k, key, "is unknown, expected one of %s%s", strings.Join(known, ", "), hint)
		default:
			seen[k.Value] = true
			visit(k.Value, v)
		}
	}
}

func (r *mappingReader) scalar(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.add(n, path, "is %s, expected text", nodeWord(n))
		return ""
	}
	return n.Value
}

func (r *mappingReader) program(n *yaml.Node, path, key string) *program {
	before := len(r.problems)
	text := r.scalar(n, path)
	if len(r.problems) > before {
		return nil
	}
	code, err := r.env.Compile(text)
	for _, m := range expr.MistakesOf(err) {
		what := m.Text
		if m.Hint != "" {
			what += " (" + m.Hint + ")"
		}
		r.add(n, path, "expression: at %d:%d %s", m.Line, m.Column, what)
	}
	if err != nil {
		return nil
	}
	return &program{key: key, line: n.Line, code: code}
}

// list compiles each, which sees the body only.
func (r *mappingReader) list(n *yaml.Node) *program {
	p := r.program(n, "each", "each")
	if p == nil {
		return nil
	}
	for _, ref := range p.code.Refs() {
		if ref.Path[0] == "item" {
			r.add(n, "each", "reads item, which each is there to find; expected an expression over body")
			return nil
		}
	}
	return p
}

func (r *mappingReader) programs(n *yaml.Node, path string, known []string) []program {
	var out []program
	r.pairs(n, path, known, func(key string, value *yaml.Node) {
		if p := r.program(value, path+"."+key, key); p != nil {
			out = append(out, *p)
		}
	})
	return out
}

func (r *mappingReader) constants(n *yaml.Node, m *Mapping) {
	r.pairs(n, "constants", append(mappingFields(), "labels"), func(key string, value *yaml.Node) {
		if key == "labels" {
			m.fixedLabels = map[string]string{}
			r.pairs(value, "constants.labels", nil, func(name string, value *yaml.Node) {
				m.fixedLabels[name] = r.scalar(value, "constants.labels."+name)
			})
			return
		}
		text := r.scalar(value, "constants."+key)
		m.constants[key] = text
		if text == "" {
			if value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
				r.add(value, "constants."+key, "is empty, expected text")
			}
			return
		}
		if key == fieldSeverity {
			if _, ok := severityWord(text); !ok {
				r.add(value, "constants.severity", "is %.60q, expected info, warning or critical", text)
			}
			return
		}
		f := filler{mapping: &Mapping{}}
		if err := f.set(key, text); err != nil {
			r.add(value, "constants."+key, "%v", err)
		}
	})
}

func (r *mappingReader) table(n *yaml.Node, path string, allowed []string) map[string]string {
	out := map[string]string{}
	r.pairs(n, path, nil, func(key string, value *yaml.Node) {
		text := r.scalar(value, path+"."+key)
		if text != "" && !slices.Contains(allowed, text) {
			r.add(value, path+"."+key, "is %.60q, expected one of %s", text, strings.Join(allowed, ", "))
		}
		out[key] = text
	})
	return out
}

func nodeWord(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode:
		if n.Value == "" || n.Tag == "!!null" {
			return "empty"
		}
		return "text"
	case yaml.DocumentNode:
		return "a document"
	}
	return "empty"
}
