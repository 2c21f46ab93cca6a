package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// compactBatch bounds how long one step of a compaction keeps others waiting.
const compactBatch = 1000

// Compact forgets deletions older than the newest keep revisions. A watch from
// before a forgotten deletion of its table gets ErrCompacted.
func (db *DB) Compact(ctx context.Context, keep int64) error {
	const op = "compact"
	if keep < 0 {
		return heal.Errorf(heal.Invalid, op, "keep is %d, expected 0 or more revisions", keep)
	}
	for {
		more := false
		err := db.update(ctx, func(t *tx) error {
			var err error
			more, err = t.compact(int64(t.revision) - keep)
			return err
		})
		if err != nil || !more {
			return heal.Wrap(op, err)
		}
	}
}

// compact forgets one batch of deletions up to the revision.
func (t *tx) compact(upTo int64) (more bool, err error) {
	if err := t.ready("compact"); err != nil {
		return false, err
	}
	ctx := context.Background()
	var last, n int64
	err = t.s.one(ctx, `SELECT COALESCE(MAX(revision), 0), COUNT(*) FROM
		(SELECT revision FROM store_tombstone WHERE revision <= ? ORDER BY revision LIMIT ?)`, []any{upTo, compactBatch}, []any{&last, &n})
	if err == nil && n > 0 {
		err = t.s.exec(ctx, `INSERT INTO store_compacted (tbl, revision)
			SELECT tbl, MAX(revision) FROM store_tombstone WHERE revision <= ? GROUP BY tbl
			ON CONFLICT (tbl) DO UPDATE SET revision = excluded.revision`, last)
	}
	if err == nil && n > 0 {
		err = t.s.exec(ctx, "DELETE FROM store_tombstone WHERE revision <= ?", last)
	}
	if err != nil {
		return false, t.fail(err)
	}
	return n == compactBatch, nil
}

// Backup writes a consistent copy to a file that does not exist yet, while
// others read and write. The copy is complete and on disk when it appears
// under its name.
func (db *DB) Backup(ctx context.Context, path string) error {
	op := "back up store to " + path
	return heal.Wrap(op, db.read(ctx, op, func(s *session) error {
		if err := copyTo(ctx, s, path); err != nil {
			return explain(path, err)
		}
		return nil
	}))
}

// Check reads the whole file and gives the first faults found in it.
func (db *DB) Check(ctx context.Context) error {
	const op = "check store"
	return db.read(ctx, op, func(s *session) error {
		var faults []string
		err := s.each(ctx, "PRAGMA integrity_check(20)", nil, func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			faults = append(faults, line)
			return err
		})
		switch {
		case err != nil:
			return heal.Wrap(op, explain(db.path, err))
		case len(faults) == 1 && faults[0] == "ok":
			return nil
		}
		return heal.Errorf(heal.Internal, op, "%s is damaged, restore a backup: %s", db.path, strings.Join(faults, "; "))
	})
}

// copyTo writes a copy under another name, syncs it, and only then gives it
// its own; an existing file is refused, not replaced.
func copyTo(ctx context.Context, s *session, path string) (err error) {
	part := path + ".part"
	for _, name := range []string{path, part} {
		if _, err := os.Lstat(name); err == nil {
			return heal.Errorf(heal.Conflict, "", "%s exists already", name)
		} else if !errors.Is(err, os.ErrNotExist) {
			return heal.Errorf(heal.Invalid, "", "%w", err)
		}
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return heal.Errorf(heal.Invalid, "", "%w", err)
	}
	defer func() { _ = f.Close() }() // SQLite wrote; the sync below says how it went
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := s.exec(ctx, "VACUUM INTO ?", part); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := f.Sync(); err != nil {
		return heal.Errorf(heal.Transient, "", "%w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return heal.Errorf(heal.Invalid, "", "%w", err)
	}
	return syncDir(filepath.Dir(path))
}
