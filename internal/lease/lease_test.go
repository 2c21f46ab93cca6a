package lease_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

var start = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// step is one thing that happens to the lease "r".
type step struct {
	holder  string
	seconds int
	ttl     time.Duration // of an acquire
	release bool
}

func (s step) do(db *sqlite.DB) (got lease.Lease, err error) {
	err = db.Update(context.Background(), func(tx store.Tx) (err error) {
		if s.release {
			return lease.Release(tx, "r", s.holder)
		}
		got, err = lease.Acquire(tx, "r", s.holder, s.ttl, at(s.seconds))
		return err
	})
	return got, err
}

func look(t *testing.T, db *sqlite.DB) (got lease.Lease) {
	t.Helper()
	if err := db.View(t.Context(), func(r store.Reader) (err error) { got, err = lease.Look(r, "r"); return err }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLease(t *testing.T) {
	const ttl = 10 * time.Second
	tests := []struct {
		name   string
		steps  []step
		taken  bool // the last step is refused
		holder string
		epoch  int64
		since  int
		until  int // 0: until released
	}{
		{"first", []step{{"a", 0, ttl, false}}, false, "a", 1, 0, 10},
		{"renewed in time keeps its epoch", []step{{"a", 0, ttl, false}, {"a", 5, ttl, false}}, false, "a", 1, 0, 15},
		{"renewed too late is a new holding", []step{{"a", 0, ttl, false}, {"a", 11, ttl, false}}, false, "a", 2, 11, 21},
		{"held by another", []step{{"a", 0, ttl, false}, {"b", 9, ttl, false}}, true, "a", 1, 0, 10},
		{"taken over at its end", []step{{"a", 0, ttl, false}, {"b", 10, ttl, false}}, false, "b", 2, 10, 20},
		{"released and taken", []step{{"a", 0, ttl, false}, {"a", 1, 0, true}, {"b", 1, ttl, false}}, false, "b", 2, 1, 11},
		{"release by another changes nothing", []step{{"a", 0, ttl, false}, {"b", 1, 0, true}}, false, "a", 1, 0, 10},
		{"release by a former holder changes nothing", []step{{"a", 0, ttl, false}, {"b", 20, ttl, false}, {"a", 21, 0, true}}, false, "b", 2, 20, 30},
		{"without an end", []step{{"a", 0, 0, false}, {"b", 9999, ttl, false}}, true, "a", 1, 0, 0},
		{"without an end from now on", []step{{"a", 0, ttl, false}, {"a", 1, 0, false}}, false, "a", 1, 0, 0},
		{"with an end from now on", []step{{"a", 0, 0, false}, {"a", 1, ttl, false}}, false, "a", 1, 0, 11},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			for i, s := range tt.steps {
				_, err := s.do(db)
				if last := i == len(tt.steps)-1; last && tt.taken {
					if !heal.Is(err, heal.Conflict) {
						t.Errorf("step %d: got %v, want kind conflict", i, err)
					}
				} else if err != nil {
					t.Fatalf("step %d: got %v", i, err)
				}
			}
			want := lease.Lease{Resource: "r", Holder: tt.holder, Epoch: tt.epoch, Since: at(tt.since)}
			if tt.until > 0 {
				want.Until = at(tt.until)
			}
			if diff := cmp.Diff(look(t, db), want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestNeverLeasedIsFree(t *testing.T) {
	if got := look(t, open(t)); got.Held(at(0)) || got.Epoch != 0 {
		t.Errorf("got %+v, want it free at epoch 0", got)
	}
}

func TestHeldBy(t *testing.T) {
	db := open(t)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for i, holder := range []string{"a", "b", "a"} {
			if _, err := lease.Acquire(tx, fmt.Sprintf("r%d", i), holder, 0, at(0)); err != nil {
				return err
			}
		}
		return lease.Release(tx, "r2", "a")
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = db.View(t.Context(), func(r store.Reader) error {
		held, err := lease.HeldBy(r, "a")
		for _, l := range held {
			names = append(names, l.Resource)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, []string{"r0"}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// model is a lease in its smallest form.
type model struct {
	holder string
	epoch  int64
	until  int // seconds; -1: until released
}

func (m *model) held(now int) bool { return m.holder != "" && (m.until < 0 || now < m.until) }

// TestRandomStepsFollowTheModel also checks the invariant after each step:
// epochs only rise, and a holder changes only with the epoch.
func TestRandomStepsFollowTheModel(t *testing.T) {
	db := open(t)
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		resource := fmt.Sprintf("r%d", seed)
		var m model
		var before lease.Lease
		now := 0
		for n := range 60 {
			now += rng.IntN(6)
			holder := string(rune('a' + rng.IntN(3)))
			release, seconds := rng.IntN(4) == 0, rng.IntN(8)
			var got lease.Lease
			var refused bool
			err := db.Update(t.Context(), func(tx store.Tx) (err error) {
				if release {
					if err := lease.Release(tx, resource, holder); err != nil {
						return err
					}
				} else {
					_, err := lease.Acquire(tx, resource, holder, time.Duration(seconds)*time.Second, at(now))
					if refused = heal.Is(err, heal.Conflict); err != nil && !refused {
						return err
					}
				}
				got, err = lease.Look(tx, resource)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			wantRefused := m.apply(holder, now, seconds, release)
			if refused != wantRefused || got.Holder != m.holder || got.Epoch != m.epoch || got.Held(at(now)) != m.held(now) {
				t.Fatalf("seed %d step %d: got %+v refused %t, want %+v refused %t", seed, n, got, refused, m, wantRefused)
			}
			if got.Epoch < before.Epoch || got.Holder != before.Holder && got.Holder != "" && got.Epoch == before.Epoch {
				t.Fatalf("seed %d step %d: %+v after %+v: the holder changed without the epoch", seed, n, got, before)
			}
			before = got
		}
	}
}

func (m *model) apply(holder string, now, seconds int, release bool) (refused bool) {
	if release {
		if m.holder == holder {
			m.holder = ""
		}
		return false
	}
	if m.held(now) && m.holder != holder {
		return true
	}
	if !m.held(now) {
		m.epoch++
	}
	m.holder, m.until = holder, now+seconds
	if seconds == 0 {
		m.until = -1
	}
	return false
}
