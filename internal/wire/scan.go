package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
)

// The tags of the fields of a span that matter here, length-delimited unless
// said otherwise.
const (
	tagTraceID    = 1<<3 | typeLen
	tagSpanID     = 2<<3 | typeLen
	tagTraceState = 3<<3 | typeLen
	tagParentID   = 4<<3 | typeLen
	tagName       = 5<<3 | typeLen
	tagKind       = 6<<3 | typeVarint
	tagStart      = 7<<3 | typeI64
	tagEnd        = 8<<3 | typeI64
	tagAttribute  = 9<<3 | typeLen
	tagStatus     = 15<<3 | typeLen
)

// tagFlags is the tag of the flags, which take four bytes.
var tagFlags = [2]byte{16<<3&0x7f | 0x80 | typeI32, 1}

// spanFields is what is read of one span; slices lie in the request.
type spanFields struct {
	traceID, spanID, parentID []byte // empty or of the proper length
	traceState, name          []byte
	start, end                uint64
	duration                  time.Duration
	kind                      Kind
	status                    Status
	attributes                int // where the first attribute begins, -1 if there is none
	ordered                   int // up to here there are only ids, times, a name and a tracestate
}

// random is the randomness that the trace id carries: its last 56 bits.
func (f *spanFields) random() uint64 {
	if len(f.traceID) != 16 {
		return 0
	}
	return binary.BigEndian.Uint64(f.traceID[8:]) & (maxThreshold - 1)
}

// Result says what one request held and what became of it.
type Result struct {
	Spans   int
	Reasons [reasons]int // spans by reason, the dropped ones too
}

// Kept is how many spans are kept.
func (r *Result) Kept() int { return r.Spans - r.Reasons[ReasonDropped] }

// Scanner walks the bytes of ExportTraceServiceRequests. Make one for each
// goroutine and use it again: what it needs it allocates once.
type Scanner struct {
	out     []byte // the request of what is kept
	result  Result
	decide  decider
	observe bool       // remember the spans in seen
	strict  bool       // check what is dropped as deep as what is kept
	bad     [][16]byte // traces of bad spans that Watch has seen

	span    spanFields
	service []byte     // of the resource being walked
	draw    *threshold // of that service
	seen    batch
}

// decider says why the span the scanner stands at is kept, and whether its
// threshold must be told.
type decider interface {
	decide(s *Scanner) (why Reason, rewrite bool)
}

// sampling is the decider that knows single spans only.
type sampling struct{ *Sampler }

func (d sampling) decide(s *Scanner) (Reason, bool) {
	if why := d.bad(&s.span); why != ReasonDropped {
		return why, false
	}
	keep, rewrite := s.draw.draw(&s.span)
	if !keep {
		return ReasonDropped, false
	}
	return ReasonProbabilistic, rewrite
}

// Scan decides on every span of request and appends the request of those that
// are kept to out, nothing if there are none. It remembers all spans, for
// Aggregator.Take. Appended requests are one request again.
//
// An error means that request is no ExportTraceServiceRequest; out is then
// given back as it was. What is kept is checked as deep as a decoder would, so
// that whoever gets it can decode it; a span that is dropped is walked only as
// deep as the decision needs.
func (s *Scanner) Scan(request []byte, sampler *Sampler, out []byte) ([]byte, Result, error) {
	s.observe, s.strict = true, false
	return s.walk(request, sampler, sampling{sampler}, out)
}

func (s *Scanner) walk(request []byte, sampler *Sampler, d decider, out []byte) ([]byte, Result, error) {
	s.out, s.decide, s.result = out, d, Result{}
	s.seen.reset(request)
	err := s.request(request, sampler)
	kept := s.out
	s.out, s.decide, s.service, s.draw = nil, nil, nil, nil // the caller's
	if err != nil {
		s.seen.reset(nil)
		return out, Result{}, heal.Errorf(heal.Invalid, "scan spans", "span %d of the request, or what surrounds it, %w", s.result.Spans+1, err)
	}
	return kept, s.result, nil
}

func (s *Scanner) request(b []byte, sampler *Sampler) error {
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return err
		}
		at = f.end
		if f.number == 1 && f.wire == typeLen {
			if err := s.resourceSpans(b[f.begin:f.end], sampler); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Scanner) resourceSpans(b []byte, sampler *Sampler) error {
	service, err := serviceName(b) // first: the resource may come after its spans
	if err != nil {
		return err
	}
	s.service, s.draw = service, sampler.thresholdOf(service)
	if s.observe {
		if err := s.seen.group(service); err != nil {
			return err
		}
	}
	m := s.open(1<<3|typeLen, len(b))
	kept := s.result.Kept()
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return err
		}
		at = f.end
		switch {
		case f.number == 2 && f.wire == typeLen:
			if err := s.scopeSpans(b[f.begin:f.end]); err != nil {
				return err
			}
		case f.number == 1000 && f.wire == typeLen:
			return errAncient
		default:
			if err := checkField(b, f, msgResourceShell, 1); err != nil {
				return err
			}
			s.out = append(s.out, b[f.tag:f.end]...)
		}
	}
	if s.result.Kept() == kept {
		s.out = s.out[:m.begin]
		return nil
	}
	s.close(m)
	return nil
}

// errAncient says that a sender is older than scope spans.
var errAncient = fmt.Errorf("has instrumentation library spans (field 1000), which OTLP has not since 0.15; upgrade the sender")

func (s *Scanner) scopeSpans(b []byte) error {
	m := s.open(2<<3|typeLen, len(b))
	kept := s.result.Kept()
	for at := 0; at < len(b); {
		from := at
		span, end := medium(b, at, 2<<3|typeLen)
		if span == nil {
			f, err := next(b, at)
			if err != nil {
				return err
			}
			if f.number != 2 || f.wire != typeLen {
				if err := checkField(b, f, msgScopeShell, 1); err != nil {
					return err
				}
				s.out = append(s.out, b[f.tag:f.end]...)
				at = f.end
				continue
			}
			span, end = b[f.begin:f.end], f.end
		}
		at = end
		if err := s.span.read(span); err != nil {
			return err
		}
		if s.observe {
			if err := s.seen.add(span, &s.span); err != nil {
				return err
			}
		}
		why, rewrite := s.decide.decide(s)
		s.result.Spans++
		s.result.Reasons[why]++
		if why != ReasonDropped || s.strict {
			if err := s.span.check(span); err != nil {
				return err
			}
		}
		if why == ReasonDropped {
			continue
		}
		if rewrite {
			s.keepRewritten(span)
		} else {
			s.out = append(s.out, b[from:end]...)
		}
	}
	if s.result.Kept() == kept {
		s.out = s.out[:m.begin]
		return nil
	}
	s.close(m)
	return nil
}

// keepRewritten appends the span with its threshold told: a later tracestate
// replaces an earlier one, so that the rest stays as it is.
func (s *Scanner) keepRewritten(span []byte) {
	state := s.draw.field
	if len(s.span.traceState) > 0 {
		var scratch [maxTraceState + 4]byte
		text := appendTraceState(scratch[3:3], s.span.traceState, s.draw.least)
		n := sizeVarint(uint64(len(text)))
		state = scratch[2-n : 3+len(text)]
		state[0] = tagTraceState
		putVarint(state[1:1+n], uint64(len(text)))
	}
	length := len(span) + len(state)
	s.out = append(s.out, 2<<3|typeLen)
	s.out = binary.AppendUvarint(s.out, uint64(length))
	s.out = append(s.out, span...)
	s.out = append(s.out, state...)
}

// mark is a message of out that is not finished.
type mark struct{ begin, content int }

// open begins a message whose length is likely to need as many bytes as that of
// bound does.
func (s *Scanner) open(tag byte, bound int) mark {
	begin := len(s.out)
	s.out = append(s.out, tag)
	var room [10]byte
	s.out = append(s.out, room[:sizeVarint(uint64(bound))]...)
	return mark{begin, len(s.out)}
}

// close writes the length of a message.
func (s *Scanner) close(m mark) {
	length := len(s.out) - m.content
	size := sizeVarint(uint64(length))
	if room := m.content - m.begin - 1; size != room {
		var grow [10]byte
		s.out = append(s.out, grow[:max(size-room, 0)]...)
		copy(s.out[m.begin+1+size:], s.out[m.content:m.content+length])
		s.out = s.out[:m.begin+1+size+length]
	}
	putVarint(s.out[m.begin+1:m.begin+1+size], uint64(length))
}

// read reads the fields of a span. The last value of a field wins; a field of
// the wrong wire type is unknown.
func (f *spanFields) read(b []byte) error {
	*f = spanFields{attributes: -1}
	for at := f.readOrdered(b); at < len(b); {
		tag := b[at]
		if tag == tagFlags[0] && at+6 <= len(b) && b[at+1] == tagFlags[1] {
			at += 6
			continue
		}
		other, err := next(b, at)
		if err != nil {
			return err
		}
		at = other.end
		value := b[other.begin:other.end]
		switch other.number<<3 | uint32(other.wire) {
		case tagAttribute:
			if f.attributes < 0 {
				f.attributes = other.tag
			}
		case tagTraceID:
			if len(value) != 16 && len(value) != 0 {
				return idError{len(value), 16}
			}
			f.traceID = value
		case tagSpanID:
			if len(value) != 8 && len(value) != 0 {
				return idError{len(value), 8}
			}
			f.spanID = value
		case tagTraceState:
			f.traceState = value
		case tagParentID:
			if len(value) != 8 && len(value) != 0 {
				return idError{len(value), 8}
			}
			f.parentID = value
		case tagName:
			f.name = value
		case tagKind:
			f.kind = kindOf(other.varint(b))
		case tagStart:
			f.start = binary.LittleEndian.Uint64(value)
		case tagEnd:
			f.end = binary.LittleEndian.Uint64(value)
		case tagStatus:
			if err := f.readStatus(value); err != nil {
				return err
			}
		}
	}
	if f.end > f.start && f.end-f.start <= math.MaxInt64 {
		f.duration = time.Duration(f.end - f.start)
	}
	return nil
}

// readOrdered reads the fields that are where every SDK puts them, in the order
// of their numbers, and gives where it stopped; the rest is read as it comes.
func (f *spanFields) readOrdered(b []byte) (at int) {
	if len(b) < 18+10 || b[0] != tagTraceID || b[1] != 16 || b[18] != tagSpanID || b[19] != 8 {
		return 0
	}
	f.traceID, f.spanID, at = b[2:18], b[20:28], 28
	var text []byte
	if text, at = short(b, at, tagTraceState); text != nil {
		f.traceState = text
	}
	if text, end := short(b, at, tagParentID); len(text) == 8 {
		f.parentID, at = text, end
	}
	if text, at = short(b, at, tagName); text != nil {
		f.name = text
	}
	if at+2 > len(b) || b[at] != tagKind || b[at+1] >= 0x80 {
		return at
	}
	f.kind = kindOf(uint64(b[at+1]))
	at += 2
	if at+18 > len(b) || b[at] != tagStart || b[at+9] != tagEnd {
		return at
	}
	f.start, f.end = binary.LittleEndian.Uint64(b[at+1:]), binary.LittleEndian.Uint64(b[at+10:])
	at += 18
	f.ordered = at
	for at+1 < len(b) && b[at] == tagAttribute {
		n := int(b[at+1])
		if n >= 0x80 || n > len(b)-at-2 {
			break
		}
		f.attributes = f.ordered
		at += 2 + n
	}
	return at
}

// check reports what would keep a decoder from reading the span.
func (f *spanFields) check(b []byte) error {
	if f.ordered > 0 && (!utf8.Valid(f.name) || !utf8.Valid(f.traceState)) {
		return errText
	}
	return check(b[f.ordered:], msgSpan, 1)
}

// short reads a field of less than 128 bytes, nil if none stands at b[at:].
func short(b []byte, at int, tag byte) (value []byte, end int) {
	if at+1 >= len(b) || b[at] != tag || b[at+1] >= 0x80 {
		return nil, at
	}
	end = at + 2 + int(b[at+1])
	if end > len(b) {
		return nil, at
	}
	return b[at+2 : end], end
}

// medium reads a field of 128 to 16383 bytes, as nearly every span is; nil if
// none stands at b[at:].
func medium(b []byte, at int, tag byte) (value []byte, end int) {
	if at+2 >= len(b) || b[at] != tag || b[at+1] < 0x80 || b[at+2] >= 0x80 {
		return nil, at
	}
	end = at + 3 + int(b[at+1]&0x7f) + int(b[at+2])<<7
	if end > len(b) || end == at+3 {
		return nil, at
	}
	return b[at+3 : end], end
}

func kindOf(value uint64) Kind {
	if kind := int32(value); kind >= 0 && kind <= int32(KindConsumer) {
		return Kind(kind)
	}
	return KindUnspecified
}

// readStatus merges one status message into what is known.
func (f *spanFields) readStatus(b []byte) error {
	for at := 0; at < len(b); {
		inner, err := next(b, at)
		if err != nil {
			return err
		}
		if inner.number == 3 && inner.wire == typeVarint {
			f.status = StatusUnset
			if code := int32(inner.varint(b)); code >= 0 && code <= int32(StatusError) {
				f.status = Status(code)
			}
		}
		at = inner.end
	}
	return nil
}

// idError says that an id has the wrong length. Even one that a later value
// replaces is refused: some decoders would refuse all that comes with it.
type idError struct{ got, want int }

func (e idError) Error() string {
	return fmt.Sprintf("has a trace or span id of %d bytes, expected %d", e.got, e.want)
}
