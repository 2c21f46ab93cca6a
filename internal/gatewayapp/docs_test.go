package gatewayapp

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/gateway"
	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the tables in docs anew")

const document = "../../docs/gateway.md"

// section holds the part of the document between two lines against the code.
func section(t *testing.T, what, want string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	begin := "<!-- " + what + ": written by go test ./internal/gatewayapp -rewrite -->\n"
	end := "<!-- end of " + what + " -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s: the lines that frame the %s are missing", document, what)
	}
	if *rewrite {
		if err := os.WriteFile(document, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s is not what the code says, -rewrite if it is meant (-got +want):\n%s", document, diff)
	}
}

func TestDocsListEveryKey(t *testing.T) {
	c := Default()
	var out strings.Builder
	out.WriteString("\n| key | default | meaning |\n| --- | --- | --- |\n")
	keys(t, &out, reflect.ValueOf(&c).Elem(), "")
	out.WriteByte('\n')
	section(t, "keys", out.String())
}

func keys(t *testing.T, out *strings.Builder, v reflect.Value, prefix string) {
	t.Helper()
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		name := prefix + tag.Get("yaml")
		doc := tag.Get("doc")
		switch {
		case field.Kind() == reflect.Struct:
			keys(t, out, field, name+".")
			continue
		case field.Kind() == reflect.Slice && field.Len() > 0:
			keys(t, out, field.Index(0), name+"[].")
			continue
		case doc == "":
			t.Errorf("key %s has no doc tag", name)
		}
		def := fmt.Sprint(field.Interface())
		if field.IsZero() && (field.Kind() == reflect.String || field.Kind() == reflect.Map || field.Kind() == reflect.Slice) {
			def = "empty"
		}
		if tag.Get("required") == "true" {
			doc += " Required."
		}
		fmt.Fprintf(out, "| `%s` | `%s` | %s |\n", name, def, doc)
	}
}

var helpLine = regexp.MustCompile(`(?m)^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$`)

// everything is a reading in which nothing is missing.
func everything() *reading {
	r := &reading{gateway: gateway.Stats{Tail: &wire.TailStats{}, Backends: []gateway.BackendStats{{Name: "b"}}}}
	for i := range r.gateway.Pipelines {
		r.gateway.Pipelines[i] = gateway.PipelineStats{Signal: otlp.Signal(i), Spool: &spool.Stats{}}
	}
	return r
}

func TestDocsListEveryMetric(t *testing.T) {
	var e exposition
	e.write(everything())
	var out strings.Builder
	out.WriteString("\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	text := e.out.String()
	for _, m := range helpLine.FindAllStringSubmatch(text, -1) {
		labels := ""
		if found := regexp.MustCompile(`(?m)^` + m[1] + `(?:_bucket)?\{(.*)\} `).FindStringSubmatch(text); found != nil {
			for _, name := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(found[1], -1) {
				if name[1] != "le" {
					labels += ", `" + name[1] + "`"
				}
			}
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", m[1], m[3], strings.TrimPrefix(labels, ", "), m[2])
	}
	out.WriteByte('\n')
	section(t, "metrics", out.String())
}

func TestDocsExampleIsRight(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the document has no example")
	}
	if _, problems := Form.Parse("example.yaml", []byte(example), nil); len(problems) > 0 {
		t.Error(problems)
	}
}
