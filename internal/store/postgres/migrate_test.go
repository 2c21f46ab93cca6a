package postgres

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/store"
)

var rewrite = flag.Bool("rewrite", false, "write the first migration anew, before the first release")

const initPath = "migrations/0001_init.sql"

// opening begins the first migration.
const opening = `-- Schema 1. Every table of the store's schema: its key, the revision of its
-- newest put, the columns that can be asked for, and the body. Text is compared
-- by its bytes. Every index that is not unique ends in the key, so that a page
-- ordered by it needs no sort. Watched tables have an index of revisions.

CREATE TABLE schema_version (
  version BIGINT NOT NULL PRIMARY KEY,
  applied TIMESTAMPTZ NOT NULL
);

-- One row: the newest revision given out. Who has locked it is the writer.
CREATE TABLE store_state (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  revision BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO store_state (one, revision) VALUES (1, 0);

-- The newest revision that each opening of the store has committed: how a lost
-- connection is told from a lost commit.
CREATE TABLE store_writer (
  id TEXT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  seen TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 10);

-- Deletions in watched tables that a watch can still be told of.
CREATE TABLE store_tombstone (
  revision BIGINT NOT NULL PRIMARY KEY,
  tbl TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL
);
CREATE INDEX store_tombstone_tbl ON store_tombstone (tbl, revision);

-- The newest deletion of each table that was forgotten.
CREATE TABLE store_compacted (
  tbl TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
);
`

// declaredSQL is the first migration as the store's schema declares it.
func declaredSQL() string {
	var b strings.Builder
	b.WriteString(opening)
	for _, name := range slices.Sorted(maps.Keys(store.Schema)) {
		s := store.Schema[name]
		fmt.Fprintf(&b, "\nCREATE TABLE %s (\n  key TEXT COLLATE \"C\" NOT NULL PRIMARY KEY,\n  revision BIGINT NOT NULL,\n", quote(string(name)))
		for _, c := range s.Columns {
			kind := `TEXT COLLATE "C"`
			if c.Int {
				kind = "BIGINT"
			}
			fmt.Fprintf(&b, "  %s %s,\n", quote(c.Name), kind)
		}
		b.WriteString("  body BYTEA NOT NULL\n);\n")
		if s.Watched {
			fmt.Fprintf(&b, "CREATE UNIQUE INDEX %s ON %s (revision);\n", quote(string(name)+"_revision"), quote(string(name)))
		}
		for _, i := range s.Indexes {
			b.WriteString(declaredIndex(name, i))
		}
	}
	return b.String()
}

func declaredIndex(name store.Table, i store.Index) string {
	create, columns := "CREATE INDEX", slices.Clone(i.Columns)
	if i.Unique {
		create = "CREATE UNIQUE INDEX"
	} else {
		columns = append(columns, "key")
	}
	for n := range columns {
		columns[n] = quote(columns[n])
	}
	return fmt.Sprintf("%s %s ON %s (%s);\n", create, quote(string(name)+"_"+strings.Join(i.Columns, "_")), quote(string(name)), strings.Join(columns, ", "))
}

// TestFirstMigration holds while there is one migration; after that, the test
// which compares a real database with the declaration does.
func TestFirstMigration(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(initPath, []byte(declaredSQL()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(initPath)
	if err != nil {
		t.Fatal(err)
	}
	if len(shipped()) > 1 {
		return
	}
	if diff := cmp.Diff(declaredSQL(), string(text)); diff != "" {
		t.Errorf("%s does not make what store.Schema declares; before the first release run the test with -rewrite (-declared +there):\n%s", initPath, diff)
	}
}
