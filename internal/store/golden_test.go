package store_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/storetest"
)

var rewrite = flag.Bool("rewrite", false, "write the samples of stored forms anew")

var kinds = map[string]func(*testing.T){
	"AlertKind":      check(store.AlertKind),
	"AlertEventKind": check(store.AlertEventKind),
	"IncidentKind":   check(store.IncidentKind),
	"TimelineKind":   check(store.TimelineKind),
	"DecisionKind":   check(store.DecisionKind),
	"RunKind":        check(store.RunKind),
	"OutcomeKind":    check(store.OutcomeKind),
	"ChangeKind":     check(store.ChangeKind),
	"ClockKind":      check(store.ClockKind),
	"SilenceKind":    check(store.SilenceKind),
}

func check[T any](kind store.Kind[T]) func(*testing.T) {
	return func(t *testing.T) { storetest.Golden(t, kind, "testdata", *rewrite) }
}

func TestStoredForms(t *testing.T) {
	var names []string
	for name, test := range kinds {
		names = append(names, name)
		t.Run(name, test)
	}
	slices.Sort(names)
	if diff := cmp.Diff(declaredKinds(t), names); diff != "" {
		t.Errorf("kinds (-in kinds.go +tested here):\n%s", diff)
	}
}

// declaredKinds gives the variables of kinds.go whose names end in Kind.
func declaredKinds(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				if strings.HasSuffix(name.Name, "Kind") {
					names = append(names, name.Name)
				}
			}
		}
		return true
	})
	slices.Sort(names)
	return names
}

// TestDecodeRefuses: what is not a stored form, or one from the future, is an
// error that names the record.
func TestDecodeRefuses(t *testing.T) {
	tests := []struct{ name, body, says string }{
		{"nothing", "", "unexpected end"},
		{"not JSON", "{", "unexpected end"},
		{"a newer form", `{"v":2,"d":{}}`, "newer version"},
		{"data of another type", `{"v":1,"d":[]}`, "cannot unmarshal"},
		{"no data", `{"v":1}`, "unexpected end"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := store.IncidentKind.Decode(store.Record{Key: "i1", Body: []byte(test.body)})
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "incident i1") {
				t.Errorf("decode: got %v, want an error about incident i1 that says %q", err, test.says)
			}
		})
	}
}

// TestDecodeOtherWriters: a body says the same however its JSON is laid out.
func TestDecodeOtherWriters(t *testing.T) {
	for _, body := range []string{`{"v":1,"d":{"id":"i1"}}`, ` { "v" : 1, "d" : {"id":"i1"} }`, `{"d":{"id":"i1"},"v":1}`, `{"v":1,"d":{"id":"i1"},"by":"a later one"}`} {
		got, err := store.IncidentKind.Decode(store.Record{Key: "i1", Body: []byte(body)})
		if err != nil || got.ID != "i1" {
			t.Errorf("decode %s: got %q, %v, want i1", body, got.ID, err)
		}
	}
}
