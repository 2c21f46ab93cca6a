package playbook

import (
	"encoding/json"
	"fmt"
)

// Schema gives the JSON Schema (draft 2020-12) of the format, for editors. It
// is made from the same table the parser follows. What a schema cannot say,
// such as cycles and unknown variables, only Parse tells.
func Schema() []byte {
	root := format.schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Homeostat playbook"
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("playbook: encode schema: %v", err)) // a bug: it holds plain data only
	}
	return append(out, '\n')
}

// durationPattern is what time.ParseDuration takes, without sign.
const durationPattern = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$|^0$`

func (s *shape) schema() map[string]any {
	switch s.form {
	case formText:
		out := map[string]any{"type": []string{"string", "number", "boolean"}, "minLength": 1} // YAML's 1.2 and yes are text here
		if s.pattern != nil {
			out["type"], out["pattern"] = "string", s.pattern.String()
		}
		return out
	case formWord:
		return map[string]any{"enum": s.words}
	case formBool:
		return map[string]any{"type": "boolean"}
	case formInt:
		return map[string]any{"type": "integer", "minimum": s.low, "maximum": s.high}
	case formNumber:
		return map[string]any{"type": "number", "minimum": s.low, "maximum": s.high}
	case formDuration:
		return map[string]any{"type": "string", "pattern": durationPattern, "description": s.describe()}
	case formObject:
		return s.objectSchema()
	case formMap:
		out := map[string]any{"type": "object", "additionalProperties": s.items.schema()}
		if s.pattern != nil {
			out["propertyNames"] = map[string]any{"pattern": s.pattern.String()}
		}
		if s.high > 0 {
			out["maxProperties"] = s.high
		}
		return out
	case formList:
		out := map[string]any{"type": "array", "items": s.items.schema()}
		if s.low > 0 {
			out["minItems"] = s.low
		}
		if s.high > 0 {
			out["maxItems"] = s.high
		}
		return out
	case formAny:
		return map[string]any{}
	case formEither:
		return map[string]any{"oneOf": []any{s.text.schema(), s.items.schema()}}
	}
	return map[string]any{}
}

func (s *shape) objectSchema() map[string]any {
	properties := make(map[string]any, len(s.fields))
	var required []string
	for _, f := range s.fields {
		property := f.shape.schema()
		property["description"] = f.doc
		properties[f.name] = property
		if f.required {
			required = append(required, f.name)
		}
	}
	out := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if required != nil {
		out["required"] = required
	}
	return out
}
