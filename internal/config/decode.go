package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder reads YAML nodes into configuration and keeps every mistake.
type decoder struct {
	file     string
	nearest  func(string, []string) string // may be nil
	lines    map[string]int                // line of each key seen, for mistakes found later
	problems []Problem
}

func (d *decoder) report(line int, key, expected, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...), Expected: expected})
}

var durationType = reflect.TypeFor[Duration]()

// decode reads node into v; key is the path so far.
func (d *decoder) decode(node *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	d.lines[key] = node.Line
	if node.Kind == yaml.AliasNode {
		d.report(node.Line, key, "the value itself", "aliases are not taken")
		return
	}
	if node.Tag == "!!null" {
		return // as if it were not there
	}
	if v.Type() == durationType || (v.Kind() != reflect.Struct && v.Kind() != reflect.Slice && v.Kind() != reflect.Map) {
		if node.Kind != yaml.ScalarNode {
			d.report(node.Line, key, kindName(v), "is a %s", nodeName(node))
			return
		}
		d.scalar(node, v, key, tag)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(node, v, key)
	case reflect.Slice:
		d.list(node, v, key, tag)
	default:
		d.table(node, v, key, tag)
	}
}

func (d *decoder) structure(node *yaml.Node, v reflect.Value, key string) {
	if node.Kind != yaml.MappingNode {
		d.report(node.Line, key, "a group of keys", "is a %s", nodeName(node))
		return
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		fields[name] = i
		names = append(names, name)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		path := join(key, name.Value)
		index, known := fields[name.Value]
		switch {
		case seen[name.Value]:
			d.report(name.Line, path, "", "stands here twice")
		case !known:
			d.report(name.Line, path, d.meant(name.Value, names), "is not known")
		default:
			d.decode(value, v.Field(index), path, v.Type().Field(index).Tag)
		}
		seen[name.Value] = true
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name := f.Tag.Get("yaml"); f.Tag.Get("required") == "true" && v.Field(i).IsZero() {
			d.report(node.Line, join(key, name), "a value", "is missing")
		}
	}
}

func (d *decoder) list(node *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if node.Kind != yaml.SequenceNode {
		d.report(node.Line, key, "a list", "is a %s", nodeName(node))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		d.decode(item, list.Index(i), fmt.Sprintf("%s[%d]", key, i), tag)
	}
	v.Set(list)
}

func (d *decoder) table(node *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if node.Kind != yaml.MappingNode {
		d.report(node.Line, key, "names with values", "is a %s", nodeName(node))
		return
	}
	table := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(node.Content); i += 2 {
		value := reflect.New(v.Type().Elem()).Elem()
		name := node.Content[i].Value
		d.decode(node.Content[i+1], value, join(key, name), tag)
		table.SetMapIndex(reflect.ValueOf(name), value)
	}
	v.Set(table)
}

func (d *decoder) scalar(node *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if problem, expected := setScalar(v, node.Value, tag); problem != "" {
		d.report(node.Line, key, expected, "%s", problem)
	}
}

// setScalar reads text into v and checks it against the field's tags.
func setScalar(v reflect.Value, text string, tag reflect.StructTag) (problem, expected string) {
	wrong := fmt.Sprintf("is %q", text)
	switch {
	case v.Type() == durationType:
		d, err := ParseDuration(text)
		if err != nil {
			return wrong, kindName(v)
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return wrong, kindName(v)
		}
		v.SetBool(b)
	case v.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return wrong, kindName(v)
		}
		v.SetFloat(f)
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return wrong, kindName(v)
		}
		v.SetInt(n)
	}
	return check(v, text, tag)
}

// check holds a value against the tags oneof and min.
func check(v reflect.Value, text string, tag reflect.StructTag) (problem, expected string) {
	if allowed := tag.Get("oneof"); allowed != "" && text != "" && !slices.Contains(strings.Split(allowed, ","), text) {
		return fmt.Sprintf("is %q", text), "one of " + strings.ReplaceAll(allowed, ",", ", ")
	}
	least := tag.Get("min")
	if least == "" {
		return "", ""
	}
	floor := reflect.New(v.Type()).Elem()
	if p, _ := setScalar(floor, least, ""); p != "" {
		return "", ""
	}
	tooSmall := v.CanInt() && v.Int() < floor.Int() || v.CanFloat() && v.Float() < floor.Float()
	if tooSmall {
		return "is " + text, "at least " + least
	}
	return "", ""
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func kindName(v reflect.Value) string {
	if v.Type() == durationType {
		return "a length of time, as in 10s, 1m30s or 15d"
	}
	switch v.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func nodeName(node *yaml.Node) string {
	if node.Kind == yaml.MappingNode {
		return "group of keys"
	}
	if node.Kind == yaml.SequenceNode {
		return "list"
	}
	return "single value"
}

// meant suggests the known name that was most likely meant, else all of them.
func (d *decoder) meant(name string, known []string) string {
	if d.nearest != nil {
		if best := d.nearest(name, known); best != "" {
			return best
		}
	}
	slices.Sort(known)
	return "one of " + strings.Join(known, ", ")
}

// environment overrides single values from the environment.
func (d *decoder) environment(v reflect.Value, key, prefix string, table map[string]string) {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		name := tag.Get("yaml")
		variable := prefix + "_" + strings.ToUpper(name)
		path := join(key, name)
		switch {
		case field.Kind() == reflect.Struct:
			d.environment(field, path, variable, table)
		case field.Kind() == reflect.Slice || field.Kind() == reflect.Map:
		default:
			text, ok := table[variable]
			if !ok {
				continue
			}
			if problem, expected := setScalar(field, text, tag); problem != "" {
				d.problems = append(d.problems, Problem{File: "environment " + variable, Key: path, Text: problem, Expected: expected})
			}
		}
	}
}
