package series

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options of a DB; a zero field takes its default.
type Options struct {
	Dir          string        // required; locked while open
	Retention    time.Duration // 15 d
	OutOfOrder   time.Duration // 10 min: how much older than the newest sample one may be
	MaxAhead     time.Duration // 10 min: how far in the future one may be
	MaxSeries    int           // 500,000 in memory; samples of further series are rejected
	QueryTimeout time.Duration // 10 s
	MaxSamples   int           // 20,000,000 a query may hold in memory
	MaxQueries   int           // 16 at a time; further ones wait within their timeout
	Lookback     time.Duration // 5 min: how long a sample stands for the value of its series
	Remotes      []Remote      // asked besides this store
	Logger       *slog.Logger  // nil: silent
}

func (o Options) withDefaults() Options {
	o.Retention = cmp.Or(o.Retention, 15*24*time.Hour)
	o.OutOfOrder = cmp.Or(o.OutOfOrder, 10*time.Minute)
	o.MaxAhead = cmp.Or(o.MaxAhead, 10*time.Minute)
	o.MaxSeries = cmp.Or(o.MaxSeries, 500_000)
	o.QueryTimeout = cmp.Or(o.QueryTimeout, 10*time.Second)
	o.MaxSamples = cmp.Or(o.MaxSamples, 20_000_000)
	o.MaxQueries = cmp.Or(o.MaxQueries, 16)
	o.Lookback = cmp.Or(o.Lookback, 5*time.Minute)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

// DB is the embedded metrics store. It is safe for concurrent use.
type DB struct {
	opts    Options
	tsdb    *tsdb.DB
	asked   storage.Queryable // what questions read: tsdb, and the remotes if there are any
	engine  *promql.Engine
	parser  parser.Parser
	queries chan struct{} // a place per running query

	deltaMu sync.Mutex
	delta   accumulated

	opened  time.Time // zero of the tracker's clock
	tracker *tracker

	appended, rejected, ended, silent atomic.Uint64
}

// Stats counts samples since the DB was opened.
type Stats struct {
	Appended uint64 // samples written
	Rejected uint64 // samples refused: too old, too far ahead, malformed, over the series limit
	Series   uint64 // in memory now
	Silent   uint64 // answers that remotes did not give

	Sources   int    // that pushed within Options.Lookback and name themselves
	Ended     uint64 // pushed series marked as ended
	Untracked uint64 // samples pushed whose series' end goes unnoticed: over the series limit
}

// Open opens the store in opts.Dir, or makes it. The DB must be closed.
func Open(opts Options) (*DB, error) {
	const op = "open metrics store"
	opts = opts.withDefaults()
	if opts.Dir == "" {
		return nil, heal.Errorf(heal.Invalid, op, "no directory is named")
	}
	var remotes []*remote
	for _, r := range opts.Remotes {
		made, err := newRemote(r)
		if err != nil {
			return nil, err
		}
		remotes = append(remotes, made)
	}
	settings := tsdb.DefaultOptions()
	settings.RetentionDuration = opts.Retention.Milliseconds()
	settings.OutOfOrderTimeWindow = opts.OutOfOrder.Milliseconds()
	settings.WALCompression = compression.Snappy
	settings.EnableMemorySnapshotOnShutdown = true // a start without a replay of the log
	db, err := tsdb.Open(opts.Dir, opts.Logger, nil, settings, nil)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, heal.Errorf(heal.Conflict, op, "%s is in use by another process", opts.Dir)
	case err != nil:
		return nil, heal.Errorf(heal.Internal, op, "%s: %w", opts.Dir, err)
	}
	var asked storage.Queryable = db
	if len(remotes) > 0 {
		asked = &everywhere{local: db, remotes: remotes}
	}
	p := parser.NewParser(parser.Options{})
	return &DB{
		opts:   opts,
		tsdb:   db,
		asked:  asked,
		parser: p,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger:               opts.Logger,
			MaxSamples:           opts.MaxSamples,
			Timeout:              opts.QueryTimeout,
			LookbackDelta:        opts.Lookback,
			EnableAtModifier:     true,
			EnableNegativeOffset: true,
			Parser:               p,
		}),
		queries: make(chan struct{}, opts.MaxQueries),
		delta:   accumulated{},
		opened:  time.Now(),
		tracker: newTracker(opts.Lookback.Milliseconds(), opts.MaxSeries),
	}, nil
}

// Close writes what is in memory and unlocks the directory.
func (db *DB) Close() error {
	return errors.Join(
		heal.Wrap("close query engine", db.engine.Close()),
		heal.Wrap("close metrics store", db.tsdb.Close()),
	)
}

// Stats gives the counts so far.
func (db *DB) Stats() Stats {
	_, sources, untracked := db.tracker.size()
	return Stats{
		Appended: db.appended.Load(), Rejected: db.rejected.Load(), Silent: db.silent.Load(), Series: db.tsdb.Head().NumSeries(),
		Sources: sources, Ended: db.ended.Load(), Untracked: untracked,
	}
}
