package cause

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// maxOperations bounds the operations given for one entity, busiest first.
const maxOperations = 50

// Operations reads from the spans of whole traces how the operations of a
// service spend their time and what their errors come from. baseline are spans
// from before the case, nil if there are none. peer names the entity a client
// span calls when the callee sent no span itself; it may be nil, and gives ""
// for not known.
func Operations(service string, spans, baseline []heal.Span, peer func(heal.Span) heal.EntityID) []Operation {
	usual := map[string][]float64{}
	for _, s := range baseline {
		if s.Service == service && entry(s) {
			usual[s.Operation] = append(usual[s.Operation], s.Duration.Seconds())
		}
	}
	t := newTraces(spans, peer)
	known := newTraces(baseline, peer)
	known.learnAddresses(t.addresses)
	t.learnAddresses(t.addresses)
	maps.Copy(known.addresses, t.addresses)
	tallies, earlier := tallied(service, spans, t), tallied(service, baseline, known)
	var list []Operation
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		op := tallies[name].operation(name)
		if before := usual[name]; len(before) > 0 {
			p99 := quantile(before, 0.99)
			op.BaselineP99, op.Compared = &p99, len(before)
			op.Slower = tallies[name].slower(wellAbove * slices.Max(before))
			op.Extra = extraOf(tallies[name], earlier[name])
		}
		list = append(list, op)
	}
	slices.SortStableFunc(list, func(a, b Operation) int { return -cmp.Compare(a.Count, b.Count) })
	return list[:min(len(list), maxOperations)]
}

// tallied adds up the requests of a service by operation.
func tallied(service string, spans []heal.Span, t traces) map[string]*tally {
	tallies := map[string]*tally{}
	for i := range spans {
		s := &spans[i]
		if s.Service != service || !entry(*s) {
			continue
		}
		if tallies[s.Operation] == nil {
			tallies[s.Operation] = newTally()
		}
		tallies[s.Operation].add(s, t.outgoing(s))
	}
	return tallies
}

// entry reports whether a request enters the service with the span.
func entry(s heal.Span) bool { return s.Kind == heal.SpanServer || s.Kind == heal.SpanConsumer }

type spanKey struct{ trace, span string }

type traces struct {
	children  map[spanKey][]*heal.Span
	clients   []*heal.Span
	addresses map[string]heal.EntityID // who answered at an address
	peer      func(heal.Span) heal.EntityID
}

func newTraces(spans []heal.Span, peer func(heal.Span) heal.EntityID) traces {
	if peer == nil {
		peer = func(heal.Span) heal.EntityID { return "" }
	}
	t := traces{children: map[spanKey][]*heal.Span{}, addresses: map[string]heal.EntityID{}, peer: peer}
	for i := range spans {
		s := &spans[i]
		if s.Kind == heal.SpanClient {
			t.clients = append(t.clients, s)
		}
		if s.ParentID != "" && s.ParentID != s.SpanID {
			key := spanKey{s.TraceID, s.ParentID}
			t.children[key] = append(t.children[key], s)
		}
	}
	return t
}

// call is one call a request made to another entity.
type call struct {
	callee heal.EntityID
	from   time.Time
	until  time.Time
	failed bool
	silent bool          // the callee is known by its address only
	inner  time.Duration // what the callee says it took; below 0: it says nothing
}

// learnAddresses notes which service answered at which address. The latest
// answer counts: addresses change hands.
func (t traces) learnAddresses(into map[string]heal.EntityID) {
	clients := slices.Clone(t.clients)
	slices.SortStableFunc(clients, func(a, b *heal.Span) int { return a.Start.Compare(b.Start) })
	for _, s := range clients {
		where := address(s)
		if callee, _ := t.answeredBy(s); where != "" && callee != "" {
			into[where] = callee
		}
	}
}

// answeredBy is the service that left a span of the call, and how long it took;
// "" and less than 0 if none did.
func (t traces) answeredBy(s *heal.Span) (heal.EntityID, time.Duration) {
	for _, child := range t.children[spanKey{s.TraceID, s.SpanID}] {
		if child.Service != s.Service {
			return heal.ServiceID(child.Service), max(child.Duration, 0)
		}
	}
	return "", -1
}

// address is where a client span says it called, host and port; "" if it does
// not say. Names of the semantic conventions, former ones included.
func address(s *heal.Span) string {
	for _, names := range [][2]string{{"server.address", "server.port"}, {"net.peer.name", "net.peer.port"}, {"network.peer.address", "network.peer.port"}} {
		if host := s.Attributes[names[0]]; host != "" {
			return host + ":" + s.Attributes[names[1]]
		}
	}
	for _, name := range []string{"url.full", "http.url"} {
		if u, err := url.Parse(s.Attributes[name]); err == nil && u.Host != "" {
			return u.Host
		}
	}
	return ""
}

// outgoing gives the calls made below a span by its service.
func (t traces) outgoing(root *heal.Span) []call {
	var calls []call
	seen := map[string]bool{root.SpanID: true} // span ids may be repeated, even in circles
	for queue := []*heal.Span{root}; len(queue) > 0; queue = queue[1:] {
		for _, s := range t.children[spanKey{root.TraceID, queue[0].SpanID}] {
			if seen[s.SpanID] {
				continue
			}
			seen[s.SpanID] = true
			if s.Service == root.Service && s.Kind != heal.SpanClient {
				queue = append(queue, s)
				continue
			}
			calls = append(calls, t.callOf(s, root))
		}
	}
	return calls
}

// callOf is the call a client span, or a span of another service, stands for.
func (t traces) callOf(s, root *heal.Span) call {
	c := call{from: s.Start, until: s.Start.Add(s.Duration), failed: s.Error, inner: -1}
	if s.Service != root.Service {
		c.callee, c.inner = heal.ServiceID(s.Service), s.Duration
	} else {
		c.callee, c.inner = t.answeredBy(s)
		if c.callee == "" {
			c.callee = t.addresses[address(s)]
			c.silent = c.callee != ""
		}
		if c.callee == "" {
			c.callee = t.peer(*s)
		}
	}
	end := root.Start.Add(root.Duration)
	if c.from.Before(root.Start) {
		c.from = root.Start
	}
	if c.until.After(end) {
		c.until = end
	}
	return c
}

// tally adds up the requests of one operation.
type tally struct {
	durations []float64
	errors    int
	called    int // of errors, those in which a call failed
	total     time.Duration
	self      time.Duration
	waited    map[heal.EntityID]time.Duration
	failed    map[heal.EntityID]int
	silent    map[heal.EntityID]int       // of failed, those the callee left no span of
	selves    []float64                   // s, of each request not spent in callees
	between   map[heal.EntityID][]float64 // s, of each call not spent by the callee, as far as it says
	seen      map[heal.EntityID]int       // calls of which the callee left a span
	slowest   time.Duration
	trace     string
}

func newTally() *tally {
	return &tally{
		waited: map[heal.EntityID]time.Duration{}, failed: map[heal.EntityID]int{}, silent: map[heal.EntityID]int{},
		between: map[heal.EntityID][]float64{}, seen: map[heal.EntityID]int{},
	}
}

func (t *tally) add(s *heal.Span, calls []call) {
	duration := max(s.Duration, 0)
	t.durations = append(t.durations, duration.Seconds())
	t.total += duration
	self := duration - union(calls)
	t.self += self
	t.selves = append(t.selves, self.Seconds())
	for _, c := range calls {
		took := max(c.until.Sub(c.from), 0)
		if c.inner >= 0 {
			t.seen[c.callee]++
			took = max(took-c.inner, 0)
		}
		t.between[c.callee] = append(t.between[c.callee], took.Seconds())
	}
	byCallee := map[heal.EntityID][]call{}
	for _, c := range calls {
		byCallee[c.callee] = append(byCallee[c.callee], c)
	}
	for callee, made := range byCallee {
		t.waited[callee] += union(made)
		if s.Error && slices.ContainsFunc(made, func(c call) bool { return c.failed }) {
			t.failed[callee]++
			if slices.ContainsFunc(made, func(c call) bool { return c.failed && c.silent }) {
				t.silent[callee]++
			}
		}
	}
	if s.Error {
		t.errors++
		if slices.ContainsFunc(calls, func(c call) bool { return c.failed }) {
			t.called++
		}
	}
	if t.trace == "" || duration > t.slowest {
		t.slowest, t.trace = duration, s.TraceID
	}
}

// slower is the share of requests that took longer than a time in seconds.
func (t *tally) slower(than float64) *float64 {
	n := 0
	for _, d := range t.durations {
		if d > than {
			n++
		}
	}
	part := float64(n) / float64(len(t.durations))
	return &part
}

func (t *tally) operation(name string) Operation {
	op := Operation{Name: name, Count: len(t.durations), P99: quantile(t.durations, 0.99), Trace: t.trace}
	op.ErrorShare = float64(t.errors) / float64(op.Count)
	if t.errors > 0 {
		op.CalledErrorShare = float64(t.called) / float64(t.errors)
	}
	if t.total > 0 {
		op.SelfShare = share(t.self.Seconds() / t.total.Seconds())
	}
	// The callee that most errors come from, else the one that most time is
	// spent in.
	var best float64
	for _, id := range slices.Sorted(maps.Keys(t.waited)) {
		if id == "" {
			continue
		}
		waited, failed := 0.0, 0.0
		if t.total > 0 {
			waited = share(t.waited[id].Seconds() / t.total.Seconds())
		}
		if t.errors > 0 {
			failed = float64(t.failed[id]) / float64(t.errors)
		}
		if weight := 2*failed + waited; op.Callee == "" || weight > best {
			best, op.Callee, op.CalleeShare, op.CalleeErrorShare = weight, id, waited, failed
		}
	}
	if failed := t.failed[op.Callee]; failed > 0 {
		op.Unanswered = float64(t.silent[op.Callee]) / float64(failed)
	}
	return op
}

// union is how long at least one of the calls was under way.
func union(calls []call) time.Duration {
	calls = slices.Clone(calls)
	slices.SortFunc(calls, func(a, b call) int { return a.from.Compare(b.from) })
	var total time.Duration
	var reached time.Time
	for _, c := range calls {
		if reached.IsZero() || c.from.After(reached) {
			reached = c.from
		}
		if c.until.After(reached) {
			total += c.until.Sub(reached)
			reached = c.until
		}
	}
	return total
}

// quantile is the value at the q-th part of the sorted numbers, by nearest rank.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	rank := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}
