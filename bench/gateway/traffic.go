package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// A trace is ten spans of two services: half of it comes in one request, the
// other half in the next, as from two processes.
const (
	services = 8
	half     = 5
)

// rate is the share of ordinary traces that everybody is told to keep.
const rate = 0.05

// leastDrawn is the least value of a trace id's last 56 bits that is kept at
// that rate, with the five hexadecimal digits that both sides write into the
// tracestate.
const leastDrawn = 0xf3333 << 36

// place is where a span's ids lie in a request.
type place struct{ trace, span, parent int } // parent is 0 if it has none

// part is one half of a trace within a template.
type part struct {
	spans [half]place
	bad   int  // errors and slow spans in it
	whole bool // it or its other half has one
}

// template is a request in which ids are missing. Its first halves begin
// traces, its second halves end those of the request before.
type template struct {
	body          []byte
	first, second []part
}

// templates makes a ring of requests of n spans: 2 % errors, 1 % slow.
func templates(random *rand.Rand, n, ring int) []template {
	out := make([]template, ring)
	for i := range out {
		out[i] = newTemplate(random, n)
	}
	for i := range out {
		next := &out[(i+1)%ring]
		for j := range out[i].first {
			a, b := &out[i].first[j], &next.second[j]
			a.whole = a.bad+b.bad > 0
			b.whole = a.whole
		}
	}
	return out
}

func newTemplate(random *rand.Rand, n int) template {
	halves := n / half / 2
	t := template{first: make([]part, halves), second: make([]part, halves)}
	for service := range services {
		var spans []byte
		var placed []*part
		for j := range halves {
			if j%services == service {
				spans = appendHalf(spans, random, &t.first[j], 0)
				placed = append(placed, &t.first[j])
			}
			if (j+1)%services == service {
				spans = appendHalf(spans, random, &t.second[j], half)
				placed = append(placed, &t.second[j])
			}
		}
		if spans == nil {
			continue
		}
		resource := appendMessage(nil, 1, attribute("service.name", fmt.Sprintf("service-%d", service)))
		resource = appendMessage(resource, 1, attribute("service.version", "1.4.2"))
		resource = appendMessage(resource, 1, attribute("host.name", "node-17.example.com"))
		scope := appendMessage(nil, 1, []byte("example.com/instrumentation/net/http"))
		scope = appendMessage(scope, 2, []byte("0.60.0"))
		scopeSpans := appendMessage(nil, 1, scope)
		scopeSpans = append(scopeSpans, spans...)
		resourceSpans := appendMessage(appendMessage(nil, 1, resource), 2, scopeSpans)
		t.body = appendMessage(t.body, 1, resourceSpans)
		from := len(t.body) - len(spans)
		for _, p := range placed {
			for i := range p.spans {
				s := &p.spans[i]
				s.trace, s.span = s.trace+from, s.span+from
				if s.parent > 0 {
					s.parent += from
				}
			}
		}
	}
	return t
}

// appendHalf appends five spans, of which begin is the first in its trace; the
// places it notes count from the beginning of b.
func appendHalf(b []byte, random *rand.Rand, p *part, begin int) []byte {
	for i := range half {
		span := []byte{1<<3 | 2, 16}
		at := place{trace: len(span)}
		span = append(append(span, make([]byte, 16)...), 2<<3|2, 8)
		at.span = len(span)
		span = append(span, make([]byte, 8)...)
		if begin+i > 0 {
			span = append(span, 4<<3|2, 8)
			at.parent = len(span)
			span = append(span, make([]byte, 8)...)
		}
		span = appendMessage(span, 5, fmt.Appendf(nil, "GET /api/v1/items/{id}/%d", random.IntN(20)))
		kind := byte(1)
		switch begin + i {
		case 0, half:
			kind = 2 // server
		case 1:
			kind = 3 // client, which calls the second half
		}
		span = append(span, 6<<3, kind)
		start := uint64(1_800_000_000_000_000_000) + uint64(begin+i)*1_000_000
		took := uint64(random.IntN(200_000_000))
		fate := random.IntN(100)
		if fate == 2 {
			took = 1_500_000_000
		}
		span = binary.LittleEndian.AppendUint64(append(span, 7<<3|1), start)
		span = binary.LittleEndian.AppendUint64(append(span, 8<<3|1), start+took)
		for _, a := range [...][2]string{
			{"http.request.method", "GET"},
			{"url.path", "/api/v1/items/82713"},
			{"http.route", "/api/v1/items/{id}"},
			{"http.response.status_code", "200"},
			{"network.protocol.version", "1.1"},
			{"user_agent.original", "shop-frontend/2.3 (linux; amd64)"},
			{"server.address", "items.shop.svc.cluster.local"},
			{"server.port", "8080"},
			{"thread.name", "worker-12"},
		} {
			span = appendMessage(span, 9, attribute(a[0], a[1]))
		}
		if fate < 2 {
			span = appendMessage(span, 15, append(appendMessage(nil, 2, []byte("upstream answered 503")), 3<<3, 2))
		}
		if fate <= 2 {
			p.bad++
		}
		span = binary.LittleEndian.AppendUint32(append(span, 0x85, 1), 0x101) // flags
		b = appendMessage(b, 2, span)
		from := len(b) - len(span)
		at.trace, at.span = at.trace+from, at.span+from
		if at.parent > 0 {
			at.parent += from
		}
		p.spans[i] = at
	}
	return b
}

func attribute(key, value string) []byte {
	return appendMessage(appendMessage(nil, 1, []byte(key)), 2, appendMessage(nil, 1, []byte(value)))
}

func appendMessage(b []byte, number int, content []byte) []byte {
	b = binary.AppendUvarint(b, uint64(number)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(content)))
	return append(b, content...)
}

// stream is what one sender sends: requests whose ids never come again. It is
// for one goroutine.
type stream struct {
	number uint64
	ring   []template
	seq    int

	spans  int // in what was given
	head   int // of them kept if single spans are decided on: errors, slow ones, drawn
	drawn  int // of them drawn
	traces int // kept if whole traces are decided on
}

func newStream(number, n int) *stream {
	random := rand.New(rand.NewPCG(uint64(number), uint64(n))) //nolint:gosec // the same load each time
	return &stream{number: uint64(number) + 1, ring: templates(random, n, max(4, 8000/n))}
}

// next gives a request with fresh ids. It is changed by the call after len(ring)
// further ones.
func (s *stream) next() []byte {
	t := &s.ring[s.seq%len(s.ring)]
	for j := range t.first {
		t.body = t.first[j].fill(t.body, s.number, s.key(s.seq, j), 0)
		t.body = t.second[j].fill(t.body, s.number, s.key(s.seq-1, j), half)
	}
	s.seq++
	return t.body
}

func (s *stream) key(seq, j int) uint64 { return mix(s.number<<48 ^ uint64(seq+1)<<12 ^ uint64(j)) }

func (p *part) fill(b []byte, number, key uint64, begin int) []byte {
	for i := range p.spans {
		at := &p.spans[i]
		binary.BigEndian.PutUint64(b[at.trace:], number<<40^key>>24)
		binary.BigEndian.PutUint64(b[at.trace+8:], key)
		binary.BigEndian.PutUint64(b[at.span:], mix(key+uint64(begin+i+1)))
		if at.parent > 0 {
			parent := begin
			if i == 0 {
				parent = 1 // the client of the first half
			}
			binary.BigEndian.PutUint64(b[at.parent:], mix(key+uint64(parent+1)))
		}
	}
	return b
}

// took notes that the request that next gave last was acknowledged. Traces are
// counted once their second half was; if any request was refused, they do not
// add up.
func (s *stream) took() {
	seq := s.seq - 1
	t := &s.ring[seq%len(s.ring)]
	for j := range t.first {
		s.spans += 2 * half
		s.account(&t.first[j], s.key(seq, j))
		s.account(&t.second[j], s.key(seq-1, j))
		drawn := isDrawn(s.key(seq-1, j))
		switch {
		case seq == 0 && (drawn || t.second[j].bad > 0): // its first half never was
			s.traces += half
		case seq > 0 && (drawn || t.second[j].whole):
			s.traces += 2 * half
		}
	}
}

// ended counts the traces of which only the first half came.
func (s *stream) ended() {
	if s.seq == 0 {
		return
	}
	t := &s.ring[(s.seq-1)%len(s.ring)]
	for j := range t.first {
		if isDrawn(s.key(s.seq-1, j)) || t.first[j].bad > 0 {
			s.traces += half
		}
	}
}

func (s *stream) account(p *part, key uint64) {
	if isDrawn(key) {
		s.head += half
		s.drawn += half
		return
	}
	s.head += p.bad
}

func isDrawn(key uint64) bool { return key<<8>>8 >= leastDrawn }

// mix is the finalizer of SplitMix64, by Steele, Lea and Flood.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
