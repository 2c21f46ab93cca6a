package series

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// Lookback is how long after a change an evaluation of expr is free of what was
// before it: the longest range it reads. Of two sides joined by "and" the
// shorter one counts, as either can end the result. Selectors without a range
// read the newest sample and add only their offset.
func (db *DB) Lookback(expr string) (time.Duration, error) {
	parsed, err := db.parse(expr)
	if err != nil {
		return 0, err
	}
	return lookback(parsed), nil
}

func lookback(node parser.Node) time.Duration {
	switch n := node.(type) {
	case *parser.BinaryExpr:
		left, right := lookback(n.LHS), lookback(n.RHS)
		if n.Op == parser.LAND {
			return min(left, right)
		}
		return max(left, right)
	case *parser.MatrixSelector:
		return n.Range + lookback(n.VectorSelector)
	case *parser.SubqueryExpr:
		return n.Range + max(n.OriginalOffset, 0) + lookback(n.Expr)
	case *parser.VectorSelector:
		return max(n.OriginalOffset, 0)
	}
	var longest time.Duration
	for child := range parser.ChildrenIter(node) {
		longest = max(longest, lookback(child))
	}
	return longest
}
