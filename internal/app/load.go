package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxConfigBytes bounds a configuration file.
const maxConfigBytes = 1 << 20

// Load reads the configuration: defaults, then the file, then the environment
// (as os.Environ gives it). A missing file is no mistake if it was not asked
// for by name. Every mistake is reported at once.
func Load(path string, named bool, environ []string) (Config, []Problem) {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		data, err = nil, nil
	}
	if err != nil {
		return Config{}, []Problem{{File: path, Key: "(file)", Text: err.Error()}}
	}
	return Parse(path, data, environ)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err == nil && len(data) > maxConfigBytes {
		err = fmt.Errorf("is larger than %d bytes", maxConfigBytes)
	}
	return data, err
}

// Parse reads a configuration from its text.
func Parse(file string, data []byte, environ []string) (Config, []Problem) {
	cfg := Default()
	d := decoder{file: file, lines: map[string]int{}}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF): // empty
	case err != nil:
		d.report(0, "(yaml)", "YAML", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return cfg, d.problems
	default:
		d.decode(doc.Content[0], reflect.ValueOf(&cfg).Elem(), "", "")
		if dec.Decode(new(yaml.Node)) == nil {
			d.report(0, "(yaml)", "one document", "holds more than one document")
		}
	}
	d.environment(reflect.ValueOf(&cfg).Elem(), "", "HOMEOSTAT", environTable(environ))
	d.consistent(&cfg)
	return cfg, d.problems
}

func environTable(environ []string) map[string]string {
	table := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, "HOMEOSTAT_") {
			table[name] = value
		}
	}
	return table
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

// DefaultYAML is the default configuration as a commented file.
func DefaultYAML() []byte {
	var out bytes.Buffer
	out.WriteString("# Homeostat, with every default. Each key can be overridden from the environment:\n# server.listen by HOMEOSTAT_SERVER_LISTEN, and so on.\n")
	cfg := Default()
	writeYAML(&out, reflect.ValueOf(&cfg).Elem(), "")
	return out.Bytes()
}

func writeYAML(out *bytes.Buffer, v reflect.Value, indent string) {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		if indent == "" {
			out.WriteString("\n")
		}
		if doc := tag.Get("doc"); doc != "" {
			fmt.Fprintf(out, "%s# %s\n", indent, doc)
		}
		name := tag.Get("yaml")
		switch field.Kind() {
		case reflect.Struct:
			fmt.Fprintf(out, "%s%s:\n", indent, name)
			writeYAML(out, field, indent+"  ")
		case reflect.Slice:
			fmt.Fprintf(out, "%s%s: [%s]\n", indent, name, items(field))
		case reflect.Map:
			fmt.Fprintf(out, "%s%s: {}\n", indent, name)
		case reflect.String:
			fmt.Fprintf(out, "%s%s: %q\n", indent, name, field.String())
		default:
			fmt.Fprintf(out, "%s%s: %v\n", indent, name, field.Interface())
		}
	}
}

func items(list reflect.Value) string {
	parts := make([]string, list.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(list.Index(i).Interface())
	}
	return strings.Join(parts, ", ")
}
