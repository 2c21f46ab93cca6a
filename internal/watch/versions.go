package watch

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
)

// Release is a service that began to send another version of itself.
type Release struct {
	Service, Version string
	Before           string    // the version it sent until then
	At               time.Time // of the first telemetry that says so
	Since            time.Time // when the service was heard last before
}

// VersionStats counts what Versions did since it was made.
type VersionStats struct {
	Services int    // whose versions are known
	Found    uint64 // releases that were told
	Mixed    uint64 // that were not: the service goes back and forth
	Dropped  uint64 // that could not be handed on, or services for which there was no place
}

const (
	// gone is how long a version must not have been seen to be new again: the
	// instances of a service are replaced one by one.
	gone = 10 * time.Minute
	// A service that releases more often within mixing runs versions side by side,
	// one of them seldom: nothing of that is told.
	mixing     = time.Hour
	maxMixed   = 3
	versionsOf = 8      // versions of one service that are remembered
	servicesOf = 10_000 // services
	waitingOf  = 256    // releases that wait to be handed on
	longest    = 256    // bytes of a version
	handTries  = 5
	// silent is how long a service must not have been heard to be forgotten: what it
	// sends then is a beginning again.
	silent = 30 * 24 * time.Hour
)

// VersionOptions are what Versions may be told.
type VersionOptions struct {
	Dir    string           // where what is known is kept; empty: nowhere
	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // default: silent
}

// Versions tells when a service begins to send another version of itself than
// before, be that over a restart. It is safe for concurrent use. The first
// version of a service is the beginning of what is known, not a release. A
// release is told once at least; told again it is the same, in every field.
type Versions struct {
	take func(context.Context, Release) error
	opts VersionOptions
	wake chan struct{} // something waits

	mu    sync.Mutex
	known map[string]*versions
	waits []Release // to be handed on, the oldest first
	seen  bool      // something since it was kept last
	fresh bool      // a service or a version
	stats VersionStats
}

// versions are those of one service.
type versions struct {
	seen     map[string]time.Time // when each was seen last
	newest   time.Time            // of all of them
	current  string               // seen last
	released []time.Time          // within mixing, the oldest first
}

// NewVersions makes one that hands releases on to take, and takes up what was
// kept; Run starts it. What cannot be read is left aside: then the next version
// of every service is the first.
func NewVersions(take func(context.Context, Release) error, opts VersionOptions) *Versions {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	v := &Versions{take: take, opts: opts, wake: make(chan struct{}, 1), known: map[string]*versions{}}
	if opts.Dir != "" {
		if err := v.restore(); err != nil {
			opts.Logger.Warn("what was known of versions is lost, they are learnt anew", slog.Any("error", err))
		}
	}
	return v
}

// Seen notes that a service sent telemetry of a version. It never waits. A time
// after now is now: some clock is ahead.
func (v *Versions) Seen(service, version string, at, now time.Time) {
	if service == "" || version == "" || len(version) > longest || !utf8.ValidString(version) || strings.HasPrefix(service, "unknown_service") {
		return // a name that many programs may share is nobody's
	}
	if at.After(now) {
		at = now
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.known[service]
	if k == nil {
		if heal.ServiceID(service).Validate() != nil {
			return
		}
		if len(v.known) >= servicesOf {
			v.stats.Dropped++
			return
		}
		v.known[service] = &versions{seen: map[string]time.Time{version: at}, newest: at, current: version}
		v.seen, v.fresh = true, true
		return
	}
	_, before := k.seen[version]
	r, found, mixed := k.see(version, at)
	_, after := k.seen[version]
	v.seen, v.fresh = true, v.fresh || after && !before
	switch {
	case mixed:
		v.stats.Mixed++
	case found && len(v.waits) >= waitingOf:
		v.stats.Dropped++
	case found:
		r.Service = service
		v.waits = append(v.waits, r)
		v.stir()
	}
}

// stir wakes Run.
func (v *Versions) stir() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// see notes a version and says whether it is a release.
func (k *versions) see(version string, at time.Time) (r Release, found, mixed bool) {
	if at.Before(k.newest.Add(-gone)) {
		return Release{}, false, false // it comes late: of what was before, nothing is to be said
	}
	if at.Sub(k.newest) > gone {
		k.bridge(at)
	}
	last, known := k.seen[version]
	if !known && len(k.seen) >= versionsOf {
		k.forget()
	}
	before, since := k.current, k.newest
	if at.After(last) {
		k.seen[version] = at
	}
	if !at.Before(k.newest) {
		k.newest, k.current = at, version
	}
	if version == before || known && at.Sub(last) <= gone {
		return Release{}, false, false
	}
	for len(k.released) > 0 && at.Sub(k.released[0]) > mixing {
		k.released = k.released[1:]
	}
	if len(k.released) >= maxMixed {
		return Release{}, false, true
	}
	k.released = append(k.released, at)
	return Release{Version: version, Before: before, At: at, Since: since}, true, false
}

// bridge passes over a time in which nothing was heard, as nobody listened or
// nothing was sent: what was there before it may be there still, and has half the
// time to show it.
func (k *versions) bridge(at time.Time) {
	for version, last := range k.seen {
		if age := k.newest.Sub(last); age <= gone {
			k.seen[version] = at.Add(-age - gone/2)
		}
	}
}

// forget drops the version that was seen longest ago.
func (k *versions) forget() {
	oldest := ""
	for version, at := range k.seen {
		if was := k.seen[oldest]; oldest == "" || at.Before(was) || at.Equal(was) && version < oldest {
			oldest = version
		}
	}
	delete(k.seen, oldest)
}

// Stats counts what was done.
func (v *Versions) Stats() VersionStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stats.Services = len(v.known)
	return v.stats
}

// How often what is known is kept while no release asks for it: after something
// was seen, and soon after what is new.
const (
	keepVersions = time.Minute
	keepFresh    = 5 * time.Second
)

// Run hands releases on until ctx ends, and keeps what is known. What then still
// waits is handed on by the next.
func (v *Versions) Run(ctx context.Context) error {
	ticker := time.NewTicker(keepFresh)
	defer ticker.Stop()
	defer v.keep()
	kept := v.opts.Clock()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-v.wake:
			v.handOn(ctx)
		case <-ticker.C:
			if now := v.opts.Clock(); v.due(now.Sub(kept)) {
				v.keep()
				kept = now
			}
		}
	}
}

func (v *Versions) due(age time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.fresh || v.seen && age >= keepVersions
}

// handOn hands on what waits. It is kept before, so that a crash after it was
// handed on hands on the same again, and after.
func (v *Versions) handOn(ctx context.Context) {
	for ctx.Err() == nil {
		v.mu.Lock()
		n := len(v.waits)
		v.mu.Unlock()
		if n == 0 {
			return
		}
		v.keep()
		for range n {
			if !v.handOne(ctx) {
				return
			}
		}
		v.keep()
	}
}

// handOne hands on what waits longest; false if ctx ended.
func (v *Versions) handOne(ctx context.Context) bool {
	v.mu.Lock()
	r := v.waits[0] // nobody else takes any
	v.mu.Unlock()
	err := v.hand(ctx, r)
	if err != nil && ctx.Err() != nil {
		return false
	}
	v.mu.Lock()
	v.waits = slices.Delete(v.waits, 0, 1)
	if err == nil {
		v.stats.Found++
	} else {
		v.stats.Dropped++
	}
	v.mu.Unlock()
	if err != nil {
		v.opts.Logger.Warn("a release that was seen could not be written down", slog.String("service", r.Service), slog.String("version", r.Version), slog.Any("error", err))
	}
	return true
}

// hand tries a few times, a second apart.
func (v *Versions) hand(ctx context.Context, r Release) (err error) {
	for range handTries {
		if err = v.take(ctx, r); err == nil || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return err
}
