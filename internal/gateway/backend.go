package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
)

// Backend is one receiver of what is kept.
type Backend struct {
	Name   string // unique; labels its metrics
	Client otlp.ClientOptions
}

// ExportOptions say where and how batches are sent; a zero field takes its
// default.
type ExportOptions struct {
	Backends []Backend     // in the order of preference
	Balance  bool          // share traces among all of them, by trace id; else the first that works gets everything
	Timeout  time.Duration // 10 s for one try
	Parallel int           // 5 batches at a time for each signal
	Retry    RetryOptions
	Breaker  BreakerOptions
}

func (o ExportOptions) withDefaults() ExportOptions {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Parallel <= 0 {
		o.Parallel = 5
	}
	o.Retry, o.Breaker = o.Retry.withDefaults(), o.Breaker.withDefaults()
	return o
}

// backend is a Backend at work.
type backend struct {
	name    string
	client  *otlp.Client
	breaker breaker
	calls   durations
	errors  [otlp.SignalLogs + 1]atomic.Uint64
}

// backends is a set of backends, which is replaced as a whole.
type backends struct {
	opts  ExportOptions
	list  []*backend
	users sync.WaitGroup
}

func openBackends(o ExportOptions) (*backends, error) {
	set := &backends{opts: o.withDefaults()}
	if len(o.Backends) == 0 {
		return nil, heal.Errorf(heal.Invalid, "open backends", "there is none")
	}
	for _, b := range o.Backends {
		client, err := otlp.NewClient(b.Client)
		if err != nil {
			return nil, errors.Join(heal.Wrap("open backend "+b.Name, err), set.close())
		}
		set.list = append(set.list, &backend{name: b.Name, client: client, breaker: breaker{opts: set.opts.Breaker}})
	}
	return set, nil
}

// close waits for those who use the set and ends its connections.
func (s *backends) close() error {
	s.users.Wait()
	var errs []error
	for _, b := range s.list {
		errs = append(errs, b.client.Close())
	}
	return errors.Join(errs...)
}

// answer is what a backend said of a request it took.
type answer struct {
	items  int // refused for good
	reason string
	took   time.Duration
}

// send tries the backends in turn, beginning with number first, until one takes
// the request or refuses it for good. If none does, wait is how long to leave
// them alone. Nothing is tried again after ctx has ended; a try that runs then may
// go on until cut ends.
func (s *backends) send(ctx, cut context.Context, sig otlp.Signal, first int, request []byte) (r answer, wait time.Duration, err error) {
	wait = s.opts.Retry.Most
	for i := range s.list {
		b := s.list[(first+i)%len(s.list)]
		r, pause, failure := s.try(ctx, cut, sig, b, request)
		if failure == nil || heal.Is(failure, heal.Invalid) || ctx.Err() != nil {
			return r, 0, failure
		}
		wait = min(wait, pause)
		err = failure
	}
	return r, max(wait, s.opts.Retry.First), err
}

// try sends a request to one backend, with retries. pause is how long it asks
// to be left alone after that.
func (s *backends) try(ctx, cut context.Context, sig otlp.Signal, b *backend, request []byte) (r answer, pause time.Duration, err error) {
	for tries := 1; ; tries++ {
		ok, rest := b.breaker.allow(time.Now())
		if !ok {
			if err == nil {
				err = heal.Errorf(heal.Transient, "export to "+b.name, "it failed too often and is left alone for %s", rest.Round(time.Millisecond))
			}
			return r, rest, err
		}
		begin := time.Now()
		call, cancel := context.WithTimeout(cut, s.opts.Timeout)
		r.items, r.reason, err = b.client.Export(call, sig, request)
		cancel()
		took := time.Since(begin)
		if err == nil {
			b.breaker.ended(true, time.Now())
			b.calls.observe(took)
			r.took = took
			return r, 0, nil
		}
		b.errors[sig].Add(1)
		// A refusal of this request says nothing about the next one.
		b.breaker.ended(heal.Is(err, heal.Invalid), time.Now())
		pause = s.opts.Retry.wait(tries, rand.Float64()) //nolint:gosec // jitter
		if later, ok := errors.AsType[*otlp.Later](err); ok {
			pause = max(pause, later.After)
		}
		if heal.Is(err, heal.Invalid) || tries >= s.opts.Retry.Tries || sleep(ctx, pause) != nil {
			return r, pause, err
		}
	}
}

// sleep waits unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
