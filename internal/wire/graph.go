package wire

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// graph is the edges between services and the calls that are half seen.
type graph struct {
	edges      map[edgeKey]*edge
	dirty      []*edge
	peers      map[string]*peer
	young, old map[callID]call // two generations, so that expiry needs no queue
	turned     time.Time       // when young last became old
}

// node is one end of an edge.
type node struct {
	kind heal.EntityKind
	name string
}

func (n node) id() heal.EntityID { return heal.NewEntityID(n.kind, n.name) }

type edgeKey struct{ client, server node }

// edge is the calls of one client to one server.
type edge struct {
	requests, failed             uint64
	formerRequests, formerFailed uint64
	client, formerClient         histogram // durations as the client saw them
	server, formerServer         histogram // as the server saw them
	total                        time.Duration
	emitted                      time.Time
	dirty                        bool
	clientID, serverID           heal.EntityID
	labels                       []heal.Label
	clientFamily, serverFamily   *family
}

func newGraph(now time.Time) graph {
	return graph{
		edges:  map[edgeKey]*edge{},
		peers:  map[string]*peer{},
		young:  map[callID]call{},
		old:    map[callID]call{},
		turned: now,
	}
}

func newEdge(key edgeKey) *edge {
	labels := sortedLabels(
		heal.Label{Name: "client", Value: key.client.name},
		heal.Label{Name: "server", Value: key.server.name},
		heal.Label{Name: "connection_type", Value: connectionType(key)},
	)
	return &edge{
		clientID:     key.client.id(),
		serverID:     key.server.id(),
		labels:       labels,
		clientFamily: newFamily("traces_service_graph_request_client_seconds", labels),
		serverFamily: newFamily("traces_service_graph_request_server_seconds", labels),
	}
}

// connectionType is the label of the same name of the service graph connector.
func connectionType(key edgeKey) string {
	for _, n := range []node{key.server, key.client} {
		switch n.kind {
		case heal.KindDatabase, heal.KindCache:
			return "database"
		case heal.KindQueue:
			return "messaging_system"
		case heal.KindExternal:
			return "virtual_node"
		case heal.KindService, heal.KindProcess, heal.KindHost, heal.KindPod:
		}
	}
	return ""
}

// addCall counts one call on its edge. A side of c that was not seen adds no
// duration.
func (a *Aggregator) addCall(client, server node, c call) {
	key := edgeKey{client, server}
	e, ok := a.graph.edges[key]
	if !ok {
		if len(a.graph.edges) >= a.opts.MaxEdges {
			a.stats.EdgesDropped++
			return
		}
		e = newEdge(key)
		a.graph.edges[key] = e
	}
	e.requests++
	if c.failed {
		e.failed++
	}
	if c.client != nil {
		e.client.observe(c.clientDuration)
	}
	if c.server != nil {
		e.server.observe(c.serverDuration)
		e.total += c.serverDuration
	} else {
		e.total += c.clientDuration
	}
	if !e.dirty {
		e.dirty = true
		a.graph.dirty = append(a.graph.dirty, e)
	}
}

func (g *graph) flush(prev, now time.Time, samples []heal.Sample) ([]heal.Sample, []Edge) {
	edges := make([]Edge, 0, len(g.dirty))
	for _, e := range g.dirty {
		edges = append(edges, Edge{
			Client: e.clientID, Server: e.serverID,
			Requests: e.requests - e.formerRequests, Failed: e.failed - e.formerFailed,
			Total: e.total, At: now,
		})
		if !e.emitted.Equal(prev) && prev.Before(now) {
			samples = e.samples(prev, e.formerRequests, e.formerFailed, &e.formerClient, &e.formerServer, samples)
		}
		samples = e.samples(now, e.requests, e.failed, &e.client, &e.server, samples)
		e.formerRequests, e.formerFailed = e.requests, e.failed
		e.formerClient, e.formerServer = e.client, e.server
		e.total, e.emitted, e.dirty = 0, now, false
	}
	clear(g.dirty)
	g.dirty = g.dirty[:0]
	return samples, edges
}

func (e *edge) samples(at time.Time, requests, failed uint64, client, server *histogram, out []heal.Sample) []heal.Sample {
	out = append(
		out,
		heal.Sample{Metric: "traces_service_graph_request_total", Labels: e.labels, At: at, Value: float64(requests)},
		heal.Sample{Metric: "traces_service_graph_request_failed_total", Labels: e.labels, At: at, Value: float64(failed)},
	)
	if e.client.count > 0 { // a side that never spoke has no series
		out = client.samples(e.clientFamily, at, out)
	}
	if e.server.count > 0 {
		out = server.samples(e.serverFamily, at, out)
	}
	return out
}

func (g *graph) sweep(before time.Time) {
	for key, e := range g.edges {
		if e.emitted.Before(before) {
			delete(g.edges, key)
		}
	}
	for name, p := range g.peers {
		if p.seen.Before(before) {
			delete(g.peers, name)
		}
	}
}
