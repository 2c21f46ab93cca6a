package wire

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestTailAgainstAModel sends the spans of many traces at random times and holds
// what is kept against the rule: a span is kept if it is bad, or if a bad span of
// its trace came within the window before or after it.
func TestTailAgainstAModel(t *testing.T) {
	type span struct {
		trace, id byte
		at        time.Duration
		bad       bool
	}
	const window = 10 * time.Second
	r := rand.New(rand.NewPCG(5, 8))
	var whole, single int
	for range 50 {
		var all []span
		at := time.Duration(0)
		for id := range byte(200) {
			at += time.Duration(r.IntN(400)) * time.Millisecond
			all = append(all, span{trace: byte(r.IntN(40)), id: id, at: at, bad: r.IntN(20) == 0})
		}
		tail, s, sampler := NewTail(TailOptions{Window: window}, start), new(Scanner), NewSampler(SamplerOptions{})
		kept := map[byte]bool{}
		decide := func(now time.Time, rest bool) {
			for request := tail.Next(now, rest); request != nil; request = tail.Next(now, rest) {
				out, _, err := tail.Decide(s, request, sampler, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, got := range spansOf(t, out) {
					kept[got.SpanId[7]] = true
				}
			}
		}
		for _, sp := range all {
			now := start.Add(sp.at)
			decide(now, false)
			status := fine
			if sp.bad {
				status = failed
			}
			request := one(t, sp.trace, sp.id, status)
			if _, err := s.Watch(request, sampler); err != nil {
				t.Fatal(err)
			}
			if !tail.Hold(request, s, 1, now) {
				t.Fatal("refused")
			}
		}
		decide(start.Add(at+window), false)
		for _, sp := range all {
			must := sp.bad
			for _, other := range all {
				if other.trace == sp.trace && other.bad && max(other.at-sp.at, sp.at-other.at) < window {
					must = true
				}
			}
			switch {
			case must && !kept[sp.id]:
				t.Fatalf("span %+v was dropped although its trace is bad: %+v", sp, all)
			case must && !sp.bad:
				whole++
			case !must && !kept[sp.id]:
				single++
			}
		}
	}
	if whole == 0 || single == 0 {
		t.Errorf("got %d spans kept for their trace, %d dropped: the test shows nothing", whole, single)
	}
}
