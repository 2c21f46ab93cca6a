package heal

import (
	"encoding/hex"
	"io"
	"time"
)

// Identifiers are UUIDs of version 7 (RFC 9562) in their canonical form, so
// that they sort by the time they were made.
type (
	AlertID    string
	IncidentID string
	DecisionID string
	RunID      string
	DeliveryID string
)

// NewID makes a UUIDv7 from the time and 10 bytes of entropy. It panics if the
// entropy source fails: without ids nothing can be kept apart.
func NewID(now time.Time, entropy io.Reader) string {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	b[0], b[1], b[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	b[3], b[4], b[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	if _, err := io.ReadFull(entropy, b[6:]); err != nil {
		panic("heal: entropy for an id: " + err.Error())
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}
