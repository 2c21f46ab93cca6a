package watch

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
)

// versionsFile is what is known of versions; it is replaced whole.
const versionsFile = "versions.json"

type savedVersions struct {
	Version  int            `json:"version"`
	Services []savedService `json:"services"`
	Waits    []savedRelease `json:"waits,omitempty"`
}

type savedService struct {
	Service  string               `json:"service"`
	Current  string               `json:"current"`
	Newest   time.Time            `json:"newest"`
	Seen     map[string]time.Time `json:"seen"`
	Released []time.Time          `json:"released,omitempty"`
}

type savedRelease struct {
	Service string    `json:"service"`
	Version string    `json:"version"`
	Before  string    `json:"before"`
	At      time.Time `json:"at"`
	Since   time.Time `json:"since"`
}

// keep writes what is known, without the services that were not heard for long.
// What could not be kept is tried again with the next.
func (v *Versions) keep() {
	if v.opts.Dir == "" {
		return
	}
	kept := v.state()
	data, err := json.Marshal(kept)
	if err == nil {
		err = os.MkdirAll(v.opts.Dir, 0o700)
	}
	if err == nil {
		err = replace(filepath.Join(v.opts.Dir, versionsFile), func(to *bufio.Writer) error {
			_, err := to.Write(data)
			return err
		})
	}
	if err != nil {
		v.mu.Lock()
		v.seen = true
		v.mu.Unlock()
		v.opts.Logger.Warn("keep what is known of versions", slog.Any("error", err))
	}
}

// state is what is kept.
func (v *Versions) state() savedVersions {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.opts.Clock()
	maps.DeleteFunc(v.known, func(_ string, k *versions) bool { return now.Sub(k.newest) > silent })
	v.seen, v.fresh = false, false
	out := savedVersions{Version: 1, Services: make([]savedService, 0, len(v.known))}
	for _, service := range slices.Sorted(maps.Keys(v.known)) {
		k := v.known[service]
		out.Services = append(out.Services, savedService{service, k.current, k.newest, maps.Clone(k.seen), slices.Clone(k.released)})
	}
	for _, r := range v.waits {
		out.Waits = append(out.Waits, savedRelease(r))
	}
	return out
}

// restore reads what was kept. What it cannot read it leaves aside as a whole.
func (v *Versions) restore() error {
	data, err := readBounded(filepath.Join(v.opts.Dir, versionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return heal.Errorf(heal.Internal, "take up versions", "%w", err)
	}
	return v.takeUp(data)
}

// takeUp reads the file of versions. Times after now are now, as of what is
// seen.
func (v *Versions) takeUp(data []byte) error {
	const op = "take up versions"
	var kept savedVersions
	if err := json.Unmarshal(data, &kept); err != nil {
		return heal.Errorf(heal.Invalid, op, "%w", err)
	}
	if kept.Version != 1 {
		return heal.Errorf(heal.Invalid, op, "version %d, expected 1", kept.Version)
	}
	if len(kept.Services) > servicesOf || len(kept.Waits) > waitingOf {
		return heal.Errorf(heal.Invalid, op, "%d services and %d releases, expected at most %d and %d", len(kept.Services), len(kept.Waits), servicesOf, waitingOf)
	}
	now := v.opts.Clock().UTC()
	known := make(map[string]*versions, len(kept.Services))
	for _, s := range kept.Services {
		if !s.sane() {
			return heal.Errorf(heal.Invalid, op, "service %.64q is not as any is written", s.Service)
		}
		k := &versions{seen: s.Seen, current: s.Current, newest: earliest(s.Newest, now), released: s.Released}
		for version, at := range k.seen {
			k.seen[version] = earliest(at, now)
		}
		for i, at := range k.released {
			k.released[i] = earliest(at, now)
		}
		known[s.Service] = k
	}
	var waits []Release
	for _, r := range kept.Waits {
		if heal.ServiceID(r.Service).Validate() != nil || !saneVersion(r.Version) || r.At.IsZero() {
			return heal.Errorf(heal.Invalid, op, "a release of %.64q is not as any is written", r.Service)
		}
		waits = append(waits, Release(r))
	}
	v.known, v.waits = known, waits
	if len(waits) > 0 {
		v.stir()
	}
	return nil
}

// sane reports whether a service can be gone on with.
func (s *savedService) sane() bool {
	ok := heal.ServiceID(s.Service).Validate() == nil && saneVersion(s.Current) && !s.Newest.IsZero() && len(s.Seen) > 0 && len(s.Seen) <= versionsOf && len(s.Released) <= maxMixed
	for version := range s.Seen {
		ok = ok && saneVersion(version)
	}
	return ok
}

func saneVersion(version string) bool {
	return version != "" && len(version) <= longest && utf8.ValidString(version)
}

func earliest(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}
