package playbook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/expr"
	"github.com/homeostat/homeostat/internal/heal"
)

// MaxItems is the longest list a loop goes over.
const MaxItems = 100

// maxItem is the longest entry of such a list, in bytes of JSON: entries are
// kept in the run.
const maxItem = 4 << 10

// DefaultItem is what templates call the entry of a loop that does not say.
const DefaultItem = "item"

// Each makes a task be done once for every entry of a list.
type Each struct {
	As       string // what templates call the entry
	Parallel int    // how many entries are worked on at once

	at      view
	program *expr.Program // gives the list
	list    value         // the list itself, if there is no program
}

// String gives the list as it was written.
func (e *Each) String() string {
	if e.program != nil {
		return e.program.Source()
	}
	return e.list.source()
}

// reservedWords cannot name a variable in CEL.
var reservedWords = []string{
	"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
	"let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
}

// each reads for_each and what belongs to it; nil if the task is no loop.
func (c *compiler) each(v view, k known) *Each {
	at := v.get("for_each")
	if !at.ok() {
		for _, key := range []string{"as", "max_parallel"} {
			if alone := v.get(key); alone.ok() {
				c.add(alone, "say what it goes over with for_each, or leave it out", "means something in a loop only")
			}
		}
		return nil
	}
	e := &Each{As: v.get("as").or(DefaultItem), Parallel: v.get("max_parallel").integer(1), at: at}
	if as := v.get("as"); slices.Contains(reservedWords, e.As) || judgeVars[e.As] != 0 || e.As == "params" {
		c.add(as, "choose another", "%q means something else in templates", clip(e.As))
		e.As = DefaultItem
	}
	if at.scalar() {
		e.program = c.listing(at, k)
	} else {
		e.list = c.value(at, k)
	}
	return e
}

// listing compiles the text of v as CEL that gives a list; nil if it is wrong.
func (c *compiler) listing(v view, k known) *expr.Program {
	source := v.text()
	if strings.TrimSpace(source) == "" {
		return nil // the shape pass has reported it
	}
	if strings.HasPrefix(strings.TrimSpace(source), "{{") {
		c.add(v, "write the expression without {{ }}", "is a template, expected CEL that gives a list, as in params.hosts")
		return nil
	}
	p, err := c.steps.Compile(source)
	if err != nil {
		c.mistakes(v, err)
		return nil
	}
	c.refs(v, p.Refs(), k)
	gives := p.Gives()
	if typed := c.typed[c.steps]; typed != nil {
		strict, err := typed.Compile(source)
		if err != nil {
			c.mistakes(v, err)
			return nil
		}
		gives = strict.Gives()
	}
	if gives != expr.List && gives != expr.Dyn {
		c.add(v, "write [...] around it for a list of one", "gives %s, expected a list", valueWords[gives])
		return nil
	}
	return p
}

// inside is the compiler of what may use the entry of a loop: the same, with one
// variable more.
func (c *compiler) inside(e *Each) *compiler {
	if e == nil {
		return c
	}
	kind := e.kind()
	key := fmt.Sprintf("%s %d", e.As, kind)
	if made := c.loops[key]; made != nil {
		return made
	}
	in := *c
	for _, env := range []struct {
		from *expr.Env
		into **expr.Env
		vars map[string]expr.Type
	}{{c.steps, &in.steps, stepVars}, {c.judges, &in.judges, judgeVars}} {
		loose, err := expr.NewEnv(with(env.vars, e.As, expr.Dyn))
		if err != nil {
			c.add(e.at, "", "cannot be read: %v", err)
			return c
		}
		all := with(env.vars, e.As, kind)
		maps.Copy(all, c.types)
		strict, err := expr.NewEnv(all)
		if err != nil {
			c.add(e.at, "", "cannot be read: %v", err)
			return c
		}
		*env.into = loose
		c.typed[loose] = strict
	}
	c.loops[key] = &in
	return &in
}

// kind is the type of every entry; Dyn if only evaluating the list tells.
func (e *Each) kind() expr.Type {
	if e.program != nil || len(e.list.list) == 0 {
		return expr.Dyn
	}
	kind := e.list.list[0].typeOf()
	for _, item := range e.list.list[1:] {
		if item.typeOf() != kind {
			return expr.Dyn
		}
	}
	return kind
}

// typeOf is the type that the value has in an expression.
func (v value) typeOf() expr.Type {
	switch {
	case v.text != nil:
		return v.gives
	case v.fields != nil:
		return expr.Map
	}
	switch v.plain.(type) {
	case string:
		return expr.String
	case int64:
		return expr.Int
	}
	return expr.Dyn
}

// entries checks what can be seen of a list without evaluating it.
func (c *compiler) entries(e *Each) {
	for _, item := range e.list.list {
		if item.templated() || item.broken {
			continue
		}
		plain, err := item.render(nil)
		if err == nil {
			_, err = encodeItem(plain)
		}
		if err != nil {
			c.add(item.at, "", "%v", err)
		}
	}
}

// Items evaluates the list of a loop: each entry as JSON. An error is of kind
// Invalid.
func (c *Compiled) Items(s *Step, scene Scene) ([]string, error) {
	op := "for_each of task " + s.ID
	vars, err := c.StepVars(s, scene, "")
	if err != nil {
		return nil, err
	}
	var raw any
	if e := s.Task.Each; e.program != nil {
		raw, err = e.program.Eval(vars)
	} else {
		raw, err = e.list.render(vars)
	}
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	list, ok := raw.([]any)
	switch {
	case !ok:
		return nil, heal.Errorf(heal.Invalid, op, "gives %s, expected a list", describeItem(raw))
	case len(list) > MaxItems:
		return nil, heal.Errorf(heal.Invalid, op, "gives a list of %d entries, at most %d are taken", len(list), MaxItems)
	}
	out := make([]string, len(list))
	for i, entry := range list {
		if out[i], err = encodeItem(entry); err != nil {
			return nil, heal.Errorf(heal.Invalid, op, "entry %d %w", i+1, err)
		}
	}
	return out, nil
}

// encodeItem gives an entry as JSON with sorted keys.
func encodeItem(entry any) (string, error) {
	switch n := entry.(type) {
	case string, int64, map[string]any:
	case float64: // how outputs give whole numbers once they were stored
		if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			return "", fmt.Errorf("is %s, expected text, a whole number or keys and values", describeItem(entry))
		}
	default:
		return "", fmt.Errorf("is %s, expected text, a whole number or keys and values", describeItem(entry))
	}
	data, err := json.Marshal(entry)
	if err != nil {
		return "", fmt.Errorf("cannot be kept: %w", err)
	}
	if len(data) > maxItem {
		return "", fmt.Errorf("is %d bytes long, at most %d are kept", len(data), maxItem)
	}
	return string(data), nil
}

func describeItem(v any) string {
	switch v.(type) {
	case nil:
		return "nothing (null)"
	case bool:
		return "true or false"
	case string:
		return "text"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "keys and values"
	}
	return fmt.Sprintf("a %T", v)
}

// DecodeItem reads what Items wrote. Whole numbers are int64, as expressions
// have them.
func DecodeItem(text string) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		return nil, heal.Errorf(heal.Invalid, "entry of a loop", "%q is no JSON: %w", clip(text), err)
	}
	return numbers(out), nil
}

// numbers turns the numbers of decoded JSON into int64 where they are whole,
// else into float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	}
	return v
}
