package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/homeostat/homeostat/internal/gateway/ottl"
	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// Options of a Gateway; a zero field takes its default.
type Options struct {
	Traces, Metrics, Logs PipelineOptions

	Settings
	Batch       BatchOptions
	Tail        *wire.TailOptions // nil: each span is decided on alone
	Compress    bool              // what Tail holds
	RED         wire.Options
	SteerEvery  time.Duration // 60 s
	StopTimeout time.Duration // 10 s to empty the queues at the end
	Logger      *slog.Logger  // nil: silent
}

// Settings are what can be changed while the gateway runs.
type Settings struct {
	Sampler wire.SamplerOptions // its Rate is where steering begins
	Steer   wire.Steering
	Cleaner *ottl.Cleaner // changes what is kept; nil: nothing is changed
	Export  ExportOptions
}

// Gateway samples, batches and exports. It is an otlp.RawSink.
type Gateway struct {
	opts      Options
	log       *slog.Logger
	red       *wire.Aggregator
	tail      *wire.Tail // nil: each span is decided on alone
	pipelines [otlp.SignalLogs + 1]*pipeline
	intake    *Intake
	cleaned   cleanings

	undecidable atomic.Uint64

	rate     atomic.Uint64 // bits of the base rate
	cleaner  atomic.Pointer[ottl.Cleaner]
	stopping atomic.Bool

	mu       sync.Mutex
	settings Settings
	set      *backends
	changed  chan struct{} // closed when set is replaced
}

// New makes a Gateway and opens its spools; nothing is sent before Run.
func New(o Options) (*Gateway, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SteerEvery <= 0 {
		o.SteerEvery = time.Minute
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 10 * time.Second
	}
	o.Batch = o.Batch.withDefaults()
	now := time.Now()
	g := &Gateway{opts: o, log: o.Logger, red: wire.New(o.RED, now), settings: o.Settings, changed: make(chan struct{})}
	g.intake = NewIntake(wire.NewSampler(o.Sampler), IntakeOptions{RED: g.red, Keep: g.keep})
	if o.Tail != nil {
		g.tail = wire.NewTail(*o.Tail, now)
	}
	g.sample(o.Sampler)
	g.cleaner.Store(o.Cleaner)
	set, err := openBackends(o.Export)
	if err != nil {
		return nil, err
	}
	g.set = set
	for sig, p := range map[otlp.Signal]PipelineOptions{otlp.SignalTraces: o.Traces, otlp.SignalMetrics: o.Metrics, otlp.SignalLogs: o.Logs} {
		if p.QueueBytes <= 0 {
			p.QueueBytes = 64 << 20
		}
		g.pipelines[sig] = &pipeline{
			sig: sig, mode: p.Mode, queue: newQueue(p.QueueBytes, newAdapter(o.Batch, now)), parallel: set.opts.Parallel,
			current: g.use, changed: g.changes, log: o.Logger, scanners: &g.intake.scanners,
		}
		if p.Mode == ModeSpool {
			if g.pipelines[sig].spool, err = spool.Open(p.Spool); err != nil {
				return nil, errors.Join(err, g.close())
			}
			g.pipelines[sig].queue.leaves = g.pipelines[sig].leaves
		}
	}
	return g, nil
}

// Take takes one request, as otlp.RawSink says.
func (g *Gateway) Take(ctx context.Context, sig otlp.Signal, request []byte) (items int, err error) {
	if g.stopping.Load() {
		return 0, heal.Errorf(heal.Unknown, "take request", "the gateway is stopping")
	}
	if sig == otlp.SignalTraces && g.tail != nil {
		return g.holdTraces(request)
	}
	return g.intake.Take(ctx, sig, request)
}

// keep cleans what is kept and takes it.
func (g *Gateway) keep(ctx context.Context, sig otlp.Signal, request []byte, items int) error {
	request, err := g.clean(ctx, sig, request, items)
	if err != nil {
		return err
	}
	return g.pipelines[sig].take(ctx, request, items)
}

// clean carries out the statements there are.
func (g *Gateway) clean(ctx context.Context, sig otlp.Signal, request []byte, items int) ([]byte, error) {
	cleaner := g.cleaner.Load()
	if !cleaner.Has(sig) {
		return request, nil
	}
	cleaned, r, err := cleaner.Clean(ctx, sig, request)
	if err != nil {
		return nil, err
	}
	g.cleaned.items[sig].Add(uint64(items))
	g.cleaned.failed[sig].Add(uint64(r.Failed))
	g.cleaned.mended[sig].Add(uint64(r.Mended))
	return cleaned, nil
}

// holdTraces holds a request until its traces can be decided on.
func (g *Gateway) holdTraces(request []byte) (int, error) {
	s, _ := g.intake.scanners.Get().(*wire.Scanner)
	defer g.intake.scanners.Put(s)
	result, err := s.Watch(request, g.intake.sampler.Load())
	if err != nil || result.Spans == 0 {
		return 0, err
	}
	if !g.tail.Hold(g.pack(request), s, result.Spans, time.Now()) {
		return 0, heal.Errorf(heal.Transient, "hold request", "undecided spans take all the memory they may, and what was decided cannot be sent")
	}
	g.red.Take(s)
	g.intake.counts.taken[otlp.SignalTraces].Add(uint64(result.Spans))
	return result.Spans, nil
}

// pack copies a request as it is held.
func (g *Gateway) pack(request []byte) []byte {
	if !g.opts.Compress {
		return bytes.Clone(request)
	}
	out, _ := g.intake.outputs.Get().(*[]byte)
	defer g.intake.outputs.Put(out)
	*out = s2.Encode(slices.Grow((*out)[:0], s2.MaxEncodedLen(len(request)))[:s2.MaxEncodedLen(len(request))], request)
	return bytes.Clone(*out)
}

// unpack gives a request that pack packed, in buffer if it has room.
func (g *Gateway) unpack(held, buffer []byte) ([]byte, error) {
	if !g.opts.Compress {
		return held, nil
	}
	return s2.Decode(buffer[:cap(buffer)], held)
}

// decide decides on the requests whose window is over, or on all.
func (g *Gateway) decide(ctx context.Context, all bool) {
	s, _ := g.intake.scanners.Get().(*wire.Scanner)
	defer g.intake.scanners.Put(s)
	var out, plain []byte
	for {
		held := g.tail.Next(time.Now(), all)
		if held == nil {
			return
		}
		request, err := g.unpack(held, plain)
		if g.opts.Compress {
			plain = request
		}
		var result wire.Result
		if err != nil {
			g.log.Error("a request that was held cannot be read", slog.Any("error", err)) // a bug: it was in memory
			g.undecidable.Add(1)
			continue
		}
		if out, result, err = g.tail.Decide(s, request, g.intake.sampler.Load(), out[:0]); err != nil {
			g.log.Error("a request that was taken cannot be decided on", slog.Any("error", err)) // a bug: Watch refuses those
			g.undecidable.Add(1)
			continue
		}
		g.intake.counts.sampled(&result)
		cleaned, err := g.clean(ctx, otlp.SignalTraces, out, result.Kept())
		if err != nil {
			g.log.Error("spans that were taken cannot be cleaned", slog.Any("error", err))
			g.undecidable.Add(1)
			continue
		}
		for kept := result.Kept(); kept > 0; {
			err := g.pipelines[otlp.SignalTraces].take(ctx, cleaned, kept)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				g.pipelines[otlp.SignalTraces].left.Add(uint64(kept))
				break
			}
			_ = sleep(ctx, 50*time.Millisecond) // meanwhile requests wait where they are, which is bounded
		}
	}
}

// Run works until ctx ends, then empties what is in memory within StopTimeout
// and closes everything. Who serves requests must have stopped by then.
func (g *Gateway) Run(ctx context.Context) error {
	cut, cancelCut := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCut()
	work, cancelWork := context.WithCancel(cut)
	defer cancelWork()
	var wg sync.WaitGroup
	for _, p := range g.pipelines {
		wg.Go(func() { p.run(work, cut) })
	}
	g.tick(ctx, work)
	g.stopping.Store(true)
	deadline := time.AfterFunc(g.opts.StopTimeout, cancelCut)
	defer deadline.Stop()
	g.empty(work)
	cancelWork()
	wg.Wait()
	return g.close()
}

// tick does what time asks for until ctx ends.
func (g *Gateway) tick(ctx, work context.Context) {
	var deciding sync.WaitGroup
	defer deciding.Wait()
	if g.tail != nil {
		deciding.Go(func() {
			for sleep(ctx, 20*time.Millisecond) == nil {
				g.decide(work, false)
			}
		})
	}
	ticker := time.NewTicker(g.opts.SteerEvery)
	defer ticker.Stop()
	before, at := g.intake.counts.taken[otlp.SignalTraces].Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			spans := g.intake.counts.taken[otlp.SignalTraces].Load()
			g.steer(float64(spans-before) / now.Sub(at).Seconds())
			before, at = spans, now
		}
	}
}

// empty gives what is in memory a last chance.
func (g *Gateway) empty(ctx context.Context) {
	if g.tail != nil {
		g.decide(ctx, true)
	}
	for _, p := range g.pipelines {
		if p.spool != nil {
			continue // it is on disk
		}
		select {
		case <-p.queue.drain():
		case <-ctx.Done():
		}
	}
}

func (g *Gateway) close() error {
	errs := []error{g.set.close()}
	for _, p := range g.pipelines {
		if p == nil {
			continue
		}
		if p.spool != nil {
			errs = append(errs, p.spool.Close())
		}
		if n := p.left.Load(); n > 0 {
			g.log.Error("items were lost: no backend took them before the end", slog.String("signal", p.sig.String()), slog.Uint64("items", n))
		}
	}
	return errors.Join(errs...)
}
