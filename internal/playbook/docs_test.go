package playbook

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocsListEveryKey keeps the table of keys in docs/playbooks.md as the
// parser has it.
func TestDocsListEveryKey(t *testing.T) {
	const (
		file  = "../../docs/playbooks.md"
		begin = "<!-- keys: written by go test ./internal/playbook -rewrite -->\n"
		end   = "<!-- end of keys -->\n"
	)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s: the lines that frame the keys are missing", file)
	}
	var out bytes.Buffer
	out.WriteString("\n| key | value | meaning |\n| --- | --- | --- |\n")
	writeKeys(&out, "", format)
	out.WriteByte('\n')
	want := out.String()
	if *rewrite {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s is not what the parser says, -rewrite if it is meant (-got +want):\n%s", file, diff)
	}
}

// writeKeys writes one row for each key of an object and of what is in it.
func writeKeys(out *bytes.Buffer, path string, s *shape) {
	for _, f := range s.fields {
		key := join(path, f.name)
		value := f.shape.describe()
		if f.required {
			value = "**required**, " + value
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", key, value, strings.ReplaceAll(f.doc, "<", "\\<"))
		writeInner(out, key, f.shape)
	}
}

func writeInner(out *bytes.Buffer, path string, s *shape) {
	switch s.form {
	case formObject:
		writeKeys(out, path, s)
	case formList:
		writeInner(out, path+"[]", s.items)
	case formMap:
		writeInner(out, path+".<name>", s.items)
	case formEither:
		writeInner(out, path, s.items)
	case formText, formWord, formBool, formInt, formNumber, formDuration, formAny:
	}
}
