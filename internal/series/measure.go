package series

import (
	"github.com/prometheus/prometheus/promql/parser"
)

// Measure is what an alerting expression watches.
type Measure struct {
	Expr  string
	Limit *float64 // what it is compared with; nil: with no number
	Above bool     // the alert fires above the limit
}

// Measure takes the measure out of an expression that compares one with a
// number, as alerting rules do: of "a > 5 and b > 3", that is a and the 5.
// Other expressions are the measure themselves.
func (db *DB) Measure(expr string) (Measure, error) {
	parsed, err := db.parse(expr)
	if err != nil {
		return Measure{}, err
	}
	if m, ok := measured(parsed); ok {
		return m, nil
	}
	return Measure{Expr: expr}, nil
}

func measured(node parser.Expr) (Measure, bool) {
	switch e := node.(type) {
	case *parser.ParenExpr:
		return measured(e.Expr)
	case *parser.BinaryExpr:
		if e.Op.IsSetOperator() {
			return measured(e.LHS)
		}
		limit, ok := constant(e.RHS)
		if !e.Op.IsComparisonOperator() || e.ReturnBool || !ok {
			return Measure{}, false
		}
		return Measure{Expr: e.LHS.String(), Limit: &limit, Above: e.Op == parser.GTR || e.Op == parser.GTE}, true
	}
	return Measure{}, false
}

// constant gives the number an expression is.
func constant(node parser.Expr) (float64, bool) {
	switch e := node.(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.ParenExpr:
		return constant(e.Expr)
	case *parser.UnaryExpr:
		v, ok := constant(e.Expr)
		if e.Op == parser.SUB {
			v = -v
		}
		return v, ok
	}
	return 0, false
}
