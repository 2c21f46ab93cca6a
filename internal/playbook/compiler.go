package playbook

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/expr"
	"github.com/homeostat/homeostat/internal/heal"
)

// stepVars are the variables of templates and conditions; see Scene.
var stepVars = map[string]expr.Type{
	"params": expr.Map, "outputs": expr.Map, "target": expr.Map, "incident": expr.Map, "run": expr.Map,
}

// judgeVars are stepVars and the value that a condition judges.
var judgeVars = with(stepVars, "value", expr.Double)

func with(vars map[string]expr.Type, name string, t expr.Type) map[string]expr.Type {
	out := maps.Clone(vars)
	out[name] = t
	return out
}

// stepKnown are the keys of those with fixed ones.
var stepKnown = map[string][]string{
	"target":   {"id", "kind", "name"},
	"incident": {"id", "severity", "pattern", "title", "values", "labels"},
	"run":      {"id", "attempt"},
}

// triggerVars are the variables of a trigger's when; see Subject.
var triggerVars = map[string]expr.Type{"values": expr.Map, "labels": expr.Map, "target": expr.Map}

var triggerKnown = known{fixed: map[string][]string{"target": stepKnown["target"]}}

// known is what a template may ask for.
type known struct {
	fixed   map[string][]string
	params  map[string]bool // nil: not checked
	before  map[string]bool // names under outputs that are there by then
	outputs map[string]bool // all names under outputs
}

// compiler compiles the templates and conditions of one playbook.
type compiler struct {
	*report
	lines    [][]byte
	declared map[string]bool      // params
	types    map[string]expr.Type // of the keys of variables that are known, under their dotted names
	loops    map[string]*compiler // by the name and type of the entry
	steps    *expr.Env            // stepVars
	judges   *expr.Env            // stepVars and value
	triggers *expr.Env            // triggerVars
	gives    map[*expr.Template]expr.Type
	typed    map[*expr.Env]*expr.Env // the same with the types of their keys, for checking only
}

func newCompiler(r *report, data []byte) (*compiler, error) {
	c := &compiler{report: r, lines: bytes.Split(data, []byte("\n")), declared: map[string]bool{}, loops: map[string]*compiler{}, typed: map[*expr.Env]*expr.Env{}, gives: map[*expr.Template]expr.Type{}}
	for _, e := range []struct {
		into *(*expr.Env)
		vars map[string]expr.Type
	}{{&c.steps, stepVars}, {&c.judges, judgeVars}, {&c.triggers, triggerVars}} {
		env, err := expr.NewEnv(e.vars)
		if err != nil {
			return nil, err
		}
		*e.into = env
	}
	return c, nil
}

// template compiles the text of v; nil if it is wrong.
func (c *compiler) template(v view, env *expr.Env, k known) *expr.Template {
	t, err := env.ParseTemplate(v.text())
	if err != nil {
		c.mistakes(v, err)
		return nil
	}
	c.refs(v, t.Refs(), k)
	if typed := c.typed[env]; typed != nil {
		strict, err := typed.ParseTemplate(v.text())
		if err != nil {
			c.mistakes(v, err)
			return nil
		}
		c.gives[t] = strict.Gives()
	}
	return t
}

// condition compiles the text of v as a CEL condition; nil if it is wrong.
func (c *compiler) condition(v view, env *expr.Env, k known) *expr.Program {
	if strings.TrimSpace(v.text()) == "" {
		return nil // the shape pass has reported it
	}
	p, err := env.CompileBool(v.text())
	if err != nil {
		c.mistakes(v, err)
		return nil
	}
	c.refs(v, p.Refs(), k)
	if typed := c.typed[env]; typed != nil {
		if _, err := typed.CompileBool(v.text()); err != nil {
			c.mistakes(v, err)
			return nil
		}
	}
	return p
}

func (c *compiler) mistakes(v view, err error) {
	for _, m := range expr.MistakesOf(err) {
		line, column := c.place(v, m.Line, m.Column)
		c.addAt(line, column, v.path, m.Hint, "%s", m.Text)
	}
}

// place turns a position within the text of a scalar into one in the file.
// Within folded or escaped text the column is only near.
func (c *compiler) place(v view, line, column int) (int, int) {
	n := v.node
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		at := n.Line + line // the text begins on the line after | or >
		if at-1 < len(c.lines) {
			text := c.lines[at-1]
			column += len(text) - len(bytes.TrimLeft(text, " "))
		}
		return at, column
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		column++
	}
	if line == 1 {
		return n.Line, n.Column + column - 1
	}
	return n.Line + line - 1, column
}

// refs reports variables that will not be there.
func (c *compiler) refs(v view, refs []expr.Ref, k known) {
	for _, ref := range refs {
		if len(ref.Path) < 2 {
			continue
		}
		text, hint := k.judge(ref)
		if text == "" {
			continue
		}
		line, column := c.place(v, ref.Line, ref.Column)
		c.addAt(line, column, v.path, hint, "%s", text)
	}
}

// judge says what is wrong with a reference, "" if nothing is.
func (k known) judge(ref expr.Ref) (text, hint string) {
	root, key := ref.Path[0], ref.Path[1]
	switch {
	case root == "params" && k.params != nil && !k.params[key]:
		if len(k.params) == 0 {
			return fmt.Sprintf("%s is not declared", ref), "declare it under params"
		}
		return fmt.Sprintf("%s is not declared", ref), suggest(key, k.params)
	case root == "outputs" && k.before[key]:
		return "", ""
	case root == "outputs" && k.outputs[key]:
		return fmt.Sprintf("%s is not there yet", ref), "add the task to depends_on"
	case root == "outputs":
		return fmt.Sprintf("no task gives %s.%s", root, key), suggest(key, k.outputs)
	case k.fixed[root] != nil && !slices.Contains(k.fixed[root], key):
		return fmt.Sprintf("%s has no %s", root, key), "there are " + strings.Join(k.fixed[root], ", ")
	}
	return "", ""
}

func suggest(word string, names map[string]bool) string {
	all := slices.Sorted(maps.Keys(names))
	if near := heal.Nearest(word, all); near != "" {
		return "did you mean " + near + "?"
	}
	if len(all) == 0 {
		return ""
	}
	return "there are " + clipList(all)
}

func clipList(all []string) string {
	const most = 12
	if len(all) > most {
		return strings.Join(all[:most], ", ") + " and more"
	}
	return strings.Join(all, ", ")
}
