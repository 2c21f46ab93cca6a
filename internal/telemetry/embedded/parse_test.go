package embedded

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

func TestKeyRoundTrip(t *testing.T) {
	for _, k := range []key{{0, 0}, {20522, 7}, {-1, 1234}} {
		if got, ok := parseKey(k.String()); !ok || got != k {
			t.Errorf("parseKey(%s): got %v, %v, want %v", k, got, ok, k)
		}
	}
	for _, name := range []string{"", "2026-03-01.db", "2026-03-01.1.db", "2026-3-1.000.db", "2026-03-01.-01.db", "2026-03-01.000.db-wal", "x.000.db"} {
		if got, ok := parseKey(name); ok {
			t.Errorf("parseKey(%q): got %v, want none", name, got)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("2026-03-01.000.db")
	f.Fuzz(func(t *testing.T, name string) {
		if k, ok := parseKey(name); ok && k.String() != name {
			t.Errorf("parseKey(%q): got %v, which is another name", name, k)
		}
	})
}

// FuzzKeyword asks the engine itself: no text may be an error, and a body
// holds itself unless it has a word that is only part of another.
func FuzzKeyword(f *testing.F) {
	f.Add(`"a" OR b* NEAR(c)`)
	f.Add("连接 refused\x00")
	s, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	p, err := s.pickPartition(dayOf(time.Now()))
	if err != nil {
		f.Fatal(err)
	}
	rows := &rows{logs: []logRow{{LogRecord: heal.LogRecord{Body: "connection refused"}, at: time.Now()}}}
	if err := p.use(context.Background(), func() error { return p.insert(context.Background(), rows) }); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1024 {
			return
		}
		if _, err := s.Logs(t.Context(), telemetry.LogQuery{Keyword: text}); err != nil {
			t.Errorf("keyword %q: got %v, want no error", text, err)
		}
	})
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
}

func TestBucketSurvivesClockSetBack(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	b := bucket{rate: 10, tokens: 10}
	b.level(at)
	b.take(10)
	if got := b.level(at.Add(-time.Hour)); got != 0 {
		t.Errorf("level after the clock went back: got %d, want 0", got)
	}
	if got := b.level(at.Add(-time.Hour + time.Second)); got != 10 {
		t.Errorf("level a second later: got %d, want 10", got)
	}
}

func TestFitLeavesTheSendersSliceAlone(t *testing.T) {
	large := map[string]string{"a": strings.Repeat("x", telemetry.MaxRecord)}
	spans := []heal.Span{{SpanID: "1"}, {SpanID: "2", Attributes: large}, {SpanID: "3"}}
	if got := len(fitSpans(spans)); got != 2 || spans[1].SpanID != "2" || spans[2].SpanID != "3" {
		t.Errorf("fitSpans: got %d, and the sender's %s, %s; want 2 and nothing moved", got, spans[1].SpanID, spans[2].SpanID)
	}
	logs := []heal.LogRecord{{Body: strings.Repeat("x", telemetry.MaxBody+1)}}
	if kept, cut := fitLogs(logs); cut != 1 || len(kept[0].Body) != telemetry.MaxBody || len(logs[0].Body) != telemetry.MaxBody+1 {
		t.Errorf("fitLogs: got %d cut to %d, the sender's has %d", cut, len(kept[0].Body), len(logs[0].Body))
	}
}
