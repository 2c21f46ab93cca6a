package wire

import (
	"sync"
	"time"
)

// TailOptions are the bounds of a Tail; a zero field takes its default.
type TailOptions struct {
	Window    time.Duration // 10 s: how long a span waits for the rest of its trace
	MaxBytes  int           // 256 MiB of requests held; beyond it the oldest are decided early
	MaxTraces int           // 200,000 bad traces remembered; of further ones only the bad spans are kept
}

// TailStats say what a Tail holds and what it could not do in full.
type TailStats struct {
	Requests       int    // held
	Spans          int    // held, undecided: lost if the process is killed
	Bytes          int    // held
	Traces         int    // bad ones that are remembered
	EarlySpans     uint64 // decided before their window was over, since the start
	TracesDropped  uint64 // bad traces beyond MaxTraces, since the start
	OldestReceived time.Time
}

// Tail is whole-trace sampling: a trace with an error or a slow span is kept as
// a whole. Requests are held as they came until their window is over. Only bad
// traces need a memory, since the trace id decides about all others, then as
// now. It is safe for concurrent use.
type Tail struct {
	opts TailOptions

	mu         sync.Mutex
	held       []held // a queue, its head at first
	first      int
	bytes      int
	spans      int
	young, old map[[16]byte]struct{} // two generations of bad traces
	turned     time.Time
	stats      TailStats
}

type held struct {
	request []byte
	spans   int
	at      time.Time
}

// NewTail makes a Tail.
func NewTail(o TailOptions, now time.Time) *Tail {
	if o.Window <= 0 {
		o.Window = 10 * time.Second
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	if o.MaxTraces <= 0 {
		o.MaxTraces = 200_000
	}
	return &Tail{opts: o, young: map[[16]byte]struct{}{}, old: map[[16]byte]struct{}{}, turned: now}
}

// Watch looks at every span of request without deciding, and remembers them for
// Aggregator.Take and Tail.Hold. An error means that the request cannot be
// decoded.
func (s *Scanner) Watch(request []byte, sampler *Sampler) (Result, error) {
	s.observe, s.strict, s.bad = true, true, s.bad[:0]
	_, result, err := s.walk(request, sampler, watching{sampler}, nil)
	return result, err
}

// watching keeps nothing, checks everything and notes bad traces.
type watching struct{ *Sampler }

func (d watching) decide(s *Scanner) (Reason, bool) {
	if d.bad(&s.span) != ReasonDropped && len(s.span.traceID) == 16 {
		if id := [16]byte(s.span.traceID); len(s.bad) == 0 || s.bad[len(s.bad)-1] != id {
			s.bad = append(s.bad, id)
		}
	}
	return ReasonDropped, false
}

// Hold takes a request that s has just watched. The bytes belong to the Tail
// from then on. It refuses if a quarter more than MaxBytes is held, which happens
// when nobody asks for what is due.
func (t *Tail) Hold(request []byte, s *Scanner, spans int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bytes > 0 && t.bytes+len(request) > t.opts.MaxBytes+t.opts.MaxBytes/4 {
		return false
	}
	if now.Sub(t.turned) >= 2*t.opts.Window { // so a bad trace is known for two windows at least
		clear(t.old)
		t.old, t.young, t.turned = t.young, t.old, now
	}
	for _, id := range s.bad {
		if _, known := t.young[id]; known {
			continue
		}
		if len(t.young)+len(t.old) >= t.opts.MaxTraces {
			t.stats.TracesDropped++
			continue
		}
		t.young[id] = struct{}{}
	}
	t.held = append(t.held, held{request, spans, now})
	t.bytes += len(request)
	t.spans += spans
	return true
}

// Next gives the oldest request whose window is over, or that has to go because
// too much is held; all drains the rest too. It gives nil if there is none.
func (t *Tail) Next(now time.Time, all bool) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == len(t.held) {
		return nil
	}
	h := t.held[t.first]
	if early := now.Sub(h.at) < t.opts.Window; early {
		if !all && t.bytes <= t.opts.MaxBytes {
			return nil
		}
		t.stats.EarlySpans += uint64(h.spans)
	}
	t.held[t.first] = held{}
	t.first++
	t.bytes -= len(h.request)
	t.spans -= h.spans
	if t.first*2 >= len(t.held) { // the queue moves to the front once half of it is empty
		n := copy(t.held, t.held[t.first:])
		clear(t.held[n:])
		t.held, t.first = t.held[:n], 0
	}
	return h.request
}

// Decide decides on the spans of a request that Next gave, and appends the
// request of those that are kept to out.
func (t *Tail) Decide(s *Scanner, request []byte, sampler *Sampler, out []byte) ([]byte, Result, error) {
	s.observe, s.strict = false, false
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.walk(request, sampler, whole{sampling{sampler}, t}, out)
}

// whole is the decider that knows bad traces. The Tail is locked.
type whole struct {
	sampling

	tail *Tail
}

func (d whole) decide(s *Scanner) (Reason, bool) {
	why, rewrite := d.sampling.decide(s)
	if why == ReasonError || why == ReasonSlow || len(s.span.traceID) != 16 {
		return why, rewrite
	}
	id := [16]byte(s.span.traceID)
	if _, bad := d.tail.young[id]; bad {
		return ReasonTrace, false
	}
	if _, bad := d.tail.old[id]; bad {
		return ReasonTrace, false
	}
	return why, rewrite
}

// Stats says what is held now.
func (t *Tail) Stats() TailStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.stats
	st.Requests, st.Spans, st.Bytes = len(t.held)-t.first, t.spans, t.bytes
	st.Traces = len(t.young) + len(t.old)
	if st.Requests > 0 {
		st.OldestReceived = t.held[t.first].at
	}
	return st
}
