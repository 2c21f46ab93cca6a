package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/migration"
)

//go:embed migrations/*.sql
var files embed.FS

// shipped are the migrations of this version of the program.
func shipped() []migration.Migration { return migration.Shipped(files) }

// migrate brings the schema up to date. A file that holds data of an older
// version is copied first, to a name with that version and the time.
func migrate(ctx context.Context, s *session, path string, all []migration.Migration) error {
	have, err := schemaVersion(ctx, s)
	if err != nil {
		return explain(path, err)
	}
	known := all[len(all)-1].Version
	switch {
	case have == 0:
		empty, err := isEmpty(ctx, s)
		if err != nil {
			return explain(path, err)
		}
		if !empty {
			return heal.Errorf(heal.Invalid, "", "it is a SQLite database of something else; name another file")
		}
	case have > known:
		return heal.Errorf(heal.Invalid, "", "it was written by a newer Homeostat (schema %d, this one knows up to %d); start that version, or restore a copy made before the upgrade", have, known)
	case have == known:
		return complete(ctx, s, path)
	}
	if have > 0 {
		to := fmt.Sprintf("%s.schema%d-%s", path, have, time.Now().UTC().Format("20060102T150405.000000000Z"))
		if err := copyTo(ctx, s, to); err != nil {
			return heal.Wrap("copy it before the upgrade", explain(to, err))
		}
	}
	for _, m := range all[have:] {
		if err := apply(ctx, s, m); err != nil {
			return heal.Wrap(fmt.Sprintf("upgrade it to schema %d", m.Version), explain(path, err))
		}
	}
	return nil
}

// complete says which table a file of the present schema lacks: before the first
// release the first migration is rewritten in place.
func complete(ctx context.Context, s *session, path string) error {
	for _, name := range slices.Sorted(maps.Keys(store.Schema)) {
		var there int
		if err := s.one(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?", []any{string(name)}, []any{&there}); err != nil {
			return explain(path, err)
		}
		if there == 0 {
			return heal.Errorf(heal.Invalid, "", "it has no table %s, as it was made by a version from before the first release; move it away and begin anew, or go on with that version", name)
		}
	}
	return s.forget()
}

// apply runs one migration in a transaction of its own.
func apply(ctx context.Context, s *session, m migration.Migration) error {
	t, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }() // nothing to do after Commit
	if _, err := t.ExecContext(ctx, m.Text); err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, "INSERT INTO schema_version (version, applied) VALUES (?, ?)", m.Version, time.Now().UnixNano())
	if err != nil {
		return err
	}
	return t.Commit()
}

// schemaVersion is 0 for a file without our tables.
func schemaVersion(ctx context.Context, s *session) (int, error) {
	var tables, version int
	err := s.one(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'", nil, []any{&tables})
	if err != nil || tables == 0 {
		return 0, err
	}
	err = s.one(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version", nil, []any{&version})
	return version, errors.Join(err, s.forget())
}

func isEmpty(ctx context.Context, s *session) (bool, error) {
	var n int
	err := s.one(ctx, "SELECT COUNT(*) FROM sqlite_master", nil, []any{&n})
	return n == 0, err
}
