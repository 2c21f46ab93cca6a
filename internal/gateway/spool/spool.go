package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options of a Spool; a zero field takes its default.
type Options struct {
	Dir            string // made if it is not there
	MaxBytes       int64  // 1 GiB on disk; beyond it Append answers Transient
	SegmentBytes   int64  // 32 MiB: a larger segment is ended
	MaxRecordBytes int    // 64 MiB
}

// Stats say what a Spool holds and what happened to it since it was opened.
type Stats struct {
	Bytes       int64  // on disk
	Segments    int    // files
	Waiting     int64  // bytes appended and not done
	Appended    uint64 // records
	Full        uint64 // records refused because MaxBytes was reached
	WriteErrors uint64 // records refused because the disk did not take them
	Syncs       uint64 // fdatasync calls
	Torn        uint64 // records that were being written when a process ended: nobody was told they were taken
	Damaged     uint64 // places whose checksum was wrong: what was there is lost
	LostBytes   int64  // at those places
}

// Position is a place in a Spool: all that comes before it.
type Position struct {
	segment uint64
	offset  int64
}

func (p Position) before(q Position) bool {
	return p.segment < q.segment || p.segment == q.segment && p.offset < q.offset
}

// Record is one record; its payload is valid until the next call of Next.
type Record struct {
	Payload []byte
	Items   int
	End     Position // what to call Done with
}

// Spool is a durable queue. Any number of goroutines may Append, one may call
// Next, one may call Done.
type Spool struct {
	opts   Options
	lock   *os.File
	wake   chan struct{} // something became durable
	reader reader

	mu       sync.Mutex
	sizes    map[uint64]int64 // of the segments on disk
	numbers  []uint64         // of those, ascending
	active   *segment         // where records go; nil if the disk took none
	last     uint64           // number of the newest segment
	syncing  chan struct{}    // closed when the fdatasync that runs is over; nil if none runs
	done     Position         // everything before it is done with
	cursor   *cursor
	buffer   []byte
	stats    Stats
	isClosed bool
}

// segment is a file that records are written to.
type segment struct {
	file    *os.File
	number  uint64
	end     int64 // where the next record goes
	durable int64 // everything before it is on disk
	ended   bool  // the next record goes to another one
	failure error // why what is not durable never will be
}

// Open opens the spool of a folder, or makes it.
func Open(o Options) (*Spool, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 32 << 20
	}
	o.SegmentBytes = min(o.SegmentBytes, o.MaxBytes/4) // the active one is never removed
	if o.MaxRecordBytes <= 0 {
		o.MaxRecordBytes = 64 << 20
	}
	op := "open spool " + o.Dir
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	s := &Spool{opts: o, wake: make(chan struct{}, 1), sizes: map[uint64]int64{}}
	var err error
	if s.lock, err = os.OpenFile(filepath.Join(o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	if err := lock(s.lock); err != nil {
		s.lock.Close()
		return nil, heal.Errorf(heal.Conflict, op, "another process uses it: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(heal.Errorf(heal.Internal, op, "%w", err), s.Close())
	}
	return s, nil
}

// load finds the segments and the cursor, and begins a new segment: what a
// former process wrote is never written to again.
func (s *Spool) load() error {
	entries, err := os.ReadDir(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".seg")
		number, err := strconv.ParseUint(name, 16, 64)
		if !ok || err != nil || len(name) != 16 {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		s.numbers = append(s.numbers, number)
		s.sizes[number] = info.Size()
		s.stats.Bytes += info.Size()
	}
	slices.Sort(s.numbers)
	if s.cursor, s.done, err = openCursor(s.opts.Dir); err != nil {
		return err
	}
	s.last = s.done.segment
	if n := len(s.numbers); n > 0 {
		s.last = max(s.last, s.numbers[n-1])
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.reader.at = s.done
	s.removeDone()
	return nil
}

func (s *Spool) path(number uint64) string {
	return filepath.Join(s.opts.Dir, fmt.Sprintf("%016x.seg", number))
}

// begin makes the next segment the active one.
func (s *Spool) begin() error {
	s.last++
	number := s.last
	f, err := os.OpenFile(s.path(number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(magic)
	if err == nil {
		err = datasync(f)
	}
	if err == nil {
		err = syncDir(s.opts.Dir) // else the file may be gone after a crash
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	s.active = &segment{file: f, number: number, end: int64(len(magic)), durable: int64(len(magic))}
	s.numbers = append(s.numbers, number)
	s.sizes[number] = int64(len(magic))
	s.stats.Bytes += int64(len(magic))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Stats says what is held now.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Segments = len(s.numbers)
	for _, number := range s.numbers {
		if number > s.done.segment {
			st.Waiting += max(s.sizes[number]-int64(len(magic)), 0)
		}
		if number == s.done.segment {
			st.Waiting += s.sizes[number] - s.done.offset
		}
	}
	return st
}

// Done says that everything before p is no longer needed.
func (s *Spool) Done(p Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done.before(p) {
		return nil
	}
	s.done = p
	s.removeDone()
	if err := s.cursor.write(p); err != nil {
		return heal.Errorf(heal.Transient, "remember what is done in spool "+s.opts.Dir, "%w", err)
	}
	return nil
}

// removeDone removes the segments that are done with, except the active one.
func (s *Spool) removeDone() {
	for _, number := range slices.Clone(s.numbers) {
		over := number < s.done.segment || number == s.done.segment && s.done.offset >= s.sizes[number]
		if over && (s.active == nil || number != s.active.number) {
			s.remove(number)
		}
	}
}

func (s *Spool) remove(number uint64) {
	if err := os.Remove(s.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // it stays counted, and is tried again
	}
	if s.reader.at.segment == number && s.reader.file != nil { // it has read everything; an open file would keep its room
		s.reader.file.Close()
		s.reader.file = nil
	}
	s.stats.Bytes -= s.sizes[number]
	delete(s.sizes, number)
	s.numbers = slices.DeleteFunc(s.numbers, func(n uint64) bool { return n == number })
}

// Close ends the spool. Appends that still wait are answered with an error if
// they are not durable.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed {
		return nil
	}
	for s.syncing != nil {
		s.await()
	}
	s.isClosed = true
	var errs []error
	if s.active != nil {
		errs = append(errs, s.active.file.Close())
	}
	if s.reader.file != nil {
		errs = append(errs, s.reader.file.Close())
	}
	if s.cursor != nil {
		errs = append(errs, s.cursor.file.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// await waits for the fdatasync that runs; the lock is free meanwhile.
func (s *Spool) await() {
	running := s.syncing
	s.mu.Unlock()
	<-running
	s.mu.Lock()
}

// wait blocks until something became durable since the last wait, or ctx ends.
func (s *Spool) wait(ctx context.Context) error {
	select {
	case <-s.wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
