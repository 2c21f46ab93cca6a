package notify

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// RetryOptions say how often and how fast a message is tried again.
type RetryOptions struct {
	Attempts int           // in all; 5 if zero
	First    time.Duration // pause after the first try, doubled after each; 1 s if zero
	Most     time.Duration // longest pause; 1 min if zero
}

// Retry is the channel that tries again what fails with kind Transient. Each
// pause is drawn from its upper half, so that many senders do not come back at
// one moment.
func Retry(c Channel, opts RetryOptions) Channel {
	if opts.Attempts <= 0 {
		opts.Attempts = 5
	}
	if opts.First <= 0 {
		opts.First = time.Second
	}
	if opts.Most <= 0 {
		opts.Most = time.Minute
	}
	return &retrying{Channel: c, opts: opts}
}

type retrying struct {
	Channel
	opts RetryOptions
}

// Send gives the error of the last try.
func (r *retrying) Send(ctx context.Context, m Message) error {
	pause := min(r.opts.First, r.opts.Most)
	for n := 1; ; n++ {
		err := r.Channel.Send(ctx, m)
		if !heal.Is(err, heal.Transient) || n == r.opts.Attempts {
			return err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
		pause = min(2*pause, r.opts.Most)
	}
}
