package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A segment is a file: its magic, then records one after the other. A record is
// a header of 16 bytes, little endian, and its payload:
//
//	0   length of the payload
//	4   items, a count that the spool only carries
//	8   CRC-32C of the payload
//	12  CRC-32C of the 12 bytes before
const (
	magic      = "hspool01"
	headerSize = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// What can be wrong with a record.
var (
	errTorn    = errors.New("the record is not whole: it was being written when the process ended")
	errHeader  = errors.New("the header of the record is damaged; so is where the next one begins")
	errPayload = errors.New("the payload of the record is damaged")
)

// header is what stands before a payload.
type header struct {
	length, items, sum uint32
}

// appendRecord appends a record to b.
func appendRecord(b, payload []byte, items int) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, uint32(min(max(items, 0), math.MaxUint32)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
	return append(b, payload...)
}

// readHeader reads the header at the begin of b.
func readHeader(b []byte, maxPayload int) (h header, err error) {
	if len(b) < headerSize {
		return h, errTorn
	}
	if crc32.Checksum(b[:12], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return h, errHeader
	}
	h = header{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])}
	if uint64(h.length) > uint64(maxPayload) {
		return h, errHeader
	}
	return h, nil
}

func (h header) matches(payload []byte) bool { return crc32.Checksum(payload, castagnoli) == h.sum }
