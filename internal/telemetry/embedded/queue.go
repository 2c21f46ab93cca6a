package embedded

import (
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// item is one batch on its way to disk, or a mark that Flush waits for.
type item struct {
	spans  []heal.Span
	logs   []heal.LogRecord
	weight int           // bytes of text
	done   chan struct{} // closed when the item is written; nil if nobody waits
}

func (i item) records() int { return len(i.spans) + len(i.logs) }

// queue holds batches between Append and the writer, bounded in records, bytes
// and records a second.
type queue struct {
	maxRecords, maxBytes int
	wake                 chan struct{} // holds one token while something waits

	mu      sync.Mutex
	bucket  bucket
	items   []item
	records int
	bytes   int
	closed  bool
}

func newQueue(o Options) *queue {
	return &queue{
		maxRecords: o.QueueRecords,
		maxBytes:   o.QueueBytes,
		wake:       make(chan struct{}, 1),
		bucket:     bucket{rate: float64(o.RecordsPerSecond), tokens: float64(o.RecordsPerSecond)},
	}
}

// put takes as many of n records as the rate allows, first(k) being the first
// k of them. If those do not fit, none is taken and the kind is Transient.
func (q *queue) put(now time.Time, n int, first func(k int) item) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, errStopped
	}
	n = min(n, q.bucket.level(now))
	if n == 0 {
		return 0, nil
	}
	it := first(n)
	if q.records+n > q.maxRecords || q.records > 0 && q.bytes+it.weight > q.maxBytes {
		return 0, heal.Errorf(heal.Transient, "", "%d records wait to be written; send again later", q.records)
	}
	q.bucket.take(n)
	q.push(it)
	return n, nil
}

// mark queues a channel that is closed once everything before it is written.
func (q *queue) mark() (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, errStopped
	}
	done := make(chan struct{})
	q.push(item{done: done})
	return done, nil
}

func (q *queue) push(it item) {
	q.items = append(q.items, it)
	q.records += it.records()
	q.bytes += it.weight
	select {
	case q.wake <- struct{}{}:
	default: // a token is there already
	}
}

// takeAll empties the queue.
func (q *queue) takeAll() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.records, q.bytes = nil, 0, 0
	return items
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

var errStopped = heal.Errorf(heal.Transient, "", "the telemetry store is stopping")

// bucket is a token bucket that holds one second of tokens.
type bucket struct {
	rate   float64 // tokens a second
	tokens float64
	last   time.Time
}

// level is how many whole tokens there are at now.
func (b *bucket) level(now time.Time) int {
	if passed := now.Sub(b.last); passed > 0 {
		if !b.last.IsZero() {
			b.tokens = min(b.rate, b.tokens+passed.Seconds()*b.rate)
		}
		b.last = now
	} else if passed < -time.Second {
		b.last = now // the clock was set back
	}
	return int(b.tokens)
}

func (b *bucket) take(n int) { b.tokens -= float64(n) }
