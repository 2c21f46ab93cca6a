package series

import "testing"

func TestMeasure(t *testing.T) {
	db, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	tests := []struct {
		name, expr, want string
		limit            float64 // -99: none
		above            bool
	}{
		{"above", "sum(rate(a[5m])) > 0.5", "sum(rate(a[5m]))", 0.5, true},
		{"below", "a < 3", "a", 3, false},
		{"negative", "a > -2", "a", -2, true},
		{"first of several", "a / b > 0.05 and on (x) c > 3 unless d", "a / b", 0.05, true},
		{"in parentheses", "(a >= (1))", "a", 1, true},
		{"compared with another", "a > b", "a > b", -99, false},
		{"a truth value", "a > bool 1", "a > bool 1", -99, false},
		{"nothing compared", "rate(a[1m])", "rate(a[1m])", -99, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := db.Measure(tt.expr)
			limit := -99.0
			if got.Limit != nil {
				limit = *got.Limit
			}
			if err != nil || got.Expr != tt.want || limit != tt.limit || got.Above != tt.above {
				t.Errorf("got %q, limit %v, above %v, %v; want %q, %v, %v", got.Expr, limit, got.Above, err, tt.want, tt.limit, tt.above)
			}
		})
	}
	if _, err := db.Measure("a >"); err == nil {
		t.Error("half an expression has a measure")
	}
}
