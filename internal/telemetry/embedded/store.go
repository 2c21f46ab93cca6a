// Package embedded keeps logs and spans in SQLite files of its own, one or
// more a day, with full-text search over log bodies.
//
// Its one invariant: memory and disk stay within the bounds of Options, and
// every record that is not kept is counted by reason. Writing is not durable
// to the last record: what is queued is lost when the process dies, and the
// newest commits when the machine does (synchronous=NORMAL). That is right for
// telemetry, which is evidence and not the record of what was done.
//
// A record's row number is its time in nanoseconds, moved by a little where
// two would be equal. So rows, every index and the full-text index are in time
// order by themselves, and the newest matches are found without sorting.
package embedded

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// Options bound a Store.
type Options struct {
	RecordsPerSecond int           // taken on average, bursts of one second; default 10,000
	MaxBytes         int64         // on disk; default 50 GB
	Retention        time.Duration // by event time, cut to whole days; default 7 days
	QueueRecords     int           // taken, not yet written; default 4 seconds of records
	QueueBytes       int           // text of the same; default 64 MiB
	QueryTimeout     time.Duration // of one read; default 10 s
	Log              *slog.Logger  // default: none
	Now              func() time.Time
}

func (o Options) withDefaults() Options {
	setDefault(&o.RecordsPerSecond, 10_000)
	setDefault(&o.MaxBytes, 50_000_000_000)
	setDefault(&o.Retention, 7*24*time.Hour)
	setDefault(&o.QueueRecords, 4*o.RecordsPerSecond)
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.QueryTimeout, 10*time.Second)
	o.QueueRecords = max(o.QueueRecords, o.RecordsPerSecond) // else a full burst never fits
	o.QueueBytes = max(o.QueueBytes, telemetry.MaxRecord)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setDefault[N int | int64 | time.Duration](n *N, to N) {
	if *n <= 0 {
		*n = to
	}
}

// Store keeps logs and spans in a folder. Run must be running for what is
// appended to become readable.
type Store struct {
	dir   string
	opts  Options
	queue *queue
	tally *tally

	mu       sync.Mutex
	parts    []*partition // sorted by key; opened when first used
	floor    day          // records of this day and before are given up
	setAside []string     // unreadable files, renamed
	checked  time.Time    // when the bounds were last enforced
	closed   bool
}

var _ telemetry.Store = (*Store)(nil)

// Open finds the partitions in the folder, which is made if it is missing.
func Open(dir string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, heal.Wrap("open telemetry", err)
	}
	s := &Store{dir: dir, opts: opts, tally: newTally()}
	s.queue = newQueue(opts)
	if err := s.findPartitions(); err != nil {
		return nil, heal.Wrap("open telemetry", err)
	}
	return s, nil
}

// AppendSpans implements telemetry.Store.
func (s *Store) AppendSpans(_ context.Context, spans []heal.Span) error {
	fit := fitSpans(spans)
	return s.append(telemetry.Spans, len(spans), len(fit), func(n int) item {
		return item{spans: fit[:n], weight: weigh(fit[:n], spanSize)}
	})
}

// AppendLogs implements telemetry.Store.
func (s *Store) AppendLogs(_ context.Context, logs []heal.LogRecord) error {
	fit, cut := fitLogs(logs)
	err := s.append(telemetry.Logs, len(logs), len(fit), func(n int) item {
		return item{logs: fit[:n], weight: weigh(fit[:n], logSize)}
	})
	if err == nil {
		s.tally.cutBodies(cut)
	}
	return err
}

// append queues what the rate allows of the records that fit, of those that
// came; first(n) is the first n of them.
func (s *Store) append(signal telemetry.Signal, came, fit int, first func(n int) item) error {
	taken, err := s.queue.put(s.opts.Now(), fit, first)
	if err != nil {
		s.tally.drop(signal, telemetry.DropQueueFull, came)
		return heal.Wrap("append "+string(signal), err)
	}
	s.tally.drop(signal, telemetry.DropTooLarge, came-fit)
	s.tally.drop(signal, telemetry.DropRate, fit-taken)
	return nil
}

// Run writes what is appended and enforces the bounds until ctx ends; then it
// writes what is still queued and returns. It may be called once.
func (s *Store) Run(ctx context.Context) error {
	upkeep := time.NewTicker(time.Minute)
	defer upkeep.Stop()
	for {
		s.write(context.WithoutCancel(ctx), s.queue.takeAll())
		s.enforce(false)
		select {
		case <-ctx.Done():
			s.queue.close()
			s.write(context.WithoutCancel(ctx), s.queue.takeAll())
			return nil
		case <-upkeep.C:
			s.enforce(true)
		case <-s.queue.wake:
		}
	}
}

// Flush waits until everything appended before can be read.
func (s *Store) Flush(ctx context.Context) error {
	done, err := s.queue.mark()
	if err != nil {
		return heal.Wrap("flush telemetry", err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return heal.Errorf(heal.Transient, "flush telemetry", "%w", ctx.Err())
	}
}

// Close closes the files. Run must have returned.
func (s *Store) Close() error {
	s.queue.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, p := range s.parts {
		errs = append(errs, p.close())
	}
	s.parts = nil
	return heal.Wrap("close telemetry", errors.Join(errs...))
}
