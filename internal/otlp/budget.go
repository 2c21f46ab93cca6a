package otlp

import (
	"encoding/binary"
	"fmt"
)

// budget is what one request may take when decoded.
type budget struct {
	depth int // levels of nesting
	bytes int // of memory, estimated
}

// jsonValue is what one JSON object may take when decoded: the size of a span,
// the largest thing "{}" can stand for.
const jsonValue = 280

// checkJSON walks JSON text once. It checks nesting and size only; syntax is
// the decoder's business.
func (b budget) checkJSON(text []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			b.bytes -= jsonValue
			if depth > b.depth {
				return fmt.Errorf("byte %d: nested deeper than %d levels", i, b.depth)
			}
			if b.bytes < 0 {
				return fmt.Errorf("byte %d: too many values for one request; send smaller ones", i)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// checkProto walks the messages of a protobuf request once.
func (b budget) checkProto(data []byte, schema *message) error {
	w := protoWalk{budget: b}
	return w.walk(data, 0, schema, 1)
}

type protoWalk struct {
	budget
}

// walk checks one message, which begins at offset of the request.
func (w *protoWalk) walk(data []byte, offset int, m *message, depth int) error {
	if depth > w.depth {
		return fmt.Errorf("byte %d: nested deeper than %d levels", offset, w.depth)
	}
	if w.bytes -= m.size; w.bytes < 0 {
		return fmt.Errorf("byte %d: too many values for one request; send smaller ones", offset)
	}
	for pos := 0; pos < len(data); {
		tag, n := binary.Uvarint(data[pos:])
		if n <= 0 {
			return fmt.Errorf("byte %d: no field tag where one was expected", offset+pos)
		}
		pos += n
		length := 0
		switch wireType := tag & 7; wireType {
		case 0: // varint
			if _, length = binary.Uvarint(data[pos:]); length <= 0 {
				return fmt.Errorf("byte %d: malformed number of field %d", offset+pos, tag>>3)
			}
		case 1: // 64 bit
			length = 8
		case 2: // bytes, text or message
			size, n := binary.Uvarint(data[pos:])
			if n <= 0 || size > uint64(len(data)-pos-n) {
				return fmt.Errorf("byte %d: field %d is longer than the request", offset+pos, tag>>3)
			}
			pos += n
			length = int(size)
			if child := m.child(tag >> 3); child != nil {
				if err := w.walk(data[pos:pos+length], offset+pos, child, depth+1); err != nil {
					return err
				}
			}
		case 5: // 32 bit
			length = 4
		default: // groups, which OTLP never had
			return fmt.Errorf("byte %d: field %d has wire type %d, which OTLP does not use", offset+pos, tag>>3, wireType)
		}
		if length > len(data)-pos {
			return fmt.Errorf("byte %d: the request ends within field %d", offset+pos, tag>>3)
		}
		pos += length
	}
	return nil
}
