package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// MigrateStore brings the store of a configuration up to this version's schema.
// With a path it moves the record of the embedded store there into it, which
// must be empty; progress hears of each table.
func MigrateStore(ctx context.Context, c *Config, from string, progress func(table string, records int64)) (err error) {
	var source *sqlite.DB
	if from != "" {
		if c.Store.DSN == "" && c.Store.DSNFile == "" {
			return heal.Errorf(heal.Invalid, "migrate the store", "there is no database to move %s to: name one in store.dsn or store.dsn_file", from)
		}
		if _, err := os.Stat(from); err != nil {
			return heal.Errorf(heal.Invalid, "migrate the store", "%w", err)
		}
		if source, err = sqlite.Open(ctx, sqlite.Options{Path: from}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, source.Close()) }()
	}
	to, err := openRecord(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if from == "" {
		return nil
	}
	return moveRecord(ctx, c, source, to, filepath.Join(filepath.Dir(from), filepath.Base(c.AuditHeadFile())), progress)
}

// moveRecord copies a record whose audit is intact. The seals over the audit
// hold for the revisions of one store, so the new one begins a chain of its
// own, which says how the old one ended.
func moveRecord(ctx context.Context, c *Config, from, to store.Store, anchor string, progress func(string, int64)) error {
	const op = "move the record"
	head, err := audit.ReadAnchor(anchor)
	if err != nil {
		return heal.Wrap(op, err)
	}
	var anchors []audit.Head
	if head != (audit.Head{}) {
		anchors = append(anchors, head)
	}
	var report audit.Report
	err = from.View(ctx, func(r store.Reader) (err error) {
		report, err = audit.Verify(r, anchors...)
		return err
	})
	if err != nil {
		return heal.Wrap(op, err)
	}
	if !report.Intact {
		return heal.Errorf(heal.Conflict, op, "its audit is not what was sealed: %s; homeostat audit verify says more", report.Faults[0].Text)
	}
	if err := store.Copy(ctx, from, to, progress, store.Seals); err != nil {
		return err
	}
	recorder := audit.NewRecorder(time.Now, rand.Reader)
	err = to.Update(ctx, func(tx store.Tx) error {
		return recorder.Record(tx, audit.Entry{
			Act: audit.Moved, Result: audit.Done, Scope: c.HomeScope(),
			Text:    fmt.Sprintf("the record was moved here from another store, whose chain over the audit was intact and ended at %s", report.Head),
			Details: map[string]string{"seals": fmt.Sprint(report.Seals), "entries": fmt.Sprint(report.Entries), "head": report.Head.String()},
		})
	})
	if err != nil {
		return heal.Wrap(op, err)
	}
	if err := os.Rename(anchor, anchor+".moved"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return heal.Errorf(heal.Internal, op, "the record is moved, but its old head stands where the new one is kept: %w", err)
	}
	return nil
}
