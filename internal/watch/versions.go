package watch

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Release is a service that began to send another version of itself.
type Release struct {
	Service, Version string
	Before           string    // the version it sent until then
	At               time.Time // of the first telemetry that says so
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
)

// Versions tells when a service begins to send another version of itself than
// before. It is safe for concurrent use. The first version of a service is the
// beginning of what is known, not a release.
type Versions struct {
	take  func(context.Context, Release) error
	log   *slog.Logger
	ready chan Release

	mu    sync.Mutex
	known map[string]*versions
	stats VersionStats
}

// versions are those of one service.
type versions struct {
	seen     map[string]time.Time // when each was seen last
	newest   time.Time            // of all of them
	current  string               // seen last
	released []time.Time          // within mixing, the oldest first
}

// NewVersions makes one that hands releases on to take; Run calls it.
func NewVersions(take func(context.Context, Release) error, log *slog.Logger) *Versions {
	return &Versions{take: take, log: log, ready: make(chan Release, waitingOf), known: map[string]*versions{}}
}

// Seen notes that a service sent telemetry of a version. It never waits. A time
// after now is now: some clock is ahead.
func (v *Versions) Seen(service, version string, at, now time.Time) {
	if service == "" || version == "" || len(version) > longest || strings.HasPrefix(service, "unknown_service") {
		return // a name that many programs may share is nobody's
	}
	if at.After(now) {
		at = now
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.known[service]
	if k == nil {
		if len(v.known) >= servicesOf {
			v.stats.Dropped++
			return
		}
		v.known[service] = &versions{seen: map[string]time.Time{version: at}, newest: at, current: version}
		return
	}
	r, found, mixed := k.see(version, at)
	switch {
	case mixed:
		v.stats.Mixed++
	case found:
		r.Service = service
		select {
		case v.ready <- r:
		default:
			v.stats.Dropped++
		}
	}
}

// see notes a version and says whether it is a release.
func (k *versions) see(version string, at time.Time) (r Release, found, mixed bool) {
	last, known := k.seen[version]
	if at.Before(k.newest.Add(-gone)) {
		return Release{}, false, false // it comes late: of what was before, nothing is to be said
	}
	if !known && len(k.seen) >= versionsOf {
		k.forget()
	}
	before := k.current
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
	return Release{Version: version, Before: before, At: at}, true, false
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

// Run hands releases on until ctx ends.
func (v *Versions) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-v.ready:
			err := v.hand(ctx, r)
			if ctx.Err() != nil {
				return nil
			}
			v.mu.Lock()
			if err == nil {
				v.stats.Found++
			} else {
				v.stats.Dropped++
			}
			v.mu.Unlock()
			if err != nil {
				v.log.Warn("a release that was seen could not be written down", slog.String("service", r.Service), slog.String("version", r.Version), slog.Any("error", err))
			}
		}
	}
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
