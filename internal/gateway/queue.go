package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/gateway/spool"
	"github.com/homeostat/homeostat/internal/heal"
)

// batch is requests joined into one: a message given in parts is the parts
// together, so joining them is appending their bytes.
type batch struct {
	body    []byte
	items   int
	began   time.Time
	waiters []chan<- error // told what became of it; buffered
	end     spool.Position // what is done with when the batch is
	spooled bool
	over    bool
}

// queue gathers requests into batches and hands them out in order. It holds at
// most maxBytes, those being exported included.
type queue struct {
	maxBytes int
	adapter  *adapter
	bodies   sync.Pool
	notify   chan struct{} // something changed for the dispatcher
	leaves   func(*batch)  // told of each batch handed out, in order; nil: nobody

	mu       sync.Mutex
	open     *batch
	ready    []*batch
	bytes    int
	batches  int // handed out and not over
	items    int
	space    chan struct{} // closed when bytes went down
	draining bool
	idle     chan struct{} // closed when it is empty while draining
}

func newQueue(maxBytes int, a *adapter) *queue {
	return &queue{maxBytes: maxBytes, adapter: a, notify: make(chan struct{}, 1), space: make(chan struct{}), idle: make(chan struct{})}
}

// add appends a request. If there is no room it waits if it may, else it gives
// an error of kind Transient.
func (q *queue) add(ctx context.Context, request []byte, items int, waiter chan<- error, end *spool.Position, wait bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > 0 && q.bytes+len(request) > q.maxBytes {
		if !wait {
			return heal.Errorf(heal.Transient, "queue request", "%d bytes wait to be exported, the most allowed are %d", q.bytes, q.maxBytes)
		}
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return ctx.Err()
		}
	}
	if q.open != nil && len(q.open.body)+len(request) > q.adapter.opts.MaxBytes {
		q.seal()
	}
	if q.open == nil {
		body, _ := q.bodies.Get().(*[]byte)
		if body == nil {
			body = new([]byte)
		}
		q.open = &batch{body: (*body)[:0], began: time.Now()}
		q.tell()
	}
	b := q.open
	b.body = append(b.body, request...)
	b.items += items
	q.bytes += len(request)
	q.items += items
	if waiter != nil {
		b.waiters = append(b.waiters, waiter)
	}
	if end != nil {
		b.end, b.spooled = *end, true
	}
	if b.items >= q.adapter.items() || len(b.body) >= q.adapter.opts.MaxBytes || q.draining {
		q.seal()
	}
	return nil
}

func (q *queue) seal() {
	if q.open == nil {
		return
	}
	q.ready = append(q.ready, q.open)
	q.open = nil
	q.tell()
}

func (q *queue) tell() {
	select {
	case q.notify <- struct{}{}:
	default:
	}
}

// dispatch hands batches to work until ctx ends.
func (q *queue) dispatch(ctx context.Context, work chan<- *batch) {
	timer := time.NewTimer(q.adapter.opts.Timeout)
	defer timer.Stop()
	for {
		b, wait := q.take(time.Now())
		if b != nil {
			if q.leaves != nil {
				q.leaves(b)
			}
			select {
			case work <- b:
			case <-ctx.Done():
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-q.notify:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// take gives the oldest batch that may go, or how long to wait for one.
func (q *queue) take(now time.Time) (*batch, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := q.adapter.opts.Timeout
	if q.open != nil {
		wait -= now.Sub(q.open.began)
		if wait <= 0 || q.draining {
			q.seal()
		}
	}
	if len(q.ready) == 0 {
		return nil, max(wait, time.Millisecond)
	}
	b := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	q.batches++
	return b, 0
}

// ended frees a batch that take gave.
func (q *queue) ended(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(b.body)
	q.items -= b.items
	q.batches--
	close(q.space)
	q.space = make(chan struct{})
	if cap(b.body) <= 2*q.adapter.opts.MaxBytes {
		body := b.body
		q.bodies.Put(&body)
	}
	b.body = nil
	q.checkIdle()
}

// drain sends batches at once from now on; the channel is closed when there is
// none left.
func (q *queue) drain() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.draining = true
	q.seal()
	q.tell()
	q.checkIdle()
	return q.idle
}

func (q *queue) checkIdle() {
	if !q.draining || q.bytes > 0 || q.batches > 0 || len(q.ready) > 0 || q.open != nil {
		return
	}
	select {
	case <-q.idle:
	default:
		close(q.idle)
	}
}

// length is how many items and bytes wait or are being exported.
func (q *queue) length() (items, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items, q.bytes
}
