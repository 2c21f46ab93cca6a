package audit_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/store/storetest"
)

var rewrite = flag.Bool("rewrite", false, "write the samples of stored forms anew")

func TestStoredForms(t *testing.T) {
	storetest.Golden(t, audit.Kind, "testdata", *rewrite)
	storetest.Golden(t, audit.SealKind, "testdata", *rewrite)
}

// record is a store with an audit that was written to.
type record struct {
	t        *testing.T
	path     string
	anchor   string
	db       *sqlite.DB
	recorder *audit.Recorder
	sealer   *audit.Sealer
	seen     store.Revision
}

func newRecord(t *testing.T) *record {
	t.Helper()
	dir := t.TempDir()
	r := &record{t: t, path: filepath.Join(dir, "homeostat.db"), anchor: filepath.Join(dir, "audit.head")}
	r.open()
	t.Cleanup(func() { r.must(r.db.Close()) })
	return r
}

func (r *record) open() {
	r.t.Helper()
	db, err := sqlite.Open(r.t.Context(), sqlite.Options{Path: r.path})
	r.must(err)
	r.db = db
	r.recorder = audit.NewRecorder(time.Now, rand.Reader)
	r.sealer = audit.NewSealer(audit.SealerOptions{Store: db, Anchor: r.anchor, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

func (r *record) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// add records n entries, each in a transaction of its own, and seals them.
func (r *record) add(n int) {
	r.t.Helper()
	for i := range n {
		r.must(r.db.Update(r.t.Context(), func(tx store.Tx) error {
			return r.recorder.Record(tx, audit.Entry{Act: audit.Acted, Subject: fmt.Sprintf("service/s-%d", i), Text: "restarted"})
		}))
	}
	r.must(r.sealer.Seal(r.t.Context(), &r.seen))
}

func (r *record) verify(anchors ...audit.Head) audit.Report {
	r.t.Helper()
	var report audit.Report
	r.must(r.db.View(r.t.Context(), func(rd store.Reader) (err error) {
		report, err = audit.Verify(rd, anchors...)
		return err
	}))
	return report
}

// tamper changes the file behind the product's back.
func (r *record) tamper(statements ...string) {
	r.t.Helper()
	r.must(r.db.Close())
	raw, err := sql.Open("sqlite", r.path)
	r.must(err)
	for _, s := range statements {
		res, err := raw.ExecContext(r.t.Context(), s)
		r.must(err)
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			r.t.Fatalf("%s: changed %d rows, %v", s, n, err)
		}
	}
	r.must(raw.Close())
	r.open()
}

func TestIntact(t *testing.T) {
	r := newRecord(t)
	if got := r.verify(); !got.Intact || got.Entries != 0 {
		t.Errorf("an empty record: got %+v, want it intact", got)
	}
	r.add(3)
	r.add(1200) // more than one seal holds
	r.add(0)
	head, err := audit.ReadAnchor(r.anchor)
	r.must(err)
	got := r.verify(head)
	if !got.Intact || got.Entries != 1203 || got.Seals != 4 || got.Unsealed != 0 || got.Head != head {
		t.Errorf("got %+v, want 1203 entries under 4 seals up to %v", got, head)
	}
	r.must(r.db.Update(t.Context(), func(tx store.Tx) error { return r.recorder.Record(tx, audit.Entry{Act: audit.Decided}) }))
	if got := r.verify(head); !got.Intact || got.Unsealed != 1 {
		t.Errorf("with a young entry: got %+v, want one unsealed", got)
	}
}

func TestTamperingShows(t *testing.T) {
	const third = `(SELECT key FROM audit ORDER BY revision LIMIT 1 OFFSET 2)`
	tests := []struct {
		name string
		sql  []string
		want string
	}{
		{"edited", []string{`UPDATE audit SET body = CAST(replace(body, 'restarted', 'untouched') AS BLOB) WHERE key = ` + third}, "was changed"},
		{"deleted", []string{`DELETE FROM audit WHERE key = ` + third}, "was deleted"},
		{"moved", []string{`UPDATE audit SET revision = -1 WHERE key = ` + third}, "was deleted"},
		{"put in", []string{`DELETE FROM audit WHERE key = ` + third, `INSERT INTO audit SELECT 'forged', 3, actor, act, subject, incident, run, at, body FROM audit LIMIT 1`}, "entry forged was put in"},
		{"a seal deleted", []string{`DELETE FROM seal WHERE number = 1`}, "what is between them was deleted"},
		{"a seal edited", []string{`UPDATE seal SET body = CAST(replace(body, '"from":0', '"from":1') AS BLOB) WHERE number = 1`}, "seal 1 was changed"},
		{"the end cut off", []string{`DELETE FROM seal WHERE number = 2`, `DELETE FROM audit WHERE revision > (SELECT max(revision) FROM audit) - 4`}, "its end was cut off"},
		{"all of it", []string{`DELETE FROM seal`, `DELETE FROM audit`}, "its end was cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecord(t)
			r.add(5)
			r.add(4)
			head, err := audit.ReadAnchor(r.anchor)
			r.must(err)
			r.tamper(tt.sql...)
			got := r.verify(head)
			var texts []string
			for _, f := range got.Faults {
				texts = append(texts, f.Text)
			}
			if all := strings.Join(texts, "; "); got.Intact || !strings.Contains(all, tt.want) {
				t.Errorf("got intact %v with %q, want a fault that says %q", got.Intact, all, tt.want)
			}
		})
	}
}

// A forger who knows the format makes every seal anew; only the head that was
// kept outside tells.
func TestRewrittenChainShows(t *testing.T) {
	r := newRecord(t)
	r.add(3)
	head, err := audit.ReadAnchor(r.anchor)
	r.must(err)
	r.tamper(`UPDATE audit SET body = CAST(replace(body, 'restarted', 'untouched') AS BLOB)`, `DELETE FROM seal`)
	r.seen = 0
	r.must(r.sealer.Seal(t.Context(), &r.seen))
	if got := r.verify(); !got.Intact {
		t.Errorf("without a head: got %+v; the forged chain is well formed, this test proves nothing", got.Faults)
	}
	if got := r.verify(head); got.Intact {
		t.Error("with the head: got intact, want that the record was written anew")
	}
}

func TestRequestIsRecordedWithWhatItDoes(t *testing.T) {
	r := newRecord(t)
	wrapped := r.recorder.Wrap(r.db)
	set := func(ctx context.Context, fail error) error {
		return wrapped.Update(ctx, func(tx store.Tx) error {
			if _, err := tx.Put(store.Settings, store.Record{Key: "x", Body: []byte("{}")}); err != nil {
				return err
			}
			return fail
		})
	}
	ctx := audit.With(t.Context(), audit.Entry{Actor: "alice", Act: "set", Result: audit.Done})
	if err := set(ctx, errors.New("no")); err == nil || audit.Recorded(ctx) {
		t.Errorf("an update that failed: got %v, recorded %v, want neither done nor recorded", err, audit.Recorded(ctx))
	}
	r.must(set(ctx, nil))
	r.must(set(ctx, nil)) // the second update of one request tells nothing new
	r.must(set(t.Context(), nil))
	if !audit.Recorded(ctx) {
		t.Error("the request was not recorded")
	}
	var actors []string
	r.must(r.db.View(t.Context(), func(rd store.Reader) error {
		rows, err := audit.Kind.All(rd, store.Query{})
		actors = nil
		for _, row := range rows {
			actors = append(actors, row.Value.Actor)
		}
		return err
	}))
	if diff := cmp.Diff(actors, []string{"alice"}); diff != "" {
		t.Errorf("entries (-got +want):\n%s", diff)
	}
}

func TestSealerSealsWhatWasLeft(t *testing.T) {
	r := newRecord(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	slow := audit.NewSealer(audit.SealerOptions{Store: r.db, Anchor: r.anchor, Every: time.Hour, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	go func() { done <- slow.Run(ctx) }()
	r.must(r.db.Update(t.Context(), func(tx store.Tx) error { return r.recorder.Record(tx, audit.Entry{Act: audit.Decided}) }))
	stop()
	r.must(<-done)
	if got := r.verify(); got.Entries != 1 || got.Unsealed != 0 {
		t.Errorf("after the end: got %+v, want the entry sealed", got)
	}
}

func TestHead(t *testing.T) {
	h := audit.Head{Number: 7, Hash: strings.Repeat("a1", 32)}
	if got, err := audit.ParseHead(h.String()); err != nil || got != h {
		t.Errorf("got %v, %v, want %v", got, err, h)
	}
	for _, bad := range []string{"", "7", "7:", "x:" + h.Hash, "7:abc", h.String() + " ", "7:" + strings.Repeat("z", 200)} {
		if got, err := audit.ParseHead(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
	path := filepath.Join(t.TempDir(), "head")
	if got, err := audit.ReadAnchor(path); err != nil || got != (audit.Head{}) {
		t.Errorf("no file: got %v, %v, want none", got, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.ReadAnchor(path); err == nil {
		t.Error("a broken file: got no error")
	}
}
