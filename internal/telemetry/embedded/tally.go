package embedded

import (
	"cmp"
	"slices"
	"sync"

	"github.com/homeostat/homeostat/internal/telemetry"
)

// tally counts what was lost.
type tally struct {
	mu      sync.Mutex
	dropped map[telemetry.Drop]int64 // keyed by signal and reason, Records zero
	cut     int64
}

func newTally() *tally { return &tally{dropped: make(map[telemetry.Drop]int64)} }

func (t *tally) drop(signal telemetry.Signal, reason telemetry.DropReason, n int) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped[telemetry.Drop{Signal: signal, Reason: reason}] += int64(n)
}

func (t *tally) cutBodies(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut += int64(n)
}

// fill writes the counts into a Usage.
func (t *tally) fill(u *telemetry.Usage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.Cut = t.cut
	for key, n := range t.dropped {
		key.Records = n
		u.Dropped = append(u.Dropped, key)
	}
	slices.SortFunc(u.Dropped, func(a, b telemetry.Drop) int {
		return cmp.Or(cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.Reason, b.Reason))
	})
}
