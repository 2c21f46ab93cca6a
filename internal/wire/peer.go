package wire

import (
	"bytes"
	"strconv"

	"github.com/homeostat/homeostat/internal/heal"
)

// peerFields are what a span says of the other side of its call; slices lie in
// the request, or in the scratch space of the batch.
type peerFields struct {
	name   []byte
	kind   heal.EntityKind
	system []byte // empty for a plain call
}

// peerAttributes are what the semantic conventions call the other side, the
// stable ones and those before them. A later attribute replaces an earlier one
// of the same meaning.
type peerAttributes struct {
	service, host, network, port, link, db, messaging, destination value
}

// read adds the attributes of a span, from where the first one begins.
func (p *peerAttributes) read(span []byte, at int) error {
	for at < len(span) {
		if value, end := short(span, at, tagAttribute); value != nil {
			if !p.uninteresting(value) {
				if err := p.attribute(value); err != nil {
					return err
				}
			}
			at = end
			continue
		}
		f, err := next(span, at)
		if err != nil {
			return err
		}
		at = f.end
		if f.number == tagAttribute>>3 && f.wire == typeLen {
			if err := p.attribute(span[f.begin:f.end]); err != nil {
				return err
			}
		}
	}
	return nil
}

// uninteresting reports whether an attribute is written as everyone does, one
// key and one value after it, and its key does not matter.
func (p *peerAttributes) uninteresting(b []byte) bool {
	key, at := short(b, 0, 1<<3|typeLen)
	if key == nil {
		return false
	}
	_, end := short(b, at, 2<<3|typeLen)
	return end == len(b) && end > at && p.slot(key) == nil
}

func (p *peerAttributes) attribute(b []byte) error {
	read, plain := readPlain(b)
	if !plain {
		var err error
		if read, err = readPair(b); err != nil {
			return err
		}
	}
	if into := p.slot(read.key); into != nil && (read.kind == valueText || read.kind == valueInt) {
		*into = read.value
	}
	return nil
}

// peerKeyLengths has a bit for the length of each key in slot.
const peerKeyLengths = 1<<8 | 1<<9 | 1<<11 | 1<<12 | 1<<13 | 1<<14 | 1<<16 | 1<<17 | 1<<18 | 1<<20 | 1<<21 | 1<<26

func (p *peerAttributes) slot(key []byte) *value {
	if len(key) > 26 || peerKeyLengths>>len(key)&1 == 0 {
		return nil
	}
	switch string(key) {
	case "peer.service", "service.peer.name":
		return &p.service
	case "server.address", "net.peer.name":
		return &p.host
	case "network.peer.address", "net.sock.peer.addr", "net.peer.ip":
		return &p.network
	case "server.port", "net.peer.port":
		return &p.port
	case "url.full", "http.url":
		return &p.link
	case "db.system", "db.system.name":
		return &p.db
	case "messaging.system":
		return &p.messaging
	case "messaging.destination.name", "messaging.destination":
		return &p.destination
	}
	return nil
}

// peer says who is meant. Names that have to be put together are appended to
// scratch.
func (p *peerAttributes) peer(scratch []byte) (peerFields, []byte) {
	host := p.host
	if host.empty() {
		host = p.network
	}
	var name []byte
	begin := len(scratch)
	switch {
	case !p.service.empty():
		name, scratch = p.service.appendTo(scratch)
	case !host.empty() && !p.port.empty():
		colons := host.kind == valueText && bytes.IndexByte(host.text, ':') >= 0
		if colons {
			scratch = append(scratch, '[')
		}
		_, scratch = host.appendAlways(scratch)
		if colons {
			scratch = append(scratch, ']')
		}
		_, scratch = p.port.appendAlways(append(scratch, ':'))
		name = scratch[begin:]
	case host.empty() && !p.link.empty():
		name = authority(p.link.text)
	default:
		name, scratch = host.appendTo(scratch)
	}
	switch {
	case !p.messaging.empty():
		if !p.destination.empty() {
			name, scratch = p.destination.appendTo(scratch)
		}
		var system []byte
		system, scratch = p.messaging.appendTo(scratch)
		return peerFields{name: bound(name), kind: heal.KindQueue, system: bound(system)}, scratch
	case !p.db.empty():
		var system []byte
		system, scratch = p.db.appendTo(scratch)
		return peerFields{name: bound(name), kind: databaseKind(system), system: bound(system)}, scratch
	}
	return peerFields{name: bound(name), kind: heal.KindExternal}, scratch
}

func bound(name []byte) []byte { return name[:min(len(name), maxName)] }

// databaseKind tells caches from databases by what db.system says.
func databaseKind(system []byte) heal.EntityKind {
	switch string(system) {
	case "redis", "memcached", "valkey", "hazelcast", "geode":
		return heal.KindCache
	}
	return heal.KindDatabase
}

// authority gives the host and port of a URL, empty if it has none.
func authority(link []byte) []byte {
	_, rest, found := bytes.Cut(link, []byte("://"))
	if !found {
		return nil
	}
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest[bytes.LastIndexByte(rest, '@')+1:]
}

func (p *value) empty() bool {
	return p.kind != valueInt && (p.kind != valueText || len(p.text) == 0)
}

// appendTo gives the value as text; numbers are appended to scratch.
func (p *value) appendTo(scratch []byte) (text, grown []byte) {
	if p.kind == valueText {
		return p.text, scratch
	}
	return p.appendAlways(scratch)
}

func (p *value) appendAlways(scratch []byte) (text, grown []byte) {
	begin := len(scratch)
	switch p.kind {
	case valueText:
		scratch = append(scratch, p.text[:min(len(p.text), maxName)]...)
	case valueInt:
		scratch = strconv.AppendInt(scratch, p.number, 10)
	case valueNone, valueOther:
	}
	return scratch[begin:], scratch
}
