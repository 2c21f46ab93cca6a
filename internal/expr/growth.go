package expr

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// growth is a text function whose result can be far larger than its arguments.
// CEL charges for such a result once it is made; here its size is foreseen.
type growth struct {
	size  func(args []ref.Val) int
	impls map[string]functions.FunctionOp // by overload
}

func growths(env *cel.Env) (map[string]growth, error) {
	out := map[string]growth{
		"replace": {size: replacedSize},
		"join":    {size: joinedSize},
		"format":  {size: formattedSize},
	}
	for name, g := range out {
		bindings, err := env.Functions()[name].Bindings()
		if err != nil {
			return nil, err
		}
		g.impls = make(map[string]functions.FunctionOp, len(bindings))
		for _, b := range bindings {
			g.impls[b.Operator] = operation(b)
		}
		out[name] = g
	}
	return out, nil
}

func operation(b *functions.Overload) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		switch {
		case len(args) == 1 && b.Unary != nil:
			return b.Unary(args[0])
		case len(args) == 2 && b.Binary != nil:
			return b.Binary(args[0], args[1])
		case b.Function != nil:
			return b.Function(args...)
		}
		return types.MaybeNoSuchOverloadErr(args[0])
	}
}

func guardGrowth(grow map[string]growth) interpreter.InterpretableDecoratorV2 {
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok {
			return i, nil
		}
		g, ok := grow[call.Function()]
		if !ok {
			return i, nil
		}
		overload := call.OverloadID()
		impl, ok := g.impls[overload]
		if !ok {
			impl = g.impls[call.Function()]
		}
		if impl == nil {
			return i, nil
		}
		return interpreter.NewCall(call.ID(), call.Function(), overload, call.Args(), func(args ...ref.Val) ref.Val {
			if g.size(args) > MaxResult {
				return types.NewErr("%s() would build more than 1 MiB of text", call.Function())
			}
			return impl(args...)
		}), nil
	}
}

func replacedSize(args []ref.Val) int {
	text, ok1 := args[0].(types.String)
	from, ok2 := args[1].(types.String)
	to, ok3 := args[2].(types.String)
	if !ok1 || !ok2 || !ok3 {
		return 0
	}
	return len(text) + strings.Count(string(text), string(from))*max(len(to)-len(from), 0)
}

func joinedSize(args []ref.Val) int {
	separator := 0
	if len(args) > 1 {
		separator = valueSize(args[1], MaxResult)
	}
	total := 0
	elements, ok := args[0].(traits.Lister)
	if !ok {
		return 0
	}
	for it := elements.Iterator(); it.HasNext() == types.True && total <= MaxResult; {
		total += valueSize(it.Next(), MaxResult) + separator
	}
	return total
}

// formattedSize takes it that every verb prints the largest argument.
func formattedSize(args []ref.Val) int {
	format, ok1 := args[0].(types.String)
	values, ok2 := args[1].(traits.Lister)
	if !ok1 || !ok2 {
		return 0
	}
	total := len(format)
	for it := values.Iterator(); it.HasNext() == types.True && total <= MaxResult; {
		total += valueSize(it.Next(), MaxResult)
	}
	return total
}

// valueSize is about the length of v as text; it stops counting above budget.
func valueSize(v ref.Val, budget int) int {
	const number = 32 // bytes, more than any number or time takes
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return 4 * len(v) // as escapes
	case traits.Mapper:
		total := 2
		for it := v.Iterator(); it.HasNext() == types.True && total <= budget; {
			key := it.Next()
			total += valueSize(key, budget-total) + valueSize(v.Get(key), budget-total) + 4
		}
		return total
	case traits.Lister:
		total := 2
		for it := v.Iterator(); it.HasNext() == types.True && total <= budget; {
			total += valueSize(it.Next(), budget-total) + 2
		}
		return total
	}
	return number
}
