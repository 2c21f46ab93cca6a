package gateway

import (
	"context"
	"math"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/wire"
)

// Reload puts other settings into force: sampling and statements at once, backends for each try
// that begins from then on. It returns when nobody uses the old ones any more.
// If it gives an error before that, everything is as it was.
func (g *Gateway) Reload(ctx context.Context, s Settings) error {
	set, err := openBackends(s.Export)
	if err != nil {
		return err
	}
	g.mu.Lock()
	old, changed := g.set, g.changed
	g.set, g.settings, g.changed = set, s, make(chan struct{})
	g.sample(s.Sampler)
	g.cleaner.Store(s.Cleaner)
	g.mu.Unlock()
	close(changed)
	closed := make(chan error, 1)
	go func() { closed <- old.close() }() // ends with the last try, which has a deadline
	select {
	case err := <-closed:
		return heal.Wrap("close former backends", err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// use gives the backends of now; users.Done gives them back.
func (g *Gateway) use() *backends {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set.users.Add(1)
	return g.set
}

// changes is closed when there are other backends.
func (g *Gateway) changes() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *Gateway) sample(o wire.SamplerOptions) {
	g.intake.sampler.Store(wire.NewSampler(o))
	g.rate.Store(math.Float64bits(o.Rate))
}

// steer chooses the base rate for a throughput in spans a second.
func (g *Gateway) steer(throughput float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.settings.Steer.Target <= 0 {
		return
	}
	o := g.settings.Sampler
	o.Rate = g.settings.Steer.Rate(throughput)
	g.sample(o)
}
