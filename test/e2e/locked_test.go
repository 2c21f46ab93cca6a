//go:build e2e

package e2e_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// holder is a real program that holds a lock on a database.
type holder struct {
	t     *testing.T
	words []string // the program
	lock  string   // what it is told to hold the lock, then to say held
	in    io.WriteCloser
	child *child
}

// hold returns once the lock is held.
func (h *holder) hold() {
	h.t.Helper()
	cmd := exec.Command(h.words[0], h.words[1:]...)
	var err error
	h.in, err = cmd.StdinPipe()
	must(h.t, err)
	out, said := io.Pipe()
	cmd.Stdout = said
	h.child = spawn(h.t, cmd)
	held := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "held") {
				close(held)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	h.t.Cleanup(func() { out.Close() })
	_, err = io.WriteString(h.in, h.lock)
	must(h.t, err)
	select {
	case <-held:
	case <-h.child.ended:
		h.t.Fatalf("%s ended before it held the lock: %s", h.words[0], h.child.out.String())
	}
}

func (h *holder) release() {
	h.t.Helper()
	must(h.t, h.in.Close()) // the program ends at the end of its input
	<-h.child.ended
}

// TestE2EDatabaseLocked has another program hold a write lock on the store while
// a run is in flight.
func TestE2EDatabaseLocked(t *testing.T) {
	t.Parallel() // it mostly waits
	p := newPatientHouse(t, nil)
	p.start()
	h := holder{t: t, words: []string{"sqlite3", filepath.Join(p.dir, "data", "homeostat.db")}, lock: ".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n"}
	p.goThrough(trouble{begin: h.hold, end: h.release, says: []string{"another program holds a lock", "took nothing within"}})
}

// TestE2EDatabaseServerLocked has another program hold the row that every update
// locks, in PostgreSQL.
func TestE2EDatabaseServerLocked(t *testing.T) {
	t.Parallel() // it mostly waits
	server := newServer(t)
	dsn := databaseOf(t, server)
	p := newPatientHouse(t, settings{"store": settings{"dsn": dsn}})
	p.start()
	h := holder{t: t, words: []string{server.Tool("psql"), "-qAt", dsn}, lock: "BEGIN;\nSELECT revision FROM store_state FOR UPDATE;\nSELECT 'held';\n"}
	p.goThrough(trouble{begin: h.hold, end: h.release, says: []string{"another program holds a lock", "took nothing within", "lock"}})
}
