package migration

import (
	"testing"
	"testing/fstest"
)

func TestRead(t *testing.T) {
	files := fstest.MapFS{"migrations/0001_a.sql": {}, "migrations/0003_c.sql": {}}
	if _, err := Read(files); err == nil {
		t.Error("a gap: got no error")
	}
	files["migrations/0002_b.sql"] = &fstest.MapFile{}
	if got, err := Read(files); err != nil || len(got) != 3 || got[2].Version != 3 {
		t.Errorf("migrations: got %v, %v, want three", got, err)
	}
}
