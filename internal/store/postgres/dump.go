package postgres

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Backup writes a consistent copy, in the format that pg_restore reads, to a
// file that does not exist yet, while others read and write. The copy is
// complete and on disk when it appears under its name.
func (db *DB) Backup(ctx context.Context, path string) error {
	op := "back up store to " + path
	var schema string
	err := db.read(ctx, op, []*call{{text: "SELECT current_schema()", row: textInto(&schema)}}, func(*session) error { return nil })
	if err != nil {
		return err
	}
	return heal.Wrap(op, db.dump(ctx, schema, path))
}

// dump runs pg_dump into another name, syncs the file, and only then gives it
// its own; an existing file is refused, not replaced.
func (db *DB) dump(ctx context.Context, schema, path string) (err error) {
	tool, err := exec.LookPath(cmp.Or(db.opts.Dump, "pg_dump"))
	if err != nil {
		return heal.Errorf(heal.Invalid, "", "pg_dump is needed for a copy and was not found; install the client tools of PostgreSQL or configure the path: %w", err)
	}
	part := path + ".part"
	for _, name := range []string{path, part} {
		if _, err := os.Lstat(name); err == nil {
			return heal.Errorf(heal.Conflict, "", "%s exists already", name)
		} else if !errors.Is(err, os.ErrNotExist) {
			return heal.Errorf(heal.Invalid, "", "%w", err)
		}
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return heal.Errorf(heal.Invalid, "", "%w", err)
	}
	defer f.Close() // the sync below says how it went
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := db.runDump(ctx, tool, schema, f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return heal.Errorf(heal.Transient, "", "%w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return heal.Errorf(heal.Invalid, "", "%w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return heal.Errorf(heal.Invalid, "", "%w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (db *DB) runDump(ctx context.Context, tool, schema string, to *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	environment, err := db.environment()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, "--format=custom", "--no-owner", "--no-privileges", "--no-password", "--schema="+quote(schema))
	cmd.Env = append(os.Environ(), environment...)
	cmd.WaitDelay = 5 * time.Second
	said := &head{limit: 2 << 10}
	cmd.Stdout, cmd.Stderr = to, said
	if err := cmd.Run(); err != nil {
		kind := heal.Invalid
		if ctx.Err() != nil {
			kind, err = heal.Transient, ctx.Err()
		}
		return heal.Errorf(kind, "", "%s: %w: %s", tool, err, strings.TrimSpace(string(said.text)))
	}
	return nil
}

// environment says to the tools of PostgreSQL what the DSN says; arguments
// could be seen by other users of the machine.
func (db *DB) environment() ([]string, error) {
	c := db.writing
	out := []string{
		"PGHOST=" + c.Host, "PGPORT=" + strconv.Itoa(int(c.Port)), "PGUSER=" + c.User, "PGDATABASE=" + c.Database,
		"PGPASSWORD=" + c.Password, "PGCONNECT_TIMEOUT=" + strconv.Itoa(int(c.ConnectTimeout.Seconds())), "PGAPPNAME=homeostat-backup",
	}
	all, err := db.opts.DSN.libpqSettings()
	if err != nil {
		return nil, err
	}
	for name, variable := range map[string]string{
		"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "channel_binding": "PGCHANNELBINDING",
	} {
		if all[name] != "" {
			out = append(out, variable+"="+all[name])
		}
	}
	return out, nil
}

// head keeps the beginning of what is written to it.
type head struct {
	text  []byte
	limit int // bytes
}

func (h *head) Write(b []byte) (int, error) {
	h.text = append(h.text, b[:min(h.limit-len(h.text), len(b))]...)
	return len(b), nil
}
