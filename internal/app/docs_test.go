package app

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
)

var rewrite = flag.Bool("rewrite", false, "write the tables in docs anew")

// section holds the part of a document between two lines against the code.
func section(t *testing.T, file, what, want string) {
	t.Helper()
	path := "../../docs/" + file
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin := "<!-- " + what + ": written by go test ./internal/app -rewrite -->\n"
	end := "<!-- end of " + what + " -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s: the lines that frame the %s are missing", path, what)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s is not what the code says, -rewrite if it is meant (-got +want):\n%s", path, diff)
	}
}

// TestDocsListEveryKey keeps the table of keys as the code has it.
func TestDocsListEveryKey(t *testing.T) {
	want := keyTables()
	if at := strings.Index(want, " has no doc tag\n"); at >= 0 {
		t.Fatalf("key %s", want[strings.LastIndex(want[:at], "\n")+1:at+len(" has no doc tag")])
	}
	section(t, "configuration.md", "keys", want)
}

// TestDocsListEveryAction keeps the table of actions as the drivers declare
// them.
func TestDocsListEveryAction(t *testing.T) {
	specs := realSpecs(t)
	var out strings.Builder
	out.WriteString("\n| action | parameters | outputs | effect, impact |\n| --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[name]
		var params []string
		for _, p := range spec.Params {
			text := fmt.Sprintf("`%s` (%s", p.Name, p.Type)
			switch {
			case p.Required:
				text += ", required"
			case p.Default != nil:
				text += fmt.Sprintf(", default `%v`", p.Default)
			}
			params = append(params, text+"): "+p.Doc)
		}
		row := fmt.Sprintf("| `%s`: %s | %s | %s | %s, %s |\n", name, spec.Doc, strings.Join(params, "<br>"), strings.Join(spec.Outputs, ", "), spec.Effect, spec.Impact)
		out.WriteString(strings.ReplaceAll(row, "secret:<name>", "`secret:<name>`"))
	}
	out.WriteByte('\n')
	section(t, "playbooks.md", "actions", out.String())
}

// TestDocsExamples holds every example of the documents against what reads
// such files.
func TestDocsExamples(t *testing.T) {
	for _, tc := range []struct {
		file, begins string
		check        func(t *testing.T, text []byte)
	}{
		{"configuration.md", "scope:", func(t *testing.T, text []byte) {
			if _, problems := file.Parse("example.yaml", text, nil); len(problems) > 0 {
				t.Error(problems)
			}
		}},
		{"guards.md", "guard:", func(t *testing.T, text []byte) {
			if _, problems := file.Parse("example.yaml", text, nil); len(problems) > 0 {
				t.Error(problems)
			}
		}},
		{"alerts.md", "source:", func(t *testing.T, text []byte) {
			m, err := alert.ParseMapping("example.yaml", text, alert.Options{})
			if err != nil {
				t.Fatal(err)
			}
			alerts, skipped, err := m.Parse(example(t, "alerts.md", "{"), time.Date(2026, 1, 5, 10, 0, 1, 0, time.UTC))
			if err != nil || len(skipped) > 0 || len(alerts) != 2 {
				t.Fatalf("got %d alerts, skipped %v, %v, want two", len(alerts), skipped, err)
			}
			for i, want := range []struct {
				entity   heal.EntityID
				status   heal.AlertStatus
				severity heal.Severity
			}{{"host/db-7", heal.Firing, heal.Critical}, {"host/web-2", heal.Resolved, heal.Info}} {
				a := alerts[i]
				if a.Entity != want.entity || a.Status != want.status || a.Severity != want.severity || a.Context["mapping_error"] != "" {
					t.Errorf("alert %d: got %+v, want %+v", i, a, want)
				}
			}
			if v := alerts[0].MetricValue; v == nil || *v != 93.5 {
				t.Errorf("value: got %v, want 93.5", v)
			}
		}},
	} {
		t.Run(tc.file, func(t *testing.T) { tc.check(t, example(t, tc.file, tc.begins)) })
	}
}

// TestDocsPlaybooks loads all playbooks of the documents together.
func TestDocsPlaybooks(t *testing.T) {
	text, err := os.ReadFile("../../docs/playbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []playbook.File
	blocks := strings.Split(string(text), "```")
	for i := 1; i < len(blocks); i += 2 {
		if _, block, _ := strings.Cut(blocks[i], "\n"); strings.HasPrefix(block, "playbook_id:") {
			files = append(files, playbook.File{Name: fmt.Sprintf("example %d", len(files)+1), Data: []byte(block)})
		}
	}
	books, problems := playbook.Load(files, realSpecs(t))
	if err := problems.Err(); err != nil || len(books) < 5 {
		t.Errorf("%d examples: %v", len(books), err)
	}
}

// example is the fenced block of a document that begins with the text.
func example(t *testing.T, file, begins string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	for i := 1; i < len(blocks); i += 2 {
		if _, block, _ := strings.Cut(blocks[i], "\n"); strings.HasPrefix(block, begins) {
			return []byte(block)
		}
	}
	t.Fatalf("%s has no example that begins with %q", file, begins)
	return nil
}

// keyTables gives one table for each group of keys.
func keyTables() string {
	var out bytes.Buffer
	cfg := reflect.ValueOf(Default())
	single := []reflect.StructField{}
	for i := range cfg.NumField() {
		field := cfg.Type().Field(i)
		if inner(field.Type) == nil {
			single = append(single, field)
		}
	}
	fmt.Fprint(&out, "\n### The root\n", tableHead)
	for _, field := range single {
		writeKey(&out, "", field, cfg.FieldByIndex(field.Index))
	}
	for i := range cfg.NumField() {
		field := cfg.Type().Field(i)
		if inner(field.Type) == nil {
			continue
		}
		fmt.Fprintf(&out, "\n### %s\n\n%s\n%s", field.Tag.Get("yaml"), field.Tag.Get("doc"), tableHead)
		if field.Type.Kind() == reflect.Struct {
			writeGroup(&out, field.Tag.Get("yaml"), cfg.Field(i))
		} else {
			writeGroup(&out, field.Tag.Get("yaml")+"[]", reflect.Zero(inner(field.Type)))
		}
	}
	out.WriteByte('\n')
	return out.String()
}

const tableHead = "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n"

// inner is the struct of a group or of a list of groups, nil for anything else.
func inner(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

func writeGroup(out *bytes.Buffer, path string, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := join(path, field.Tag.Get("yaml"))
		switch {
		case inner(field.Type) == nil:
			writeKey(out, path, field, v.Field(i))
		case field.Type.Kind() == reflect.Slice:
			if doc := field.Tag.Get("doc"); doc != "" {
				fmt.Fprintf(out, "| `%s` | list | empty | %s |\n", key, doc)
			}
			writeGroup(out, key+"[]", reflect.Zero(inner(field.Type)))
		default:
			writeGroup(out, key, v.Field(i))
		}
	}
}

func writeKey(out *bytes.Buffer, path string, field reflect.StructField, v reflect.Value) {
	tag := field.Tag
	if tag.Get("doc") == "" {
		fmt.Fprintf(out, "%s has no doc tag\n", join(path, tag.Get("yaml")))
	}
	value := "`" + strings.ReplaceAll(tag.Get("oneof"), ",", "`, `") + "`"
	if tag.Get("oneof") == "" || field.Type.Kind() == reflect.Map {
		value = valueWord(field.Type)
	}
	if least := tag.Get("min"); least != "" && least != "0" && least != "0s" {
		value += ", at least " + least
	}
	standard := "`" + fmt.Sprint(v.Interface()) + "`"
	switch {
	case tag.Get("required") == "true":
		standard = "**required**"
	case v.Kind() == reflect.Slice && v.Len() > 0:
		standard = "`[" + items(v) + "]`"
	case v.IsZero() || v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
		standard = zeroWord(v)
	}
	fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", join(path, tag.Get("yaml")), value, standard, strings.ReplaceAll(tag.Get("doc"), "<", "\\<"))
}

var lengthOfTime = reflect.TypeFor[config.Duration]()

var kindWords = map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false", reflect.Float64: "number", reflect.Int: "whole number", reflect.Int64: "whole number"}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func items(list reflect.Value) string {
	parts := make([]string, list.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(list.Index(i).Interface())
	}
	return strings.Join(parts, ", ")
}

func valueWord(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Slice && t.Elem() == lengthOfTime:
		return "list of lengths of time"
	case t.Kind() == reflect.Slice:
		return "list of texts"
	case t.Kind() == reflect.Map:
		return "names with values"
	case t == lengthOfTime:
		return "length of time"
	}
	return kindWords[t.Kind()]
}

func zeroWord(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return "`" + fmt.Sprint(v.Interface()) + "`"
	}
	return "empty"
}
