package postgres

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Values travel in PostgreSQL's binary format: integers are big-endian, text
// and bytea are their bytes. The object ids are fixed in its catalogue.
const (
	oidBytea = 17
	oidInt8  = 20
	oidText  = 25
)

// maxMessage bounds one message of the server, in bytes: a record is at most
// 64 MiB of body and its columns.
const maxMessage = 128 << 20

// epoch is where PostgreSQL's timestamps begin.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func int8Value(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func textValue(s string) []byte { return append([]byte{}, s...) } // nil would be null

// value is a column's value or a condition's: int64, string, or a list of one.
func value(v any) []byte {
	switch v := v.(type) {
	case int64:
		return int8Value(v)
	case string:
		return textValue(v)
	case []int64:
		return listOf(oidInt8, len(v), func(b []byte, i int) []byte { return appendInt8(b, v[i]) })
	case []string:
		return listOf(oidText, len(v), func(b []byte, i int) []byte { return appendText(b, v[i]) })
	}
	return nil
}

// listOf writes an array of one dimension; element appends the length and the
// bytes of one.
func listOf(oid uint32, n int, element func(b []byte, i int) []byte) []byte {
	b := make([]byte, 0, 20+n*24)
	dimensions := uint32(1)
	if n == 0 {
		dimensions = 0
	}
	b = binary.BigEndian.AppendUint32(b, dimensions)
	b = binary.BigEndian.AppendUint32(b, 1) // there may be nulls
	b = binary.BigEndian.AppendUint32(b, oid)
	if n > 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		b = binary.BigEndian.AppendUint32(b, 1) // its first index
	}
	for i := range n {
		b = element(b, i)
	}
	return b
}

func appendNull(b []byte) []byte { return binary.BigEndian.AppendUint32(b, ^uint32(0)) }

func appendInt8(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(n))
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func readInt8(v []byte) (int64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("the database sent %d bytes for a number, expected 8", len(v))
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}

// intInto scans a result of one number.
func intInto(to *int64) func([][]byte) error {
	return func(row [][]byte) (err error) {
		*to, err = readInt8(row[0])
		return err
	}
}

func textInto(to *string) func([][]byte) error {
	return func(row [][]byte) error {
		*to = string(row[0])
		return nil
	}
}
