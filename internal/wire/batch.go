package wire

import (
	"errors"
	"time"
)

// batch is what the aggregator needs of the spans of one request. Slices lie in
// the request: it lives only as long as that does.
type batch struct {
	request []byte
	groups  []group
	spans   []seen
	peers   []peerFields
	scratch []byte

	attributes peerAttributes // of the span being added
}

// group is the spans of one service that came together.
type group struct {
	service []byte
	from    int // index of its first span
}

// seen is one span, kept small: a request holds thousands.
type seen struct {
	trace    [16]byte
	call     [8]byte // the span id of who calls, which is the parent of who serves
	duration time.Duration
	nameAt   uint32 // where in the request
	nameLen  uint32
	kind     Kind
	status   Status
	peer     int32 // index of its peer, -1 if it has none
}

func (b *batch) reset(request []byte) {
	clear(b.groups) // they would hold on to the last request
	clear(b.peers)
	b.request, b.groups, b.spans, b.peers, b.scratch = request, b.groups[:0], b.spans[:0], b.peers[:0], b.scratch[:0]
}

// errMany says that a request would take far more memory than it has bytes.
var errMany = errors.New("comes with more spans or resources than its size allows: a span with its ids has 30 bytes")

// many is above how many spans or resources a request is refused: what is
// remembered of them stays within a few times its size.
func (b *batch) many() int { return 1000 + len(b.request)/20 }

func (b *batch) group(service []byte) error {
	if len(b.groups) >= b.many() {
		return errMany
	}
	b.groups = append(b.groups, group{service, len(b.spans)})
	return nil
}

func (b *batch) name(s *seen) []byte { return b.request[s.nameAt:][:s.nameLen] }

// add remembers a span.
func (b *batch) add(span []byte, f *spanFields) error {
	n := len(b.spans)
	if n >= b.many() {
		return errMany
	}
	if n == cap(b.spans) {
		b.spans = append(b.spans, seen{})
	}
	b.spans = b.spans[:n+1]
	s := &b.spans[n] // it holds another span still: every field is set, the ids of calls only
	s.duration, s.kind, s.status, s.peer = f.duration, f.kind, f.status, -1
	s.nameAt, s.nameLen = 0, 0
	if len(f.name) > 0 { // its capacity tells where it lies: both end with the request
		s.nameAt, s.nameLen = uint32(cap(b.request)-cap(f.name)), uint32(min(len(f.name), maxName))
	}
	if f.kind <= KindInternal {
		return nil // no call, so nobody asks for its ids
	}
	s.trace, s.call = [16]byte{}, [8]byte{}
	copy(s.trace[:], f.traceID)
	if f.kind == KindServer {
		copy(s.call[:], f.parentID)
		return nil
	}
	copy(s.call[:], f.spanID)
	b.attributes = peerAttributes{}
	if f.attributes >= 0 {
		if err := b.attributes.read(span, f.attributes); err != nil {
			return err
		}
	}
	var peer peerFields
	peer, b.scratch = b.attributes.peer(b.scratch)
	s.peer = int32(len(b.peers))
	b.peers = append(b.peers, peer)
	return nil
}
