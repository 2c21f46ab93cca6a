package wire

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// callID names a call by the client's span, which is the server span's parent.
type callID struct {
	trace [16]byte
	span  [8]byte
}

// call is what is known of one call between two services so far.
type call struct {
	client, server                 *service
	clientDuration, serverDuration time.Duration
	failed                         bool
	peer                           *peer // as the client names the server
}

// peer is an address that clients call, and the service that was seen to
// answer there. It attributes calls to a service that is down: its server
// spans are missing just when the edge matters most.
type peer struct {
	name      string
	kind      heal.EntityKind
	answers   string // service, "" before the first match
	ambiguous bool   // several services answered, as behind a load balancer
	seen      time.Time
}

func (a *Aggregator) observeCall(svc *service, span *Span) {
	if span.Kind <= KindInternal {
		return
	}
	s := side{svc: svc, id: callID{span.TraceID, span.SpanID}, kind: span.Kind, duration: span.Duration, failed: span.Status == StatusError}
	if s.kind == KindServer {
		s.id.span = span.ParentID
	}
	p := span.Peer
	s.system = p.System != ""
	if s.system && p.Name == "" {
		p.Name = p.System
	}
	s.peerKind, s.peer = p.Kind, a.peer(p.Name, p.Kind)
	a.observeSide(&s)
}

// takeCall is observeCall for a span that lies in its request.
func (a *Aggregator) takeCall(b *batch, svc *service, span *seen) {
	s := side{svc: svc, id: callID{span.trace, span.call}, kind: span.kind, duration: span.duration, failed: span.status == StatusError}
	if span.peer >= 0 {
		p := &b.peers[span.peer]
		s.system, s.peerKind = len(p.system) > 0, p.kind
		name := p.name
		if s.system && len(name) == 0 {
			name = p.system
		}
		known, ok := a.graph.peers[string(name)]
		if ok {
			known.seen = a.flushed
		} else {
			known = a.peer(string(name), p.kind)
		}
		s.peer = known
	}
	a.observeSide(&s)
}

// side is what one span says of a call.
type side struct {
	svc      *service
	id       callID // span is zero if nobody called
	kind     Kind
	duration time.Duration
	failed   bool
	system   bool  // the peer is a database, a cache or a queue
	peer     *peer // nil: it has no name, or there are too many
	peerKind heal.EntityKind
}

func (s *side) peerNode() node {
	if s.peer == nil {
		return node{s.peerKind, Other}
	}
	return node{s.peer.kind, s.peer.name}
}

func (a *Aggregator) observeSide(s *side) {
	switch s.kind {
	case KindClient, KindProducer:
		c := call{clientDuration: s.duration, client: s.svc, failed: s.failed, peer: s.peer}
		if s.system {
			a.addCall(node{heal.KindService, s.svc.name}, s.peerNode(), c)
			return
		}
		a.half(s.id, c)
	case KindServer:
		if s.id.span != ([8]byte{}) {
			a.half(s.id, call{server: s.svc, serverDuration: s.duration, failed: s.failed})
		}
	case KindConsumer:
		if s.system {
			a.addCall(s.peerNode(), node{heal.KindService, s.svc.name}, call{serverDuration: s.duration, server: s.svc, failed: s.failed})
		}
	case KindUnspecified, KindInternal:
	}
}

// half adds one side of a call and counts the edge once both are there.
func (a *Aggregator) half(id callID, h call) {
	g := &a.graph
	waiting, known := g.young[id]
	generation := g.young
	if !known && len(g.old) > 0 {
		waiting, known = g.old[id]
		generation = g.old
	}
	switch {
	case !known:
		if len(g.young)+len(g.old) >= a.opts.MaxPending {
			a.stats.PendingDropped++
			return
		}
		g.young[id] = h
		return
	case h.client != nil && waiting.server != nil:
		h.server, h.serverDuration = waiting.server, waiting.serverDuration
	case h.server != nil && waiting.client != nil:
		h.client, h.clientDuration, h.peer = waiting.client, waiting.clientDuration, waiting.peer
	default: // the same half twice: delivered again, or two servers under one client span
		a.stats.Unmatched++
		return
	}
	delete(generation, id)
	h.failed = h.failed || waiting.failed
	h.peer.answeredBy(h.server.name)
	a.addCall(node{heal.KindService, h.client.name}, node{heal.KindService, h.server.name}, h)
}

// expireCalls ends the wait of the calls older than PendingFor: those whose
// client names its peer become an edge to it.
func (a *Aggregator) expireCalls(now time.Time) {
	g := &a.graph
	if now.Sub(g.turned) < a.opts.PendingFor {
		return
	}
	for _, c := range g.old {
		if c.client == nil || c.peer == nil {
			a.stats.Unmatched++
			continue
		}
		a.addCall(node{heal.KindService, c.client.name}, a.resolve(c.peer), c)
	}
	clear(g.old)
	g.old, g.young, g.turned = g.young, g.old, now
}

// resolve says which entity an unanswered address stands for.
func (a *Aggregator) resolve(p *peer) node {
	if p.answers != "" && !p.ambiguous {
		return node{heal.KindService, p.answers}
	}
	if svc, ok := a.services[p.name]; ok {
		return node{heal.KindService, svc.name}
	}
	return node{p.kind, p.name}
}

// peer interns a peer; nil if it has no name or there are too many.
func (a *Aggregator) peer(name string, kind heal.EntityKind) *peer {
	if name == "" {
		return nil
	}
	known, ok := a.graph.peers[name]
	if !ok {
		if len(a.graph.peers) >= a.opts.MaxPeers {
			a.stats.PeersDropped++
			return nil
		}
		known = &peer{name: strings.ToValidUTF8(strings.Clone(name), "\uFFFD"), kind: kind}
		if known.kind == "" {
			known.kind = heal.KindExternal
		}
		a.graph.peers[strings.Clone(name)] = known
	}
	known.seen = a.flushed
	return known
}

func (p *peer) answeredBy(service string) {
	switch {
	case p == nil:
	case p.answers == "":
		p.answers = service
	case p.answers != service:
		p.ambiguous = true
	}
}
