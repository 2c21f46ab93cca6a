package sqlite

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/store"
)

// The log is copied into the file once it holds copyAt pages of 4 KiB, 16 MiB.
// SQLite itself would do that within a commit, and all in line would wait for the
// disk meanwhile. Here they wait for the last pages only, fewAt unless the log
// grows faster than it is copied, so that it begins anew.
const (
	copyAt = 4_000
	fewAt  = 500
	passes = 4
)

// checkpointEvery is how often the log is looked at.
const checkpointEvery = 50 * time.Millisecond

// copyLog copies the log into the file whenever there is much in it, until ctx
// ends. What fails is tried again, and so is what did not let the log begin anew,
// since somebody read: until then it grows.
func (db *DB) copyLog(ctx context.Context, s *session) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l, err := s.checkpoint(ctx, "NOOP"); err == nil && l.pages >= copyAt && l.left() > 0 {
			db.copyPages(ctx, s, l)
		}
	}
}

func (db *DB) copyPages(ctx context.Context, s *session, l logged) {
	for n := 0; l.left() > fewAt && n < passes; n++ {
		before := l.copied
		var err error
		if l, err = s.checkpoint(ctx, "PASSIVE"); err == nil {
			err = db.file.Sync() // SQLite does it only once the whole log is copied
		}
		if err != nil || l.copied == before { // who reads what was before holds it up
			return
		}
		if l, err = s.checkpoint(ctx, "NOOP"); err != nil {
			return
		}
	}
	if db.turn.Take(store.Awaited(ctx)) != nil {
		return
	}
	defer db.turn.Free()
	db.commit()                         // what the last update left open
	_, _ = s.checkpoint(ctx, "PASSIVE") // all that is left, as nobody writes
}

// logged is how many pages the log has and how many of them were copied.
type logged struct{ pages, copied int }

func (l logged) left() int { return l.pages - l.copied }

// checkpoint runs a checkpoint of the mode.
func (s *session) checkpoint(ctx context.Context, mode string) (l logged, err error) {
	var busy int
	err = s.one(ctx, "PRAGMA wal_checkpoint("+mode+")", nil, []any{&busy, &l.pages, &l.copied})
	return l, err
}
