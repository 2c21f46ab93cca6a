package lease

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// house is a store that several servers share, and their clock.
type house struct {
	db *sqlite.DB

	mu  sync.Mutex
	now time.Time
}

func newHouse(t *testing.T) *house {
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
	return &house{db: db, now: time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)}
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func duties() (all []string) {
	for i := range 30 {
		all = append(all, fmt.Sprintf("cases/%02d", i))
	}
	return all
}

func (h *house) member(name string) *Share {
	return NewShare(h.db, ShareOptions{Member: name, Duties: duties(), Clock: h.clock, Every: 4 * time.Millisecond})
}

// rounds lets each take part in turn until what one gave up another has.
func rounds(t *testing.T, shares ...*Share) {
	t.Helper()
	for range 2 {
		for _, s := range shares {
			if err := s.round(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// held is how many duties each has; every duty is held by exactly one.
func held(t *testing.T, shares ...*Share) []int {
	t.Helper()
	counts := make([]int, len(shares))
	for _, d := range duties() {
		n := 0
		for i, s := range shares {
			if s.Holds(d) {
				counts[i]++
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s has %d holders, want 1", d, n)
		}
	}
	return counts
}

func TestShareDividesDuties(t *testing.T) {
	h := newHouse(t)
	a, b, c := h.member("a"), h.member("b"), h.member("c")
	rounds(t, a)
	if got := held(t, a); got[0] != 30 {
		t.Fatalf("alone: %v, want all", got)
	}
	rounds(t, a, b, c)
	got := held(t, a, b, c)
	if slices.Min(got) < 4 {
		t.Errorf("three servers have %v, want a fair part each", got)
	}
	if a.Members() != 3 {
		t.Errorf("%d members, want 3", a.Members())
	}
}

func TestShareTakesOverFromTheDead(t *testing.T) {
	h := newHouse(t)
	a, b := h.member("a"), h.member("b")
	rounds(t, a, b)
	for range 6 { // b is not heard of
		h.pass(2 * time.Second)
		rounds(t, a)
	}
	b.expire()
	if got := held(t, a, b); got[0] != 30 {
		t.Errorf("after the lease of b ended: %v, want all with a", got)
	}
	rounds(t, a, b) // and is back
	if got := held(t, a, b); got[1] == 0 {
		t.Errorf("b is back and has none: %v", got)
	}
}

// A server that cannot give a sign of life stops before another may begin.
func TestShareStopsBeforeItsEnd(t *testing.T) {
	h := newHouse(t)
	a := h.member("a")
	rounds(t, a)
	h.pass(8*time.Second - time.Nanosecond)
	if !a.Holds("cases/00") {
		t.Error("it gave up early")
	}
	h.pass(time.Nanosecond)
	if a.Holds("cases/00") {
		t.Error("it holds a duty that is about to be another's")
	}
}

func TestShareFence(t *testing.T) {
	h := newHouse(t)
	a, b := h.member("a"), h.member("b")
	rounds(t, a)
	fence := func(s *Share) error {
		return h.db.View(t.Context(), func(r store.Reader) error { return s.Fence(r, "cases/00") })
	}
	if err := fence(a); err != nil {
		t.Errorf("the holder is refused: %v", err)
	}
	h.pass(11 * time.Second)
	rounds(t, b) // a does not know yet
	if err := fence(a); !heal.Is(err, heal.Conflict) {
		t.Errorf("a lost it and may write: %v", err)
	}
	if err := fence(b); err != nil {
		t.Errorf("b has it and may not write: %v", err)
	}
}

// A duty is handed on only after work on it has ended.
func TestShareWaitsForWork(t *testing.T) {
	h := newHouse(t)
	a, b := h.member("a"), h.member("b")
	rounds(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, told, end := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	duty := "" // one that will be b's
	for _, d := range duties() {
		if choose([]string{"a", "b"}, d) == "b" {
			duty = d
			break
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = a.While(ctx, duty, func(ctx context.Context) error {
			began <- struct{}{}
			<-ctx.Done()
			close(told)
			<-end
			cancel()
			return nil
		})
	})
	<-began
	rounds(t, a, b)
	<-told
	rounds(t, a, b)
	if b.Holds(duty) {
		t.Error("b has it while a still works on it")
	}
	close(end)
	wg.Wait()
	rounds(t, a, b)
	if !b.Holds(duty) {
		t.Error("a ended its work and b does not have it")
	}
}

func TestShareWhileGivesTheError(t *testing.T) {
	h := newHouse(t)
	a := h.member("a")
	rounds(t, a)
	want := errors.New("it broke")
	if err := a.While(t.Context(), "cases/00", func(context.Context) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestShareLeaves(t *testing.T) {
	h := newHouse(t)
	a, b := h.member("a"), h.member("b")
	rounds(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	rounds(t, b)
	if got := held(t, a, b); got[1] != 30 {
		t.Errorf("after a left at once: %v, want all with b", got)
	}
}

func TestAloneHoldsEverything(t *testing.T) {
	var alone *Share
	ran := false
	err := alone.While(t.Context(), "any", func(context.Context) error { ran = true; return nil })
	if err != nil || !ran || !alone.Holds("any") || alone.Fence(nil, "any") != nil {
		t.Errorf("a server alone: ran %v, error %v", ran, err)
	}
}
