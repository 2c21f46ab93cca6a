package loop

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/topology"
)

var onset = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// changesIn is a store with changes.
func changesIn(t *testing.T, list ...heal.Change) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "changes.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	err = db.Update(t.Context(), func(tx store.Tx) error {
		for i := range list {
			if _, err := store.ChangeKind.Put(tx, &list[i], store.Absent); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func changeOf(id string, entity heal.EntityID, after time.Duration) heal.Change {
	return heal.Change{ID: heal.ChangeID(id), Kind: heal.ChangeDeploy, Entity: entity, Scope: heal.DefaultScope.WithService(entity.Name()), At: onset.Add(after), Source: heal.FromCaller}
}

// blaming is a diagnosis that counts the changes.
func blaming(ids ...string) *heal.Diagnosis {
	d := &heal.Diagnosis{Causes: []heal.Cause{{Entity: "service/cart"}}}
	for _, id := range ids {
		d.Causes[0].For = append(d.Causes[0].For, heal.Reason{Code: "recent_change", Evidence: []heal.Evidence{{Query: id}}})
	}
	d.Causes[0].For = append(d.Causes[0].For, heal.Reason{Code: "errors", Evidence: []heal.Evidence{{Query: "other"}}})
	return d
}

// TestSuspect: a change knows the cases whose newest diagnosis counts it.
func TestSuspect(t *testing.T) {
	db := changesIn(t, changeOf("one", "service/cart", -time.Minute), changeOf("two", "service/cart", -time.Minute), changeOf("other", "service/cart", -time.Minute))
	cases := func() string {
		text := ""
		err := db.View(t.Context(), func(r store.Reader) error {
			rows, err := store.ChangeKind.All(r, store.Query{})
			for _, row := range rows {
				for _, s := range row.Value.Suspected {
					text += fmt.Sprintf("%s in %s (%s) ", row.Value.ID, s.Incident, s.Title)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	steps := []struct {
		name, id string
		was, now *heal.Diagnosis
		want     string
	}{
		{"the first diagnosis", "a", nil, blaming("one", "gone"), "one in a (slow) "},
		{"the same again", "a", blaming("one", "gone"), blaming("one"), "one in a (slow) "},
		{"another case", "b", nil, blaming("one", "two"), "one in a (slow) one in b (slow) two in b (slow) "},
		{"it thinks better of it", "b", blaming("one", "two"), blaming("two"), "one in a (slow) two in b (slow) "},
		{"nothing is left", "b", blaming("two"), &heal.Diagnosis{}, "one in a (slow) "},
	}
	for _, s := range steps {
		inc := heal.Incident{ID: heal.IncidentID(s.id), Scope: heal.DefaultScope.WithService("front"), Title: "slow", Diagnosis: s.was}
		if err := db.Update(t.Context(), func(tx store.Tx) error { return suspect(tx, &inc, s.now) }); err != nil {
			t.Fatal(err)
		}
		if got := cases(); got != s.want {
			t.Errorf("%s: got %q, want %q", s.name, got, s.want)
		}
	}
	for i := range 2 * heal.MaxSuspicions {
		inc := heal.Incident{ID: heal.IncidentID(fmt.Sprint("case-", i)), Scope: heal.DefaultScope, Title: "slow"}
		if err := db.Update(t.Context(), func(tx store.Tx) error { return suspect(tx, &inc, blaming("two")) }); err != nil {
			t.Fatal(err)
		}
	}
	err := db.View(t.Context(), func(r store.Reader) error {
		c := changeOf("two", "service/cart", 0)
		got, err := store.ChangeKind.Get(r, store.ChangeKind.Key(&c))
		if n := len(got.Value.Suspected); n != heal.MaxSuspicions || got.Value.Suspected[n-1].Incident != "case-39" {
			t.Errorf("after 40 cases: got %v, want the newest %d", got.Value.Suspected, heal.MaxSuspicions)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestChangesAround gives what was changed about what a case leads to, and of
// much the nearest to its beginning.
func TestChangesAround(t *testing.T) {
	graph := topology.New(topology.Options{})
	graph.Observe([]topology.Observation{{From: "service/front", To: "service/cart", Source: "test", At: onset}, {From: "service/cart", To: "database/orders", Source: "test", At: onset}}, onset)
	elsewhere := changeOf("elsewhere", "service/cart", -time.Minute)
	elsewhere.Scope.Env = "staging"
	few := []heal.Change{
		changeOf("depends", "database/orders", -time.Hour), changeOf("itself", "service/cart", 0), changeOf("caller", "service/front", time.Minute), changeOf("named", "host/web-1", -time.Second),
		changeOf("process", "service/worker", -2*time.Second), changeOf("unrelated", "service/mail", -time.Minute), changeOf("too old", "service/cart", -time.Hour-1), changeOf("after its end", "service/cart", time.Hour), elsewhere,
	}
	var many []heal.Change
	for i := range 200 {
		many = append(many, changeOf(fmt.Sprintf("before-%03d", i), "service/cart", -time.Duration(i)*time.Second), changeOf(fmt.Sprintf("after-%03d", i), "service/cart", time.Duration(i+1)*time.Second))
	}
	inc := heal.Incident{
		ID: "a", Scope: heal.DefaultScope.WithService("cart"), BeganAt: onset, EndedAt: onset.Add(time.Hour),
		Members: []heal.Member{
			{Role: heal.Primary, Fault: heal.Fault{Key: heal.FaultKey{Type: heal.Unavailable, Entity: "service/cart"}}},
			{Role: heal.Secondary, Fault: heal.Fault{Key: heal.FaultKey{Type: heal.Unavailable, Entity: "process/worker"}}},
		},
		Diagnosis: &heal.Diagnosis{Causes: []heal.Cause{{Entity: "host/web-1"}}},
	}
	around := func(t *testing.T, list []heal.Change, inc *heal.Incident) (ids []string, more bool) {
		t.Helper()
		l := New(Parts{Store: changesIn(t, list...), Topology: graph}, Options{Clock: func() time.Time { return onset.Add(time.Hour) }})
		found, more, err := l.ChangesAround(t.Context(), inc)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			ids = append(ids, string(c.ID))
		}
		return ids, more
	}
	ids, more := around(t, few, &inc)
	if diff := cmp.Diff(ids, []string{"caller", "itself", "named", "process", "depends"}); diff != "" || more {
		t.Errorf("few, more %v (-got +want):\n%s", more, diff)
	}
	ids, more = around(t, many, &inc)
	if len(ids) != 2*changesShown || ids[0] != "after-019" || ids[len(ids)-1] != "before-019" || !more {
		t.Errorf("many: got %d, %v, more %v, want the %d nearest on either side", len(ids), ids, more, changesShown)
	}
	if ids, _ := around(t, few, &heal.Incident{ID: "b"}); ids != nil {
		t.Errorf("a case that says not when it began: got %v, want none", ids)
	}
}
