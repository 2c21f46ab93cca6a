package otlp

import (
	"net"
	"net/url"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/wire"
)

// Observations appends what wire.Aggregator needs of the spans to into, which
// may be nil or used again.
func Observations(td ptrace.Traces, into []wire.Span) []wire.Span {
	for _, rs := range td.ResourceSpans().All() {
		service := unknownService
		if value, ok := rs.Resource().Attributes().Get("service.name"); ok {
			if name := text(value, maxValue); name != "" {
				service = name
			}
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				observed := wire.Span{
					TraceID:   span.TraceID(),
					SpanID:    span.SpanID(),
					ParentID:  span.ParentSpanID(),
					Service:   service,
					Operation: clean(span.Name(), maxValue),
					Duration:  duration(span),
				}
				if kind := span.Kind(); kind >= 0 && kind <= ptrace.SpanKindConsumer {
					observed.Kind = wire.Kind(kind)
				}
				if code := span.Status().Code(); code >= 0 && code <= ptrace.StatusCodeError {
					observed.Status = wire.Status(code)
				}
				switch observed.Kind {
				case wire.KindClient, wire.KindProducer, wire.KindConsumer:
					observed.Peer = peerOf(span.Attributes())
				case wire.KindUnspecified, wire.KindInternal, wire.KindServer:
				}
				into = append(into, observed)
			}
		}
	}
	return into
}

// peerOf reads the other side of a call from the semantic conventions, the
// stable ones and those before them.
func peerOf(attributes pcommon.Map) wire.Peer {
	var service, host, network, port, link, db, messaging, destination string
	for key, value := range attributes.All() {
		switch key {
		case "peer.service", "service.peer.name":
			service = text(value, maxValue)
		case "server.address", "net.peer.name":
			host = text(value, maxValue)
		case "network.peer.address", "net.sock.peer.addr", "net.peer.ip":
			network = text(value, maxValue)
		case "server.port", "net.peer.port":
			port = text(value, maxValue)
		case "url.full", "http.url":
			link = text(value, maxValue)
		case "db.system", "db.system.name":
			db = text(value, maxValue)
		case "messaging.system":
			messaging = text(value, maxValue)
		case "messaging.destination.name", "messaging.destination":
			destination = text(value, maxValue)
		}
	}
	if host == "" {
		host = network
	}
	name := host
	switch {
	case service != "":
		name = service
	case host != "" && port != "":
		name = net.JoinHostPort(host, port)
	case host == "" && link != "":
		if parsed, err := url.Parse(link); err == nil {
			name = parsed.Host
		}
	}
	switch {
	case messaging != "":
		if destination != "" {
			name = destination
		}
		return wire.Peer{Name: name, Kind: heal.KindQueue, System: messaging}
	case db != "":
		return wire.Peer{Name: name, Kind: databaseKind(db), System: db}
	}
	return wire.Peer{Name: name, Kind: heal.KindExternal}
}

func databaseKind(system string) heal.EntityKind {
	switch system {
	case "redis", "memcached", "valkey", "hazelcast", "geode":
		return heal.KindCache
	}
	return heal.KindDatabase
}
