package series

import (
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// tracker notices that pushed series have ended. A series ends when it is
// silent for longer than its own rhythm allows, or when its whole source is for
// longer than the rhythm of the source allows. What is silent for longer than
// forget is dropped: no query finds it any more. Times are in ms on the
// store's own clock, except where they are called timestamps.
type tracker struct {
	forget int64
	limit  int // series

	mu        sync.Mutex
	series    []tracked                   // in one piece, to be looked through fast
	index     map[storage.SeriesRef]int32 // of series
	sources   map[identity]*source
	listening int64  // since when what was sent could come in
	due       int64  // nothing ends before
	untracked uint64 // samples of series over the limit
}

// identity is what tells one source from another.
type identity struct{ job, instance, host string }

// source is what pushes: usually one process. Its rhythm is that of its
// rounds, a round ending when a series comes again: one report may arrive in
// many pieces.
type source struct {
	rounds rhythm
	round  uint32 // the number of this one
	heard  int64  // anything
}

// tracked is one series.
type tracked struct {
	rhythm

	ref    storage.SeriesRef
	source *source // nil: it does not say what it comes from
	round  uint32  // of its source, when last seen
	sparse bool    // delta: no news is no change, so it ends with its source only
	ended  bool    // marked, by us or by the sender
}

// sighting is a sample that was written.
type sighting struct {
	ref    storage.SeriesRef
	labels labels.Labels
	at     int64 // timestamp
	sparse bool  // delta
	last   bool  // the sender says that the series ends
}

// ending is a series to be marked as ended.
type ending struct {
	ref storage.SeriesRef
	at  int64 // timestamp of its newest sample
}

func newTracker(forget int64, limit int) *tracker {
	return &tracker{
		forget: forget, limit: limit,
		index: map[storage.SeriesRef]int32{}, sources: map[identity]*source{},
	}
}

// observe notes the samples of one push.
func (t *tracker) observe(now int64, push []sighting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range push {
		t.see(now, &push[i])
	}
}

func (t *tracker) see(now int64, p *sighting) {
	i, known := t.index[p.ref]
	if !known {
		t.add(now, p)
		return
	}
	s := &t.series[i]
	switch {
	case p.at <= s.at: // delayed or repeated: no sign of life
		return
	case s.seen == now: // several points in one push
		s.at = p.at
	default:
		s.beat(now, p.at)
		if s.source != nil && !p.sparse {
			s.source.sees(s, now)
		}
	}
	s.sparse, s.ended = p.sparse, p.last
	if s.source != nil {
		s.source.heard = now
	}
}

func (t *tracker) add(now int64, p *sighting) {
	if len(t.series) >= t.limit {
		t.untracked++
		return
	}
	s := tracked{
		rhythm: rhythm{seen: now, at: p.at},
		ref:    p.ref, source: t.sourceOf(p.labels, now, p.at), sparse: p.sparse, ended: p.last,
	}
	if s.source != nil {
		s.round, s.source.heard = s.source.round, now
	}
	t.index[p.ref] = int32(len(t.series))
	t.series = append(t.series, s)
}

// drop forgets the series at i; the last one takes its place.
func (t *tracker) drop(i int) {
	last := len(t.series) - 1
	delete(t.index, t.series[i].ref)
	if i < last {
		t.series[i] = t.series[last]
		t.index[t.series[i].ref] = int32(i)
	}
	t.series[last] = tracked{}
	t.series = t.series[:last]
}

// sees notes that a known series of the source came again.
func (s *source) sees(again *tracked, now int64) {
	if again.round == s.round {
		s.rounds.beat(now, again.at)
		s.round++
	}
	again.round = s.round
}

// sourceOf finds or makes the source a series names, nil if it names none: then
// several may share what labels there are.
func (t *tracker) sourceOf(ls labels.Labels, now, at int64) *source {
	id := identity{ls.Get(model.JobLabel), ls.Get(model.InstanceLabel), ls.Get("host_name")}
	if id.instance == "" && id.host == "" {
		return nil
	}
	s, known := t.sources[id]
	if !known {
		id = identity{strings.Clone(id.job), strings.Clone(id.instance), strings.Clone(id.host)}
		s = &source{rounds: rhythm{seen: now, at: at}}
		t.sources[id] = s
	}
	return s
}

// listenFrom says that before now nothing could come in: that silence means
// nothing.
func (t *tracker) listenFrom(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listening = now
}

// overdue gives the series that have ended by now and were not given before.
func (t *tracker) overdue(now int64) []ending {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now < t.due {
		return nil
	}
	t.due = now + leastPatience // what is heard from now on is not due before
	var out []ending
	for i := 0; i < len(t.series); i++ {
		s := &t.series[i]
		switch due, known := t.deadline(s); {
		case now-s.seen > t.forget:
			t.drop(i)
			i-- // another is there now
		case s.ended || !known:
		case now > due:
			s.ended = true
			out = append(out, ending{s.ref, s.at})
		default:
			t.due = min(t.due, due+1)
		}
	}
	for id, s := range t.sources {
		if now-s.heard > t.forget {
			delete(t.sources, id)
		}
	}
	return out
}

// deadline is until when a series may be silent, if that is known.
func (t *tracker) deadline(s *tracked) (due int64, known bool) {
	if own, ok := s.patience(); ok && !s.sparse {
		due, known = max(s.seen, t.listening)+own, true
	}
	if s.source == nil {
		return due, known
	}
	if shared, ok := s.source.rounds.patience(); ok {
		if all := max(s.source.heard, t.listening) + shared; !known || all < due {
			due, known = all, true
		}
	}
	return due, known
}

// retry gives endings again that could not be marked.
func (t *tracker) retry(failed []ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range failed {
		if i, ok := t.index[e.ref]; ok && t.series[i].at == e.at {
			t.series[i].ended = false
		}
	}
	t.due = 0
}

// size is how many series and sources are known, and what went untracked.
func (t *tracker) size() (series, sources int, untracked uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.series), len(t.sources), t.untracked
}
