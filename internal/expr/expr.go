// Package expr is Homeostat's expression language: CEL for conditions and
// mappings, and "{{ expr }}" in text for templates. It is the only owner of
// cel-go.
//
// Its one invariant: evaluating is bounded and pure. The source is bounded in
// size and nesting, the work in cost units, the result in size; there is no
// clock, no randomness and no I/O inside an expression. It is not for deciding
// which variables exist: callers declare them.
package expr

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"

	"github.com/homeostat/homeostat/internal/heal"
)

// The bounds of one expression.
const (
	// MaxSource is the longest source taken, in bytes.
	MaxSource = 8 << 10
	// MaxPattern is the longest regular expression taken, in bytes.
	MaxPattern = 512
	// MaxCost is the most work one evaluation may do, in CEL cost units. A unit
	// of arithmetic in a comprehension was measured at about 1 us, so that an
	// evaluation ends within about a quarter of a second.
	MaxCost = 250_000
	// MaxResult bounds what an evaluation may give back, in bytes of text, and
	// what one text function may build on the way.
	MaxResult = 1 << 20

	maxNesting        = 64     // of parentheses, calls and literals
	maxComprehensions = 3      // of all, exists, map and filter in each other
	maxResultNodes    = 65_536 // list elements and map entries in a result
)

// Type is the type of a variable.
type Type uint8

// The types. A Map has text keys, a List any elements. What is inside a Dyn, a
// Map or a List is checked when the expression is evaluated.
const (
	Dyn Type = iota
	String
	Int
	Double
	Bool
	Map
	List
	Timestamp
	Duration
)

func (t Type) String() string {
	return t.cel().String()
}

func (t Type) cel() *cel.Type {
	switch t {
	case Dyn:
		return cel.DynType
	case String:
		return cel.StringType
	case Int:
		return cel.IntType
	case Double:
		return cel.DoubleType
	case Bool:
		return cel.BoolType
	case Map:
		return cel.MapType(cel.StringType, cel.DynType)
	case List:
		return cel.ListType(cel.DynType)
	case Timestamp:
		return cel.TimestampType
	case Duration:
		return cel.DurationType
	}
	return cel.DynType
}

// typeOf is the Type that stands for a type of CEL; Dyn for those without one.
func typeOf(t *cel.Type) Type {
	for _, known := range []Type{String, Int, Double, Bool, Timestamp, Duration} {
		if t.IsExactType(known.cel()) {
			return known
		}
	}
	switch t.Kind() { //nolint:exhaustive // the others are told above or are Dyn
	case types.MapKind:
		return Map
	case types.ListKind:
		return List
	}
	return Dyn
}

// Env is a set of declared variables; it compiles expressions over them. It
// may be used by several goroutines at once.
type Env struct {
	env  *cel.Env
	vars map[string]Type
	grow map[string]growth
}

// NewEnv declares the variables. A name with dots, as in params.wait, declares
// the type of a key; its map must be declared too. Programs that use such names
// can be checked but not evaluated.
func NewEnv(vars map[string]Type) (*Env, error) {
	opts := []cel.EnvOption{
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(MaxSource),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserErrorRecoveryLimit(4),
		cel.ASTValidators(
			cel.ValidateComprehensionNestingLimit(maxComprehensions),
			cel.ValidateRegexLiterals(),
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
		),
		ext.Strings(ext.StringsVersion(5)),
		ext.Math(),
		ext.Sets(),
	}
	for name, t := range vars {
		opts = append(opts, cel.Variable(name, t.cel()))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "declare variables", "%w", err)
	}
	grow, err := growths(env)
	if err != nil {
		return nil, heal.Wrap("declare variables", err)
	}
	return &Env{env: env, vars: vars, grow: grow}, nil
}

// Program is a compiled expression. It may be used by several goroutines at
// once.
type Program struct {
	source  string
	program cel.Program
	refs    []Ref
	gives   Type
}

// Compile checks and compiles one expression over vars. For several
// expressions over the same variables make an Env once.
func Compile(source string, vars map[string]Type) (*Program, error) {
	env, err := NewEnv(vars)
	if err != nil {
		return nil, err
	}
	return env.Compile(source)
}

// Compile checks and compiles one expression. An error is of kind Invalid and
// holds Mistakes.
func (e *Env) Compile(source string) (compiled *Program, err error) {
	// cel-go recovers while it evaluates but not while it plans. Whatever text
	// makes it panic is a wrong expression, not the end of the server.
	defer func() {
		if r := recover(); r != nil {
			compiled, err = nil, invalid(source, Mistakes{{Line: 1, Column: 1, Text: fmt.Sprintf("cannot be planned: %v", r)}})
		}
	}()
	if problem := unfit(source); problem != nil {
		return nil, invalid(source, Mistakes{*problem})
	}
	checked, issues := e.env.Compile(source)
	if issues.Err() != nil {
		return nil, invalid(source, e.mistakes(source, issues))
	}
	native := checked.NativeRep()
	if found := dynamicPatterns(native); len(found) > 0 {
		return nil, invalid(source, found)
	}
	program, err := e.env.Program(checked,
		// Not OptOptimize: its constant folding panics on {b"": 0}.
		cel.EvalOptions(cel.OptTrackCost),
		cel.OptimizeRegex(interpreter.MatchesRegexOptimization),
		cel.CostLimit(MaxCost),
		cel.CustomDecoratorV2(guardGrowth(e.grow)),
	)
	if err != nil {
		return nil, invalid(source, Mistakes{{Line: 1, Column: 1, Text: err.Error()}})
	}
	return &Program{
		source:  source,
		program: program,
		refs:    references(native, e.vars),
		gives:   typeOf(checked.OutputType()),
	}, nil
}

// CompileBool compiles a condition; an expression that can be seen not to give
// true or false is refused.
func (e *Env) CompileBool(source string) (*Program, error) {
	p, err := e.Compile(source)
	if err != nil {
		return nil, err
	}
	if p.gives != Bool && p.gives != Dyn {
		return nil, invalid(source, Mistakes{{
			Line: 1, Column: 1, Text: "does not give true or false",
			Hint: `write a comparison, as in values.value > 90`,
		}})
	}
	return p, nil
}

// Source is the text the program was compiled from.
func (p *Program) Source() string { return p.source }

// Gives is the type of what the program gives; Dyn if only evaluating it tells.
func (p *Program) Gives() Type { return p.gives }

// Refs lists the variables the program reads, each once.
func (p *Program) Refs() []Ref { return p.refs }

func unfit(source string) *Mistake {
	switch {
	case strings.TrimSpace(source) == "":
		return &Mistake{Line: 1, Column: 1, Text: "the expression is empty"}
	case len(source) > MaxSource:
		return &Mistake{Line: 1, Column: 1, Text: "the expression is longer than 8 KiB"}
	case !utf8.ValidString(source):
		return &Mistake{Line: 1, Column: 1, Text: "the expression is not valid UTF-8"}
	}
	return nil
}

// dynamicPatterns finds regular expressions that are not literals, or too
// long: a pattern out of an alert could be made to cost what it likes.
func dynamicPatterns(a *ast.AST) Mistakes {
	var found Mistakes
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "matches" {
			return
		}
		args := e.AsCall().Args()
		pattern := args[len(args)-1]
		at := a.SourceInfo().GetStartLocation(pattern.ID())
		mistake := Mistake{Line: at.Line(), Column: at.Column() + 1}
		switch {
		case pattern.Kind() != ast.LiteralKind:
			mistake.Text = "the pattern of matches() must be written out"
			mistake.Hint = "use contains, startsWith or endsWith to compare with a variable"
		case len(literalText(pattern)) > MaxPattern:
			mistake.Text = "the pattern of matches() is longer than 512 bytes"
		default:
			return
		}
		found = append(found, mistake)
	}))
	return found
}

func literalText(e ast.Expr) string {
	text, _ := e.AsLiteral().Value().(string)
	return text
}
