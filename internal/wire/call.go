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
	failed := span.Status == StatusError
	switch span.Kind {
	case KindClient, KindProducer:
		if span.Peer.System != "" {
			a.addCall(node{heal.KindService, svc.name}, a.peerNode(span), call{clientDuration: span.Duration, client: svc, failed: failed})
			return
		}
		a.half(callID{span.TraceID, span.SpanID}, call{
			client: svc, clientDuration: span.Duration, failed: failed, peer: a.peer(&span.Peer),
		})
	case KindServer:
		if span.ParentID != ([8]byte{}) {
			a.half(callID{span.TraceID, span.ParentID}, call{server: svc, serverDuration: span.Duration, failed: failed})
		}
	case KindConsumer:
		if span.Peer.System != "" {
			a.addCall(a.peerNode(span), node{heal.KindService, svc.name}, call{serverDuration: span.Duration, server: svc, failed: failed})
		}
	case KindUnspecified, KindInternal:
	}
}

// half adds one side of a call and counts the edge once both are there.
func (a *Aggregator) half(id callID, h call) {
	g := &a.graph
	waiting, generation := g.young[id], g.young
	if waiting == (call{}) {
		waiting, generation = g.old[id], g.old
	}
	switch {
	case waiting == call{}:
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

func (a *Aggregator) peerNode(span *Span) node {
	p := span.Peer
	if p.Name == "" {
		p.Name = p.System
	}
	known := a.peer(&p)
	if known == nil {
		return node{p.Kind, Other}
	}
	return node{known.kind, known.name}
}

// peer interns the peer of a span; nil if it has no name or there are too many.
func (a *Aggregator) peer(p *Peer) *peer {
	if p.Name == "" {
		return nil
	}
	known, ok := a.graph.peers[p.Name]
	if !ok {
		if len(a.graph.peers) >= a.opts.MaxPeers {
			a.stats.PeersDropped++
			return nil
		}
		known = &peer{name: strings.ToValidUTF8(strings.Clone(p.Name), "\uFFFD"), kind: p.Kind}
		if known.kind == "" {
			known.kind = heal.KindExternal
		}
		a.graph.peers[strings.Clone(p.Name)] = known
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
