package spool

import (
	"github.com/homeostat/homeostat/internal/heal"
)

// Append writes a record and returns once it is durable. An error of kind
// Transient means that it was not taken: the spool is full, or the disk is.
func (s *Spool) Append(payload []byte, items int) error {
	const op = "append to spool"
	if len(payload) > s.opts.MaxRecordBytes {
		return heal.Errorf(heal.Invalid, op, "the record has %d bytes, at most %d", len(payload), s.opts.MaxRecordBytes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeRoom(int64(headerSize + len(payload))); err != nil {
		return err
	}
	seg := s.active
	s.buffer = appendRecord(s.buffer[:0], payload, items)
	n, err := seg.file.Write(s.buffer)
	if cap(s.buffer) > 4<<20 {
		s.buffer = nil
	}
	if err != nil {
		s.stats.WriteErrors++
		s.undo(seg, int64(n))
		seg.ended = true // if the disk is full, by this segment too: once it is done with it must go
		return heal.Errorf(heal.Transient, op, "%w", err)
	}
	s.grow(seg, int64(n))
	mine := seg.end
	for {
		switch {
		case seg.durable >= mine:
			s.stats.Appended++
			return nil
		case seg.failure != nil:
			return seg.failure
		case s.isClosed:
			return heal.Errorf(heal.Transient, op, "it was closed")
		case s.syncing != nil: // it may have begun before the record was written
			s.await()
		default:
			s.sync(seg)
		}
	}
}

// grow counts n more bytes in a segment.
func (s *Spool) grow(seg *segment, n int64) {
	seg.end += n
	s.sizes[seg.number] += n
	s.stats.Bytes += n
}

// undo cuts off what a failed write left behind. If that fails too, the reader
// skips what is torn.
func (s *Spool) undo(seg *segment, written int64) {
	if written == 0 {
		return
	}
	if err := seg.file.Truncate(seg.end); err == nil {
		if _, err = seg.file.Seek(seg.end, 0); err == nil {
			return
		}
	}
	s.grow(seg, written)
}

// makeRoom sees to it that there is an active segment and that a record of so
// many bytes may be written.
func (s *Spool) makeRoom(bytes int64) error {
	const op = "append to spool"
	for {
		switch seg := s.active; {
		case s.isClosed:
			return heal.Errorf(heal.Transient, op, "it was closed")
		case s.stats.Bytes+bytes > s.opts.MaxBytes:
			s.stats.Full++
			return heal.Errorf(heal.Transient, op, "it holds %d bytes, the most allowed are %d", s.stats.Bytes, s.opts.MaxBytes)
		case seg != nil && !seg.ended && seg.end < s.opts.SegmentBytes:
			return nil
		case s.syncing != nil:
			s.await()
		default:
			if err := s.rotate(); err != nil {
				s.stats.WriteErrors++
				return heal.Errorf(heal.Transient, op, "begin a segment: %w", err)
			}
		}
	}
}

// rotate ends the active segment and begins the next one. It keeps the lock: a
// segment is many records.
func (s *Spool) rotate() error {
	if seg := s.active; seg != nil {
		err := datasync(seg.file)
		s.synced(seg, seg.end, err)
		if s.active != nil {
			_ = seg.file.Close() // it is durable
			s.active = nil
		}
	}
	s.removeDone() // may make the room that the next one needs
	return s.begin()
}

// sync makes durable what was written until now. The lock is free meanwhile, so
// that others write and share the next one.
func (s *Spool) sync(seg *segment) {
	over, target := make(chan struct{}), seg.end
	s.syncing = over
	s.mu.Unlock()
	err := datasync(seg.file)
	s.mu.Lock()
	s.syncing = nil
	close(over)
	s.synced(seg, target, err)
}

// synced notes what became of an fdatasync. A segment that could not be made
// durable ends: what the kernel still has of it is not known, so nothing more of
// it is trusted.
func (s *Spool) synced(seg *segment, target int64, err error) {
	s.stats.Syncs++
	if err == nil {
		seg.durable = target
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return
	}
	seg.failure = heal.Errorf(heal.Transient, "make spool durable", "%w", err)
	s.stats.WriteErrors++
	if cut := seg.file.Truncate(seg.durable); cut == nil { // else it comes out although nobody was told that it was taken
		s.grow(seg, seg.durable-seg.end)
	}
	_ = seg.file.Close() // it has nothing that counts
	s.active = nil
}
