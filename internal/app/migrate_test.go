package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestMigrateStoreRefuses(t *testing.T) {
	c := Default()
	c.DataDir = t.TempDir()
	stray := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(stray, []byte("not a database, but long enough to look at"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MigrateStore(t.Context(), &c, stray, nil); !heal.Is(err, heal.Invalid) {
		t.Errorf("no database to move to: got %v, want it refused as invalid", err)
	}
	c.Store.DSN = "postgres://127.0.0.1:1/nobody-listens"
	if err := MigrateStore(t.Context(), &c, filepath.Join(t.TempDir(), "none.db"), nil); !heal.Is(err, heal.Invalid) {
		t.Errorf("a file that is not there: got %v, want it refused as invalid", err)
	}
	if left, err := os.ReadDir(c.DataDir); err != nil || len(left) > 0 {
		t.Errorf("a refused move left %v in the data folder, %v", left, err)
	}
}
