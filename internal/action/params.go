package action

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// CheckCall finds the action of the call among the specs and checks its
// parameters. The call it gives holds the checked ones. Every driver begins Do,
// Observe and Preview with it. All errors are of kind Invalid.
func CheckCall(specs []Spec, call Call) (Call, error) {
	at := slices.IndexFunc(specs, func(s Spec) bool { return s.Name == call.Action })
	if at < 0 {
		return call, unknownAction(call.Action, names(specs))
	}
	params, err := CheckParams(specs[at], call.Params)
	if err != nil {
		return call, err
	}
	call.Params = params
	return call, nil
}

// CheckParams gives the parameters in the types of the spec, defaults filled
// in: string, int64, float64, bool, time.Duration, []string, map[string]any. A
// parameter that is neither given nor has a default is absent. What was checked
// once may be checked again. The error, of kind Invalid, names every mistake.
func CheckParams(spec Spec, raw map[string]any) (map[string]any, error) {
	var mistakes []string
	for _, name := range sortedKeys(raw) {
		if !slices.ContainsFunc(spec.Params, func(p Param) bool { return p.Name == name }) {
			mistakes = append(mistakes, fmt.Sprintf("parameter %q is not known%s; %s", clip(name), didYouMean(name, paramNames(spec)), takes(spec)))
		}
	}
	checked := make(map[string]any, len(spec.Params))
	for _, p := range spec.Params {
		value, given := raw[p.Name]
		switch {
		case given && value != nil:
		case p.Required:
			mistakes = append(mistakes, fmt.Sprintf("parameter %q (%s) is required: %s", p.Name, p.Type, p.Doc))
			continue
		case p.Default != nil:
			value = p.Default
		default:
			continue
		}
		typed, err := convert(p.Type, value)
		if err != nil {
			mistakes = append(mistakes, fmt.Sprintf("parameter %q: %v", p.Name, err))
			continue
		}
		checked[p.Name] = typed
	}
	if len(mistakes) > 0 {
		return nil, heal.Errorf(heal.Invalid, "check "+spec.Name, "%s", strings.Join(mistakes, "; "))
	}
	return checked, nil
}

// convert brings a value, as YAML, JSON or an expression gives it, into the Go
// form of the type.
func convert(to ParamType, value any) (any, error) {
	switch to {
	case String:
		if text, ok := value.(string); ok {
			return text, nil
		}
	case Bool:
		if b, ok := value.(bool); ok {
			return b, nil
		}
	case Int:
		if n, ok := toInt(value); ok {
			return n, nil
		}
	case Float:
		if f, ok := toFloat(value); ok {
			return f, nil
		}
	case Duration:
		return toDuration(value)
	case Strings:
		return toStrings(value)
	case Object:
		return toObject(value)
	}
	return nil, fmt.Errorf("is %s, expected %s", describe(value), to)
}

// toInt also takes a whole float64, which is how JSON gives integers.
func toInt(value any) (int64, bool) {
	switch n := value.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case uint64:
		return int64(n), n <= math.MaxInt64
	case float64:
		whole := n == math.Trunc(n) && math.Abs(n) <= 1<<53
		if !whole {
			return 0, false
		}
		return int64(n), true
	}
	return 0, false
}

func toFloat(value any) (float64, bool) {
	if f, ok := value.(float64); ok {
		return f, !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	n, ok := toInt(value)
	return float64(n), ok
}

func toDuration(value any) (any, error) {
	var d time.Duration
	switch v := value.(type) {
	case time.Duration:
		d = v
	case string:
		parsed, err := time.ParseDuration(v)
		if err != nil {
			return nil, fmt.Errorf("%s is no duration, expected a number with a unit as in 30s or 1m30s", describe(value))
		}
		d = parsed
	default:
		return nil, fmt.Errorf("is %s, expected a duration as in 30s", describe(value))
	}
	if d < 0 {
		return nil, fmt.Errorf("is %s, a duration may not be negative", d)
	}
	return d, nil
}

func toStrings(value any) (any, error) {
	switch list := value.(type) {
	case []string:
		return slices.Clone(list), nil
	case []any:
		out := make([]string, 0, len(list))
		for i, item := range list {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("item %d is %s, expected a string", i+1, describe(item))
			}
			out = append(out, text)
		}
		return out, nil
	}
	return nil, fmt.Errorf("is %s, expected a list of strings", describe(value))
}

func toObject(value any) (any, error) {
	switch m := value.(type) {
	case map[string]any:
		return m, nil
	case map[string]string:
		out := make(map[string]any, len(m))
		for key, text := range m {
			out[key] = text
		}
		return out, nil
	}
	return nil, fmt.Errorf("is %s, expected an object", describe(value))
}

// describe names a value in an error: its type, and the value where it is
// short and scalar.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		return "the string " + strconv.Quote(clip(v))
	case bool:
		return "the boolean " + strconv.FormatBool(v)
	case int, int32, int64, uint64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any, []string:
		return "a list"
	case map[string]any, map[string]string:
		return "an object"
	}
	return fmt.Sprintf("of type %T", value)
}

// clip keeps hostile input from flooding an error.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

func takes(spec Spec) string {
	if len(spec.Params) == 0 {
		return spec.Name + " takes none"
	}
	return spec.Name + " takes " + strings.Join(paramNames(spec), ", ")
}

func paramNames(spec Spec) []string {
	out := make([]string, len(spec.Params))
	for i, p := range spec.Params {
		out[i] = p.Name
	}
	return out
}

func names(specs []Spec) []string {
	out := make([]string, len(specs))
	for i, s := range specs {
		out[i] = s.Name
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}
