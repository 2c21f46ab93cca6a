package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s *Spool, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := s.Append([]byte(p), len(p)); err != nil {
			t.Fatalf("append %q: %v", p, err)
		}
	}
}

// drain reads what is there, and calls Done after done records.
func drain(t *testing.T, s *Spool, done int) (got []string) {
	t.Helper()
	for {
		if _, ok := s.readable(); !ok {
			return got
		}
		r, err := s.read(must(s.readable()))
		if errors.Is(err, errSkip) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Items != len(r.Payload) {
			t.Errorf("got %d items with %q", r.Items, r.Payload)
		}
		got = append(got, string(r.Payload))
		if len(got) == done {
			if err := s.Done(r.End); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func must(limit int64, _ bool) int64 { return limit }

func TestRecordsComeOutInOrderAndAgainUntilDone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 60}) // two or three a segment
	put(t, s, "one", "two", "three", "four", "five")
	if got, want := drain(t, s, 3), []string{"one", "two", "three", "four", "five"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if st := s.Stats(); st.Appended != 5 || st.Segments > 2 || st.Waiting == 0 {
		t.Errorf("got %+v, want 5 appended, the first segment gone", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	put(t, s, "six")
	if got, want := drain(t, s, 3), []string{"four", "five", "six"}; !slices.Equal(got, want) {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
	if st := s.Stats(); st.Waiting != 0 || st.Segments != 1 {
		t.Errorf("got %+v, want nothing waiting", st)
	}
}

func TestNextWaits(t *testing.T) {
	s := open(t, Options{})
	go func() { _ = s.Append([]byte("late"), 4) }()
	r, err := s.Next(t.Context())
	if err != nil || string(r.Payload) != "late" {
		t.Errorf("got %q, %v, want what was appended meanwhile", r.Payload, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestTornAndDamagedRecordsAreSkippedAndCounted(t *testing.T) {
	for _, tt := range []struct {
		name          string
		damage        func(b []byte) []byte
		want          []string
		torn, damaged uint64
	}{
		{"torn within the header", func(b []byte) []byte { return b[:len(b)-len("three")-3] }, []string{"one", "two"}, 1, 0},
		{"torn within the payload", func(b []byte) []byte { return b[:len(b)-2] }, []string{"one", "two"}, 1, 0},
		{"a payload", func(b []byte) []byte { b[len(magic)+headerSize+1] ^= 1; return b }, []string{"two", "three"}, 0, 1},
		{"a header", func(b []byte) []byte { b[len(magic)+headerSize+len("one")+5] ^= 1; return b }, []string{"one"}, 0, 1},
		{"the magic", func(b []byte) []byte { b[0] ^= 1; return b }, nil, 0, 1},
		{"nothing but the magic", func(b []byte) []byte { return b[:len(magic)] }, nil, 0, 0},
		{"empty", func([]byte) []byte { return nil }, nil, 0, 0},
		{"zeros after a crash", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, []string{"one", "two", "three"}, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir})
			put(t, s, "one", "two", "three")
			path := s.path(s.active.number)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, Options{Dir: dir})
			put(t, s, "new")
			if got, want := drain(t, s, 0), append(tt.want, "new"); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if st := s.Stats(); st.Torn != tt.torn || st.Damaged != tt.damaged || (st.LostBytes > 0) != (tt.damaged > 0) {
				t.Errorf("got %+v, want %d torn, %d damaged", st, tt.torn, tt.damaged)
			}
		})
	}
}

func TestAFullSpoolRefusesAndRecovers(t *testing.T) {
	s := open(t, Options{MaxBytes: 400})
	var taken int
	for range 100 {
		err := s.Append([]byte("0123456789"), 10)
		if err == nil {
			taken++
		} else if !heal.Is(err, heal.Transient) {
			t.Fatalf("got %v, want a transient error", err)
		}
	}
	if st := s.Stats(); taken == 0 || st.Bytes > 400 || st.Full != uint64(100-taken) {
		t.Errorf("got %d taken and %+v, want at most 400 bytes and every refusal counted", taken, st)
	}
	if got := drain(t, s, taken); len(got) != taken {
		t.Errorf("got %d out of %d", len(got), taken)
	}
	put(t, s, "again")
}

// TestAFullDisk writes to the device that is always full.
func TestAFullDisk(t *testing.T) {
	s := open(t, Options{})
	put(t, s, "before")
	seg := s.active
	writable := seg.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	seg.file = full
	if err := s.Append([]byte("x"), 1); !heal.Is(err, heal.Transient) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want a transient error with its cause", err)
	}
	full.Close()
	seg.file = writable
	put(t, s, "after")
	if s.active == seg {
		t.Error("the segment that filled the disk is still written to")
	}
	if got, want := drain(t, s, 0), []string{"before", "after"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if st := s.Stats(); st.WriteErrors != 1 {
		t.Errorf("got %+v, want one write error", st)
	}
}

// TestAFailedSyncIsNeverAnswered closes the file under the spool: fdatasync
// fails, and so must what waited for it.
func TestAFailedSyncIsNeverAnswered(t *testing.T) {
	s := open(t, Options{})
	put(t, s, "before")
	s.mu.Lock()
	seg := s.active
	s.grow(seg, 0)
	file := seg.file
	broken, err := os.OpenFile(file.Name(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	broken.Close()
	seg.end++ // something that is not durable
	s.sizes[seg.number]++
	s.stats.Bytes++
	seg.file = broken
	s.sync(seg)
	s.mu.Unlock()
	file.Close()
	if seg.failure == nil || s.active != nil {
		t.Fatalf("got %v, want the segment given up", seg.failure)
	}
	put(t, s, "after")
	if got, want := drain(t, s, 0), []string{"before", "after"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestASegmentThatIsDoneWithGoes shows that a full disk is no trap: the segment
// that fills it must go although no new one can be begun yet.
func TestASegmentThatIsDoneWithGoes(t *testing.T) {
	s := open(t, Options{})
	put(t, s, "one", "two")
	s.active.ended = true
	drain(t, s, 2)
	block := s.path(s.last + 1) // in the way of the next segment
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Append([]byte("x"), 1); !heal.Is(err, heal.Transient) {
		t.Errorf("got %v, want a transient error", err)
	}
	if st := s.Stats(); st.Bytes != 0 || st.Segments != 0 {
		t.Errorf("got %+v, want nothing left on disk", st)
	}
	put(t, s, "after")
	if got := drain(t, s, 1); !slices.Equal(got, []string{"after"}) {
		t.Errorf("got %q, want what came after", got)
	}
}

func TestManyShareOneSync(t *testing.T) {
	s := open(t, Options{SegmentBytes: 4 << 10})
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := s.Append(fmt.Appendf(nil, "%d-%d", w, i), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]int{}
	for range writers * each {
		r, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[string(r.Payload)]++
		if err := s.Done(r.End); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if st := s.Stats(); len(seen) != writers*each || st.Appended != writers*each || st.Damaged+st.Torn != 0 {
		t.Errorf("got %d different records and %+v, want %d", len(seen), st, writers*each)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	s := open(t, Options{})
	if _, err := Open(Options{Dir: s.opts.Dir}); !heal.Is(err, heal.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestADamagedCursorMeansFromTheBegin(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	put(t, s, "one", "two")
	drain(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cursorPath(dir), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if got := drain(t, s, 0); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("got %q, want everything again", got)
	}
}

// FuzzReader reads segments of any bytes: what comes out was appended, or at
// least has the checksum of something that was.
func FuzzReader(f *testing.F) {
	good := appendRecord(appendRecord([]byte(magic), []byte("one"), 3), []byte("two"), 3)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, segment []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000007.seg"), segment, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: dir, MaxRecordBytes: 1 << 16})
		if err := s.Append([]byte("last"), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for {
			r, err := s.Next(ctx)
			if err != nil {
				t.Fatalf("the last record never came: %v", err)
			}
			if string(r.Payload) == "last" && r.End.segment == 8 {
				break
			}
			if !bytes.Contains(segment, r.Payload) {
				t.Fatalf("got %q, which was never written", r.Payload)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, Options{MaxBytes: 1 << 40})
			payload := make([]byte, 20<<10)
			b.SetParallelism(writers)
			b.SetBytes(int64(len(payload)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Append(payload, 50); err != nil {
						b.Error(err)
						return
					}
				}
			})
			st := s.Stats()
			b.ReportMetric(float64(st.Appended)/float64(max(st.Syncs, 1)), "records/sync")
		})
	}
}
