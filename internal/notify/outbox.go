package notify

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// OutboxOptions configure an outbox.
type OutboxOptions struct {
	Size  int           // messages that wait at most; 1024 if zero
	Drain time.Duration // how long Run goes on sending after its context has ended; 2 s if zero
	Log   *slog.Logger  // nil: none
}

// Outbox takes messages without waiting and sends them one after the other.
type Outbox struct {
	channel Channel
	drain   time.Duration
	log     *slog.Logger
	queue   chan Message

	sent, failed, dropped atomic.Int64
}

// Stats counts what became of the messages.
type Stats struct {
	Sent    int64
	Failed  int64 // given up by the channel
	Dropped int64 // never tried: the outbox was full, or it ended
	Waiting int64
}

// NewOutbox makes an outbox for the channel, which is usually one that retries.
// Nothing is sent before Run.
func NewOutbox(c Channel, opts OutboxOptions) *Outbox {
	if opts.Size <= 0 {
		opts.Size = 1024
	}
	if opts.Drain <= 0 {
		opts.Drain = 2 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Outbox{channel: c, drain: opts.Drain, log: opts.Log, queue: make(chan Message, opts.Size)}
}

// Offer takes the message, or drops it and returns false if the outbox is full.
func (o *Outbox) Offer(m Message) bool {
	select {
	case o.queue <- m:
		return true
	default:
		o.dropped.Add(1)
		o.log.Warn("message dropped, the outbox is full", slog.String("channel", o.channel.Name()), slog.String("message_id", m.ID))
		return false
	}
}

// Stats counts since the start.
func (o *Outbox) Stats() Stats {
	return Stats{Sent: o.sent.Load(), Failed: o.failed.Load(), Dropped: o.dropped.Load(), Waiting: int64(len(o.queue))}
}

// Run sends until ctx ends, then what waits for as long as Drain lets it, and
// drops the rest. It returns nil.
func (o *Outbox) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(o.drain, cancel) })
	defer stop()
	for ctx.Err() == nil {
		select {
		case m := <-o.queue:
			o.send(sending, m)
		case <-ctx.Done():
		}
	}
	for {
		select {
		case m := <-o.queue:
			if sending.Err() != nil {
				o.dropped.Add(1)
				continue
			}
			o.send(sending, m)
		default:
			return nil
		}
	}
}

func (o *Outbox) send(ctx context.Context, m Message) {
	if err := o.channel.Send(ctx, m); err != nil {
		o.failed.Add(1)
		o.log.Warn("message not delivered", slog.String("channel", o.channel.Name()), slog.String("message_id", m.ID), slog.Any("error", err))
		return
	}
	o.sent.Add(1)
}
