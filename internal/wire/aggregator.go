package wire

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Other is the name under which what exceeds a limit is counted.
const Other = "_other"

// Options are the bounds of an Aggregator; a zero field takes its default.
type Options struct {
	MaxServices   int           // 1,000; the spans of further ones count as "_other"
	MaxOperations int           // 2,000 names and kinds a service; further ones count as "_other"
	MaxEdges      int           // 10,000; further ones are dropped
	MaxPeers      int           // 10,000 addresses of callees; further ones are not told apart
	MaxPending    int           // 100,000 half-seen calls; further ones are dropped
	PendingFor    time.Duration // 10 s: how long at least a half-seen call waits for its other half
	IdleFor       time.Duration // 1 h: a series quiet for so long is forgotten
}

func (o Options) withDefaults() Options {
	set := func(field *int, def int) {
		if *field <= 0 {
			*field = def
		}
	}
	set(&o.MaxServices, 1_000)
	set(&o.MaxOperations, 2_000)
	set(&o.MaxEdges, 10_000)
	set(&o.MaxPeers, 10_000)
	set(&o.MaxPending, 100_000)
	if o.PendingFor <= 0 {
		o.PendingFor = 10 * time.Second
	}
	if o.IdleFor <= 0 {
		o.IdleFor = time.Hour
	}
	return o
}

// Stats counts what an Aggregator took and what it could not keep apart, since
// it was made.
type Stats struct {
	Spans            uint64 // taken
	OperationsFolded uint64 // spans counted under operation "_other"
	ServicesFolded   uint64 // spans counted under service "_other"
	EdgesDropped     uint64 // calls beyond MaxEdges
	PendingDropped   uint64 // halves of calls beyond MaxPending
	PeersDropped     uint64 // calls whose peer was beyond MaxPeers
	Unmatched        uint64 // halves of calls that gave no edge: the other half never came
}

// Aggregator counts spans. It is safe for concurrent use.
type Aggregator struct {
	opts Options

	mu       sync.Mutex
	services map[string]*service
	dirty    []*operation // saw a span since the flush before
	graph    graph
	flushed  time.Time // the flush before, at first the start
	swept    time.Time
	stats    Stats
}

// service is one service and its series.
type service struct {
	name       string
	operations map[operationKey]*operation
	recent     [64]*operation // by recentSlot, so that few spans need a look into the map
	seen       time.Time      // the last flush that found a span of it
	active     bool           // saw a span since
}

// recentSlot spreads operations of a service; it need not be good.
func recentSlot(name []byte, kind Kind) int {
	n := len(name)
	if n == 0 {
		return int(kind)
	}
	return (n + 7*int(name[n-1]) + 13*int(name[n/2]) + 31*int(kind)) & 63
}

type operationKey struct {
	name string
	kind Kind
}

// operation is one operation and its series, one a status. They are given
// together: that no error was added is news while there is traffic.
type operation struct {
	operationKey

	series [StatusError + 1]*red
	dirty  bool
	seen   time.Time // the last flush that gave it
}

// New makes an Aggregator that begins to count at now.
func New(opts Options, now time.Time) *Aggregator {
	opts = opts.withDefaults()
	return &Aggregator{
		opts:     opts,
		services: map[string]*service{},
		graph:    newGraph(now),
		flushed:  now,
		swept:    now,
	}
}

// Observe counts spans. It takes the lock once for all of them.
func (a *Aggregator) Observe(spans ...Span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range spans {
		span := &spans[i]
		a.stats.Spans++
		svc := a.service(span.Service)
		a.count(svc, a.operation(svc, span.Operation, span.Kind), span.Status, span.Duration)
		a.observeCall(svc, span)
	}
}

// Take counts all spans of the request that s has scanned last. It must come
// before the request's bytes are used for something else.
func (a *Aggregator) Take(s *Scanner) {
	b := &s.seen
	a.mu.Lock()
	defer a.mu.Unlock()
	for g := range b.groups {
		to := len(b.spans)
		if g+1 < len(b.groups) {
			to = b.groups[g+1].from
		}
		a.takeGroup(b, b.groups[g].service, b.spans[b.groups[g].from:to])
	}
	a.stats.Spans += uint64(len(b.spans))
}

func (a *Aggregator) takeGroup(b *batch, service []byte, spans []seen) {
	if len(spans) == 0 {
		return
	}
	svc, known := a.services[string(service)]
	for i := range spans {
		span := &spans[i]
		if !known { // each span that is folded counts
			svc = a.service(string(service))
			known = svc.name != Other
		}
		name := b.name(span)
		slot := recentSlot(name, span.kind)
		op := svc.recent[slot]
		if op == nil || op.kind != span.kind || op.name != string(name) {
			var ok bool
			if op, ok = svc.operations[operationKey{string(name), span.kind}]; !ok {
				op = a.operation(svc, string(name), span.kind)
			}
			svc.recent[slot] = op
		}
		a.count(svc, op, span.status, span.duration)
		if span.kind > KindInternal {
			a.takeCall(b, svc, span)
		}
	}
	svc.active = true
}

// Flush gives the samples of all operations that saw a span since the flush
// before and the edges that saw a call, and expires what waited too long.
func (a *Aggregator) Flush(now time.Time) ([]heal.Sample, []Edge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expireCalls(now)

	var samples []heal.Sample
	for _, op := range a.dirty {
		for _, r := range op.series {
			if r != nil {
				samples = r.flush(a.flushed, now, samples)
			}
		}
		op.dirty, op.seen = false, now
	}
	clear(a.dirty)
	a.dirty = a.dirty[:0]
	for _, svc := range a.services {
		if svc.active {
			svc.active, svc.seen = false, now
		}
	}
	samples, edges := a.graph.flush(a.flushed, now, samples)
	a.sweep(now)
	a.flushed = now
	return samples, edges
}

// Stats gives the counts so far.
func (a *Aggregator) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

func (a *Aggregator) service(name string) *service {
	svc, ok := a.services[name]
	if !ok {
		if len(a.services) >= a.opts.MaxServices {
			a.stats.ServicesFolded++
			if svc, ok = a.services[Other]; ok {
				svc.active = true
				return svc
			}
			name = Other
		}
		name = strings.Clone(name)
		svc = &service{name: name, operations: map[operationKey]*operation{}}
		a.services[name] = svc
	}
	svc.active = true
	return svc
}

func (a *Aggregator) operation(svc *service, name string, kind Kind) *operation {
	key := operationKey{name, kind}
	op, ok := svc.operations[key]
	if ok {
		return op
	}
	if len(svc.operations) >= a.opts.MaxOperations {
		a.stats.OperationsFolded++
		key.name = Other
		if op, ok = svc.operations[key]; ok {
			return op
		}
	}
	key.name = strings.Clone(key.name)
	op = &operation{operationKey: key}
	svc.operations[key] = op
	return op
}

func (a *Aggregator) count(svc *service, op *operation, status Status, d time.Duration) {
	if status > StatusError {
		status = StatusUnset
	}
	r := op.series[status]
	if r == nil {
		r = newRED(svc.name, op.operationKey, status)
		op.series[status] = r
	}
	r.durations.observe(d)
	if !op.dirty {
		op.dirty = true
		a.dirty = append(a.dirty, op)
	}
}

// sweep forgets what was quiet for IdleFor; it looks ten times in that time.
func (a *Aggregator) sweep(now time.Time) {
	if now.Sub(a.swept) < a.opts.IdleFor/10 {
		return
	}
	a.swept = now
	before := now.Add(-a.opts.IdleFor)
	for name, svc := range a.services {
		for key, op := range svc.operations {
			if op.seen.Before(before) {
				delete(svc.operations, key)
				svc.recent = [64]*operation{}
			}
		}
		if svc.seen.Before(before) {
			delete(a.services, name)
		}
	}
	a.graph.sweep(before)
}

// sortedLabels sorts by name, leaves out empty values, which Prometheus treats
// as absent, and replaces invalid UTF-8, which it refuses.
func sortedLabels(labels ...heal.Label) []heal.Label {
	for i := range labels {
		labels[i].Value = strings.ToValidUTF8(labels[i].Value, "\uFFFD")
	}
	labels = slices.DeleteFunc(labels, func(l heal.Label) bool { return l.Value == "" })
	slices.SortFunc(labels, func(a, b heal.Label) int { return strings.Compare(a.Name, b.Name) })
	return slices.Clip(labels)
}

// Snapshot gives the value of every series, for those who ask rather than are
// told: unlike Flush it repeats what did not change.
func (a *Aggregator) Snapshot(now time.Time) []heal.Sample {
	a.mu.Lock()
	defer a.mu.Unlock()
	var samples []heal.Sample
	for _, svc := range a.services {
		for _, op := range svc.operations {
			for _, r := range op.series {
				if r != nil {
					samples = r.samples(&r.durations, now, samples)
				}
			}
		}
	}
	for _, e := range a.graph.edges {
		samples = e.samples(now, e.requests, e.failed, &e.client, &e.server, samples)
	}
	return samples
}
