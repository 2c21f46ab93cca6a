package playbook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// MaxSource is the largest playbook taken, in bytes.
const MaxSource = 1 << 20

// Parse reads one playbook and reports everything wrong with it. file is only
// for the messages. The playbook is nil if there are problems.
func Parse(file string, data []byte) (*Playbook, Problems) {
	r := &report{file: file}
	p := r.parse(data)
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	return p, nil
}

func (r *report) parse(data []byte) *Playbook {
	root, ok := r.document(data)
	if !ok {
		return nil
	}
	r.check(root, format, 0)
	if root.node.Kind != yaml.MappingNode {
		return nil
	}
	c, err := newCompiler(r, data)
	if err != nil {
		r.add(root, "", "cannot be read: %v", err)
		return nil
	}
	sum := sha256.Sum256(data)
	p := &Playbook{
		ID: root.get("playbook_id").text(), Name: root.get("name").text(), Description: root.get("description").text(),
		Tier:    heal.Tier(root.get("tier").or(string(heal.TierQuickFix))),
		Trust:   heal.Trust(root.get("trust").or(string(heal.TrustObserve))),
		Risk:    heal.Risk(root.get("risk").or(string(heal.RiskMedium))),
		Timeout: root.get("timeout").duration(DefaultRunTimeout), EstimatedTime: root.get("estimated_time").duration(0),
		at: root, File: r.file, Source: bytes.Clone(data), Digest: hex.EncodeToString(sum[:]),
	}
	p.Change = Change{Author: root.get("change").get("author").text(), Reason: root.get("change").get("reason").text()}
	p.Approval = c.approval(root.get("approval"))
	for _, v := range root.get("trigger_conditions").items() {
		p.Triggers = append(p.Triggers, c.trigger(v))
	}
	c.params(p, root.get("params"))
	if err := c.know(p.Params); err != nil {
		r.add(root, "", "cannot be read: %v", err)
		return nil
	}
	c.tasks(p, root.get("tasks"))
	c.verification(p, root.get("verification"))
	return p
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// document reads the one YAML document of data.
func (r *report) document(data []byte) (view, bool) {
	switch {
	case len(data) > MaxSource:
		r.addAt(1, 1, "", "", "is %d bytes long, at most 1 MiB is taken", len(data))
		return view{}, false
	case !utf8.Valid(data):
		line, column := invalidAt(data)
		r.addAt(line, column, "", "", "is not valid UTF-8")
		return view{}, false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		r.addAt(1, 1, "", "", "is empty, expected a playbook")
		return view{}, false
	}
	if err != nil {
		line := 1
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		r.addAt(line, 1, "", "look at indentation, quotes and colons", "is no YAML: %s", yamlLine.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), ""))
		return view{}, false
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.addAt(max(second.Line, 1), 1, "", "put each playbook in a file of its own", "holds a second document after the first")
		return view{}, false
	}
	root := view{node: doc.Content[0]}
	return root, r.plain(root.node, 0)
}

// plain refuses what lets a small file stand for a large one, or for something
// else than data.
func (r *report) plain(n *yaml.Node, depth int) bool {
	at := view{node: n}
	switch {
	case depth > 2*maxDepth:
		r.add(at, "", "is nested more than %d deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode:
		r.add(at, "write the value out", "the alias *%s is not taken", clip(n.Value))
		return false
	case n.Tag == "!!merge":
		r.add(at, "write the keys out", "merging with << is not taken")
		return false
	case n.Tag != "" && !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!binary":
		r.add(at, "leave it out", "the tag %s is not taken", clip(n.Tag))
		return false
	}
	fine := true
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind != yaml.ScalarNode {
			r.add(view{node: child}, "", "is a key that is no text")
			fine = false
			continue
		}
		if len(r.problems) < maxProblems && !r.plain(child, depth+1) {
			fine = false
		}
	}
	return fine
}

func invalidAt(data []byte) (line, column int) {
	line, column = 1, 1
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if c == utf8.RuneError && size == 1 {
			return line, column
		}
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
		data = data[size:]
	}
	return line, column
}

func (c *compiler) trigger(v view) Trigger {
	t := Trigger{Service: v.get("service").text(), When: v.get("when").text()}
	t.Patterns = convert[heal.Pattern](v.get("pattern"))
	t.AlertNames = v.get("alert_name").texts()
	t.FaultTypes = convert[heal.FaultType](v.get("fault_type"))
	t.EntityKinds = convert[heal.EntityKind](v.get("entity_kind"))
	t.Severities = convert[heal.Severity](v.get("severity"))
	if t.Service == "any" {
		t.Service = ""
	}
	if w := v.get("when"); w.ok() {
		t.when = c.condition(w, c.triggers, triggerKnown)
	}
	if v.ok() && v.node.Kind == yaml.MappingNode && t.Specificity() == 0 {
		c.add(v, "name a pattern, alert_name, fault_type, service, entity_kind, severity or when", "would fit every case")
	}
	return t
}

func convert[T ~string](v view) []T {
	var out []T
	for _, text := range v.texts() {
		out = append(out, T(text))
	}
	return out
}

func (c *compiler) params(p *Playbook, v view) {
	for _, name := range v.keys() {
		pv := v.get(name)
		param := Param{
			Name: name, Type: action.ParamType(pv.get("type").or(string(action.String))),
			Required: pv.get("required").boolean(), Description: pv.get("description").text(),
		}
		if d := pv.get("default"); d.ok() {
			typed, err := typed(param.Name, param.Type, plainValue(d))
			if err != nil {
				c.add(d, "", "%v", err)
			}
			param.Default = typed
			if param.Required {
				c.add(d, "leave one of them out", "has a default, yet the parameter is required")
			}
		}
		c.declared[name] = true
		p.Params = append(p.Params, param)
	}
}

// typed brings a value into a parameter's type, by the rules of the drivers.
func typed(name string, t action.ParamType, raw any) (any, error) {
	out, err := action.CheckParams(action.Spec{Params: []action.Param{{Name: name, Type: t}}}, map[string]any{name: raw})
	if err != nil {
		if e, ok := errors.AsType[*heal.Error](err); ok {
			err = e.Err
		}
		return nil, err
	}
	return out[name], nil
}

func (c *compiler) verification(p *Playbook, v view) {
	p.Verification = Verification{
		Condition: v.get("condition").text(), Probe: v.get("probe").text(), Window: v.get("window").duration(0),
	}
	if at := v.get("condition"); at.ok() {
		p.Verification.condition = c.template(at, c.steps, known{fixed: stepKnown, params: c.declared})
	}
	if at := v.get("probe"); at.ok() {
		p.Verification.probe = c.template(at, c.steps, known{fixed: stepKnown, params: c.declared})
	}
}

// plainValue reads a YAML value as plain Go.
func plainValue(v view) any {
	switch {
	case v.node == nil:
		return nil
	case v.node.Kind == yaml.SequenceNode:
		out := []any{}
		for _, item := range v.items() {
			out = append(out, plainValue(item))
		}
		return out
	case v.node.Kind == yaml.MappingNode:
		out := map[string]any{}
		for _, key := range v.keys() {
			out[key] = plainValue(v.get(key))
		}
		return out
	}
	return plainScalar(v.node)
}

func plainScalar(n *yaml.Node) any {
	var out any
	if err := n.Decode(&out); err != nil {
		return n.Value
	}
	switch out := out.(type) {
	case nil, bool, string, float64:
		return out
	case int:
		return int64(out)
	case int64:
		return out
	case time.Time:
		return n.Value // a date is text here, as it was written
	}
	return fmt.Sprint(out)
}
