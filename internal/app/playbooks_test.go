package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/config"
)

// A running server takes a changed file and keeps what was good of a broken one.
func TestFolderOfPlaybooksIsFollowed(t *testing.T) {
	cfg := freePorts(t)
	cfg.Playbooks.Dir, cfg.Playbooks.Reload = t.TempDir(), config.Duration(10*time.Millisecond)
	file := filepath.Join(cfg.Playbooks.Dir, "mine.yaml")
	write := func(name, more string) {
		t.Helper()
		text := "playbook_id: mine\nname: " + name + "\ntasks: [{id: a, type: wait, parameters: {duration: 1s}}]\n" + more
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("One", "")
	s := run(t, cfg)
	name := func() string {
		b, err := s.shelf.catalog.Find("mine")
		if err != nil {
			return ""
		}
		return b.Name
	}
	until := func(what string, met func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(20 * time.Second); !met(); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("not %s: %q is in force, problems %v", what, name(), s.shelf.Problems())
			}
		}
	}
	until("there", func() bool { return name() == "One" })
	write("Two", "")
	until("followed", func() bool { return name() == "Two" })
	write("Three", "colour: red\n")
	until("reported", func() bool { return strings.Contains(s.shelf.Problems().Error(), "colour") })
	if name() != "Two" {
		t.Errorf("%q is in force, want the last good one", name())
	}
	write("Four", "")
	until("mended", func() bool { return name() == "Four" && len(s.shelf.Problems()) == 0 })
}
