package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// reader is where Next stands.
type reader struct {
	at      Position
	file    *os.File // of segment at.segment, nil if none is open
	payload []byte
}

// Next gives the next record, waiting for one if there is none.
func (s *Spool) Next(ctx context.Context) (Record, error) {
	for {
		limit, ok := s.readable()
		if !ok {
			if err := s.wait(ctx); err != nil {
				return Record{}, err
			}
			continue
		}
		r, err := s.read(limit)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, errSkip):
		default:
			return Record{}, heal.Errorf(heal.Transient, "read spool "+s.opts.Dir, "%w", err)
		}
	}
}

// readable moves the reader to a segment that has something to read, and gives
// the end of what may be read there.
func (s *Spool) readable() (limit int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		at := s.reader.at
		size, known := s.sizes[at.segment]
		limit := size
		if s.active != nil && at.segment == s.active.number {
			limit = s.active.durable
		}
		if known && at.offset < limit {
			return limit, true
		}
		if s.active != nil && at.segment == s.active.number {
			return 0, false
		}
		i, _ := slices.BinarySearch(s.numbers, at.segment+1)
		if i == len(s.numbers) {
			return 0, false
		}
		s.reader.at = Position{segment: s.numbers[i]}
		if s.reader.file != nil {
			s.reader.file.Close()
			s.reader.file = nil
		}
	}
}

// errSkip says that the reader has moved without finding a record.
var errSkip = errors.New("skipped")

// read reads the record at the reader, which ends at limit at the latest.
func (s *Spool) read(limit int64) (Record, error) {
	r := &s.reader
	if r.file == nil {
		f, err := os.Open(s.path(r.at.segment))
		if err != nil {
			return Record{}, err
		}
		r.file = f
	}
	if r.at.offset == 0 {
		start := make([]byte, len(magic))
		if _, err := r.file.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
			return Record{}, err
		}
		if string(start) != magic {
			return Record{}, s.skip(limit, errHeader)
		}
		r.at.offset = int64(len(magic))
		return Record{}, errSkip // there may be nothing more
	}
	var head [headerSize]byte
	n, err := r.file.ReadAt(head[:min(int64(headerSize), limit-r.at.offset)], r.at.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return Record{}, err
	}
	h, err := readHeader(head[:n], s.opts.MaxRecordBytes)
	if err != nil {
		return Record{}, s.skip(limit, err)
	}
	end := r.at.offset + headerSize + int64(h.length)
	if end > limit {
		return Record{}, s.skip(limit, errTorn)
	}
	r.payload = slices.Grow(r.payload[:0], int(h.length))[:h.length]
	if _, err := r.file.ReadAt(r.payload, r.at.offset+headerSize); err != nil {
		return Record{}, err
	}
	if !h.matches(r.payload) {
		return Record{}, s.skip(end, errPayload)
	}
	r.at.offset = end
	return Record{Payload: r.payload, Items: int(h.items), End: r.at}, nil
}

// skip moves the reader on and counts why.
func (s *Spool) skip(to int64, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(why, errTorn) && (s.active == nil || s.reader.at.segment != s.active.number) {
		s.stats.Torn++
	} else {
		s.stats.Damaged++
		s.stats.LostBytes += to - s.reader.at.offset
	}
	s.reader.at.offset = to
	return errSkip
}
