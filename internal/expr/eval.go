package expr

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"github.com/homeostat/homeostat/internal/heal"
)

// Eval evaluates over vars. Values are plain Go: nil, bool, numbers, text,
// bytes, time.Time, time.Duration, slices and maps of these. The result is nil,
// bool, int64, uint64, float64, string, []byte, time.Time, time.Duration,
// []any or map[string]any. Errors are of kind Invalid.
func (p *Program) Eval(vars map[string]any) (any, error) {
	out, _, err := p.program.Eval(vars)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, "evaluate "+quote(p.source), "%w", explain(err))
	}
	budget := budget{nodes: maxResultNodes, bytes: MaxResult}
	value, err := budget.plain(out)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, "evaluate "+quote(p.source), "%w", err)
	}
	return value, nil
}

// Bool evaluates a condition; anything but true or false is an error.
func (p *Program) Bool(vars map[string]any) (bool, error) {
	value, err := p.Eval(vars)
	if err != nil {
		return false, err
	}
	b, ok := value.(bool)
	if !ok {
		return false, heal.Errorf(heal.Invalid, "evaluate "+quote(p.source), "gives %s, expected true or false", kindName(value))
	}
	return b, nil
}

func explain(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "cost limit exceeded"):
		return errors.New("takes more work than one expression may do; look at fewer elements")
	case strings.HasPrefix(text, "no such key"):
		return fmt.Errorf("%s; ask has(x.key) first, or write x[?\"key\"].orValue(\"\")", text)
	case strings.HasPrefix(text, "no such attribute"):
		return fmt.Errorf("%s: the variable has no value here", text)
	}
	return err
}

// budget is what of a result may still be converted.
type budget struct{ nodes, bytes int }

var errTooLarge = errors.New("gives a result of more than 1 MiB or 65,536 elements")

func (b *budget) text(s string) (string, error) {
	if b.bytes -= len(s); b.bytes < 0 {
		return "", errTooLarge
	}
	return s, nil
}

// plain converts a CEL value to plain Go.
func (b *budget) plain(v ref.Val) (any, error) {
	if b.nodes--; b.nodes < 0 {
		return nil, errTooLarge
	}
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return uint64(v), nil
	case types.Double:
		return float64(v), nil
	case types.String:
		return b.text(string(v))
	case types.Bytes:
		_, err := b.text(string(v))
		return []byte(v), err
	case types.Timestamp:
		return v.UTC(), nil
	case types.Duration:
		return time.Duration(v.Duration), nil
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return b.plain(v.GetValue())
	case traits.Mapper:
		return b.plainMap(v)
	case traits.Lister:
		return b.plainList(v)
	}
	return nil, fmt.Errorf("gives a value of type %s, which cannot be used outside expressions", v.Type().TypeName())
}

func (b *budget) plainList(list traits.Lister) (any, error) {
	out := []any{}
	for it := list.Iterator(); it.HasNext() == types.True; {
		value, err := b.plain(it.Next())
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

func (b *budget) plainMap(m traits.Mapper) (any, error) {
	out := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, fmt.Errorf("gives a map with a key of type %s, expected text", key.Type().TypeName())
		}
		if _, err := b.text(string(name)); err != nil {
			return nil, err
		}
		value, err := b.plain(m.Get(key))
		if err != nil {
			return nil, err
		}
		out[string(name)] = value
	}
	return out, nil
}

// kindName says in plain words what a converted value is.
func kindName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing (null)"
	case bool:
		return "true or false"
	case int64, uint64:
		return "a whole number"
	case float64:
		return "a number"
	case string:
		return "text"
	case []byte:
		return "bytes"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}
