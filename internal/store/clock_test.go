package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// wall is a clock of a store that can be moved, be slow and be silent.
type wall struct {
	mu    sync.Mutex
	off   time.Duration
	takes time.Duration
	err   error
}

func (w *wall) set(off time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = off
}

func (w *wall) be(takes time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takes, w.err = takes, err
}

func (w *wall) Now(ctx context.Context) (time.Time, error) {
	w.mu.Lock()
	takes, off, err := w.takes, w.off, w.err
	w.mu.Unlock()
	half := time.NewTimer(takes / 2)
	defer half.Stop()
	select {
	case <-half.C:
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	said := time.Now().Add(off)
	half.Reset(takes / 2)
	select {
	case <-half.C:
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	return said, err
}

// marks is where servers agree.
type marks struct {
	mu   sync.Mutex
	mark store.Mark
}

func (m *marks) Last(context.Context) (store.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mark.Agreed.IsZero() {
		return m.mark, heal.Errorf(heal.NotFound, "read the mark", "there is none")
	}
	return m.mark, nil
}

func (m *marks) Keep(_ context.Context, mark store.Mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mark.Agreed.After(m.mark.Agreed) {
		m.mark = mark
	}
	return nil
}

// run starts a clock and gives it with how to stop it.
func run(t *testing.T, w *wall, opts store.ClockOptions) (c *store.Clock, stop func()) {
	t.Helper()
	c, err := store.NewClock(t.Context(), w, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: got %v, want nil", err)
		}
	})
}

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// near reports whether two durations are the same but for a second, which is
// what asking every two seconds leaves open.
func near(a, b time.Duration) bool { return (a - b).Abs() <= 1100*time.Millisecond }

// TestClock: each line sets the store's clock, lets time pass, and says by how
// much the clock is off the time that really passed, and how far the store's is
// said to be moved.
func TestClock(t *testing.T) {
	const hour = time.Hour
	type line struct {
		store time.Duration // off the time that passed
		pass  time.Duration
		off   time.Duration // of the clock
		moved time.Duration
	}
	tests := []struct {
		name  string
		lines []line
	}{
		{"agrees", []line{{0, hour, 0, 0}}},
		{"a little ahead is followed", []line{{8 * time.Second, 5 * time.Second, 8 * time.Second, 0}}},
		{"a little behind is followed slowly", []line{{-8 * time.Second, 3 * time.Second, 0, 0}, {-8 * time.Second, 30 * time.Second, -8 * time.Second, 0}}},
		{"ahead for a moment", []line{{hour, 9 * time.Minute, 0, hour}, {0, 3 * time.Second, 0, 0}}},
		{"ahead for good", []line{{hour, 9 * time.Minute, 0, hour}, {hour, 2 * time.Minute, hour, 0}}},
		{"ahead, and further", []line{{hour, 9 * time.Minute, 0, hour}, {2 * hour, 9 * time.Minute, 0, 2 * hour}, {2 * hour, 2 * time.Minute, 2 * hour, 0}}},
		{"ahead and behind in turn", []line{{hour, 9 * time.Minute, 0, hour}, {-hour, 10 * time.Minute, -5 * time.Minute, -55 * time.Minute}, {hour, 9 * time.Minute, -5 * time.Minute, hour + 5*time.Minute}, {0, 3 * time.Second, 0, 0}}},
		{"behind for a moment", []line{{-hour, 10 * time.Minute, -5 * time.Minute, -55 * time.Minute}, {0, 3 * time.Second, 0, 0}}},
		{"behind for good", []line{{-hour, hour, -30 * time.Minute, -30 * time.Minute}, {-hour, hour + 3*time.Second, -hour, 0}}},
		{"behind, then ahead", []line{{-hour, 10 * time.Minute, -5 * time.Minute, -55 * time.Minute}, {hour, 9 * time.Minute, -5 * time.Minute, hour + 5*time.Minute}, {hour, 2 * time.Minute, hour, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w wall
				c, stop := run(t, &w, store.ClockOptions{})
				defer stop()
				for i, l := range tt.lines {
					w.set(l.store)
					pass(l.pass)
					if got := time.Until(c.Now()); !near(got, l.off) {
						t.Errorf("line %d: the clock is off by %s, want %s", i, got, l.off)
					}
					if got, since := c.Moved(); !near(got, l.moved) || (got != 0) != !since.IsZero() {
						t.Errorf("line %d: moved by %s since %v, want %s", i, got, since, l.moved)
					}
				}
			})
		})
	}
}

// TestClockSince: a move counts from when it was first seen, by the time agreed on.
func TestClockSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wall
		c, stop := run(t, &w, store.ClockOptions{})
		defer stop()
		pass(time.Minute)
		began := c.Now()
		for _, off := range []time.Duration{time.Hour, 2 * time.Hour, -time.Hour} {
			w.set(off)
			pass(time.Minute)
			if _, since := c.Moved(); since.Sub(began) < 0 || since.Sub(began) > 3*time.Second {
				t.Errorf("moved by %s: since %s after the first move, want at most 3 s", off, since.Sub(began))
			}
		}
	})
}

// TestClockStart: what was agreed on before the start holds after it.
func TestClockStart(t *testing.T) {
	const hour = time.Hour
	tests := []struct {
		name        string
		agreed      time.Duration // of the mark, off the time that passed; with a mark only
		told        time.Duration // by the store's clock then
		ago         time.Duration // 0: there is no mark
		floor       time.Duration // off the time that passed; 0: none
		store       time.Duration // off the time that passed, now
		off, moved  time.Duration
		then        time.Duration // the store's clock is set so, and a while passes
		offs, moves time.Duration
	}{
		{name: "nothing is known", store: 5 * hour, off: 5 * hour, then: 5 * hour, offs: 5 * hour},
		{name: "down for long", ago: 10 * hour},
		{name: "down for a moment", ago: time.Minute},
		{name: "moved ahead while it was down for a moment", ago: time.Minute, store: hour, off: hour, then: hour, offs: hour},
		{name: "moved ahead before", ago: time.Minute, told: hour, store: hour, moved: hour, then: 0},
		{name: "moved ahead before, and still", ago: time.Minute, told: hour, store: hour, moved: hour, then: hour, moves: hour},
		{name: "moved back while it was down", ago: time.Minute, store: -hour, off: -time.Minute, moved: -59 * time.Minute, then: 0},
		{name: "moved back before", ago: time.Minute, told: -hour, store: -hour, moved: -hour, then: 0},
		{name: "behind the floor", floor: hour, off: hour, moved: -hour, then: 10 * hour, offs: 10 * hour},
		{name: "not behind the floor", floor: -hour},
		{name: "behind both", ago: 5 * time.Minute, floor: -hour, store: -2 * hour, off: -5 * time.Minute, moved: -115 * time.Minute, then: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, m := wall{off: tt.store}, marks{}
				if tt.ago > 0 {
					then := time.Now().Add(-tt.ago)
					m.mark = store.Mark{Server: "before", Agreed: then.Add(tt.agreed), Told: then.Add(tt.told)}
				}
				opts := store.ClockOptions{Server: "a", Marks: &m}
				if tt.floor != 0 {
					opts.Floor = time.Now().Add(tt.floor)
				}
				c, stop := run(t, &w, opts)
				defer stop()
				check := func(when string, off, moved time.Duration) {
					t.Helper()
					if got := time.Until(c.Now()); !near(got, off) {
						t.Errorf("%s: the clock is off by %s, want %s", when, got, off)
					}
					if got, _ := c.Moved(); !near(got, moved) {
						t.Errorf("%s: moved by %s, want %s", when, got, moved)
					}
				}
				check("at the start", tt.off, tt.moved)
				w.set(tt.then)
				pass(3 * time.Second)
				check("after it", tt.offs, tt.moves)
			})
		})
	}
}

// TestClocksAgree: servers of one store have one time, whoever joins, restarts
// or stood still.
func TestClocksAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wall
		var m marks
		clocks := map[string]*store.Clock{}
		join := func(name string) (stop func()) {
			c, stop := run(t, &w, store.ClockOptions{Server: name, Marks: &m})
			clocks[name] = c
			return stop
		}
		agree := func(when string, off, moved time.Duration) {
			t.Helper()
			for name, c := range clocks {
				if got := time.Until(c.Now()); !near(got, off) {
					t.Errorf("%s: %s is off by %s, want %s", when, name, got, off)
				}
				if got, _ := c.Moved(); !near(got, moved) {
					t.Errorf("%s: %s says moved by %s, want %s", when, name, got, moved)
				}
			}
		}
		stopA := join("a")
		pass(time.Second)
		defer join("b")()
		pass(time.Minute)
		agree("at first", 0, 0)
		w.set(time.Hour)
		pass(5 * time.Second)
		agree("moved", 0, time.Hour)
		defer join("c")()
		pass(5 * time.Second)
		agree("c joined", 0, time.Hour)
		stopA()
		pass(40 * time.Second)
		defer join("a")()
		agree("a started again", 0, time.Hour)
		pass(9*time.Minute + 15*time.Second)
		agree("it was steady since b saw it", time.Hour, 0)
	})
}

// TestClockStoodStill: a server that stood still, as a paused machine does,
// believes the others at once and does not hold on to an old time.
func TestClockStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wall
		var m marks
		c, stop := run(t, &w, store.ClockOptions{Server: "a", Marks: &m})
		defer stop()
		pass(time.Minute)
		w.set(time.Hour) // as seen by who stood still for an hour ...
		said := time.Now().Add(time.Hour)
		if err := m.Keep(t.Context(), store.Mark{Server: "b", Agreed: said, Told: said}); err != nil { // ... during which others went on
			t.Fatal(err)
		}
		pass(3 * time.Second)
		if got := time.Until(c.Now()); !near(got, time.Hour) {
			t.Errorf("the clock is off by %s, want an hour", got)
		}
		if by, _ := c.Moved(); by != 0 {
			t.Errorf("moved by %s, want not moved", by)
		}
	})
}

// TestClockNeverGoesBack: whatever the store says, in whatever time, the time
// rises, and within a second of what passed but for moves that were believed.
func TestClockNeverGoesBack(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 7))
				var w wall
				c, stop := run(t, &w, store.ClockOptions{Hold: time.Minute, Marks: &marks{}})
				defer stop()
				last, at := c.Now(), time.Now()
				for range 3000 {
					switch r.IntN(40) {
					case 0:
						w.set(time.Duration(r.Int64N(int64(4*time.Hour))) - 2*time.Hour)
					case 1:
						w.set(time.Duration(r.Int64N(int64(20*time.Second))) - 10*time.Second)
					case 2:
						w.be(time.Duration(r.Int64N(int64(3*time.Second))), nil)
					case 3:
						w.be(0, errors.New("no answer"))
					case 4:
						w.be(0, nil)
					}
					pass(time.Duration(r.Int64N(int64(2 * time.Second))))
					now := c.Now()
					if now.Before(last) {
						t.Fatalf("the clock went back by %s", last.Sub(now))
					}
					if least := time.Since(at) / 2; now.Sub(last) < least {
						t.Fatalf("the clock counted %s while %s passed, want half of it at least", now.Sub(last), time.Since(at))
					}
					last, at = now, time.Now()
				}
			})
		})
	}
}

// TestClockSlowStore: an answer that took its time is taken for the middle of
// it, and one that took too long for none.
func TestClockSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wall{takes: 900 * time.Millisecond}
		c, stop := run(t, &w, store.ClockOptions{})
		defer stop()
		pass(time.Minute)
		if got := time.Until(c.Now()).Abs(); got > time.Millisecond {
			t.Errorf("slow: the clock is off by %s, want at most 1 ms", got)
		}
		w.be(2*time.Second, nil)
		w.set(time.Hour)
		pass(time.Minute)
		if by, _ := c.Moved(); by != 0 {
			t.Errorf("too slow: moved by %s, want nothing said", by)
		}
		w.be(0, nil)
		pass(3 * time.Second)
		if by, _ := c.Moved(); !near(by, time.Hour) {
			t.Errorf("fast again: moved by %s, want an hour", by)
		}
	})
}

// TestClockNeedsTheStore: without the store there is no time to begin with.
func TestClockNeedsTheStore(t *testing.T) {
	silent := errors.New("silent")
	if _, err := store.NewClock(t.Context(), &wall{err: silent}, store.ClockOptions{}); !errors.Is(err, silent) {
		t.Errorf("got %v, want the store's error", err)
	}
}

// TestMarks: the mark is kept in the store, and an older one does not replace it.
func TestMarks(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	kept := store.MarksIn(db)
	if _, err := kept.Last(t.Context()); !heal.Is(err, heal.NotFound) {
		t.Errorf("none: got %v, want kind not found", err)
	}
	at := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	for _, m := range []store.Mark{{"a", at, at}, {"b", at.Add(time.Minute), at.Add(time.Hour)}, {"c", at.Add(time.Second), at.Add(time.Second)}} {
		if err := kept.Keep(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	want := store.Mark{Server: "b", Agreed: at.Add(time.Minute), Told: at.Add(time.Hour)}
	if got, err := kept.Last(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestClockTellsWhenItWasUneven: who compares times across a leap or a slow
// count can know it.
func TestClockTellsWhenItWasUneven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wall
		c, stop := run(t, &w, store.ClockOptions{})
		defer stop()
		check := func(when string, leapt, uneven bool) {
			t.Helper()
			if got := !c.Leapt().IsZero(); got != leapt {
				t.Errorf("%s: leapt at %v, want a leap %t", when, c.Leapt(), leapt)
			}
			if got := !c.Uneven().IsZero(); got != uneven {
				t.Errorf("%s: uneven until %v, want it was %t", when, c.Uneven(), uneven)
			}
		}
		pass(time.Minute)
		w.set(5 * time.Second)
		pass(time.Minute)
		check("followed a little", false, false)
		w.set(time.Hour)
		pass(9 * time.Minute)
		check("ahead, not believed", false, false)
		w.set(0)
		pass(time.Minute)
		check("back from ahead", false, false)
		w.set(time.Hour)
		pass(11 * time.Minute)
		check("ahead, believed", true, true)
		if age := c.Now().Sub(c.Leapt()); age < 58*time.Second || age > time.Minute || !c.Uneven().Equal(c.Leapt()) {
			t.Errorf("leapt %s ago, uneven until %v, want both a minute ago", age, c.Uneven())
		}
		w.set(0)
		pass(time.Minute)
		if got := c.Now().Sub(c.Uneven()).Abs(); got > time.Second || !c.Uneven().After(c.Leapt()) {
			t.Errorf("counting slowly: uneven until %s ago, want until now", got)
		}
		w.set(time.Hour)
		pass(time.Minute)
		if got := c.Now().Sub(c.Uneven()); got < 50*time.Second || got > 90*time.Second {
			t.Errorf("right again: uneven until %s ago, want about a minute", got)
		}
	})
}
