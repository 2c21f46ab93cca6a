package embedded_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/telemetry/embedded"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// clock is a time that a test sets.
type clock struct{ nanos atomic.Int64 }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.set(at)
	return c
}

func (c *clock) set(at time.Time) { c.nanos.Store(at.UnixNano()) }
func (c *clock) now() time.Time   { return time.Unix(0, c.nanos.Load()).UTC() }

func usage(t *testing.T, s *embedded.Store) telemetry.Usage {
	t.Helper()
	u, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func count(t *testing.T, s *embedded.Store, q telemetry.LogQuery) int {
	t.Helper()
	logs, err := s.Logs(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return len(logs)
}

func add(t *testing.T, s *embedded.Store, logs ...heal.LogRecord) {
	t.Helper()
	if err := s.AppendLogs(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
}

func lines(n int, at time.Time, body string) []heal.LogRecord {
	logs := make([]heal.LogRecord, n)
	for i := range logs {
		logs[i] = heal.LogRecord{Time: at, Service: "cart", Body: body}
	}
	return logs
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}

func TestRateIsBounded(t *testing.T) {
	c := newClock(noon)
	s := start(t, t.TempDir(), embedded.Options{RecordsPerSecond: 100, Now: c.now})
	add(t, s, lines(150, noon, "x")...)
	c.set(noon.Add(500 * time.Millisecond))
	add(t, s, lines(80, noon, "x")...)
	flush(t, s)
	u := usage(t, s)
	equal(t, "kept", u.Logs, int64(150))
	equal(t, "dropped", u.Dropped, []telemetry.Drop{{Signal: telemetry.Logs, Reason: telemetry.DropRate, Records: 80}})
}

func TestFullQueueRefuses(t *testing.T) {
	c := newClock(noon)
	s, err := embedded.Open(t.TempDir(), embedded.Options{RecordsPerSecond: 10, QueueRecords: 15, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, lines(10, noon, "x")...)
	c.set(noon.Add(time.Second))
	if err := s.AppendLogs(t.Context(), lines(10, noon, "x")); !heal.Is(err, heal.Transient) {
		t.Errorf("AppendLogs to a full queue: got %v, want kind transient", err)
	}
	add(t, s, lines(5, noon, "x")...) // what fits is still taken
	equal(t, "queued", usage(t, s).Queued, 15)
	equal(t, "dropped", usage(t, s).Dropped, []telemetry.Drop{{Signal: telemetry.Logs, Reason: telemetry.DropQueueFull, Records: 10}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.AppendLogs(t.Context(), lines(1, noon, "x")); !heal.Is(err, heal.Transient) {
		t.Errorf("AppendLogs after Close: got %v, want kind transient", err)
	}
	if _, err := s.Logs(t.Context(), telemetry.LogQuery{}); !heal.Is(err, heal.Transient) {
		t.Errorf("Logs after Close: got %v, want kind transient", err)
	}
}

func TestLargeRecords(t *testing.T) {
	s := start(t, t.TempDir(), embedded.Options{})
	long := strings.Repeat("é", telemetry.MaxBody) // ten megabytes and such
	add(t, s, heal.LogRecord{Service: "cart", Body: "x" + long})
	add(t, s, heal.LogRecord{Service: "cart", Body: "x", Attributes: map[string]string{"a": strings.Repeat("y", 10<<20)}})
	err := s.AppendSpans(t.Context(), []heal.Span{{TraceID: "1", StatusMessage: strings.Repeat("y", 10<<20)}})
	if err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	logs, err := s.Logs(t.Context(), telemetry.LogQuery{})
	if err != nil || len(logs) != 1 {
		t.Fatalf("Logs: got %d, %v, want the cut one", len(logs), err)
	}
	equal(t, "length noted", logs[0].Attributes[telemetry.AttrCut], "131073")
	equal(t, "body", logs[0].Body, "x"+strings.Repeat("é", telemetry.MaxBody/2-1))
	u := usage(t, s)
	equal(t, "cut", u.Cut, int64(1))
	equal(t, "dropped", u.Dropped, []telemetry.Drop{
		{Signal: telemetry.Logs, Reason: telemetry.DropTooLarge, Records: 1},
		{Signal: telemetry.Spans, Reason: telemetry.DropTooLarge, Records: 1},
	})
}

func TestRetention(t *testing.T) {
	c := newClock(noon)
	dir := t.TempDir()
	s := start(t, dir, embedded.Options{Retention: 48 * time.Hour, Now: c.now})
	add(t, s, heal.LogRecord{Time: noon.Add(-72 * time.Hour), Service: "cart", Body: "too old"})
	add(t, s, heal.LogRecord{Time: noon.Add(-47 * time.Hour), Service: "cart", Body: "old"})
	add(t, s, heal.LogRecord{Time: noon, Service: "cart", Body: "new"})
	flush(t, s)
	equal(t, "kept at first", count(t, s, telemetry.LogQuery{}), 2)

	c.set(noon.Add(24 * time.Hour))
	add(t, s, heal.LogRecord{Time: c.now(), Service: "cart", Body: "newer"}) // makes the writer look
	flush(t, s)
	add(t, s, heal.LogRecord{Time: c.now(), Service: "cart", Body: "newer"})
	flush(t, s)
	equal(t, "kept a day later", count(t, s, telemetry.LogQuery{}), 3)
	equal(t, "dropped", usage(t, s).Dropped, []telemetry.Drop{
		{Signal: telemetry.Logs, Reason: telemetry.DropAge, Records: 1},
		{Signal: telemetry.Logs, Reason: telemetry.DropTooOld, Records: 1},
	})
	if files, _ := filepath.Glob(filepath.Join(dir, "2026-03-08.*")); len(files) != 0 {
		t.Errorf("files of the day given up: got %v, want none", files)
	}
}

func TestSpaceIsBounded(t *testing.T) {
	c := newClock(noon)
	const limit = 8 << 20
	s := start(t, t.TempDir(), embedded.Options{MaxBytes: limit, Now: c.now})
	written := 0
	for i := range 30 {
		c.set(noon.Add(time.Duration(i) * 2 * time.Second))
		body := strings.Repeat("words of a long line ", 40)
		add(t, s, lines(500, c.now(), body)...)
		flush(t, s)
		written += 500
	}
	flush(t, s) // the writer is past the upkeep after the last batch
	u := usage(t, s)
	if u.Bytes > limit+limit/4 {
		t.Errorf("bytes: got %d, want about %d at most", u.Bytes, limit)
	}
	if len(u.Dropped) != 1 || u.Dropped[0].Reason != telemetry.DropSpace || u.Dropped[0].Records+u.Logs != int64(written) {
		t.Errorf("dropped: got %+v beside %d kept, want %d in all", u.Dropped, u.Logs, written)
	}
	equal(t, "newest are there", count(t, s, telemetry.LogQuery{From: c.now(), Limit: 500}), 500)
}

func TestWhatIsWrittenSurvivesRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd name 100%?#")
	at := time.Now().Add(-time.Minute)
	t.Run("write", func(t *testing.T) {
		s := start(t, dir, embedded.Options{})
		add(t, s, lines(3, at, "kept")...) // Run writes them when it ends
	})
	t.Run("read", func(t *testing.T) {
		s := start(t, dir, embedded.Options{})
		equal(t, "records", count(t, s, telemetry.LogQuery{Keyword: "kept"}), 3)
		equal(t, "held", usage(t, s).Logs, int64(3))
		add(t, s, lines(2, at, "kept")...) // same moment as those there
		flush(t, s)
		equal(t, "records after more", count(t, s, telemetry.LogQuery{Keyword: "kept"}), 5)
	})
}

func TestManyOfOneMoment(t *testing.T) {
	c := newClock(noon)
	s := start(t, t.TempDir(), embedded.Options{RecordsPerSecond: 100_000, Now: c.now})
	add(t, s, lines(5000, noon, "x")...)
	flush(t, s)
	add(t, s, heal.LogRecord{Time: noon.Add(-time.Nanosecond), Service: "cart", Body: "before"})
	add(t, s, heal.LogRecord{Time: noon.Add(-time.Hour), Service: "cart", Body: "earlier"})
	add(t, s, lines(5, noon.Add(-time.Hour), "earlier")...) // behind the newest, of one moment
	flush(t, s)
	equal(t, "kept", usage(t, s).Logs, int64(5007))
	equal(t, "earlier", count(t, s, telemetry.LogQuery{Keyword: "earlier", To: noon.Add(-time.Minute)}), 6)
	for _, r := range mustLogs(t, s, telemetry.LogQuery{}) {
		if !r.Time.Equal(noon) {
			t.Fatalf("time: got %s, want %s unchanged", r.Time, noon)
		}
	}
}

func mustLogs(t *testing.T, s *embedded.Store, q telemetry.LogQuery) []heal.LogRecord {
	t.Helper()
	logs, err := s.Logs(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

func TestUnreadablePartitionIsSetAside(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, file string)
	}{
		{"not a database", func(t *testing.T, file string) {
			write(t, file, 0, strings.Repeat("no database ", 1000))
		}},
		{"pages overwritten", func(t *testing.T, file string) {
			write(t, file, 4096, strings.Repeat("no page at all  ", 4096))
		}},
		{"cut to nothing sensible", func(t *testing.T, file string) {
			if err := os.Truncate(file, 8192); err != nil {
				t.Fatal(err)
			}
		}},
		{"newer layout", func(t *testing.T, file string) {
			write(t, file, 60, "\x00\x00\x00\x63") // user_version in the header of the file
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, c := t.TempDir(), newClock(noon)
			t.Run("write", func(t *testing.T) {
				s := start(t, dir, embedded.Options{Now: c.now})
				add(t, s, lines(500, noon, "lost, and it is a pity")...)
				add(t, s, heal.LogRecord{Time: noon.Add(-24 * time.Hour), Service: "cart", Body: "yesterday"})
			})
			tt.spoil(t, filepath.Join(dir, "2026-03-10.000.db"))
			s := start(t, dir, embedded.Options{Now: c.now})
			equal(t, "found of the sound partition", count(t, s, telemetry.LogQuery{Keyword: "yesterday"}), 1)
			add(t, s, lines(2, noon, "after")...)
			flush(t, s)
			equal(t, "found of the new partition", count(t, s, telemetry.LogQuery{Keyword: "after"}), 2)
			equal(t, "set aside", usage(t, s).SetAside, []string{"2026-03-10.000.db.corrupt"})
		})
	}
}

func write(t *testing.T, file string, offset int64, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text), offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
