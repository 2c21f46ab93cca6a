//go:build e2e

package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// movable is a database server whose clock a file sets, by Debian's libfaketime.
func movable(t *testing.T) (_ *pgtest.Server, move func(by string)) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		t.Fatalf("libfaketime is needed: apt-get install faketime (%v)", err)
	}
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // the database server runs as another user
	file := filepath.Join(dir, "clock")
	move = func(by string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(by+"\n"), 0o644))
	}
	move("+0")
	for name, value := range map[string]string{
		"LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
	} {
		t.Setenv(name, value)
	}
	return newServer(t), move
}

const askBook = `playbook_id: ask
name: Ask first
trust: auto
risk: low
approval: {required: always, owner: admin, deadline: 20m}
tasks: [{id: one, action: wait.for, parameters: {duration: 10ms}}]
`

// TestE2EClockMoved moves the clock that servers go by an hour ahead and an hour
// back while a question to a person, a cool-down and a new fault are pending.
func TestE2EClockMoved(t *testing.T) {
	for _, by := range []string{"+1h", "-1h"} {
		t.Run(by, func(t *testing.T) {
			server, move := movable(t)
			p := newPatientHouse(t, settings{"store": settings{"dsn": databaseOf(t, server)}}, playbook{"ask", askBook})
			p.start()
			p.world.whenCalled(func(call, <-chan struct{}) { p.sick.Store(false) })
			p.sick.Store(true)
			p.theCase(60*time.Second, "the first case healed", func(c form.IncidentSummary) bool { return c.State == "healed" })
			asked := p.started("ask", "service/other").ID

			move(by)
			eventually(t, 30*time.Second, "readiness speaks of the clock", func() bool {
				return strings.Contains(string(p.do(http.MethodGet, "/readyz?verbose", nil).body), "clock of the store")
			})
			p.sick.Store(true) // in the cool-down of ten minutes, which an hour would end
			eventually(t, 60*time.Second, "the new fault is a case", func() bool { return len(all[form.IncidentSummary](p.house, incidents)) == 2 })
			still := time.After(10 * time.Second)
			for wait := true; wait; {
				select {
				case <-still:
					wait = false
				case <-time.After(100 * time.Millisecond):
				}
				if n := len(p.world.keys("cart")); n != 1 {
					t.Fatalf("%d calls, want the first alone: the service rests", n)
				}
				if s := p.run(asked).State; s != "waiting_approval" {
					t.Fatalf("the question of 20 minutes is %s, want it waiting", s)
				}
			}

			move("+0")
			eventually(t, 60*time.Second, "the clocks agree again", func() bool {
				return !strings.Contains(string(p.do(http.MethodGet, "/readyz?verbose", nil).body), "clock of the store")
			})
			p.cli("approve", asked)
			eventually(t, 60*time.Second, "the run that was asked for ends", func() bool { return p.run(asked).State == "succeeded" })
			if n := len(p.world.keys("cart")); n != 1 {
				t.Errorf("%d calls, want the first alone: the service rests", n)
			}
		})
	}
}
