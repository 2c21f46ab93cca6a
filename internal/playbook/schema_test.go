package playbook

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestSchemaGolden(t *testing.T) {
	const file = "testdata/schema.json"
	if *rewrite {
		if err := os.WriteFile(file, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(Schema()), string(want)); diff != "" {
		t.Errorf("got (-) and want (+) differ; -rewrite if it is meant:\n%s", diff)
	}
}

// TestSchemaAgreesWithParser changes every value and key of a playbook that
// uses the whole format, one at a time, and asks both whether it still fits.
func TestSchemaAgreesWithParser(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *yaml.Node {
		var doc yaml.Node
		if err := yaml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		return doc.Content[0]
	}
	same := func(what string, root *yaml.Node) {
		r := &report{}
		r.check(view{node: root}, format, 0)
		var plain any
		if err := root.Decode(&plain); err != nil {
			t.Fatal(err)
		}
		err := accepts(schema, plain)
		if (err == nil) != (len(r.problems) == 0) {
			t.Errorf("%s: got %v from the schema and %v from the parser, want them to agree", what, err, r.problems)
		}
	}
	same("unchanged", fresh())
	scalars := map[string]yaml.Node{
		"a word":   {Kind: yaml.ScalarNode, Tag: "!!str", Value: "Zzz zzz"},
		"a number": {Kind: yaml.ScalarNode, Tag: "!!int", Value: "7000000000"},
		"true":     {Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"},
		"a list":   {Kind: yaml.SequenceNode, Tag: "!!seq"},
		"a map":    {Kind: yaml.MappingNode, Tag: "!!map"},
	}
	total := count(fresh())
	if total < 100 {
		t.Fatalf("got %d nodes, want the whole format", total)
	}
	for i := 1; i < total; i++ {
		for name, replacement := range scalars {
			root := fresh()
			n, isKey := nth(root, i)
			if isKey && replacement.Kind != yaml.ScalarNode || isKey && replacement.Tag != "!!str" {
				continue
			}
			was := n.Value
			*n = replacement
			same(fmt.Sprintf("node %d (%q) is %s", i, was, name), root)
		}
	}
}

func count(n *yaml.Node) int {
	sum := 1
	for _, child := range n.Content {
		sum += count(child)
	}
	return sum
}

// nth finds a node by its place in a walk, and says whether it is a key.
func nth(root *yaml.Node, want int) (found *yaml.Node, isKey bool) {
	at := -1
	var walk func(n *yaml.Node, key bool)
	walk = func(n *yaml.Node, key bool) {
		if at++; at == want {
			found, isKey = n, key
		}
		for i, child := range n.Content {
			walk(child, n.Kind == yaml.MappingNode && i%2 == 0)
		}
	}
	walk(root, false)
	return found, isKey
}

// accepts judges by the part of JSON Schema that Schema uses.
func accepts(schema map[string]any, v any) error {
	if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, v) {
		return fmt.Errorf("%v is not one of %v", v, words)
	}
	if types := schema["type"]; types != nil {
		all, many := types.([]any)
		if !many {
			all = []any{types}
		}
		if !slices.Contains(all, any(typeName(v))) && (!slices.Contains(all, any("number")) || typeName(v) != "integer") {
			return fmt.Errorf("%v is no %v", v, types)
		}
	}
	if one, ok := schema["oneOf"].([]any); ok {
		fitting := 0
		for _, s := range one {
			if accepts(s.(map[string]any), v) == nil {
				fitting++
			}
		}
		if fitting != 1 {
			return fmt.Errorf("%v fits %d of %d", v, fitting, len(one))
		}
	}
	switch v := v.(type) {
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, p)
		}
	case int, float64:
		n := number(v)
		if low, ok := schema["minimum"].(float64); ok && (n < low || n > schema["maximum"].(float64)) {
			return fmt.Errorf("%v is out of bounds", v)
		}
	case []any:
		if low, ok := schema["minItems"].(float64); ok && float64(len(v)) < low {
			return fmt.Errorf("%v is too short", v)
		}
		for _, item := range v {
			if s, ok := schema["items"].(map[string]any); ok {
				if err := accepts(s, item); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		return acceptsObject(schema, v)
	}
	return nil
}

func acceptsObject(schema, v map[string]any) error {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%v is missing", name)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range v {
		if names, ok := schema["propertyNames"].(map[string]any); ok {
			if err := accepts(names, name); err != nil {
				return err
			}
		}
		s, ok := properties[name].(map[string]any)
		switch rest := schema["additionalProperties"].(type) {
		case bool:
			if !ok && !rest {
				return fmt.Errorf("%s is unknown", name)
			}
		case map[string]any:
			if !ok {
				s = rest
			}
		}
		if err := accepts(s, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

func number(v any) float64 {
	if n, ok := v.(int); ok {
		return float64(n)
	}
	return v.(float64)
}
