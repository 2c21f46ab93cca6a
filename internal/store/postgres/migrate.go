package postgres

import (
	"context"
	"embed"
	"fmt"
	"maps"
	"path/filepath"
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

// upgrading is the number of the advisory lock that lets one server at a time
// change the schema; its bytes spell "homeost" and a zero.
const upgrading = 0x686f6d656f737400

// migrate brings the schema up to date. A database that holds data of an older
// version is copied first, to a file with that version and the time.
func (db *DB) migrate(ctx context.Context, all []migration.Migration) error {
	s := db.writer
	if err := s.do(ctx, &call{text: fmt.Sprintf("SELECT pg_advisory_lock(%d)", upgrading)}); err != nil {
		return err
	}
	defer func() {
		// The server lets go of it when the connection ends, too.
		_ = s.do(context.WithoutCancel(ctx), &call{text: fmt.Sprintf("SELECT pg_advisory_unlock(%d)", upgrading)})
	}()
	schema, have, err := schemaVersion(ctx, s)
	if err != nil {
		return err
	}
	known := all[len(all)-1].Version
	switch {
	case have > known:
		return heal.Errorf(heal.Invalid, "", "it was written by a newer Homeostat (schema %d, this one knows up to %d); start that version, or restore a copy made before the upgrade", have, known)
	case have == known:
		return complete(ctx, s, schema)
	case have > 0:
		if err := db.copyBeforeUpgrade(ctx, schema, have); err != nil {
			return heal.Wrap("copy it before the upgrade", err)
		}
	}
	for _, m := range all[have:] {
		if err := s.apply(ctx, m); err != nil {
			return heal.Wrap(fmt.Sprintf("upgrade it to schema %d", m.Version), explain(db.name, err))
		}
	}
	return nil
}

// complete says which table a database of the present schema lacks: before the
// first release the first migration is rewritten in place.
func complete(ctx context.Context, s *session, schema string) error {
	names := slices.Sorted(maps.Keys(store.Schema))
	there := make([]int64, len(names))
	calls := make([]*call, len(names))
	for i, name := range names {
		calls[i] = &call{
			text: "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = $1 AND relkind = 'r'",
			args: [][]byte{textValue(string(name))}, row: intInto(&there[i]),
		}
	}
	if err := s.do(ctx, calls...); err != nil {
		return err
	}
	if i := slices.Index(there, 0); i >= 0 {
		return heal.Errorf(heal.Invalid, "", "its schema %s has no table %s, as it was made by a version from before the first release; name another database or schema and begin anew, or go on with that version", schema, names[i])
	}
	return nil
}

// schemaVersion gives the schema that tables are made in and its version, 0 if
// it holds nothing.
func schemaVersion(ctx context.Context, s *session) (schema string, version int, err error) {
	var ours, foreign int64
	err = s.do(ctx,
		&call{text: "SELECT coalesce(current_schema(), '')", row: textInto(&schema)},
		&call{text: "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = 'schema_version' AND relkind = 'r'", row: intInto(&ours)},
		&call{text: `SELECT count(*) FROM pg_class c WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')`, row: intInto(&foreign)},
	)
	switch {
	case err != nil:
		return schema, 0, err
	case schema == "":
		return schema, 0, heal.Errorf(heal.Invalid, "", "no schema of its search path exists; create one, or name another in the DSN (search_path)")
	case ours == 0 && foreign > 0:
		return schema, 0, heal.Errorf(heal.Invalid, "", "its schema %s holds the tables of something else; name another database, or another schema in the DSN (search_path)", schema)
	case ours == 0:
		return schema, 0, nil
	}
	var newest int64
	err = s.do(ctx, &call{text: "SELECT coalesce(max(version), 0) FROM schema_version", row: intInto(&newest)})
	return schema, int(newest), err
}

// apply runs one migration in a transaction of its own, however long it takes
// within an hour.
func (s *session) apply(ctx context.Context, m migration.Migration) error {
	text := fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = 0;\n%s;\nINSERT INTO schema_version (version, applied) VALUES (%d, now()); COMMIT", m.Text, m.Version)
	_ = s.conn.Conn().SetDeadline(time.Now().Add(time.Hour)) // a closed socket says so at the next write
	err := s.conn.Exec(ctx, text).Close()
	if err != nil && !s.lost() {
		_ = s.do(context.WithoutCancel(ctx), &call{text: giveUp}) // the first error is the one to tell
	}
	return err
}

func (db *DB) copyBeforeUpgrade(ctx context.Context, schema string, version int) error {
	if db.opts.BackupDir == "" {
		return heal.Errorf(heal.Invalid, "", "no directory for the copy is configured; name one, with room for the whole database")
	}
	name := fmt.Sprintf("homeostat.schema%d-%s.dump", version, time.Now().UTC().Format("20060102T150405.000000000Z"))
	return db.dump(ctx, schema, filepath.Join(db.opts.BackupDir, name))
}
