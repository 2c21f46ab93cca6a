package turn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// TestInOrder: those in line have the turn one after the other, without who
// gave up, and who closes is served last.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := &Turn{Limit: 4}
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		leaving, leave := context.WithCancel(t.Context())
		var order []int
		for i := range 4 {
			ctx := t.Context()
			if i == 1 {
				ctx = leaving
			}
			go func() {
				err := turn.Take(ctx)
				if i == 1 {
					if !errors.Is(err, context.Canceled) || !heal.Is(err, heal.Transient) {
						t.Errorf("who gave up: got %v, want kind transient of %v", err, context.Canceled)
					}
					return
				}
				if err != nil {
					t.Errorf("turn %d: %v", i, err)
				}
				order = append(order, i)
				if !turn.Pass() {
					turn.Free()
				}
			}()
			synctest.Wait()
		}
		if err := turn.Take(t.Context()); !heal.Is(err, heal.Transient) {
			t.Errorf("one too many: got %v, want kind transient", err)
		}
		leave()
		synctest.Wait()
		go func() {
			if !turn.Close() {
				t.Error("close: got false, want true")
			}
			order = append(order, 99)
		}()
		synctest.Wait()
		if err := turn.Take(t.Context()); !heal.Is(err, heal.Transient) {
			t.Errorf("take after close: got %v, want kind transient", err)
		}
		if waiting, refused := turn.Stats(); waiting != 4 || refused != 1 {
			t.Errorf("stats: got %d waiting and %d refused, want 4 and 1", waiting, refused)
		}
		turn.Free()
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 2, 3, 99}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if turn.Close() {
			t.Error("close again: got true, want false")
		}
	})
}

func TestFreeAgain(t *testing.T) {
	turn := &Turn{}
	for range 3 {
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if turn.Pass() {
			t.Error("pass with nobody in line: got true")
		}
		turn.Free()
	}
	if !turn.Close() {
		t.Error("close of a turn nobody holds: got false")
	}
}

// TestAwaitedGoFirst: those somebody waits for go before who came earlier, but
// not for ever.
func TestAwaitedGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := &Turn{Limit: 100}
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		var order string
		wait := func(ctx context.Context, name string) {
			go func() {
				if err := turn.Take(ctx); err != nil {
					t.Error(err)
				}
				order += name
				if !turn.Pass() {
					turn.Free()
				}
			}()
			synctest.Wait()
		}
		wait(t.Context(), "a")
		wait(t.Context(), "b")
		for range 2*mostAhead + 1 {
			wait(store.Awaited(t.Context()), ".")
		}
		turn.Free()
		synctest.Wait()
		if want := "........a........b."; order != want {
			t.Errorf("order: got %s, want %s", order, want)
		}
		if waiting, _ := turn.Stats(); waiting != 0 {
			t.Errorf("still waiting: %d", waiting)
		}
	})
}
