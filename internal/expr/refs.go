package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
)

// Ref is one variable an expression reads, with the keys known from the
// source: incident.labels["zone"] is the path incident, labels, zone.
type Ref struct {
	Path   []string
	Line   int  // from 1, within the source
	Column int  // from 1, in characters
	Maybe  bool // only asked for with has() or ?, so it may be missing
}

// String gives the path with dots.
func (r Ref) String() string { return strings.Join(r.Path, ".") }

// references lists the longest path of each read, in the order of the source.
func references(a *ast.AST, vars map[string]Type) []Ref {
	var refs []Ref
	var walk func(e ast.Expr, bound []string)
	walk = func(e ast.Expr, bound []string) {
		if path, maybe, ok := path(e); ok {
			_, known := vars[path[0]]
			if known && !slices.Contains(bound, path[0]) {
				at := a.SourceInfo().GetStartLocation(rootID(e))
				refs = append(refs, Ref{Path: path, Line: at.Line(), Column: at.Column() + 1, Maybe: maybe})
			}
			return
		}
		if e.Kind() == ast.ComprehensionKind {
			c := e.AsComprehension()
			walk(c.IterRange(), bound)
			walk(c.AccuInit(), bound)
			inner := append(slices.Clone(bound), c.IterVar(), c.AccuVar())
			walk(c.LoopCondition(), inner)
			walk(c.LoopStep(), inner)
			walk(c.Result(), inner)
			return
		}
		for _, child := range children(e) {
			walk(child, bound)
		}
	}
	walk(a.Expr(), nil)
	slices.SortStableFunc(refs, func(x, y Ref) int {
		if x.Line != y.Line {
			return x.Line - y.Line
		}
		return x.Column - y.Column
	})
	return slices.CompactFunc(refs, func(x, y Ref) bool {
		return slices.Equal(x.Path, y.Path) && x.Line == y.Line && x.Column == y.Column
	})
}

// path reads a chain of selections down to a variable.
func path(e ast.Expr) (path []string, maybe, ok bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}, false, true
	case ast.SelectKind:
		path, maybe, ok = pathOf(e.AsSelect().Operand(), e.AsSelect().FieldName())
		return path, maybe || e.AsSelect().IsTestOnly(), ok
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case "_[_]", "_[?_]", "_?._":
		default:
			return nil, false, false
		}
		key := call.Args()[1]
		if key.Kind() != ast.LiteralKind {
			return nil, false, false
		}
		name, isText := key.AsLiteral().Value().(string)
		if !isText {
			return nil, false, false
		}
		path, maybe, ok = pathOf(call.Args()[0], name)
		return path, maybe || call.FunctionName() != "_[_]", ok
	case ast.UnspecifiedExprKind, ast.ComprehensionKind, ast.ListKind, ast.LiteralKind, ast.MapKind, ast.StructKind:
		return nil, false, false
	}
	return nil, false, false
}

func pathOf(operand ast.Expr, key string) ([]string, bool, bool) {
	p, maybe, ok := path(operand)
	if !ok {
		return nil, false, false
	}
	return append(p, key), maybe, true
}

// rootID is the id of the variable a chain of selections starts at.
func rootID(e ast.Expr) int64 {
	for {
		switch {
		case e.Kind() == ast.SelectKind:
			e = e.AsSelect().Operand()
		case e.Kind() == ast.CallKind:
			e = e.AsCall().Args()[0]
		default:
			return e.ID()
		}
	}
}

func children(e ast.Expr) []ast.Expr {
	var out []ast.Expr
	switch e.Kind() {
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			out = append(out, e.AsCall().Target())
		}
		out = append(out, e.AsCall().Args()...)
	case ast.SelectKind:
		out = append(out, e.AsSelect().Operand())
	case ast.ListKind:
		out = append(out, e.AsList().Elements()...)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			out = append(out, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			out = append(out, field.AsStructField().Value())
		}
	case ast.UnspecifiedExprKind, ast.ComprehensionKind, ast.IdentKind, ast.LiteralKind:
	}
	return out
}
