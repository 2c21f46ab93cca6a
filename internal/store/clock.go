package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Timekeeper tells the time; a Store is one.
type Timekeeper interface {
	Now(ctx context.Context) (time.Time, error)
}

// ClockOptions are what a Clock may be told.
type ClockOptions struct {
	Server  string        // names this server in the marks it leaves
	Marks   Marks         // where servers agree and restarts remember; nil: nowhere
	Floor   time.Time     // it was at least this late before, beside what the mark says; zero: nothing is known
	Hold    time.Duration // how long a move forward must be steady to be believed; default 10 min, the longest window of the guards
	Every   time.Duration // how often the store is asked; default 2 s
	Keep    time.Duration // how often a mark is left; default 10 s
	Timeout time.Duration // of a question; default 1 s
	Logger  *slog.Logger  // hears of moves; nil: nobody does
}

func (o *ClockOptions) defaults() {
	for _, d := range []struct {
		into  *time.Duration
		value time.Duration
	}{{&o.Hold, 10 * time.Minute}, {&o.Every, 2 * time.Second}, {&o.Keep, 10 * time.Second}, {&o.Timeout, time.Second}} {
		if *d.into <= 0 {
			*d.into = d.value
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Clock is the time that the servers of one store agree on. It follows the
// store's clock, never goes back, and does not jump with it: when the store's
// clock disagrees with the time that passed, Clock counts on by itself and says
// so, see Moved. Run keeps it right.
type Clock struct {
	keeper Timekeeper
	opts   ClockOptions
	start  time.Time // carries the monotonic reading all others are taken from

	mu     sync.Mutex
	reckon reckoning
	last   time.Time // the newest time given
	unkept error     // why the last mark could not be left
}

// NewClock asks the store for the time and for what was agreed on before.
func NewClock(ctx context.Context, keeper Timekeeper, opts ClockOptions) (*Clock, error) {
	opts.defaults()
	c := &Clock{keeper: keeper, opts: opts, start: time.Now()}
	c.reckon.hold = opts.Hold
	var mark Mark
	if opts.Marks != nil {
		var err error
		if mark, err = c.lastMark(ctx); err != nil {
			return nil, heal.Wrap("read the time agreed on", err)
		}
	}
	told, doubt, err := c.ask(ctx)
	if err != nil {
		return nil, heal.Wrap("ask the store for the time", err)
	}
	c.reckon.begin(c.passed(), told, doubt, mark, opts.Floor)
	c.last = c.reckon.now(c.passed())
	if by, since := c.reckon.moved(); by != 0 {
		c.opts.Logger.Error("the clock of the store was moved before this start", slog.Duration("by", by), slog.Time("since", since))
	}
	return c, nil
}

// Now is the time agreed on, in UTC. It asks nobody and never goes back.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.reckon.now(c.passed()); now.After(c.last) {
		c.last = now
	}
	return c.last
}

// Moved says by how much the store's clock is ahead of the time agreed on, and
// since when of that time; by is zero while the two agree.
func (c *Clock) Moved() (by time.Duration, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reckon.moved()
}

// Leapt is when, by this clock, a move forward was last believed; zero: never
// since the start. For a moment after it, what other servers wrote seems old.
func (c *Clock) Leapt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reckon.leapt
}

// Uneven is until when, by this clock, it last counted otherwise than time
// passes; zero: never since the start. What happened before is nearer to or
// further from what came after than the two times say.
func (c *Clock) Uneven() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reckon.by < 0 {
		return c.reckon.now(c.passed())
	}
	if c.reckon.slow.After(c.reckon.leapt) {
		return c.reckon.slow
	}
	return c.reckon.leapt
}

// Kept says why the last mark could not be left in the store, nil if it could:
// a write of a few bytes every ten seconds tells whether the store takes any.
func (c *Clock) Kept() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unkept
}

// Run asks the store for the time again and again until ctx ends. While the
// store does not answer, the clock counts on by itself.
func (c *Clock) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.opts.Every)
	defer ticker.Stop()
	var kept time.Duration // when a mark was last left
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		told, changed, err := c.follow(ctx)
		if err == nil && c.opts.Marks != nil && (changed || c.passed()-kept >= c.opts.Keep) {
			if err = c.keep(ctx, told); err == nil {
				kept = c.passed()
			}
		}
		if err != nil && ctx.Err() == nil {
			c.opts.Logger.Debug("follow the clock of the store, will try again", slog.Any("error", err))
		}
	}
}

// follow asks once, and gives what the store said and whether the clock is
// moved where it was not, or the reverse.
func (c *Clock) follow(ctx context.Context) (told time.Time, changed bool, err error) {
	told, doubt, err := c.ask(ctx)
	if err != nil {
		return told, false, err
	}
	asked := c.passed()
	var others Mark
	if c.opts.Marks != nil && told.Sub(c.Now()) > agreeWithin {
		if others, err = c.lastMark(ctx); err != nil {
			return told, false, err
		}
		if others.Server == c.opts.Server {
			others = Mark{}
		}
	}
	c.mu.Lock()
	was, since := c.reckon.moved()
	c.reckon.observe(asked, told, doubt, others)
	by, from := c.reckon.moved()
	now := c.reckon.now(c.passed())
	c.mu.Unlock()
	switch {
	case was == 0 && by != 0:
		c.opts.Logger.Error("the clock of the store was moved; nothing automatic is begun until that is over", slog.Duration("by", by), slog.Time("since", from))
	case was != 0 && by == 0:
		c.opts.Logger.Info("the clock of the store and the time that passed agree again", slog.Duration("was", was), slog.Time("since", since), slog.Time("now", now))
	}
	return told, (was == 0) != (by == 0), nil
}

// ask gives the time of the store at the moment of its return, and by how much
// that may be wrong. An answer that took longer than the deadline says nothing:
// this process stood still meanwhile.
func (c *Clock) ask(ctx context.Context) (told time.Time, doubt time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	began := c.passed()
	told, err = c.keeper.Now(limited)
	half := (c.passed() - began) / 2
	if err == nil && half*2 > c.opts.Timeout {
		err = heal.Errorf(heal.Transient, "ask the store for the time", "the answer took %s, at most %s tell something", half*2, c.opts.Timeout)
	}
	return told.UTC().Round(0).Add(half), half, err
}

func (c *Clock) lastMark(ctx context.Context) (Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	m, err := c.opts.Marks.Last(ctx)
	if heal.Is(err, heal.NotFound) {
		return Mark{}, nil
	}
	return m, err
}

func (c *Clock) keep(ctx context.Context, told time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	err := c.opts.Marks.Keep(ctx, Mark{Server: c.opts.Server, Agreed: c.Now(), Told: told})
	if err != nil && ctx.Err() != nil {
		err = heal.Errorf(heal.Transient, "write into the store", "it took nothing within %s: %w", markTimeout, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unkept = err
	return err
}

// passed is the time since the clock was made; no step of a clock changes it.
func (c *Clock) passed() time.Duration { return time.Since(c.start) }

// Mark is what servers agreed on: the time, and what the store's clock said
// then.
type Mark struct {
	Server string    `json:"server,omitempty"`
	Agreed time.Time `json:"agreed"`
	Told   time.Time `json:"told"`
}

// Marks keeps the newest mark.
type Marks interface {
	Last(ctx context.Context) (Mark, error) // kind NotFound: there is none
	Keep(ctx context.Context, m Mark) error
}

// clockKey is where the mark lies among the settings.
const clockKey = "clock"

// markTimeout bounds reading and leaving a mark: the store may be slow.
const markTimeout = 5 * time.Second

// MarksIn keeps the mark in a store.
func MarksIn(s Store) Marks { return marks{s} }

type marks struct{ store Store }

func (m marks) Last(ctx context.Context) (last Mark, err error) {
	err = m.store.View(ctx, func(r Reader) error {
		got, err := ClockKind.Get(r, clockKey)
		last = got.Value
		return err
	})
	return last, err
}

// Keep leaves alone what another server left with a later time: the mark is
// also what no restart may fall behind.
func (m marks) Keep(ctx context.Context, mark Mark) error {
	return m.store.Update(ctx, func(tx Tx) error {
		last, err := ClockKind.Get(tx, clockKey)
		if err != nil && !heal.Is(err, heal.NotFound) {
			return err
		}
		if err == nil && last.Value.Agreed.After(mark.Agreed) {
			return nil
		}
		_, err = ClockKind.Put(tx, &mark, Any)
		return err
	})
}
