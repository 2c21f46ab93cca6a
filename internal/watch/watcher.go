package watch

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
)

// Metrics answers PromQL.
type Metrics interface {
	// Vector gives the elements of an instant query.
	Vector(ctx context.Context, expr string, at time.Time) ([]heal.Sample, error)
}

// Sink takes findings. When it returns nil they are durable. A finding that is
// over may never have been told: then the sink passes over it.
type Sink func(ctx context.Context, findings []Finding) error

// Options are what a Watcher may be told.
type Options struct {
	Interval  time.Duration // between two looks; default 15 s
	Window    time.Duration // of rates; default four intervals
	Labels    []string      // that name the service of a metric, the first counts; default service_name
	Signals   []Signal      // what is asked; default Signals(Window, Labels)
	MaxSeries int           // under watch; default 100,000. Each takes at most 5 kB
	Idle      time.Duration // without a value a series is forgotten; default 26 h, so that what comes daily stays
	Resend    time.Duration // how often a finding that stands is told again; default 1 min
	Dir       string        // where the state is kept; empty: nowhere
	Clock     func() time.Time
	Logger    *slog.Logger // default: silent
}

func (o Options) withDefaults() Options {
	o.Interval = cmp.Or(o.Interval, 15*time.Second)
	o.Window = cmp.Or(o.Window, 4*o.Interval)
	o.MaxSeries = cmp.Or(o.MaxSeries, 100_000)
	o.Idle = cmp.Or(o.Idle, 26*time.Hour)
	o.Resend = cmp.Or(o.Resend, time.Minute)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Labels == nil {
		o.Labels = []string{"service_name"}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// Stats counts since the start.
type Stats struct {
	Entities  int    // services under watch now
	Series    int    // under watch now
	Standing  int    // findings that stand now
	Points    uint64 // judged
	Dropped   uint64 // values that found no place: of more series than MaxSeries
	Anomalies uint64 // series that went out of the ordinary
	Failed    uint64 // questions without an answer
	Refused   uint64 // times the sink did not take findings; they are told again
	Skipped   uint64 // looks left out because the one before took too long
}

// Watcher watches. Its methods may be called at once.
type Watcher struct {
	metrics Metrics
	sink    Sink
	opts    Options
	signals []Signal

	mu       sync.Mutex
	entities map[heal.EntityID]*entity
	counters map[string]*counter // of one instance each
	pending  map[told]Finding    // not taken by the sink yet
	sent     map[told]time.Time
	looks    int
	stats    Stats
}

// told is what makes two findings the same.
type told struct {
	entity heal.EntityID
	golden Golden
}

// counter is the count of one instance.
type counter struct {
	detect.Counter
	seen time.Time
}

// New makes a watcher and takes up the state in Options.Dir; Run starts it. A
// state that cannot be read is left aside: the watcher then learns anew.
func New(m Metrics, sink Sink, opts Options) *Watcher {
	opts = opts.withDefaults()
	w := &Watcher{
		metrics: m, sink: sink, opts: opts, signals: opts.Signals,
		entities: map[heal.EntityID]*entity{}, counters: map[string]*counter{}, pending: map[told]Finding{}, sent: map[told]time.Time{},
	}
	if w.signals == nil {
		w.signals = Signals(opts.Window, opts.Labels)
	}
	if opts.Dir != "" {
		if err := w.restore(); err != nil {
			opts.Logger.Warn("what was known of series is lost, they are learnt anew", slog.Any("error", err))
		}
	}
	return w
}

// Stats gives the counts.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Entities = len(w.entities)
	for _, e := range w.entities {
		for _, j := range e.judges {
			if !j.Fired.IsZero() {
				s.Standing++
			}
		}
	}
	return s
}

// How often the states are kept while nothing asks for it: what services
// suffer from, and all series.
const (
	keepJudges = time.Minute
	keepSeries = 15 * time.Minute
)

// Run looks every interval until ctx ends, and keeps the state.
func (w *Watcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(w.opts.Interval)
	defer ticker.Stop()
	judges, series := w.opts.Clock(), w.opts.Clock()
	for {
		select {
		case <-ctx.Done():
			w.keep(true)
			return nil
		case <-ticker.C:
		}
		began := w.opts.Clock()
		changed := w.Look(ctx, began)
		if took := w.opts.Clock().Sub(began); took > w.opts.Interval {
			w.count(func(s *Stats) { s.Skipped += uint64(took / w.opts.Interval) })
		}
		switch {
		case began.Sub(series) >= keepSeries:
			w.keep(true)
			judges, series = began, began
		case changed || began.Sub(judges) >= keepJudges:
			w.keep(false)
			judges = began
		}
	}
}

func (w *Watcher) keep(all bool) {
	if w.opts.Dir == "" {
		return
	}
	if err := w.save(all); err != nil {
		w.opts.Logger.Warn("keep what is known of series", slog.Any("error", err))
	}
}

func (w *Watcher) count(f func(*Stats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.stats)
}

// Look asks for everything as of a time, judges it and tells what was found. It
// reports whether a finding came or went.
func (w *Watcher) Look(ctx context.Context, at time.Time) (changed bool) {
	ask, cancel := context.WithTimeout(ctx, max(w.opts.Interval, time.Second))
	defer cancel()
	answers := make([][]heal.Sample, len(w.signals))
	for i, s := range w.signals {
		found, err := w.metrics.Vector(ask, s.Expr, at)
		if err != nil {
			w.count(func(s *Stats) { s.Failed++ })
			if ctx.Err() == nil {
				w.opts.Logger.Warn("ask for series", slog.String("signal", s.Name), slog.Any("error", err))
			}
			continue
		}
		answers[i] = found
	}
	changed = w.judge(at, answers)
	w.tell(ctx, at)
	return changed
}

// judge takes the answers of one look.
func (w *Watcher) judge(at time.Time, answers [][]heal.Sample) (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	surprises := map[told]float64{}
	for i, s := range w.signals {
		values := answers[i]
		if s.Raw {
			values = w.gathered(s, values)
		}
		for k := range values {
			w.take(s, &values[k], at, surprises)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.entities)) {
		e := w.entities[id]
		if score, ok := e.jointly(at, w.looks); ok && e.seen.Equal(at) {
			w.point(e, Signal{Name: jointSignal}, "", at, score)
		}
		changed = w.suffering(e, at, surprises) || changed
	}
	w.forget(at)
	return changed
}

// take gives one value to its series.
func (w *Watcher) take(s Signal, v *heal.Sample, at time.Time, surprises map[told]float64) {
	var name string
	var part strings.Builder
	for _, l := range v.Labels {
		switch {
		case l.Name == s.Entity:
			name = l.Value
		case s.Raw || slices.Contains(s.Parts, l.Name):
			part.WriteString(l.Name + "=" + quote(l.Value) + ",")
		}
	}
	id := heal.ServiceID(name)
	if id.Validate() != nil || math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
		return
	}
	if s.Raw {
		s.Name = v.Metric
	}
	e := w.entities[id]
	if e == nil {
		if w.stats.Series >= w.opts.MaxSeries {
			w.stats.Dropped++
			return
		}
		e = newEntity(id)
		w.entities[id] = e
	}
	surprise, ok := w.point(e, s, part.String(), at, v.Value)
	if !ok {
		return
	}
	e.seen = at
	if s.Name == Requests {
		e.calls = v.Value
	}
	if s.Golden != NotGolden {
		surprises[told{id, s.Golden}] = surprise
	}
}

// oddSurprise is from where a point is out of the ordinary: once in 1,000, as
// detect has it for an alarm.
var oddSurprise = math.Log(1000)

// point judges one point of a series.
func (w *Watcher) point(e *entity, s Signal, part string, at time.Time, v float64) (surprise float64, ok bool) {
	key := s.Name + "\x00" + part
	t := e.tracks[key]
	if t == nil {
		if w.stats.Series >= w.opts.MaxSeries {
			w.stats.Dropped++
			return 0, false
		}
		t = newTrack(key)
		e.tracks[key] = t
		w.stats.Series++
	}
	was := t.off()
	surprise = t.observe(e, s, at, v)
	w.stats.Points++
	if t.off() && !was {
		w.stats.Anomalies++
	}
	return surprise, true
}

// suffering looks at the golden signals of a service.
func (w *Watcher) suffering(e *entity, at time.Time, surprises map[told]float64) (changed bool) {
	for _, s := range w.signals {
		if s.Golden == NotGolden {
			continue
		}
		j := e.judges[s.Golden]
		t := e.tracks[s.Name+"\x00"]
		if t == nil {
			continue
		}
		if j == nil {
			j = &judge{}
			e.judges[s.Golden] = j
		}
		what := told{e.id, s.Golden}
		var now event
		before := *j
		if t.seen.Equal(at) {
			now = j.look(s.Golden, patienceOf(w.opts.Interval), at, t.value, surprises[what], e.requests(w.opts.Window), len(e.others(s.Name)))
		} else {
			now = j.miss()
		}
		switch now {
		case nothing:
		case opened:
			w.pending[what] = e.finding(s, j, at, false, w.opts.Interval)
			changed = true
		case stands:
			if at.Sub(w.sent[what]) >= w.opts.Resend {
				w.pending[what] = e.finding(s, j, at, false, w.opts.Interval)
			}
		case ended, well:
			before.Value = j.Value
			w.pending[what] = e.finding(s, &before, at, true, w.opts.Interval)
			delete(w.sent, what)
			changed = changed || now == ended
		}
	}
	return changed
}

// deliveryTimeout bounds one call of the sink.
const deliveryTimeout = 10 * time.Second

// tell hands over what was found; what is not taken is told at the next look.
func (w *Watcher) tell(ctx context.Context, at time.Time) {
	w.mu.Lock()
	list := slices.SortedFunc(maps.Values(w.pending), func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.Golden, b.Golden))
	})
	w.mu.Unlock()
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	err := w.sink(ctx, list)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.stats.Refused++
		w.opts.Logger.Warn("tell what services suffer from, will try again", slog.Any("error", err))
		return
	}
	for _, f := range list {
		what := told{f.Entity, f.Golden}
		delete(w.pending, what)
		if !f.Over {
			w.sent[what] = at
		}
	}
}

// forget drops what was not seen for long.
func (w *Watcher) forget(at time.Time) {
	const every = 40 // looks
	if w.looks%every != 0 {
		return
	}
	for id, e := range w.entities {
		for key, t := range e.tracks {
			if at.Sub(t.seen) > w.opts.Idle {
				delete(e.tracks, key)
				w.stats.Series--
			}
		}
		if len(e.tracks) == 0 {
			delete(w.entities, id)
		}
	}
	for key, c := range w.counters {
		if at.Sub(c.seen) > time.Hour {
			delete(w.counters, key)
		}
	}
}
