package gatewayapp

import (
	"context"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
)

// usage is what the process takes.
type usage struct {
	memory uint64  // bytes
	cpu    float64 // percent of one core
	spans  float64 // taken a second
}

// gauge measures the process, and turns requests away while it takes too much
// memory. It stands before the gateway.
type gauge struct {
	next    otlp.RawSink
	limit   int64         // bytes; 0: none
	spans   func() uint64 // taken so far
	memory  atomic.Uint64
	refused atomic.Uint64

	mu   sync.Mutex
	last usage
}

// How often memory is looked at, and over what time rates are taken.
const (
	memoryEvery = 50 * time.Millisecond
	ratesOver   = 5 * time.Second
)

// Take passes a request on.
func (g *gauge) Take(ctx context.Context, sig otlp.Signal, request []byte) (int, error) {
	if taken := g.memory.Load(); g.limit > 0 && taken > uint64(g.limit) {
		g.refused.Add(1)
		return 0, heal.Errorf(heal.Transient, "take request", "the gateway takes %d bytes of memory, limits.memory_bytes is %d", taken, g.limit)
	}
	return g.next.Take(ctx, sig, request)
}

// run measures until ctx ends.
func (g *gauge) run(ctx context.Context) error {
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	at, cpu, spans := time.Now(), cpuTime(), g.spans()
	for {
		metrics.Read(samples)
		g.memory.Store(samples[0].Value.Uint64() - samples[1].Value.Uint64())
		if passed := time.Since(at); passed >= ratesOver {
			nowCPU, nowSpans := cpuTime(), g.spans()
			g.mu.Lock()
			g.last.cpu = 100 * (nowCPU - cpu).Seconds() / passed.Seconds()
			g.last.spans = float64(nowSpans-spans) / passed.Seconds()
			g.mu.Unlock()
			at, cpu, spans = time.Now(), nowCPU, nowSpans
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (g *gauge) load() usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.last
	u.memory = g.memory.Load()
	return u
}
