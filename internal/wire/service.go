package wire

// UnknownService is the name OpenTelemetry gives a service that has none.
const UnknownService = "unknown_service"

var unknownService = []byte(UnknownService)

// maxName bounds what is read of a name, in bytes.
const maxName = 4 << 10

// serviceName gives the text of the first attribute service.name of the
// resource in a ResourceSpans, UnknownService if there is none or it is no text.
func serviceName(b []byte) ([]byte, error) {
	found := false
	name := unknownService
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return nil, err
		}
		at = f.end
		if f.number != 1 || f.wire != typeLen || found {
			continue
		}
		// A resource that is given in parts is the parts together.
		resource := b[f.begin:f.end]
		for at := 0; at < len(resource) && !found; {
			f, err := next(resource, at)
			if err != nil {
				return nil, err
			}
			at = f.end
			if f.number != 1 || f.wire != typeLen {
				continue
			}
			p, plain := readPlain(resource[f.begin:f.end])
			if !plain {
				if p, err = readPair(resource[f.begin:f.end]); err != nil {
					return nil, err
				}
			}
			if string(p.key) == "service.name" {
				found = true
				if p.kind == valueText && len(p.text) > 0 {
					name = p.text
				}
			}
		}
	}
	return name[:min(len(name), maxName)], nil
}

// valueKind is the sort of an attribute's value, as far as it matters.
type valueKind uint8

const (
	valueNone  valueKind = iota
	valueText            // value.text
	valueInt             // value.number
	valueOther           // of a sort that names nothing
)

// value is what an attribute says; text lies in the request.
type value struct {
	text   []byte
	number int64
	kind   valueKind
}

// pair is one attribute; its key lies in the request.
type pair struct {
	value

	key []byte
}

// readPlain reads a KeyValue that is one short key and one short text or number,
// as nearly all are, and in that order.
func readPlain(b []byte) (p pair, ok bool) {
	key, at := short(b, 0, 1<<3|typeLen)
	content, end := short(b, at, 2<<3|typeLen)
	if key == nil || len(content) < 2 || end != len(b) {
		return p, false
	}
	p.key = key
	switch content[0] {
	case 1<<3 | typeLen:
		p.kind, p.text = valueText, content[2:]
		return p, int(content[1]) == len(content)-2
	case 3<<3 | typeVarint:
		n, end, err := varint(content, 1)
		p.kind, p.number = valueInt, int64(n)
		return p, err == nil && end == len(content)
	}
	return p, false
}

// readPair reads a KeyValue. Values given in parts are merged as protobuf does:
// the last one wins.
func readPair(b []byte) (p pair, err error) {
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return p, err
		}
		at = f.end
		if f.wire != typeLen {
			continue
		}
		switch f.number {
		case 1:
			p.key = b[f.begin:f.end]
		case 2:
			if err := p.readValue(b[f.begin:f.end]); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// readValue reads an AnyValue.
func (p *pair) readValue(b []byte) error {
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return err
		}
		at = f.end
		switch f.number<<3 | uint32(f.wire) {
		case 1<<3 | typeLen:
			p.kind, p.text = valueText, b[f.begin:f.end]
		case 3<<3 | typeVarint:
			p.kind, p.number = valueInt, int64(f.varint(b))
		case 2<<3 | typeVarint, 4<<3 | typeI64, 5<<3 | typeLen, 6<<3 | typeLen, 7<<3 | typeLen, 8<<3 | typeVarint:
			p.kind = valueOther
		}
	}
	return nil
}
