// Package config reads a configuration file into a struct: YAML over defaults,
// single values overridden from the environment, every mistake reported at once
// with file, line, key and what was expected.
//
// Its one invariant: what it accepts it has understood; a key it does not know
// is a mistake, never ignored. It is not for what a configuration means: each
// binary has its own struct and checks what no single key shows.
//
// Fields are tagged: yaml (the key), doc (shown by Write), and of single values
// oneof, min and required.
package config

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

// maxBytes bounds a configuration file.
const maxBytes = 1 << 20

// Problem is one mistake in a configuration.
type Problem struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"` // 0: not from a file
	Key      string `json:"key"`
	Text     string `json:"text"`
	Expected string `json:"expected,omitempty"`
}

func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	text := fmt.Sprintf("%s: %s: %s", at, p.Key, p.Text)
	if p.Expected != "" {
		text += "; expected " + p.Expected
	}
	return text
}

// Form is what a configuration of type T looks like.
type Form[T any] struct {
	Prefix  string   // of environment variables: server.listen is PREFIX_SERVER_LISTEN
	Default func() T // of an empty file

	// Check finds mistakes that no single key shows; nil: there are none.
	Check func(c *T, report Report)

	// Nearest gives the known name that was most likely meant, empty if none is
	// near; nil: no name is suggested.
	Nearest func(name string, known []string) string
}

// Report tells of a mistake at a key.
type Report func(key, expected, format string, args ...any)

// Load reads the configuration: defaults, then the file, then the environment
// (as os.Environ gives it). A missing file is no mistake if it was not asked for
// by name.
func (f Form[T]) Load(path string, named bool, environ []string) (T, []Problem) {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		data, err = nil, nil
	}
	if err != nil {
		return f.Default(), []Problem{{File: path, Key: "(file)", Text: err.Error()}}
	}
	return f.Parse(path, data, environ)
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err == nil && len(data) > maxBytes {
		err = fmt.Errorf("is larger than %d bytes", maxBytes)
	}
	return data, err
}

// Parse reads a configuration from its text.
func (f Form[T]) Parse(file string, data []byte, environ []string) (T, []Problem) {
	c := f.Default()
	d := decoder{file: file, lines: map[string]int{}, nearest: f.Nearest}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF): // empty
	case err != nil:
		d.report(0, "(yaml)", "YAML", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return c, d.problems
	default:
		d.decode(doc.Content[0], reflect.ValueOf(&c).Elem(), "", "")
		if dec.Decode(new(yaml.Node)) == nil {
			d.report(0, "(yaml)", "one document", "holds more than one document")
		}
	}
	table := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, f.Prefix+"_") {
			table[name] = value
		}
	}
	d.environment(reflect.ValueOf(&c).Elem(), "", f.Prefix, table)
	if f.Check != nil {
		f.Check(&c, func(key, expected, format string, args ...any) {
			d.report(d.lines[key], key, expected, format, args...)
		})
	}
	return c, d.problems
}

// Write gives the default configuration as a commented file; intro becomes its
// first comment.
func (f Form[T]) Write(intro string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(intro) {
		fmt.Fprintf(&out, "# %s\n", strings.TrimRight(line, "\n"))
	}
	c := f.Default()
	write(&out, reflect.ValueOf(&c).Elem(), "", true)
	return out.Bytes()
}

func write(out *bytes.Buffer, v reflect.Value, indent string, docs bool) {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		if indent == "" {
			out.WriteString("\n")
		}
		if doc := tag.Get("doc"); doc != "" && docs {
			fmt.Fprintf(out, "%s# %s\n", indent, doc)
		}
		name := tag.Get("yaml")
		switch {
		case field.Kind() == reflect.Struct:
			fmt.Fprintf(out, "%s%s:\n", indent, name)
			write(out, field, indent+"  ", docs)
		case field.Kind() == reflect.Slice && field.Len() > 0 && field.Type().Elem().Kind() == reflect.Struct:
			fmt.Fprintf(out, "%s%s:\n", indent, name)
			for j := range field.Len() {
				var item bytes.Buffer
				write(&item, field.Index(j), indent+"    ", docs)
				text := item.Bytes()
				out.WriteString(indent + "  -")
				out.Write(text[len(indent)+3:])
			}
		case field.Kind() == reflect.Slice:
			parts := make([]string, field.Len())
			for j := range parts {
				parts[j] = fmt.Sprint(field.Index(j).Interface())
			}
			fmt.Fprintf(out, "%s%s: [%s]\n", indent, name, strings.Join(parts, ", "))
		case field.Kind() == reflect.Map:
			fmt.Fprintf(out, "%s%s: {}\n", indent, name)
		case field.Kind() == reflect.String:
			fmt.Fprintf(out, "%s%s: %q\n", indent, name, field.String())
		default:
			fmt.Fprintf(out, "%s%s: %v\n", indent, name, field.Interface())
		}
	}
}
