package library_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/library"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// rig is a library over a folder in memory.
type rig struct {
	*library.Library
	t     *testing.T
	db    *sqlite.DB
	files map[string]string
	books []*playbook.Compiled
	specs map[string]action.Spec
	clock time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, db: db, files: map[string]string{}, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.specs = map[string]action.Spec{
		"wait.for":   {Name: "wait.for", Effect: action.ReadOnly, Params: []action.Param{{Name: "duration", Type: action.Duration, Required: true}}},
		"world.else": {Name: "world.else", Effect: action.ReadOnly},
	}
	r.restart()
	return r
}

// restart gives the rig a library that remembers nothing.
func (r *rig) restart() {
	r.books = nil
	r.Library = library.New(library.Options{
		Store: r.db, Specs: r.specs,
		Files: func() ([]playbook.File, error) {
			var out []playbook.File
			for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
				if text, ok := r.files[name]; ok {
					out = append(out, playbook.File{Name: name, Data: []byte(text)})
				}
			}
			return out, nil
		},
		Use:    func(books []*playbook.Compiled) { r.books = books },
		Clock:  func() time.Time { r.clock = r.clock.Add(time.Second); return r.clock },
		Logger: slog.New(slog.DiscardHandler),
	})
}

func source(id, wait string) string {
	return fmt.Sprintf("playbook_id: %s\nname: %s\ntasks:\n  - id: wait\n    type: wait\n    parameters: {duration: %s}\n", id, id, wait)
}

func (r *rig) sync() {
	r.t.Helper()
	if err := r.Sync(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// waits are the durations of the playbooks in force.
func (r *rig) waits() map[string]string {
	out := map[string]string{}
	for _, b := range r.books {
		_, after, _ := strings.Cut(string(b.Source), "duration: ")
		out[b.ID] = strings.TrimSuffix(after, "}\n")
	}
	return out
}

func (r *rig) want(what string, want map[string]string) {
	r.t.Helper()
	r.sync()
	if diff := cmp.Diff(r.waits(), want); diff != "" {
		r.t.Errorf("%s: in force (-got +want):\n%s", what, diff)
	}
}

// story is the versions of a playbook in words.
func (r *rig) story(id string) []string {
	r.t.Helper()
	var out []string
	err := r.db.View(r.t.Context(), func(rd store.Reader) error {
		all, err := library.Versions(rd, id)
		for _, v := range all {
			out = append(out, fmt.Sprintf("%d %s: %s", v.Number, v.Author, v.Reason))
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestFolderIsFollowed(t *testing.T) {
	r := newRig(t)
	r.files["a.yaml"], r.files["b.yaml"] = source("a", "1s"), source("b", "1s")
	r.want("at first", map[string]string{"a": "1s", "b": "1s"})
	r.files["a.yaml"] = source("a", "2s") + "change: {author: ann, reason: wait longer}\n"
	r.sync()
	r.files["b.yaml"] = "playbook_id: b\nname: [\n"
	r.files["c.yaml"] = source("c", "3s")
	r.sync()
	if got := r.Problems(); len(got) != 1 || got[0].File != "b.yaml" {
		t.Errorf("problems: %v", got)
	}
	if got := r.waits()["b"]; got != "1s" || len(r.books) != 3 {
		t.Errorf("b with a mistake: %q is in force of %d, want the last good one of 3", got, len(r.books))
	}
	r.files["b.yaml"] = source("b", "4s")
	r.sync()
	if got := r.Problems(); len(got) != 0 || r.waits()["b"] != "4s" {
		t.Errorf("b mended: %v, %v", got, r.waits())
	}
	delete(r.files, "c.yaml")
	r.files["a.yaml"] = source("a", "2s")
	r.want("c gone", map[string]string{"a": "2s", "b": "4s"})
	r.files["c.yaml"] = source("c", "3s")
	r.want("c back", map[string]string{"a": "2s", "b": "4s", "c": "3s"})
	if diff := cmp.Diff(r.story("a"), []string{"1 file: first seen", "2 ann: wait longer", "3 file: the file changed"}); diff != "" {
		t.Errorf("versions of a (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(r.story("c"), []string{"1 file: first seen", "2 file: the file is gone", "3 file: the file changed"}); diff != "" {
		t.Errorf("versions of c (-got +want):\n%s", diff)
	}
}

func TestPersonsChangeStaysUntilTheFileChanges(t *testing.T) {
	r := newRig(t)
	r.files["a.yaml"] = source("a", "1s")
	r.sync()
	if _, err := r.Publish(t.Context(), []byte(source("a", "5s")), "ann", "try longer"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Publish(t.Context(), []byte(source("a", "5s")), "ann", "again"); !heal.Is(err, heal.Conflict) {
		t.Errorf("the same again: got %v, want a conflict", err)
	}
	if _, err := r.Publish(t.Context(), []byte("playbook_id: a\nname: A\ntasks: [{id: x, action: no.such}]"), "ann", "break it"); !heal.Is(err, heal.Invalid) {
		t.Errorf("a mistake: got %v, want it refused", err)
	}
	r.want("published", map[string]string{"a": "5s"})
	r.restart()
	r.want("after a restart", map[string]string{"a": "5s"})
	v, err := r.Rollback(t.Context(), "a", 1, "bob", "it did not help")
	if err != nil || v.Number != 3 {
		t.Fatalf("rolled back: %+v, %v", v, err)
	}
	r.want("rolled back", map[string]string{"a": "1s"})
	if _, err := r.Rollback(t.Context(), "a", 9, "bob", ""); !heal.Is(err, heal.NotFound) {
		t.Errorf("no such version: got %v", err)
	}
	r.files["a.yaml"] = source("a", "7s")
	r.want("the file changed", map[string]string{"a": "7s"})
	want := []string{"1 file: first seen", "2 ann: try longer", "3 bob: it did not help", "4 file: the file changed"}
	if diff := cmp.Diff(r.story("a"), want); diff != "" {
		t.Errorf("versions (-got +want):\n%s", diff)
	}
}

// Two servers with different folders must not take turns for ever.
func TestServersDoNotFight(t *testing.T) {
	r := newRig(t)
	r.files["a.yaml"] = source("a", "1s")
	r.sync()
	one := r.Library
	r.files = map[string]string{"a.yaml": source("a", "2s")}
	r.restart()
	r.sync()
	mine := r.files
	for range 3 {
		r.files = map[string]string{"a.yaml": source("a", "1s")}
		if err := one.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.files = mine
		r.sync()
	}
	if got := r.story("a"); len(got) != 2 {
		t.Errorf("versions: %v, want 2", got)
	}
}

// What an installation does not allow any more is reported and not in force
// after a restart; the others are.
func TestActionThatIsGone(t *testing.T) {
	r := newRig(t)
	r.files["a.yaml"] = source("a", "1s")
	r.sync()
	if _, err := r.Publish(t.Context(), []byte("playbook_id: d\nname: D\ntasks: [{id: x, action: world.else}]\n"), "ann", "new"); err != nil {
		t.Fatal(err)
	}
	delete(r.specs, "world.else")
	r.restart()
	r.want("without the action", map[string]string{"a": "1s"})
	if got := r.Problems(); len(got) != 1 || got[0].File != "d.yaml" {
		t.Errorf("problems: %v", got)
	}
}
