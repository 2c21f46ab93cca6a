package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
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
	var last, n int64
	err = t.write(&call{
		text: fmt.Sprintf(`SELECT coalesce(max(revision), 0), count(*) FROM
			(SELECT revision FROM store_tombstone WHERE revision <= $1 ORDER BY revision LIMIT %d) AS oldest`, compactBatch),
		args: [][]byte{int8Value(upTo)},
		row: func(row [][]byte) (err error) {
			if last, err = readInt8(row[0]); err == nil {
				n, err = readInt8(row[1])
			}
			return err
		},
	})
	if err != nil || n == 0 {
		return false, err
	}
	err = t.write(&call{
		text: `INSERT INTO store_compacted (tbl, revision)
			SELECT tbl, max(revision) FROM store_tombstone WHERE revision <= $1 GROUP BY tbl
			ON CONFLICT (tbl) DO UPDATE SET revision = excluded.revision`,
		args: [][]byte{int8Value(last)},
	}, &call{text: "DELETE FROM store_tombstone WHERE revision <= $1", args: [][]byte{int8Value(last)}})
	return n == compactBatch, err
}

// write carries out statements that the buffer has no form for.
func (t *tx) write(calls ...*call) error {
	if t.ended || t.ctx.Err() != nil {
		return heal.Errorf(heal.Transient, "", "%w", t.ctx.Err())
	}
	ahead := t.flush(nil)
	if !t.saved && t.group.size > 0 {
		ahead = append(ahead, &call{text: savepoint})
		t.saved = true
	}
	t.sent = true
	t.group.wrote = true
	return t.db.send(append(ahead, calls...)...)
}

// Check reads every record and gives the first fault found.
func (db *DB) Check(ctx context.Context) error {
	const op = "check store"
	var revision int64
	begin := []*call{
		{text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
		{text: "SET LOCAL statement_timeout = 0"},
		{text: "SELECT revision FROM store_state", row: intInto(&revision)},
	}
	return db.read(ctx, op, begin, func(s *session) error {
		s.longest = time.Hour
		defer func() {
			s.longest = db.longest()
			if !s.lost() && s.do(context.Background(), &call{text: giveUp}) != nil {
				db.drop(s) // nothing was written through it
			}
		}()
		for _, name := range slices.Sorted(maps.Keys(db.tables)) {
			if err := db.checkTable(ctx, s, name, revision); err != nil {
				return heal.Wrap(op, explain(db.name, err))
			}
		}
		return nil
	})
}

// checkTable reads all of a table, which makes the server verify its pages if
// they have checksums.
func (db *DB) checkTable(ctx context.Context, s *session, name store.Table, revision int64) error {
	var newest, distinct, count int64
	err := s.do(ctx, &call{
		text: fmt.Sprintf("SELECT coalesce(max(revision), 0), count(DISTINCT revision), count(md5(body)) FROM %s", quote(string(name))),
		row: func(row [][]byte) error {
			for i, to := range []*int64{&newest, &distinct, &count} {
				n, err := readInt8(row[i])
				if err != nil {
					return err
				}
				*to = n
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return err
	case newest > revision:
		return heal.Errorf(heal.Internal, "", "%s is damaged, restore a backup: table %s has revision %d, the newest given out is %d", db.name, name, newest, revision)
	case distinct != count:
		return heal.Errorf(heal.Internal, "", "%s is damaged, restore a backup: table %s has %d records with %d revisions", db.name, name, count, distinct)
	}
	return nil
}
