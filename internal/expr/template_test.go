package expr

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestTemplateRender(t *testing.T) {
	tests := []struct {
		name, source string
		want         any
	}{
		{"plain text", "restart now", "restart now"},
		{"empty", "", ""},
		{"one expression keeps its type", "{{ count }}", int64(3)},
		{"one expression without spaces", "{{grace}}", 30 * time.Second},
		{"joined", "svc/{{ name }}:{{count}}", "svc/cart:3"},
		{"space around makes text", " {{ count }}", " 3"},
		{"map literal inside", `{{ {"a": {"b": count}} }}`, map[string]any{"a": map[string]any{"b": int64(3)}}},
		{"braces in a string", `{{ "}}" + name }}`, "}}cart"},
		{"other quote in a string", `{{ 'a"b' }}`, `a"b`},
		{"triple quotes", `{{ """a"}}b""" }}`, `a"}}b`},
		{"escaped quote", `{{ "a\"}}" }}`, `a"}}`},
		{"raw string", `{{ r"a\" }}`, `a\`},
		{"escaped braces", `\{{ .Labels.x }} {{ name }}`, "{{ .Labels.x }} cart"},
		{"list in text", `l={{ items }}`, `l=["x","y"]`},
		{"fraction in text", `r={{ ratio }}`, `r=0.5`},
		{"time in text", `t={{ at }}`, `t=2026-01-02T03:04:05Z`},
		{"closing braces in text", `a }} b`, `a }} b`},
		{"several lines", "a {{\n name\n}} b", "a cart b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := ParseTemplate(tt.source, testVars)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Render(testValues())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-) and want (+) differ:\n%s", diff)
			}
		})
	}
}

func TestTemplateMistakes(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"unterminated", "a\nbé {{ name", `2:4: "{{" is never closed`},
		{"unterminated string", `{{ "abc }}`, `1:1: "{{" is never closed`},
		{"empty expression", "x {{ }}", "1:5: the expression is empty"},
		{"position on the first line", "x {{ nme }}", "1:6: undeclared reference to 'nme'"},
		{"position on a later line", "x\n{{ on ||\n  nme }}", "3:3: undeclared reference to 'nme'"},
		{"both are told", "{{ nme }} {{ cnt }}", "1:14: undeclared reference to 'cnt'"},
		{"too long", strings.Repeat("x", MaxTemplate+1), "longer than 64 KiB"},
		{"too many", strings.Repeat("{{ 1 }}", 257), "more than 256 expressions"},
		{"invalid UTF-8", "a\xff", "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseTemplate(tt.source, testVars)
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got %v, want an error of kind invalid", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestTemplateTextErrors(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"null in text", `a{{ any.list[2] }}`, "gives nothing (null)"},
		{"missing key", `a{{ labels.none }}`, "no such key: none"},
		{"too large", strings.Repeat(`{{ name }}`, 3), "more than 1 MiB"},
	}
	vars := testValues()
	vars["name"] = strings.Repeat("x", 500_000)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := ParseTemplate(tt.source, testVars)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tmpl.Text(vars)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error of kind invalid with %q", err, tt.want)
			}
		})
	}
}

func TestTemplateRefs(t *testing.T) {
	tmpl, err := ParseTemplate("name {{name}}\n {{ labels.zone }}", testVars)
	if err != nil {
		t.Fatal(err)
	}
	want := []Ref{
		{Path: []string{"name"}, Line: 1, Column: 8},
		{Path: []string{"labels", "zone"}, Line: 2, Column: 5},
	}
	if diff := cmp.Diff(tmpl.Refs(), want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
	if _, ok := tmpl.Literal(); ok {
		t.Error("got a literal, want a template with expressions")
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a {{ name }} b", `\{{ x`, `{{ "}}" }}`, `{{ {"a":{"b":1}} }}`, "{{", "{{}}", `{{ r'\' }}`} {
		f.Add(s)
	}
	env, err := NewEnv(testVars)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := env.ParseTemplate(source)
		if err != nil {
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got %v, want an error of kind invalid", err)
			}
			return
		}
		tmpl.Refs()
		if text, ok := tmpl.Literal(); ok && !strings.Contains(source, "{{") && text != source {
			t.Fatalf("got %q, want text without expressions unchanged: %q", text, source)
		}
		if _, err := tmpl.Text(testValues()); err != nil && !heal.Is(err, heal.Invalid) {
			t.Fatalf("got %v, want an error of kind invalid", err)
		}
	})
}
