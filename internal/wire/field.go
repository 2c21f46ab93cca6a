package wire

import (
	"errors"
	"math/bits"
)

// The wire types of protobuf.
const (
	typeVarint = 0
	typeI64    = 1
	typeLen    = 2
	typeStart  = 3 // begin of a group, which OTLP never had; skipped as unknown
	typeEnd    = 4
	typeI32    = 5
)

// maxNesting bounds how deep messages and groups may nest.
const maxNesting = 128

// What can be wrong with bytes that should be a message.
var (
	errTruncated = errors.New("ends within a field")
	errTag       = errors.New("has no field where one should begin")
	errVarint    = errors.New("has a number of more than 64 bits")
	errGroup     = errors.New("has a group that does not end")
	errDeep      = errors.New("is nested deeper than 128 levels")
)

// field is one field of a message: where it begins, and where its value lies.
// The value of a length-delimited field is what follows the length.
type field struct {
	number     uint32
	wire       uint8
	tag        int // begin of the field
	begin, end int // of the value; end is where the next field begins
}

// next reads the field at b[at:].
func next(b []byte, at int) (field, error) {
	f := field{tag: at}
	key, begin, err := varint(b, at)
	if err != nil {
		return f, err
	}
	if key>>3 == 0 || key>>3 >= 1<<29 {
		return f, errTag
	}
	f.number, f.wire, f.begin = uint32(key>>3), uint8(key&7), begin
	switch f.wire {
	case typeVarint:
		_, f.end, err = varint(b, begin)
		return f, err
	case typeI64:
		f.end = begin + 8
	case typeI32:
		f.end = begin + 4
	case typeLen:
		n, value, err := varint(b, begin)
		if err != nil {
			return f, err
		}
		if n > uint64(len(b)-value) {
			return f, errTruncated
		}
		f.begin, f.end = value, value+int(n)
	case typeStart:
		f.end, err = skipGroup(b, begin, f.number, 1)
		return f, err
	default:
		return f, errTag
	}
	if f.end > len(b) {
		return f, errTruncated
	}
	return f, nil
}

// skipGroup gives the end of the group whose fields begin at b[at:].
func skipGroup(b []byte, at int, number uint32, depth int) (int, error) {
	if depth > maxNesting {
		return 0, errDeep
	}
	for at < len(b) {
		key, begin, err := varint(b, at)
		if err != nil {
			return 0, err
		}
		inner := key >> 3
		if inner == 0 || inner >= 1<<29 {
			return 0, errTag
		}
		switch key & 7 {
		case typeEnd:
			if uint32(inner) != number {
				return 0, errGroup
			}
			return begin, nil
		case typeStart:
			if at, err = skipGroup(b, begin, uint32(inner), depth+1); err != nil {
				return 0, err
			}
		default:
			f, err := next(b, at)
			if err != nil {
				return 0, err
			}
			at = f.end
		}
	}
	return 0, errGroup
}

// varint reads the number at b[at:] and gives where it ends.
func varint(b []byte, at int) (value uint64, end int, err error) {
	if at < len(b) && b[at] < 0x80 {
		return uint64(b[at]), at + 1, nil
	}
	for shift := uint(0); at < len(b); shift += 7 {
		c := b[at]
		at++
		if shift == 63 && c > 1 {
			return 0, 0, errVarint
		}
		value |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return value, at, nil
		}
	}
	return 0, 0, errTruncated
}

// number gives the value of a varint field that next has read.
func (f field) varint(b []byte) uint64 {
	value, _, _ := varint(b, f.begin)
	return value
}

// appendVarint appends n as a varint of exactly size bytes, which must suffice.
func putVarint(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n) | 0x80
		n >>= 7
	}
	b[len(b)-1] &= 0x7f
}

// sizeVarint is how many bytes n takes.
func sizeVarint(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
