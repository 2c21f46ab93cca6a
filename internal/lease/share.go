package lease

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// ShareOptions are what a Share is told. A zero field takes its default, where
// one is named.
type ShareOptions struct {
	Member string        // this server; required, another one at every start
	Duties []string      // what is divided; the same on every server
	TTL    time.Duration // how long a member that is not heard of counts as alive; default 10 s
	Every  time.Duration // between two signs of life; default 2 s
	Clock  func() time.Time
	Logger *slog.Logger
}

// Share divides duties among the servers on one store. Each duty is one
// lease, which its holder has for as long as it is a live member; only
// membership is renewed. Who should have a duty follows from the members alone
// (rendezvous hashing), so that servers agree without talking, and a member
// that comes or goes moves no duty of the others.
//
// A nil Share is that of a server alone: it holds every duty.
type Share struct {
	store store.Store
	opts  ShareOptions

	mu      sync.Mutex
	until   time.Time        // this server is a member until then
	held    map[string]int64 // epoch of the lease, by duty
	leaving map[string]bool  // duties that others should have, still worked on here
	at      map[string]int   // how many work on a duty here
	changed chan struct{}    // closed and replaced when any of it changes
	members int
}

// margin is how long before its membership ends that a server stops to hold
// duties, so that nobody works on what another may take.
const margin = 2 * time.Second

// forget is how long ended memberships are remembered.
const forget = 10 * time.Minute

const (
	memberPrefix = "member:"
	dutyPrefix   = "duty:"
)

// NewShare makes a share; it holds nothing before Run.
func NewShare(s store.Store, o ShareOptions) *Share {
	if o.TTL == 0 {
		o.TTL = 10 * time.Second
	}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Share{store: s, opts: o, held: map[string]int64{}, leaving: map[string]bool{}, at: map[string]int{}, changed: make(chan struct{})}
}

// Join takes part for the first time; Run goes on. The error is of kind Conflict
// if a server uses the store alone.
func (s *Share) Join(ctx context.Context) error { return s.round(ctx) }

// Run takes part until ctx ends, then leaves.
func (s *Share) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.opts.Every)
	defer ticker.Stop()
	for {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Error("share duties with the other servers, will try again", slog.Any("error", err))
		}
		if s.expire() {
			s.opts.Logger.Warn("this server could not give a sign of life in time; others take its duties")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return s.leave(context.WithoutCancel(ctx))
		}
	}
}

// seen is what one round found and did.
type seen struct {
	members int
	until   time.Time
	held    map[string]int64
	leaving map[string]bool
}

// round gives a sign of life, takes what this server should have and is free,
// and gives back what it should not have and does not work on any more.
func (s *Share) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.TTL/2)
	defer cancel()
	var now seen
	err := s.store.Update(ctx, func(tx store.Tx) (err error) {
		now, err = s.take(tx)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := maps.Equal(s.held, now.held) && maps.Equal(s.leaving, now.leaving) && s.members == now.members
	s.until, s.held, s.leaving, s.members = now.until, now.held, now.leaving, now.members
	if !same {
		s.tell()
	}
	return nil
}

func (s *Share) take(tx store.Tx) (seen, error) {
	now := s.opts.Clock()
	if l, err := Look(tx, alone); err != nil || l.Held(now) {
		return seen{}, errors.Join(err, inUse(l))
	}
	me, err := Acquire(tx, memberPrefix+s.opts.Member, s.opts.Member, s.opts.TTL, now)
	if err != nil {
		return seen{}, err
	}
	members, err := alive(tx, now, true)
	if err != nil {
		return seen{}, err
	}
	out := seen{members: len(members), until: me.Until, held: map[string]int64{}, leaving: map[string]bool{}}
	for _, duty := range s.opts.Duties {
		l, err := Look(tx, dutyPrefix+duty)
		if err != nil {
			return seen{}, err
		}
		mine := choose(members, duty) == s.opts.Member
		switch {
		case l.Holder == s.opts.Member && mine:
		case l.Holder == s.opts.Member && !s.quit(duty):
			out.leaving[duty] = true
		case l.Holder == s.opts.Member:
			if err := l.release(tx); err != nil {
				return seen{}, err
			}
			continue
		case mine && !slices.Contains(members, l.Holder):
			l.Holder = "" // its holder is gone
			if l, err = l.Acquire(tx, s.opts.Member, 0, now); err != nil {
				return seen{}, err
			}
		default:
			continue
		}
		out.held[duty] = l.Epoch
	}
	return out, nil
}

// alone is the lease of a server that does not share its store.
const alone = "alone"

// Alone takes the store for one server that does not share it, or renews that
// for ttl. The error is of kind Conflict if another server uses the store.
func Alone(tx store.Tx, server string, ttl time.Duration, now time.Time) error {
	members, err := alive(tx, now, false)
	if err != nil {
		return err
	}
	if len(members) > 0 {
		return heal.Errorf(heal.Conflict, "use the store alone", "%d servers share it", len(members))
	}
	l, err := Acquire(tx, alone, server, ttl, now)
	if heal.Is(err, heal.Conflict) {
		return inUse(l)
	}
	return err
}

// LeaveAlone gives up what Alone took.
func LeaveAlone(tx store.Tx, server string) error { return Release(tx, alone, server) }

func inUse(l Lease) error {
	if l.Holder == "" {
		return nil
	}
	return heal.Errorf(heal.Conflict, "use the store", "server %s uses it alone since %s", l.Holder, l.Since.UTC().Format(time.RFC3339))
}

// alive lists the members, and forgets those that are long gone if tidy says so.
func alive(tx store.Tx, now time.Time, tidy bool) (members []string, err error) {
	rows, err := kind.All(tx, store.Query{Where: []store.Cond{{Column: "key", Op: store.Ge, Value: memberPrefix}, {Column: "key", Op: store.Lt, Value: after(memberPrefix)}}})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		switch l := &rows[i].Value; {
		case l.Held(now):
			members = append(members, l.Holder)
		case tidy && now.Sub(l.Until) > forget && now.Sub(l.Since) > forget:
			if err := tx.Delete(store.Leases, l.Resource); err != nil {
				return nil, err
			}
		}
	}
	return members, nil
}

// after is the first key behind all that begin with a prefix.
func after(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string(prefix[last]+1)
}

// choose is the member that should have a duty.
func choose(members []string, duty string) (best string) {
	var most uint64
	for _, m := range members {
		h := fnv.New64a()
		_, _ = h.Write([]byte(m + "\x00" + duty)) // a hash takes every write
		if weight := mix(h.Sum64()); best == "" || weight > most || weight == most && m < best {
			best, most = m, weight
		}
	}
	return best
}

// mix spreads a hash over all its bits: names of members and duties differ in
// few bytes. It is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// quit lets nobody begin to work on a duty any more; true once nobody does.
func (s *Share) quit(duty string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaving[duty] {
		s.leaving[duty] = true
		s.tell()
	}
	return s.at[duty] == 0
}

// expire lets go of every duty once the membership is over; it reports whether
// that happened now.
func (s *Share) expire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until.IsZero() || s.live() {
		return false
	}
	s.until, s.held, s.leaving, s.members = time.Time{}, map[string]int64{}, map[string]bool{}, 0
	s.tell()
	return true
}

// live reports whether this server is a member. The caller holds mu.
func (s *Share) live() bool { return s.opts.Clock().Before(s.until.Add(-margin)) }

// tell wakes those who wait for a change. The caller holds mu.
func (s *Share) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// leave ends the membership and frees every duty.
func (s *Share) leave(ctx context.Context) error {
	s.mu.Lock()
	s.until, s.held, s.leaving = time.Time{}, map[string]int64{}, map[string]bool{}
	s.tell()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := s.store.Update(ctx, func(tx store.Tx) error { return ReleaseAll(tx, s.opts.Member) })
	if err != nil {
		s.opts.Logger.Warn("leave the other servers; they will notice by themselves", slog.Any("error", err))
	}
	return nil
}

// Holds reports whether a duty is this server's now.
func (s *Share) Holds(duty string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[duty]
	return ok && !s.leaving[duty] && s.live()
}

// Members is how many servers share the duties, this one included.
func (s *Share) Members() int {
	if s == nil {
		return 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members
}

// Holding lists the duties that are this server's now.
func (s *Share) Holding() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.held))
}

// Fence refuses, with kind Conflict, a transaction of a server that has lost
// the duty it writes for.
func (s *Share) Fence(r store.Reader, duty string) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	epoch, ok := s.held[duty]
	s.mu.Unlock()
	l, err := Look(r, dutyPrefix+duty)
	if err != nil {
		return err
	}
	if !ok || l.Holder != s.opts.Member || l.Epoch != epoch {
		s.lost(duty, epoch)
		return heal.Errorf(heal.Conflict, "duty "+duty, "is another server's now")
	}
	return nil
}

// lost lets go of a duty that another server has by now.
func (s *Share) lost(duty string, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[duty] == epoch {
		delete(s.held, duty)
		s.tell()
	}
}

// While runs work whenever the duty is this server's, until ctx ends. The
// context of work ends when the duty is to be given up; nobody else has it
// before work has returned, unless this server is taken for dead. An error of
// work is returned.
func (s *Share) While(ctx context.Context, duty string, work func(context.Context) error) error {
	if s == nil {
		return work(ctx)
	}
	for ctx.Err() == nil {
		if !s.enter(duty) {
			s.wait(ctx)
			continue
		}
		err := s.during(ctx, duty, work)
		s.exit(duty)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Share) during(ctx context.Context, duty string, work func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() {
		for ctx.Err() == nil && s.Holds(duty) {
			s.wait(ctx)
		}
		stop()
	})
	return work(ctx)
}

// wait rests until something changed, or long enough for a membership to have
// ended.
func (s *Share) wait(ctx context.Context) {
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	timer := time.NewTimer(s.opts.Every / 4)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// enter begins to work on a duty if it is this server's.
func (s *Share) enter(duty string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.held[duty]; !ok || s.leaving[duty] || !s.live() {
		return false
	}
	s.at[duty]++
	return true
}

func (s *Share) exit(duty string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[duty]--
}
