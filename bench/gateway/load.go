package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/otlp"
)

// result is what one run showed, or several added up.
type result struct {
	spans     int           // acknowledged while it was measured
	cpu       float64       // seconds the target used meanwhile
	others    float64       // seconds that everything but the target and this process used
	took      time.Duration // how long that was
	latencies []time.Duration
	resident  float64 // MB, at most

	acknowledged int // spans, from the start to the end
	refused      int // requests
	kept         int // spans that came to the sink
	expected     int // that should have; -1: cannot be said
}

func (r *result) add(o *result) {
	r.spans += o.spans
	r.cpu += o.cpu
	r.others += o.others
	r.took += o.took
	r.latencies = append(r.latencies, o.latencies...)
	r.resident = max(r.resident, o.resident)
	r.acknowledged += o.acknowledged
	r.refused += o.refused
	r.kept += o.kept
	if r.expected >= 0 && o.expected >= 0 {
		r.expected += o.expected
	} else {
		r.expected = -1
	}
}

// cost is the processor time of a million spans, in seconds.
func (r *result) cost() float64 { return r.cpu / float64(max(r.spans, 1)) * 1e6 }

func (r *result) perSecond() float64 { return float64(r.spans) / r.took.Seconds() }

// lost is how many of the spans that should have come did not.
func (r *result) lost() string {
	switch {
	case r.expected < 0:
		return "?"
	case r.kept > r.expected:
		return fmt.Sprintf("%d too many", r.kept-r.expected)
	}
	return fmt.Sprint(r.expected - r.kept)
}

// quantile is the nearest-rank quantile of the latencies.
func (r *result) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	if !slices.IsSorted(r.latencies) {
		slices.Sort(r.latencies)
	}
	return r.latencies[min(int(q*float64(len(r.latencies))), len(r.latencies)-1)]
}

// senders is how many requests are under way at most: few for a closed loop,
// more where requests are due whether the former ones were answered or not.
func (w *workload) senders() int {
	if w.rate > 0 {
		return 32
	}
	return 8
}

// run measures one target under one workload.
func (b *bench) run(ctx context.Context, t *target, w *workload) (r *result, err error) {
	before := b.sink.spans.Load()
	p, err := t.begin(ctx, b, w)
	if err != nil {
		return nil, err
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = p.stop() // there is another error
		}
	}()
	o := otlp.ClientOptions{Endpoint: p.grpc, Connections: 4, Compression: w.compression}
	if w.http {
		o = otlp.ClientOptions{Endpoint: "http://" + p.http, HTTP: true, Connections: w.senders(), Compression: w.compression}
	}
	client, err := otlp.NewClient(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	l := &load{workload: w, client: client}
	if r, err = l.send(ctx, p); err != nil {
		return nil, fmt.Errorf("%s, %s: %w: %s", t.name, w, err, last(p.log.String(), 2000))
	}
	r.expected = l.expected(t)
	b.settle(ctx, w, before, r)
	r.resident = p.resident()
	stopped = true
	if err := p.stop(); err != nil {
		return nil, err
	}
	r.kept = int(b.sink.spans.Load() - before) // what was held is sent at the end
	return r, nil
}

// settle waits until the sink has what it should, or gets nothing any more.
func (b *bench) settle(ctx context.Context, w *workload, before int64, r *result) {
	quiet, seen := time.Now(), b.sink.spans.Load()
	for ctx.Err() == nil && time.Since(quiet) < w.window+2*time.Second {
		if r.expected >= 0 && seen-before >= int64(r.expected) {
			return
		}
		time.Sleep(50 * time.Millisecond)
		if now := b.sink.spans.Load(); now != seen {
			quiet, seen = time.Now(), now
		}
	}
}

// load is the senders of one run.
type load struct {
	*workload

	client  *otlp.Client
	streams []*stream
	spans   atomic.Int64
	refused atomic.Int64
	due     atomic.Int64 // requests sent at a fixed rate
	failed  atomic.Pointer[error]
}

// maxRefused is after how many refused requests in a row a sender gives up.
const maxRefused = 1000

// send warms the target up, then measures.
func (l *load) send(ctx context.Context, p *process) (*result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make([][]time.Duration, l.senders())
	var wg sync.WaitGroup
	l.streams = make([]*stream, l.senders())
	for i := range l.streams {
		l.streams[i] = newStream(i, l.size)
	}
	began := time.Now()
	from, to := began.Add(l.warm), began.Add(l.warm+l.measure)
	for i, s := range l.streams {
		wg.Go(func() {
			if err := l.loop(ctx, s, began, from, to, &all[i]); err != nil {
				l.failed.CompareAndSwap(nil, &err)
				cancel()
			}
		})
	}
	r := &result{}
	wait(ctx, from)
	cpu, err := p.cpu()
	elsewhere := busy() - own()
	spans, at := l.spans.Load(), time.Now()
	wait(ctx, to)
	after, err2 := p.cpu()
	r.spans, r.took, r.cpu = int(l.spans.Load()-spans), time.Since(at), after-cpu
	r.others = max(busy()-own()-elsewhere-r.cpu, 0)
	wg.Wait()
	switch {
	case l.failed.Load() != nil:
		return nil, *l.failed.Load()
	case err != nil:
		return nil, err
	case err2 != nil:
		return nil, err2
	}
	for i, s := range l.streams {
		s.ended()
		r.latencies = append(r.latencies, all[i]...)
		r.acknowledged += s.spans
	}
	r.refused = int(l.refused.Load())
	return r, nil
}

func wait(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// loop sends until the end. At a fixed rate a request is timed from when it was
// to be sent, so that a target that stalls is not spared.
func (l *load) loop(ctx context.Context, s *stream, began, from, to time.Time, latencies *[]time.Duration) error {
	inRow := 0
	for ctx.Err() == nil {
		intended := time.Now()
		if l.rate > 0 {
			n := l.due.Add(1) - 1
			intended = began.Add(time.Duration(float64(n) * float64(l.size) / l.rate * 1e9))
			wait(ctx, intended)
		}
		if intended.After(to) {
			return nil
		}
		call, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, _, err := l.client.Export(call, otlp.SignalTraces, s.next())
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			l.refused.Add(1)
			if inRow++; inRow > maxRefused {
				return fmt.Errorf("%d requests were refused in a row: %w", inRow, err)
			}
			continue
		}
		inRow = 0
		s.took()
		l.spans.Add(int64(l.size))
		if intended.After(from) {
			*latencies = append(*latencies, time.Since(intended))
		}
	}
	return nil
}

// expected is how many spans should come to the sink.
func (l *load) expected(t *target) (n int) {
	if l.window > 0 && (!t.whole || l.refused.Load() > 0) {
		return -1 // it draws by a hash of its own, or traces came in part
	}
	for _, s := range l.streams {
		switch {
		case l.window > 0:
			n += s.traces
		case t.whole:
			n += s.head
		default:
			n += s.drawn
		}
	}
	return n
}
