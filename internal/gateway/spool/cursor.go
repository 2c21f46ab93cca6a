package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// cursor is the file that remembers what is done: two slots of 20 bytes, each a
// segment, an offset and their CRC-32C, written in turn, so that one of them is
// always whole. The later position counts. It is written in place, which a full
// disk allows, and not made durable: an old one means that records come again.
type cursor struct {
	file *os.File
	turn int64
}

const slotSize = 20

func cursorPath(dir string) string { return filepath.Join(dir, "cursor") }

// openCursor gives the position, the begin of everything if there is none or
// both slots are damaged.
func openCursor(dir string) (*cursor, Position, error) {
	f, err := os.OpenFile(cursorPath(dir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Position{}, err
	}
	var slots [2 * slotSize]byte
	if _, err := f.ReadAt(slots[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, Position{}, errors.Join(err, f.Close())
	}
	c := &cursor{file: f}
	var at Position
	for i := range 2 {
		if p, ok := readSlot(slots[i*slotSize:][:slotSize]); ok && at.before(p) {
			at, c.turn = p, int64(1-i) // the other one is written next
		}
	}
	return c, at, nil
}

func readSlot(b []byte) (p Position, ok bool) {
	if crc32.Checksum(b[:16], castagnoli) != binary.LittleEndian.Uint32(b[16:]) {
		return p, false
	}
	p = Position{binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))}
	return p, p.offset >= 0
}

func (c *cursor) write(p Position) error {
	b := binary.LittleEndian.AppendUint64(nil, p.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.offset))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := c.file.WriteAt(b, c.turn*slotSize); err != nil {
		return err
	}
	c.turn = 1 - c.turn
	return nil
}
