package embedded

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// The space is split into at least this many partitions, so that the oldest
// can be given up without losing much.
const minPartitions = 16

// findPartitions lists the folder. Files of other names are left alone.
func (s *Store) findPartitions() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if k, ok := parseKey(e.Name()); ok {
			s.parts = append(s.parts, s.newPartition(k))
		}
		if k, ok := strings.CutSuffix(e.Name(), asideSuffix); ok {
			if _, ok := parseKey(k); ok {
				s.setAside = append(s.setAside, e.Name())
			}
		}
	}
	slices.SortFunc(s.parts, func(a, b *partition) int { return a.key.compare(b.key) })
	return nil
}

func (s *Store) newPartition(k key) *partition {
	return &partition{key: k, path: filepath.Join(s.dir, k.String())}
}

// oldestKept is the oldest day that is kept.
func (s *Store) oldestKept(now time.Time) day {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(dayOf(now.Add(-s.opts.Retention)), s.floor+1)
}

// pickPartition is the newest of the day, or a further one once that is full.
func (s *Store) pickPartition(d day) (*partition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errStopped
	}
	next := key{day: d}
	for _, p := range slices.Backward(s.parts) {
		if p.key.day != d {
			continue
		}
		if p.size() < s.opts.MaxBytes/minPartitions {
			return p, nil
		}
		next.seq = p.key.seq + 1
		break
	}
	p := s.newPartition(next)
	s.parts = append(s.parts, p)
	slices.SortFunc(s.parts, func(a, b *partition) int { return a.key.compare(b.key) })
	return p, nil
}

// giveUp takes a partition that cannot be read out of use and keeps its file.
func (s *Store) giveUp(p *partition, cause error) {
	if !s.forget(p) {
		return
	}
	name := p.key.String() + asideSuffix
	s.countLost(p, telemetry.DropCorrupt)
	err := p.setAside()
	s.opts.Log.Error("telemetry partition is unreadable and set aside",
		slog.String("file", p.path), slog.String("as", name), slog.Any("cause", cause), slog.Any("error", err))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.setAside, name) {
		s.setAside = append(s.setAside, name)
	}
}

// countLost counts what a partition held. Of one that could never be opened
// that is not known, and nothing.
func (s *Store) countLost(p *partition, reason telemetry.DropReason) {
	s.tally.drop(telemetry.Spans, reason, int(p.held.spans.Load()))
	s.tally.drop(telemetry.Logs, reason, int(p.held.logs.Load()))
}

// forget takes the partition off the list, false if it is not there.
func (s *Store) forget(p *partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.parts, p)
	if i < 0 {
		return false
	}
	s.parts = slices.Delete(s.parts, i, i+1)
	return true
}

// enforce deletes what is too old and, from the oldest on, what is too much.
// Unless forced it looks at the disk at most once a second.
func (s *Store) enforce(force bool) {
	now := s.opts.Now()
	s.mu.Lock()
	if !force && now.Sub(s.checked).Abs() < time.Second {
		s.mu.Unlock()
		return
	}
	s.checked = now
	parts := slices.Clone(s.parts)
	s.mu.Unlock()

	oldest := dayOf(now.Add(-s.opts.Retention))
	total := s.asideBytes(oldest)
	for _, p := range parts {
		total += p.size()
	}
	for i, p := range parts {
		switch {
		case p.key.day < oldest:
			total -= s.discard(p, telemetry.DropAge)
		case total > s.opts.MaxBytes && i < len(parts)-1:
			s.mu.Lock()
			s.floor = max(s.floor, p.key.day-1)
			s.mu.Unlock()
			total -= s.discard(p, telemetry.DropSpace)
		}
	}
}

// discard deletes a partition and gives the bytes that are free again.
func (s *Store) discard(p *partition, reason telemetry.DropReason) int64 {
	size := p.size()
	if err := p.use(context.Background(), func() error { return nil }); err != nil {
		s.opts.Log.Warn("what a telemetry partition holds is not known", slog.String("file", p.path), slog.Any("error", err))
	}
	if !s.forget(p) {
		return 0
	}
	s.countLost(p, reason)
	if err := p.remove(); err != nil {
		s.opts.Log.Error("telemetry partition is not deleted", slog.String("file", p.path), slog.Any("error", err))
		return 0
	}
	s.opts.Log.Info("telemetry partition deleted",
		slog.String("file", p.path), slog.String("reason", string(reason)), slog.Int64("bytes", size))
	return size
}

// asideBytes is the size of the files set aside. Those too old are deleted.
func (s *Store) asideBytes(oldest day) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var total int64
	s.setAside = slices.DeleteFunc(s.setAside, func(name string) bool {
		p := partition{path: filepath.Join(s.dir, name)}
		k, _ := parseKey(strings.TrimSuffix(name, asideSuffix))
		if k.day >= oldest {
			total += p.size()
			return false
		}
		return p.remove() == nil
	})
	return total
}

// Usage implements telemetry.Store.
func (s *Store) Usage(ctx context.Context) (telemetry.Usage, error) {
	u := telemetry.Usage{Queued: s.queue.len()}
	s.tally.fill(&u)
	err := s.each(ctx, time.Time{}, time.Time{}, func(_ context.Context, p *partition) (bool, error) {
		u.Bytes += p.size()
		u.Spans += p.held.spans.Load()
		u.Logs += p.held.logs.Load()
		u.Oldest = p.key.day.start() // the last one visited is the oldest
		return true, nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	u.SetAside = slices.Clone(s.setAside)
	return u, heal.Wrap("telemetry usage", err)
}
