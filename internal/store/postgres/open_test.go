//go:build postgres

package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/migration"
	"github.com/homeostat/homeostat/internal/store/pgtest"
)

func TestOpenRefuses(t *testing.T) {
	database := role(t, shared, "reader", "pw-of-reader")
	exec := func(database, text string) {
		t.Helper()
		if err := shared.Exec(t.Context(), database, text); err != nil {
			t.Fatal(err)
		}
	}
	at := func(user, password, database string) DSN {
		return DSN(fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", user, password, shared.Port, database))
	}
	foreign, err := shared.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(foreign, "CREATE TABLE theirs (id int)")
	exec("postgres", "CREATE DATABASE latin ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	exec("postgres", "CREATE ROLE nobody_here LOGIN PASSWORD 'pw-of-nobody'")
	tests := []struct {
		name string
		dsn  DSN
		kind heal.Kind
		says string
	}{
		{"no DSN", "", heal.Invalid, "no DSN given"},
		{"a DSN that is none", "postgres://a:b:c/d@e", heal.Invalid, "cannot be read"},
		{"a certificate that is not there", at("reader", "x", database) + "&sslmode=verify-full&sslrootcert=/nowhere/ca.pem", heal.Invalid, "/nowhere/ca.pem"},
		{"no server", "postgres://127.0.0.1:1/x?sslmode=disable", heal.Transient, "no connection to database x at 127.0.0.1:1"},
		{"a wrong password", at("reader", "wrong", database), heal.Denied, "refuses the login"},
		{"no such database", at("reader", "pw-of-reader", "nowhere"), heal.Invalid, "create it"},
		{"no such schema", at("reader", "pw-of-reader", database) + "&search_path=nowhere", heal.Invalid, "search path"},
		{"a database of something else", DSN(shared.DSN(foreign)), heal.Invalid, "tables of something else"},
		{"another encoding", DSN(shared.DSN("latin")), heal.Invalid, "expected UTF8"},
		{"no right to make tables", at("nobody_here", "pw-of-nobody", database), heal.Denied, "may not use"},
		{"a newer schema", after(t, "INSERT INTO schema_version (version, applied) VALUES (99, now())"), heal.Invalid, "newer Homeostat (schema 99"},
		{"a table that is not there", after(t, "DROP TABLE setting"), heal.Invalid, "no table setting"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{DSN: test.dsn, Patience: time.Millisecond})
			if !heal.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("open: got %v, want kind %v that says %q", err, test.kind, test.says)
			}
			if err != nil && strings.Contains(err.Error(), "pw-of") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

// TestNotDurable: a server that may lose what it acknowledged is refused.
func TestNotDurable(t *testing.T) {
	server := newServer(t, "full_page_writes = off")
	_, err := Open(t.Context(), Options{DSN: newDatabase(t, server)})
	if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "full_page_writes off") {
		t.Errorf("open: got %v, want kind invalid that names the setting", err)
	}
}

// after names a store in which somebody ran a statement.
func after(t *testing.T, text string) DSN {
	t.Helper()
	db := mustOpen(t, Options{})
	if err := db.writer.do(t.Context(), &call{text: text}); err != nil {
		t.Fatal(err)
	}
	return db.opts.DSN
}

// TestSettings: what durability hangs on cannot be weakened by the DSN, the
// rest can be chosen there.
func TestSettings(t *testing.T) {
	db := mustOpen(t, Options{DSN: newDatabase(t, shared) + "&synchronous_commit=off&statement_timeout=1234&application_name=mine", Lock: 3 * time.Second})
	for name, want := range map[string]string{
		"synchronous_commit": "on", "statement_timeout": "1234ms", "application_name": "mine", "lock_timeout": "3s",
		"idle_in_transaction_session_timeout": "5s", "jit": "off", "client_encoding": "UTF8",
	} {
		if got := texts(t, db.writer, "SELECT current_setting($1)", textValue(name)); got[0] != want {
			t.Errorf("%s: got %s, want %s", name, got[0], want)
		}
	}
}

// TestSchemas: two stores in two schemas of one database know nothing of each
// other.
func TestSchemas(t *testing.T) {
	dsn := newDatabase(t, shared)
	first := mustOpen(t, Options{DSN: dsn})
	if err := first.writer.do(t.Context(), &call{text: `CREATE SCHEMA "other place"`}); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, Options{DSN: dsn + "&search_path=%22other%20place%22"})
	put(t, first, "a", "b")
	put(t, second, "c")
	if a, b := count(t, first), count(t, second); a != 2 || b != 1 {
		t.Errorf("records: got %d and %d, want 2 and 1", a, b)
	}
	if first.channel == second.channel {
		t.Errorf("channel of both: %s", first.channel)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := second.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if text := listing(t, path); !strings.Contains(text, "other place") || strings.Contains(text, "public") {
		t.Errorf("contents of the copy: got %s, want the one schema", text)
	}
}

// listing gives what is in a copy.
func listing(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), shared.Tool("pg_restore"), "--list", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestUpgrade(t *testing.T) {
	dsn := newDatabase(t, shared)
	db := mustOpen(t, Options{DSN: dsn})
	put(t, db, "a", "b")
	now := len(shipped())
	next := append(shipped(), migration.Migration{Version: now + 1, Text: "ALTER TABLE setting ADD COLUMN extra TEXT; CREATE TABLE more (id INTEGER)"})
	broken := append(shipped(), migration.Migration{Version: now + 1, Text: "CREATE TABLE half (id INTEGER); nonsense"})
	dir := t.TempDir()
	tests := []struct {
		name       string
		options    Options
		migrations []migration.Migration
		kind       heal.Kind
		says       string
	}{
		{"nowhere to copy to", Options{DSN: dsn}, next, heal.Invalid, "no directory for the copy"},
		{"no pg_dump", Options{DSN: dsn, BackupDir: dir, Dump: "/nowhere/pg_dump"}, next, heal.Invalid, "pg_dump is needed"},
		{"a pg_dump that fails", Options{DSN: dsn, BackupDir: dir, Dump: "/bin/false"}, next, heal.Invalid, "/bin/false"},
		{"a folder that is not there", Options{DSN: dsn, BackupDir: dir + "/no"}, next, heal.Invalid, "no such file"},
		{"a migration that fails", Options{DSN: dsn, BackupDir: dir}, broken, heal.Internal, "upgrade it to schema"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := open(t.Context(), test.options, test.migrations); !heal.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("open: got %v, want kind %v that says %q", err, test.kind, test.says)
			}
		})
	}
	upgraded, err := open(t.Context(), Options{DSN: dsn, BackupDir: dir}, next)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upgraded.Close() })
	if got := texts(t, upgraded.writer, "SELECT relname FROM pg_class WHERE relname IN ('more', 'half')"); len(got) != 1 || got[0] != "more" {
		t.Errorf("tables: got %v, want just those of the migration that succeeded", got)
	}
	put(t, db, "c") // the version before goes on with the schema of the next
	if got := count(t, upgraded); got != 3 {
		t.Errorf("records after the upgrade: got %d, want 3", got)
	}
	copies, err := filepath.Glob(dir + "/homeostat.schema*")
	if err != nil || len(copies) != 2 {
		t.Fatalf("copies: got %v, %v, want one for each try that came so far", copies, err)
	}
	for _, path := range copies {
		restored := restore(t, path)
		if got := count(t, restored); got != 2 {
			t.Errorf("records in %s: got %d, want 2", filepath.Base(path), got)
		}
	}
}

// restore gives a store on a new database made from a copy.
func restore(t *testing.T, path string) *DB {
	t.Helper()
	name, err := shared.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), shared.Tool("pg_restore"), "--exit-on-error", "--clean", "--if-exists", "--dbname="+shared.DSN(name), path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pg_restore: %v: %s", err, out)
	}
	return mustOpen(t, Options{DSN: DSN(shared.DSN(name))})
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	database := role(t, shared, "keeper", "pw-of-keeper")
	db := mustOpen(t, Options{DSN: DSN(fmt.Sprintf("host=127.0.0.1 port=%d user=keeper password='pw-of-keeper' dbname=%s sslmode=disable", shared.Port, database))})
	put(t, db, "a", "b")
	path := filepath.Join(dir, "it's a backup.dump")
	if err := db.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the copy: got %v, %v, want only the owner's", info.Mode(), err)
	}
	put(t, db, "c")
	if err := db.Backup(t.Context(), path); !heal.Is(err, heal.Conflict) {
		t.Errorf("backup over a file: got %v, want a conflict", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "nowhere", "x")); !heal.Is(err, heal.Invalid) {
		t.Errorf("backup to nowhere: got %v, want kind invalid", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("files: got %v, %v, want only the backup", names, err)
	}
	restored := restore(t, path)
	if got := count(t, restored); got != 2 {
		t.Errorf("records in the copy: got %d, want 2", got)
	}
	if err := restored.Check(t.Context()); err != nil {
		t.Error(err)
	}
	put(t, restored, "d")
}

func TestCheckFindsDamage(t *testing.T) {
	db := mustOpen(t, Options{})
	put(t, db, "a", "b")
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.writer.do(t.Context(), &call{text: "UPDATE store_state SET revision = 1"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); !heal.Is(err, heal.Internal) || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("check of a damaged database: got %v, want plain words of kind internal", err)
	}
}

// TestSecrets: however the DSN is malformed and whatever fails, the password is
// in no error, no log and no printed form.
func TestSecrets(t *testing.T) {
	const secret = "s3cr3t-w0rd"
	for _, dsn := range []DSN{
		"postgres://u:" + secret + "@127.0.0.1:1/x",
		"postgres://u:" + secret + "@127.0.0.1:notaport/x",
		"postgres://u:" + secret + "/@?#%zz@127.0.0.1/x",
		"postgres://u:" + secret + "@[::1/x",
		"postgresql://127.0.0.1:1/x?user=u&password=" + secret + "&sslmode=nonsense",
		"host=127.0.0.1 port=1 user=u password=" + secret,
		"host=127.0.0.1 port=99999999 user=u password='" + secret + "'",
		"host=127.0.0.1 pass word=" + secret,
		"password=" + secret + "' host",
		DSN(fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", pgtest.User, secret, shared.Port)),
	} {
		o := Options{DSN: dsn, Patience: time.Millisecond}
		db, err := Open(t.Context(), o)
		if err == nil {
			t.Errorf("open %d: got no error", len(dsn))
			db.Close()
			continue
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Error("x", slog.Any("error", err), slog.Any("options", o), slog.Any("dsn", dsn))
		slog.New(slog.NewTextHandler(&log, nil)).Error("x", slog.Any("error", err), slog.Any("options", o), slog.Any("dsn", dsn))
		encoded, marshalling := json.Marshal(o)
		all := fmt.Sprint(err, marshalling, log.String(), string(encoded)) + fmt.Sprintf("%v %+v %#v %s %q %x", o, o, o, dsn, dsn, dsn)
		for cause := err; cause != nil; cause = unwrap(cause) {
			all += fmt.Sprintf("%v %+v", cause, cause)
		}
		if strings.Contains(all, secret) || strings.Contains(all, fmt.Sprintf("%x", secret)) {
			t.Errorf("the password is told: %s", all)
		}
	}
}

func unwrap(err error) error {
	u, ok := err.(interface{ Unwrap() error })
	if !ok {
		return nil
	}
	return u.Unwrap()
}

func TestNegativeOptions(t *testing.T) {
	for _, o := range []Options{{Readers: -1}, {Queue: -1}, {Statement: -1}, {Lock: -1}, {Patience: -1}} {
		o.DSN = "postgres://127.0.0.1:1/x"
		if _, err := Open(t.Context(), o); !heal.Is(err, heal.Invalid) {
			t.Errorf("open with %+v: got %v, want an error of kind invalid", o, err)
		}
	}
}

// TestIndexedText: what an index cannot take is refused before it spoils the
// updates that share the transaction.
func TestIndexedText(t *testing.T) {
	db := mustOpen(t, Options{})
	random := make([]byte, 2600)
	for i := range random {
		random[i] = byte('!' + (i*i*31+i*7)%90)
	}
	tests := []struct {
		name   string
		entity string
		title  string // of no index
		ok     bool
	}{
		{"short", "cart", "x", true},
		{"as long as it may be", string(random[:2599]), "x", true},
		{"too long", string(random) + "!", "x", false},
		{"long and not indexed", "cart", strings.Repeat("x", 60_000), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := db.Update(t.Context(), func(tx store.Tx) error {
				r := store.Record{Key: "k", Columns: make([]any, len(store.Schema[store.Alerts].Columns))}
				for i, c := range store.Schema[store.Alerts].Columns {
					switch c.Name {
					case "entity":
						r.Columns[i] = test.entity
					case "severity":
						r.Columns[i] = test.title
					}
				}
				_, err := tx.Put(store.Alerts, r)
				return err
			})
			if (err == nil) != test.ok || err != nil && !heal.Is(err, heal.Invalid) {
				t.Errorf("put: got %v, want success %v, else kind invalid", err, test.ok)
			}
		})
	}
}
