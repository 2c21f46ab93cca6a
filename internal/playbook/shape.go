package playbook

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/heal"
)

// form is what kind of YAML value a shape takes.
type form uint8

const (
	formText form = iota
	formWord      // one of words
	formBool
	formInt
	formNumber
	formDuration
	formObject // fields
	formMap    // keys of choice, values of shape items
	formList   // of shape items
	formAny
	formEither // text of shape text, else of shape items
)

// shape is what a value must look like. Parser and JSON Schema both follow it.
type shape struct {
	form     form
	words    []string
	pattern  *regexp.Regexp // of a text, or of the keys of a map
	expected string         // what the pattern means, in words
	low      float64        // least number, items or seconds
	high     float64        // most number, items or seconds; 0: no bound
	fields   []field
	text     *shape
	items    *shape
}

// field is one key of an object.
type field struct {
	name     string
	required bool
	doc      string
	shape    *shape
}

const maxDepth = 24 // of values within values

// check reports everything in v that does not fit s.
func (r *report) check(v view, s *shape, depth int) {
	if depth > maxDepth {
		r.add(v, "", "is nested more than %d deep", maxDepth)
		return
	}
	switch s.form {
	case formEither:
		if v.node.Kind == yaml.ScalarNode {
			r.check(v, s.text, depth)
			return
		}
		r.check(v, s.items, depth)
	case formObject:
		r.checkObject(v, s, depth)
	case formMap:
		r.checkMap(v, s, depth)
	case formList:
		r.checkList(v, s, depth)
	case formAny:
		r.checkAny(v, depth)
	case formText, formWord, formBool, formInt, formNumber, formDuration:
		r.checkScalar(v, s)
	}
}

func (r *report) checkObject(v view, s *shape, depth int) {
	if !r.mapping(v) {
		return
	}
	known := make([]string, len(s.fields))
	for i, f := range s.fields {
		known[i] = f.name
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		f := s.field(key.Value)
		if f == nil {
			hint := "there are " + strings.Join(known, ", ")
			if near := heal.Nearest(key.Value, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			r.add(view{key, join(v.path, clip(key.Value))}, hint, "unknown key")
			continue
		}
		value := v.get(key.Value)
		if !value.ok() {
			r.add(view{key, value.path}, "leave the key out, or give it a value", "is empty, expected %s", f.shape.describe())
			continue
		}
		r.check(value, f.shape, depth+1)
	}
	for _, f := range s.fields {
		if f.required && v.get(f.name).node == nil {
			r.add(view{v.node, join(v.path, f.name)}, "", "is missing, expected %s", f.shape.describe())
		}
	}
}

func (r *report) checkMap(v view, s *shape, depth int) {
	if !r.mapping(v) {
		return
	}
	r.checkCount(v, s, len(v.node.Content)/2, "entries")
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		if s.pattern != nil && !s.pattern.MatchString(key.Value) {
			r.add(view{key, join(v.path, clip(key.Value))}, "", "is no name, expected %s", s.expected)
			continue
		}
		r.check(view{v.node.Content[i+1], join(v.path, key.Value)}, s.items, depth+1)
	}
}

// mapping reports whether v is a mapping, and the keys given twice.
func (r *report) mapping(v view) bool {
	if v.node.Kind != yaml.MappingNode {
		r.add(v, "", "is %s, expected keys and values", describeNode(v.node))
		return false
	}
	seen := make(map[string]int, len(v.node.Content)/2)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		if line, twice := seen[key.Value]; twice {
			r.add(view{key, join(v.path, clip(key.Value))}, "", "is given twice, first on line %d", line)
			continue
		}
		seen[key.Value] = key.Line
	}
	return true
}

func (r *report) checkList(v view, s *shape, depth int) {
	if v.node.Kind != yaml.SequenceNode {
		r.add(v, "write each item on a line of its own that begins with \"- \"", "is %s, expected %s", describeNode(v.node), s.describe())
		return
	}
	r.checkCount(v, s, len(v.node.Content), "items")
	for _, item := range v.items() {
		if !item.ok() {
			r.add(item, "", "is empty, expected %s", s.items.describe())
			continue
		}
		r.check(item, s.items, depth+1)
	}
}

func (r *report) checkCount(v view, s *shape, n int, what string) {
	if float64(n) < s.low || s.high > 0 && float64(n) > s.high {
		r.add(v, "", "has %d %s, expected %v to %v", n, what, s.low, s.high)
	}
}

func (r *report) checkAny(v view, depth int) {
	if depth > maxDepth {
		r.add(v, "", "is nested more than %d deep", maxDepth)
		return
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		r.mapping(v)
		for _, key := range v.keys() {
			r.checkAny(v.get(key), depth+1)
		}
	case yaml.SequenceNode:
		for _, item := range v.items() {
			r.checkAny(item, depth+1)
		}
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
}

func (r *report) checkScalar(v view, s *shape) {
	if v.node.Kind != yaml.ScalarNode {
		r.add(v, "", "is %s, expected %s", describeNode(v.node), s.describe())
		return
	}
	value, tag := v.node.Value, v.node.Tag
	wrong := func(hint string) { r.add(v, hint, "is %s, expected %s", describeNode(v.node), s.describe()) }
	switch s.form {
	case formWord:
		r.checkWord(v, s)
	case formBool:
		if tag != "!!bool" {
			wrong("")
		}
	case formInt:
		n, err := strconv.Atoi(value)
		if err != nil || tag != "!!int" || float64(n) < s.low || float64(n) > s.high {
			wrong("")
		}
	case formNumber:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || tag != "!!int" && tag != "!!float" || math.IsNaN(n) || n < s.low || n > s.high {
			wrong("")
		}
	case formDuration:
		d, err := time.ParseDuration(value)
		switch {
		case tag == "!!int" || tag == "!!float":
			wrong("say the unit, as in " + clip(value) + "s")
		case err != nil || d.Seconds() < s.low || d.Seconds() > s.high:
			wrong("")
		}
	case formText, formObject, formMap, formList, formAny, formEither:
		if strings.TrimSpace(value) == "" {
			r.add(v, "", "is empty, expected %s", s.describe())
		} else if s.pattern != nil && tag != "!!str" {
			wrong("YAML reads it as another type: put it in quotes, or choose another")
		} else if s.pattern != nil && !s.pattern.MatchString(value) {
			wrong("")
		}
	}
}

func (r *report) checkWord(v view, s *shape) {
	if slices.Contains(s.words, v.node.Value) {
		return
	}
	hint := ""
	if near := heal.Nearest(v.node.Value, s.words); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.add(v, hint, "is %s, expected %s", describeNode(v.node), s.describe())
}

func (s *shape) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

// describe says in words what the shape takes.
func (s *shape) describe() string {
	switch s.form {
	case formText:
		if s.expected != "" {
			return s.expected
		}
		return "text"
	case formWord:
		return "one of " + strings.Join(s.words, ", ")
	case formBool:
		return "true or false"
	case formInt:
		return fmt.Sprintf("a whole number from %v to %v", s.low, s.high)
	case formNumber:
		return fmt.Sprintf("a number from %v to %v", s.low, s.high)
	case formDuration:
		return fmt.Sprintf("a duration from %s to %s, as in 30s or 5m", seconds(s.low), seconds(s.high))
	case formObject, formMap:
		return "keys and values"
	case formList:
		return "a list"
	case formAny:
		return "a value"
	case formEither:
		return s.text.describe() + ", or " + s.items.describe()
	}
	return "a value"
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// describeNode names what stands in the file.
func describeNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
	return strconv.Quote(clip(n.Value))
}

// clip keeps hostile input from flooding a message.
func clip(text string) string {
	const most = 48
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
