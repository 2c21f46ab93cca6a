package gateway

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// counts are what is counted as requests come in.
type counts struct {
	taken   [otlp.SignalLogs + 1]atomic.Uint64 // items, before sampling
	reasons [wire.ReasonTrace + 1]atomic.Uint64
}

// cleanings are what statements did.
type cleanings struct {
	items  [otlp.SignalLogs + 1]atomic.Uint64 // that went through statements
	failed [otlp.SignalLogs + 1]atomic.Uint64 // times a statement failed for an item
	mended [otlp.SignalLogs + 1]atomic.Uint64 // texts made UTF-8 again afterwards
}

func (c *counts) sampled(r *wire.Result) {
	for why, n := range r.Reasons {
		if n > 0 {
			c.reasons[why].Add(uint64(n))
		}
	}
}

// Stats say what a Gateway does and has done since it was made.
type Stats struct {
	Pipelines   [otlp.SignalLogs + 1]PipelineStats
	Reasons     [wire.ReasonTrace + 1]uint64 // spans by why they were kept or not
	Rate        float64                      // the base rate of now
	Undecidable uint64                       // requests held that could not be decided on; a bug if not 0
	Tail        *wire.TailStats              // nil: each span is decided on alone
	RED         wire.Stats
	Backends    []BackendStats
}

// PipelineStats are those of one signal.
type PipelineStats struct {
	Signal     otlp.Signal
	Taken      uint64 // items, before sampling
	Cleaned    uint64 // items that went through statements
	Failed     uint64 // times a statement failed for an item
	Mended     uint64 // texts that statements left in pieces, made UTF-8 again
	QueueItems int    // waiting or being exported
	QueueBytes int
	BatchItems int           // how large batches are now
	P95        time.Duration // of exports, when that was last changed
	Lost       uint64        // items that backends refused for good
	Left       uint64        // items in memory that the end of the gateway lost
	TriedAgain uint64        // batches that no backend took at the first round
	Exported   uint64        // items that a backend took
	Spool      *spool.Stats  // nil unless the mode is spool
}

// BackendStats are those of one backend.
type BackendStats struct {
	Name    string
	Breaker BreakerState
	Opened  uint64 // times its breaker opened
	Errors  [otlp.SignalLogs + 1]uint64
	Calls   DurationStats // that succeeded
}

// Stats gives the counts so far.
func (g *Gateway) Stats() Stats {
	st := Stats{Rate: math.Float64frombits(g.rate.Load()), Undecidable: g.undecidable.Load(), Reasons: g.intake.Reasons(), RED: g.red.Stats()}
	for sig, p := range g.pipelines {
		ps := PipelineStats{Signal: p.sig, Taken: g.intake.counts.taken[sig].Load(), Lost: p.lost.Load(), Left: p.left.Load(), Exported: p.exported.Load(), TriedAgain: p.again.Load()}
		ps.Cleaned, ps.Failed, ps.Mended = g.cleaned.items[sig].Load(), g.cleaned.failed[sig].Load(), g.cleaned.mended[sig].Load()
		ps.QueueItems, ps.QueueBytes = p.queue.length()
		ps.BatchItems, ps.P95 = p.queue.adapter.now()
		if p.spool != nil {
			held := p.spool.Stats()
			ps.Spool = &held
		}
		st.Pipelines[sig] = ps
	}
	if g.tail != nil {
		held := g.tail.Stats()
		st.Tail = &held
	}
	set := g.use()
	defer set.users.Done()
	for _, b := range set.list {
		bs := BackendStats{Name: b.name, Calls: b.calls.load()}
		bs.Breaker, bs.Opened = b.breaker.stats()
		for sig := range bs.Errors {
			bs.Errors[sig] = b.errors[sig].Load()
		}
		st.Backends = append(st.Backends, bs)
	}
	return st
}

// FlushRED gives the metrics and edges of all spans since the flush before. It
// must be called now and then, or calls of which only one side was seen wait for
// ever.
func (g *Gateway) FlushRED(now time.Time) ([]heal.Sample, []wire.Edge) { return g.red.Flush(now) }

// RED gives the metrics of all spans since the start, changed or not.
func (g *Gateway) RED(now time.Time) []heal.Sample { return g.red.Snapshot(now) }
