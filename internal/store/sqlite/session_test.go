package sqlite

import (
	"fmt"
	"testing"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestStatementsAreBounded(t *testing.T) {
	db := mustOpen(t, Options{})
	for i := range 2*maxStatements + 1 {
		var got int
		if err := db.writer.one(t.Context(), fmt.Sprintf("SELECT %d", i), nil, []any{&got}); err != nil || got != i {
			t.Fatalf("statement %d: got %d, %v", i, got, err)
		}
		if n := len(db.writer.cached); n > maxStatements {
			t.Fatalf("statements kept: got %d, want at most %d", n, maxStatements)
		}
	}
	put(t, db, "a") // statements forgotten are prepared again
	put(t, db, "b")
}

func TestNegativeOptions(t *testing.T) {
	for _, o := range []Options{{Readers: -1}, {Queue: -1}, {Busy: -1}} {
		o.Path = t.TempDir() + "/state.db"
		if _, err := Open(t.Context(), o); !heal.Is(err, heal.Invalid) {
			t.Errorf("open with %+v: got %v, want an error of kind invalid", o, err)
		}
	}
}
