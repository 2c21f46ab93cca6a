package store

import (
	"context"
	"maps"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// copyBatch is how many records one transaction of a copy writes.
const copyBatch = 200

// Copy writes every record of one store into another, which must be empty and
// used by nobody else. Records get new revisions, in the same order, table by
// table. After an error the other store holds a part: begin with an empty one
// again. What holds for revisions alone, such as the seals over the audit, does
// not survive it: leaveOut names those tables. progress hears of every batch;
// it may be nil.
func Copy(ctx context.Context, from, to Store, progress func(table string, copied int64), leaveOut ...Table) error {
	tables := slices.Sorted(maps.Keys(Schema))
	err := to.View(ctx, func(r Reader) error {
		for _, t := range tables {
			n, err := r.Count(t)
			if err != nil {
				return err
			}
			if n > 0 {
				return heal.Errorf(heal.Conflict, "copy the store", "the store to copy to holds %d records of table %s; it must be empty", n, t)
			}
		}
		return nil
	})
	for _, t := range tables {
		if err == nil && !slices.Contains(leaveOut, t) {
			err = copyTable(ctx, from, to, t, progress)
		}
	}
	return err
}

// copyTable reads in the order of keys, which nobody changes, and writes in the
// order of revisions where that is what the table is read by.
func copyTable(ctx context.Context, from, to Store, table Table, progress func(string, int64)) error {
	q := Query{Table: table, Limit: copyBatch, Order: orderOf(table)}
	for copied := int64(0); ; {
		var page Page
		err := from.View(ctx, func(r Reader) (err error) { page, err = r.List(q); return err })
		if err != nil {
			return heal.Wrap("copy table "+string(table), err)
		}
		err = to.Update(ctx, func(tx Tx) error {
			for _, r := range page.Records {
				r.Revision = Absent
				if _, err := tx.Put(table, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return heal.Wrap("copy table "+string(table), err)
		}
		copied += int64(len(page.Records))
		if progress != nil {
			progress(string(table), copied)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return nil
		}
	}
}

// orderOf is revision where the schema has an index for it, else key.
func orderOf(table Table) string {
	for _, i := range Schema[table].Indexes {
		if len(i.Columns) == 1 && i.Columns[0] == "revision" {
			return "revision"
		}
	}
	return "key"
}
