package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/migration"
)

func TestOpenRefuses(t *testing.T) {
	text := func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "text")
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		path func(t *testing.T, dir string) string
		kind heal.Kind
		says string
	}{
		{"no path", func(*testing.T, string) string { return "" }, heal.Invalid, "no path"},
		{"a directory", func(_ *testing.T, dir string) string { return dir }, heal.Invalid, "directory"},
		{"a file that is no database", text, heal.Invalid, "not a SQLite database"},
		{"a file in the way of the directory", func(t *testing.T, dir string) string { return text(t, dir) + "/state.db" }, heal.Invalid, "not a directory"},
		{"someone else's database", foreign, heal.Invalid, "something else"},
		{"a newer schema", newer, heal.Invalid, "newer Homeostat (schema 99"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := test.path(t, t.TempDir())
			for range 2 { // a refusal leaves no lock
				_, err := Open(t.Context(), Options{Path: path})
				if !heal.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("open: got %v, want kind %v that says %q", err, test.kind, test.says)
				}
			}
		})
	}
}

func foreign(t *testing.T, dir string) string {
	path := filepath.Join(dir, "foreign.db")
	run(t, path, "CREATE TABLE theirs (id INTEGER)")
	return path
}

func newer(t *testing.T, dir string) string {
	path := filepath.Join(dir, "newer.db")
	db := mustOpen(t, Options{Path: path})
	if err := db.writer.exec(t.Context(), "INSERT INTO schema_version (version, applied) VALUES (99, 0)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// run executes SQL beside any store.
func run(t *testing.T, path string, texts ...string) {
	t.Helper()
	s, err := openSession(t.Context(), dsn(path, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	for _, text := range texts {
		if err := s.exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, Options{Path: path})
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := Open(t.Context(), Options{Path: name})
		if !heal.Is(err, heal.Conflict) || !strings.Contains(err.Error(), "another Homeostat has it open (process ") {
			t.Errorf("open %s a second time: got %v, want a conflict that names the process", name, err)
		}
	}
	put(t, db, "still working")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{Path: path})
}

func TestOddPathsAndModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b", "50%?x=1#y&mode=memory", "stäte.db")
	put(t, mustOpen(t, Options{Path: path}), "a")
	for _, name := range []string{path, path + "-wal", path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s: got %v, want only the owner's", filepath.Base(name), info.Mode())
		}
	}
}

func TestPragmas(t *testing.T) {
	db := mustOpen(t, Options{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		if got := texts(t, db.writer, "PRAGMA "+pragma); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %s", pragma, got, want)
		}
	}
	err := db.read(t.Context(), "test", func(s *session) error {
		return s.exec(t.Context(), "DELETE FROM setting")
	})
	if err == nil {
		t.Error("write through a reading connection: got no error")
	}
}

// TestForeignLock: a tool that holds a lock on the file delays an update, then
// fails it with plain words; reading goes on.
func TestForeignLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, Options{Path: path, Busy: time.Millisecond})
	put(t, db, "a")
	run(t, path, "BEGIN IMMEDIATE")
	err := db.Update(t.Context(), func(store.Tx) error { return nil })
	if !heal.Is(err, heal.Transient) || !strings.Contains(err.Error(), "another program holds a lock") {
		t.Errorf("update: got %v, want plain words of kind transient", err)
	}
	if got := count(t, db); got != 1 {
		t.Errorf("records: got %d, want 1", got)
	}
}

func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, Options{Path: path})
	put(t, db, "a", "b")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	now := len(shipped())
	next := append(shipped(), migration.Migration{Version: now + 1, Text: "ALTER TABLE setting ADD COLUMN extra TEXT; CREATE TABLE more (id INTEGER) STRICT"})
	broken := append(shipped(), migration.Migration{Version: now + 1, Text: "CREATE TABLE half (id INTEGER) STRICT; nonsense"})

	if _, err := open(t.Context(), Options{Path: path}, broken); err == nil {
		t.Fatal("open with a broken migration: got no error")
	}
	db, err := open(t.Context(), Options{Path: path}, next)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if got := count(t, db); got != 2 {
		t.Errorf("records after the upgrade: got %d, want 2", got)
	}
	if got := texts(t, db.writer, "SELECT name FROM sqlite_master WHERE name IN ('more', 'half')"); len(got) != 1 || got[0] != "more" {
		t.Errorf("tables: got %v, want just those of the migration that succeeded", got)
	}
	copies, err := filepath.Glob(path + ".schema*")
	if err != nil || len(copies) != 2 {
		t.Fatalf("copies: got %v, %v, want one for each try", copies, err)
	}
	for _, name := range copies {
		if got := count(t, mustOpen(t, Options{Path: name})); got != 2 {
			t.Errorf("records in the copy: got %d, want 2", got)
		}
	}
	_, err = Open(t.Context(), Options{Path: copies[0]})
	if !heal.Is(err, heal.Conflict) {
		t.Errorf("open a copy twice: got %v, want a conflict", err)
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, Options{})
	put(t, db, "a", "b")
	path := filepath.Join(dir, "it's a backup.db")
	if err := db.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	put(t, db, "c")
	if err := db.Backup(t.Context(), path); !heal.Is(err, heal.Conflict) {
		t.Errorf("backup over a file: got %v, want a conflict", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "nowhere", "x")); !heal.Is(err, heal.Invalid) {
		t.Errorf("backup to nowhere: got %v, want an error of kind invalid", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, filepath.Join(dir, "late")); !heal.Is(err, heal.Transient) {
		t.Errorf("cancelled backup: got %v, want an error of kind transient", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("files: got %v, %v, want only the backup", names, err)
	}
	restored := mustOpen(t, Options{Path: path})
	if got := count(t, restored); got != 2 {
		t.Errorf("records in the backup: got %d, want 2", got)
	}
	if err := restored.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, Options{Path: path})
	for i := range 100 {
		put(t, db, strings.Repeat("k", 50)+string(rune('A'+i)))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(text) / 2; i < len(text); i++ {
		text[i] ^= 0xff
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err = Open(t.Context(), Options{Path: path})
	if err == nil {
		t.Cleanup(func() { _ = db.Close() })
		err = db.Check(t.Context())
	}
	if !heal.Is(err, heal.Internal) || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("check of a damaged file: got %v, want plain words of kind internal", err)
	}
}

func TestOpenAFileThatLacksATable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, Options{Path: path})
	if err := db.writer.exec(t.Context(), "DROP TABLE setting"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "no table setting") {
		t.Errorf("open: got %v, want it refused for the table that is not there", err)
	}
}
