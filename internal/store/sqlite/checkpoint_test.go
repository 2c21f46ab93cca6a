package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/store"
)

// TestLogBeginsAnew: the log is copied into the file and begins anew while
// updates follow each other, and once nobody reads what was before.
func TestLogBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, Options{Path: path})
	look, err := openSession(t.Context(), readDSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = look.close() }() // it wrote nothing
	written := 0
	write := func() int {
		t.Helper()
		key := fmt.Sprint(written)
		written++
		err := db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Put(store.Settings, store.Record{Key: key, Body: make([]byte, 2<<20)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		l, err := look.checkpoint(t.Context(), "NOOP")
		if err != nil {
			t.Fatal(err)
		}
		return l.pages
	}
	beginsAnew := func() {
		t.Helper()
		before := write()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
			now := write()
			if now < before {
				return
			}
			before = now
		}
		t.Errorf("the log has %d pages after %d updates, and never began anew", before, written)
	}
	beginsAnew()
	reading, read := make(chan struct{}), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		read <- db.View(t.Context(), func(store.Reader) error {
			close(reading)
			<-ctx.Done()
			return nil
		})
	}()
	<-reading
	for deadline := time.Now().Add(time.Minute); write() < 3*copyAt; {
		if time.Now().After(deadline) {
			t.Fatal("the log begins anew although somebody reads what was before")
		}
	}
	cancel()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	beginsAnew()
	if got := count(t, db); got != int64(written) {
		t.Errorf("records: got %d, want %d", got, written)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
