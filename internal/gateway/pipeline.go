package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// Mode is what must be true before a request is acknowledged.
type Mode uint8

// The modes.
const (
	ModeSpool  Mode = iota // it is on disk
	ModeMemory             // it is in memory
	ModeExport             // a backend has it
)

// PipelineOptions are how one signal is handled; a zero field takes its default.
type PipelineOptions struct {
	Mode       Mode
	Spool      spool.Options // of ModeSpool
	QueueBytes int           // 64 MiB waiting for export or being exported
}

// pipeline takes requests of one signal to the backends.
type pipeline struct {
	sig      otlp.Signal
	mode     Mode
	spool    *spool.Spool // nil unless mode is ModeSpool
	queue    *queue
	parallel int
	current  func() *backends // to be given back with users.Done
	changed  func() <-chan struct{}
	log      *slog.Logger

	scanners *sync.Pool
	exported atomic.Uint64 // items a backend took
	lost     atomic.Uint64 // items refused by backends for good
	again    atomic.Uint64 // batches that no backend took at the first round
	left     atomic.Uint64 // items in memory when the gateway ended

	mu        sync.Mutex
	inFlight  []*batch // of the spool, in order
	forgetful bool     // the spool could not remember what is done
}

// take takes a request of so many items, as the mode promises.
func (p *pipeline) take(ctx context.Context, request []byte, items int) error {
	switch p.mode {
	case ModeSpool:
		return p.spool.Append(request, items)
	case ModeMemory:
		return p.queue.add(ctx, request, items, nil, nil, false)
	case ModeExport:
		told := make(chan error, 1)
		if err := p.queue.add(ctx, request, items, told, nil, false); err != nil {
			return err
		}
		select {
		case err := <-told:
			return err
		case <-ctx.Done():
			return heal.Errorf(heal.Unknown, "export", "no backend took it in time: %w", ctx.Err())
		}
	}
	return heal.Errorf(heal.Internal, "take request", "no mode %d", p.mode)
}

// run moves requests until ctx ends; exports that run then may go on until cut
// ends.
func (p *pipeline) run(ctx, cut context.Context) {
	work := make(chan *batch)
	var wg sync.WaitGroup
	wg.Go(func() { p.queue.dispatch(ctx, work) })
	if p.spool != nil {
		wg.Go(func() { p.replay(ctx) })
	}
	for range p.parallel {
		wg.Go(func() {
			for {
				select {
				case b := <-work:
					p.export(ctx, cut, b)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Wait()
	if p.spool == nil {
		items, _ := p.queue.length()
		p.left.Add(uint64(items))
	}
}

// replay moves records from the spool to the queue, in order.
func (p *pipeline) replay(ctx context.Context) {
	for {
		r, err := p.spool.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.log.Error("reading the spool failed; trying again", slog.String("signal", p.sig.String()), slog.Any("error", err))
			if sleep(ctx, time.Second) != nil {
				return
			}
			continue
		}
		if p.queue.add(ctx, r.Payload, r.Items, nil, &r.End, true) != nil {
			return // ctx ended
		}
	}
}

// export sends one batch and tells who waits for it.
func (p *pipeline) export(ctx, cut context.Context, b *batch) {
	err := p.deliver(ctx, cut, b)
	for _, told := range b.waiters {
		told <- err
	}
	b.waiters = nil
	if err != nil && ctx.Err() != nil {
		return // it is in the spool still, or counted as left
	}
	p.queue.ended(b)
	if b.spooled {
		p.done(b)
	}
}

// leaves notes a batch of the spool that is being exported, in order.
func (p *pipeline) leaves(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight = append(p.inFlight, b)
}

// done moves the spool on past all batches that are over up to the first that is
// not.
func (p *pipeline) done(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.over = true
	var end *spool.Position
	for len(p.inFlight) > 0 && p.inFlight[0].over {
		end = &p.inFlight[0].end
		p.inFlight = p.inFlight[1:]
	}
	if end == nil {
		return
	}
	err := p.spool.Done(*end)
	if err != nil && !p.forgetful {
		p.log.Warn("what was exported may be exported again after a restart", slog.Any("error", err))
	}
	p.forgetful = err != nil
}

// deliver sends a batch, shared among the backends if that is asked for. An
// error means that no backend has all of it.
func (p *pipeline) deliver(ctx, cut context.Context, b *batch) error {
	set := p.current()
	places := len(set.list)
	balance := set.opts.Balance && places > 1 && p.sig == otlp.SignalTraces
	set.users.Done()
	if !balance {
		return p.sendAll(ctx, cut, 0, b.body, b.items)
	}
	var wg sync.WaitGroup
	errs := make([]error, places)
	for place := range places {
		wg.Go(func() {
			s, _ := p.scanners.Get().(*wire.Scanner)
			part, result, err := s.Pick(b.body, place, places, nil)
			p.scanners.Put(s)
			if err == nil && result.Kept() > 0 {
				err = p.sendAll(ctx, cut, place, part, result.Kept())
			}
			errs[place] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// sendAll sends a request until a backend took it or refused it for good; in
// mode export it gives up after one round, since the sender still has it.
func (p *pipeline) sendAll(ctx, cut context.Context, first int, request []byte, items int) error {
	for round := 0; ; round++ {
		changed := p.changed()
		set := p.current()
		r, wait, err := set.send(ctx, cut, p.sig, first%len(set.list), request)
		set.users.Done()
		switch {
		case err == nil:
			p.lost.Add(uint64(r.items))
			p.exported.Add(uint64(max(items-r.items, 0)))
			p.queue.adapter.observe(r.took, time.Now())
			if r.items > 0 {
				p.log.Warn("a backend refused items for good", slog.String("signal", p.sig.String()), slog.Int("items", r.items), slog.String("reason", r.reason))
			}
			return nil
		case heal.Is(err, heal.Invalid):
			if p.mode != ModeExport {
				p.lost.Add(uint64(items))
				p.log.Error("a backend refused a batch for good", slog.String("signal", p.sig.String()), slog.Int("items", items), slog.Any("error", err))
				return nil // it is over: trying again would block all that comes after it
			}
			return err
		case p.mode == ModeExport:
			if heal.Is(err, heal.Denied) { // our quarrel, not the sender's
				return heal.Errorf(heal.Transient, "export", "%w", err)
			}
			return err
		}
		if round == 0 {
			p.again.Add(1)
			p.log.Warn("no backend takes what is sent; it is kept and tried again", slog.String("signal", p.sig.String()), slog.Any("error", err))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed: // there are other backends now
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}
