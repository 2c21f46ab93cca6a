package series

import (
	"testing"
	"time"
)

func TestLookback(t *testing.T) {
	db, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for expr, want := range map[string]time.Duration{
		`up > 0`:                                      0,
		`up offset 1m`:                                time.Minute,
		`rate(a[30s]) > 1`:                            30 * time.Second,
		`rate(a[1m]) / rate(b[5m]) > 0.1`:             5 * time.Minute,
		`rate(a[1m]) > 1 and rate(a[20s]) > 1`:        20 * time.Second,
		`rate(a[1m]) > 1 or rate(a[20s]) > 1`:         time.Minute,
		`max_over_time(rate(a[1m])[5m:10s])`:          6 * time.Minute,
		`sum by (x) (increase(a[2m] offset 30s)) > 3`: 150 * time.Second,
		`1`: 0,
	} {
		if got, err := db.Lookback(expr); err != nil || got != want {
			t.Errorf("Lookback(%s): got %v, %v, want %v", expr, got, err, want)
		}
	}
	if _, err := db.Lookback("rate("); err == nil {
		t.Error("Lookback took half an expression")
	}
}
