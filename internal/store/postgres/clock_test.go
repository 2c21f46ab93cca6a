//go:build postgres

package postgres

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// movable is a real server whose clock a file sets, by Debian's libfaketime.
func movable(t *testing.T) (_ *pgtest.Server, move func(string)) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		t.Fatalf("libfaketime was not found in /usr/lib/*/faketime: on Debian install the package faketime (%v)", err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "clock")
	move = func(to string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(to+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	move("+0")
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the server runs as another user
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
	} {
		t.Setenv(name, value)
	}
	return newServer(t), move
}

// TestClockOfAMovedServer moves the clock of a real server by an hour, ahead and
// back, under two servers that agree by it.
func TestClockOfAMovedServer(t *testing.T) {
	server, move := movable(t)
	dsn := newDatabase(t, server)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	const hold = 5 * time.Second
	join := func(name string) *store.Clock {
		db := mustOpen(t, Options{DSN: dsn})
		c, err := store.NewClock(t.Context(), db, store.ClockOptions{
			Server: name, Marks: store.MarksIn(db), Hold: hold, Every: 50 * time.Millisecond, Keep: 200 * time.Millisecond, Timeout: 5 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Errorf("%s: got %v, want nil", name, err)
			}
		})
		return c
	}
	clocks := []*store.Clock{join("a"), join("b")}
	last := make([]time.Time, 3)
	// until waits for all to say that they were moved by so much and are off the
	// real time by so much, and sees to it that none goes back.
	until := func(what string, off, moved time.Duration) {
		t.Helper()
		near := func(got, want time.Duration) bool { return (got - want).Abs() < 8*time.Second } // below what counts as a move
		deadline := time.Now().Add(30 * time.Second)
		for {
			all := true
			for i, c := range clocks {
				now := c.Now()
				if now.Before(last[i]) {
					t.Fatalf("%s: clock %d went back by %s", what, i, last[i].Sub(now))
				}
				last[i] = now
				by, _ := c.Moved()
				all = all && near(by, moved) && near(time.Until(now), off)
			}
			if all {
				return
			}
			if time.Now().After(deadline) {
				for i, c := range clocks {
					by, since := c.Moved()
					t.Errorf("%s: clock %d is off by %s and says moved by %s since %s", what, i, time.Until(c.Now()), by, since)
				}
				t.FailNow()
			}
			wait, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			<-wait.Done()
			cancel()
		}
	}
	until("at first", 0, 0)
	move("+1h")
	until("moved ahead", 0, time.Hour)
	move("+0")
	until("back from ahead", 0, 0)
	move("-1h")
	until("moved back", 0, -time.Hour)
	move("+0")
	until("back from behind", 0, 0)
	move("+1h")
	until("moved ahead again", 0, time.Hour)
	clocks = append(clocks, join("c"))
	until("another joined or all believe it", time.Hour, 0)
}
