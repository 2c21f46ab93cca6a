//go:build postgres

package postgres

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/homeostat/homeostat/internal/store"
)

const childVar = "HOMEOSTAT_TEST_STORE"

// child writes records until it is killed and prints the key of each one that
// was acknowledged.
func child(dsn string) int {
	db, err := Open(context.Background(), Options{DSN: DSN(dsn)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				err := db.Update(context.Background(), func(tx store.Tx) error {
					_, err := tx.Put(store.Settings, store.Record{Key: key, Body: []byte(key)})
					return err
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				out.Lock()
				fmt.Println(key)
				out.Unlock()
			}
		})
	}
	wg.Wait()
	return 1
}

// TestKill kills a writing process again and again while another writes too;
// what it had acknowledged is there each time, and the other goes on.
func TestKill(t *testing.T) {
	db := mustOpen(t, Options{})
	var acknowledged []string
	for round := range 3 {
		acknowledged = append(acknowledged, runAndKill(t, string(db.opts.DSN), 50+round*101)...)
		put(t, db, fmt.Sprintf("other%d", round))
		err := db.View(t.Context(), func(r store.Reader) error {
			for _, key := range acknowledged {
				if _, err := r.Get(store.Settings, key); err != nil {
					t.Errorf("acknowledged record: %v", err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// runAndKill kills the child once it has acknowledged so many records, and
// gives all that it acknowledged until it was dead.
func runAndKill(t *testing.T, dsn string, after int) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+dsn)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line cut short was not acknowledged in full
		}
		if keys = append(keys, strings.TrimSpace(line)); len(keys) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(keys) < after {
		t.Fatalf("the child ended after %d records: %s", len(keys), stderr.String())
	}
	return keys
}
