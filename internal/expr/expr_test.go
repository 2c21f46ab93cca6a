package expr

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

var testVars = map[string]Type{
	"values": Map, "labels": Map, "name": String, "count": Int, "ratio": Double,
	"on": Bool, "items": List, "at": Timestamp, "grace": Duration, "any": Dyn,
}

func testValues() map[string]any {
	return map[string]any{
		"values": heal.Values{"value": 91, "threshold": 90},
		"labels": map[string]string{"zone": "a", "host name": "h1"},
		"name":   "cart", "count": 3, "ratio": 0.5, "on": true,
		"items": []string{"x", "y"},
		"at":    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"grace": 30 * time.Second,
		"any":   map[string]any{"n": float64(7), "list": []any{1.0, "b", nil}},
	}
}

func TestEval(t *testing.T) {
	tests := []struct {
		name, source string
		want         any
	}{
		{"compare double map value with whole number", `values.value > 90`, true},
		{"decoded JSON number", `any.n == 7`, true},
		{"text", `name + "-1"`, "cart-1"},
		{"whole number", `count + 1`, int64(4)},
		{"fraction", `ratio * 2.0`, 1.0},
		{"key with a space", `labels["host name"]`, "h1"},
		{"optional missing", `labels[?"none"].orValue("-")`, "-"},
		{"optional at the end", `labels[?"none"]`, nil},
		{"list", `items.map(i, i.upperAscii())`, []any{"X", "Y"}},
		{"map", `{"a": 1, "b": [true, null]}`, map[string]any{"a": int64(1), "b": []any{true, nil}}},
		{"null inside", `any.list`, []any{1.0, "b", nil}},
		{"time", `at + grace`, time.Date(2026, 1, 2, 3, 4, 35, 0, time.UTC)},
		{"duration", `duration("90s")`, 90 * time.Second},
		{"regex", `name.matches("^c.*t$")`, true},
		{"math", `math.greatest(1, count)`, int64(3)},
		{"sets", `sets.contains(items, ["x"])`, true},
		{"replace", `name.replace("a", "oo")`, "coort"},
		{"join", `items.join(",")`, "x,y"},
		{"format", `"%s=%.1f".format([name, ratio])`, "cart=0.5"},
		{"dyn method", `any.list[1].replace("b", "c")`, "c"},
		{"bytes", `b"ab"`, []byte("ab")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Compile(tt.source, testVars)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Eval(testValues())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-) and want (+) differ:\n%s", diff)
			}
		})
	}
}

func TestCompileMistakes(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"empty", "  ", "1:1: the expression is empty"},
		{"invalid UTF-8", "\xff", "1:1: the expression is not valid UTF-8"},
		{"unknown variable", "nme == 'a'", "1:1: undeclared reference to 'nme' (did you mean name?)"},
		{"far variable", "zzzzzzzz", "there are any, at, count"},
		{"second line", "on &&\n  nme == 'a'", "2:3: undeclared reference to 'nme'"},
		{"double times int", "ratio * 2", "write 2.0 instead of 2"},
		{"single equals", "name = 'a'", "compare with == instead of ="},
		{"and", "on and on", "write && for and"},
		{"broken regex", `name.matches("(")`, "invalid matches argument"},
		{"regex from a variable", `name.matches(name)`, "must be written out"},
		{"regex too long", `name.matches("` + strings.Repeat("a", 600) + `")`, "longer than 512 bytes"},
		{"too long", strings.Repeat("a", MaxSource+1), "longer than 8 KiB"},
		{"too deep", strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500), "1:"},
		{"comprehensions too deep", `items.all(a, items.all(b, items.all(c, items.all(d, true))))`, "nesting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.source, testVars)
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got %v, want an error of kind invalid", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to contain %q", err, tt.want)
			}
			if len(MistakesOf(err)) == 0 {
				t.Error("got no mistakes in the error")
			}
		})
	}
}

func TestEvalBounds(t *testing.T) {
	long := strings.Repeat("a", 20_000)
	many := make([]any, 3000)
	for i := range many {
		many[i] = int64(i)
	}
	vars := map[string]any{"name": long, "items": many, "labels": map[string]string{}}
	tests := []struct{ name, source, want string }{
		{"work", `items.all(a, items.all(b, items.all(c, a + b + c >= 0)))`, "takes more work"},
		{"replace", `name.replace("a", name)`, "replace() would build more than 1 MiB"},
		{"join", `items.map(i, name).join(",")`, "join() would build more than 1 MiB"},
		{"format", `"%s".format([items.map(i, name)])`, "format() would build more than 1 MiB"},
		{"result shared many times", `[items].map(x, [x, x, x, x, x]).map(x, [x, x, x, x, x])`, "65,536 elements"},
		{"missing key", `labels.zone == "a"`, "no such key: zone; ask has("},
		{"key not text", `{1: 2}`, "expected text"},
		{"type as result", `type(1)`, "cannot be used outside"},
		{"no value", `ratio`, "has no value here"},
		{"division by zero", `1 / (size(name) - 20000)`, "division by zero"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Compile(tt.source, testVars)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Eval(vars)
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got %v, want an error of kind invalid", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestBool(t *testing.T) {
	env, err := NewEnv(testVars)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.CompileBool("count"); err == nil || !strings.Contains(err.Error(), "does not give true or false") {
		t.Errorf("got %v, want a refusal of a number as condition", err)
	}
	p, err := env.CompileBool("any.n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Bool(testValues()); err == nil || !strings.Contains(err.Error(), "gives a number, expected true or false") {
		t.Errorf("got %v, want a refusal of the value", err)
	}
	p, err = env.CompileBool("!on")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Bool(testValues()); got || err != nil {
		t.Errorf("got %v, %v, want false", got, err)
	}
}

func TestRefs(t *testing.T) {
	p, err := Compile(`labels["zone"] == name && items.exists(name, name == "x") && has(any.list) && values[?"v"].hasValue() && any[name].x == 1`, testVars)
	if err != nil {
		t.Fatal(err)
	}
	want := []Ref{
		{Path: []string{"labels", "zone"}, Line: 1, Column: 1},
		{Path: []string{"name"}, Line: 1, Column: 19},
		{Path: []string{"items"}, Line: 1, Column: 27},
		{Path: []string{"any", "list"}, Line: 1, Column: 66, Maybe: true},
		{Path: []string{"values", "v"}, Line: 1, Column: 79, Maybe: true},
		{Path: []string{"any"}, Line: 1, Column: 106},
		{Path: []string{"name"}, Line: 1, Column: 110},
	}
	if diff := cmp.Diff(p.Refs(), want); diff != "" {
		t.Errorf("got (-) and want (+) differ:\n%s", diff)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`values.value > 90`, `items.map(i, i)`, `{"a": [1, null]}`, `name.matches("^a")`, `"%s".format([name])`, `labels[?"a"].orValue("b")`, "\xff", `((((`} {
		f.Add(s)
	}
	env, err := NewEnv(testVars)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := env.Compile(source)
		if err != nil {
			if !heal.Is(err, heal.Invalid) || len(MistakesOf(err)) == 0 {
				t.Fatalf("got %v, want an error of kind invalid with mistakes", err)
			}
			return
		}
		if _, err := p.Eval(testValues()); err != nil && !heal.Is(err, heal.Invalid) {
			t.Fatalf("got %v, want an error of kind invalid", err)
		}
	})
}
