package telemetry_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

var began = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// span makes a span from "id parent service kind from until", in ms; a dash is
// no parent, an exclamation mark after it says that it failed.
func span(line string) heal.Span {
	var id, parent, service, kind string
	var from, until int
	failed := strings.HasSuffix(line, "!")
	if _, err := fmt.Sscan(strings.TrimSuffix(line, "!"), &id, &parent, &service, &kind, &from, &until); err != nil {
		panic(line + ": " + err.Error())
	}
	return heal.Span{
		TraceID: "t", SpanID: id, ParentID: strings.Trim(parent, "-"), Service: service, Operation: "op", Kind: heal.SpanKind(kind),
		Start: began.Add(time.Duration(from) * time.Millisecond), Duration: time.Duration(until-from) * time.Millisecond, Error: failed,
	}
}

func trace(lines ...string) []heal.Span {
	var list []heal.Span
	for _, line := range lines {
		list = append(list, span(line))
	}
	return list
}

func TestCriticalPath(t *testing.T) {
	tests := []struct {
		name  string
		spans []heal.Span
		want  string // "span from-until", in ms
		own   string
	}{
		{"no spans", nil, "", ""},
		{"one span", trace("a - shop server 0 10"), "a 0-10", ""},
		{"a root without length", trace("a - shop server 0 0", "b a shop internal 0 5"), "", ""},
		{"one after the other", trace("a - shop server 0 100", "b a db client 10 40", "c a db client 50 90"), "a 0-10, b 10-40, a 40-50, c 50-90, a 90-100", ""},
		{"at the same time: the last to end", trace("a - shop server 0 100", "b a x client 10 40", "c a y client 10 90"), "a 0-10, c 10-90, a 90-100", ""},
		{"overlapping: what began while it ran did not wait for it", trace("a - shop server 0 100", "b a x client 0 60", "c a y client 40 100"), "a 0-40, c 40-100", ""},
		{"down the calls", trace("a - front server 0 100", "b a front client 10 90", "c b stock server 20 80", "d c stock client 30 70"), "a 0-10, b 10-20, c 20-30, d 30-70, c 70-80, b 80-90, a 90-100", ""},
		{"the order of spans says nothing", trace("d c stock client 30 70", "c b stock server 20 80", "a - front server 0 100", "b a front client 10 90"), "a 0-10, b 10-20, c 20-30, d 30-70, c 70-80, b 80-90, a 90-100", ""},
		{"a child that outlasts its parent", trace("a - shop server 0 100", "b a mail internal 50 300"), "a 0-50, b 50-100", ""},
		{"what goes on after the root", trace("a - shop server 0 100", "b a mail consumer 150 300"), "a 0-100", ""},
		{"a server whose clock is ahead", trace("a - front server 0 100", "b a front client 0 100", "c b stock server 5000 5060"), "b 0-20, c 20-80, b 80-100", ""},
		{"a server whose clock is behind", trace("a - front server 0 100", "b a front client 0 100", "c b stock server -900 -840"), "b 0-20, c 20-80, b 80-100", ""},
		{"an orphan", trace("a - shop server 0 100", "b gone x server 10 90"), "a 0-100", ""},
		{"only orphans: the longest is the root", trace("b gone x server 10 90", "c gone x server 0 20"), "b 10-90", ""},
		{"a circle", trace("b c x server 10 90", "c b x server 20 80"), "", ""},
		{"a circle beside the root", trace("a - shop server 0 100", "b c x server 10 90", "c b x server 20 80", "d d x server 1 2"), "a 0-100", ""},
		{"twice the same span", trace("a - shop server 0 100", "b a x client 10 90", "b a x client 10 90"), "a 0-10, b 10-90, a 90-100", ""},
		{"client and server under one id", trace("a - shop client 0 100", "a - stock server 10 90"), "a 0-100", ""},
		{"a negative length", trace("a - shop server 0 100", "b a x client 60 20"), "a 0-100", ""},
		{"who failed first", trace("a - front server 0 100!", "b a front client 10 90!", "c b stock server 20 80!", "d c stock client 30 70"), "a 0-10, b 10-20, c 20-30, d 30-70, c 70-80, b 80-90, a 90-100", "c"},
		{"of two that failed, the first to end", trace("a - front server 0 100!", "b a x client 10 40!", "c a y client 50 90!"), "a 0-10, b 10-40, a 40-50, c 50-90, a 90-100", "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := telemetry.CriticalPath(tt.spans)
			var parts []string
			for _, s := range c.Path {
				from := c.Root.Start.Add(s.After).Sub(began).Milliseconds()
				parts = append(parts, fmt.Sprintf("%s %d-%d", s.Span.SpanID, from, from+s.Took.Milliseconds()))
			}
			if got := strings.Join(parts, ", "); got != tt.want {
				t.Errorf("path: got  %s\nwant %s", got, tt.want)
			}
			own := ""
			if c.Own != nil {
				own = c.Own.SpanID
			}
			if own != tt.own {
				t.Errorf("failed of its own: got %q, want %q", own, tt.own)
			}
		})
	}
}

func TestHeld(t *testing.T) {
	c, ok := telemetry.CriticalPath(trace("a - shop server 0 100", "b a db client 10 40", "c a db client 50 90"))
	want := []telemetry.Hold{{"db", "op", 2, 70 * time.Millisecond}, {"shop", "op", 1, 30 * time.Millisecond}}
	if diff := cmp.Diff(c.Held(), want); !ok || diff != "" {
		t.Errorf("held (-got +want), %v:\n%s", ok, diff)
	}
}

func TestSlowest(t *testing.T) {
	fast, slow, rootless := trace("a - shop server 0 10"), trace("b - shop server 0 20"), trace("c d x server 0 900", "d c x server 0 900")
	for i, spans := range [][]heal.Span{fast, slow, rootless} {
		for k := range spans {
			spans[k].TraceID = fmt.Sprint(i)
		}
	}
	all := append(append(rootless, fast...), slow...)
	if c, ok := telemetry.Slowest(all); !ok || c.Root.SpanID != "b" {
		t.Errorf("got %+v, %v, want the trace of b", c.Root, ok)
	}
	if c, ok := telemetry.Slowest(rootless); ok {
		t.Errorf("traces without a root: got %+v, want none", c)
	}
}

// FuzzCriticalPath makes traces of anything: whatever hangs below what, the path
// covers the root from its beginning to its end, without gaps.
func FuzzCriticalPath(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"))
	f.Add([]byte{1, 0, 0, 0, 0, 255, 2, 1, 1, 1, 10, 50, 3, 1, 1, 2, 60, 90})
	f.Add([]byte{1, 2, 0, 0, 0, 9, 2, 1, 1, 1, 0, 9, 3, 0, 1, 2, 0, 200})
	f.Fuzz(func(t *testing.T, data []byte) {
		kinds := []heal.SpanKind{heal.SpanServer, heal.SpanClient, heal.SpanInternal, heal.SpanConsumer, ""}
		var spans []heal.Span
		for ; len(data) >= 6 && len(spans) < 200; data = data[6:] {
			s := heal.Span{
				TraceID: "t", SpanID: string('a' + rune(data[0]%16)), Service: string('A' + rune(data[2]%4)), Kind: kinds[int(data[3])%len(kinds)],
				Start: began.Add(time.Duration(int8(data[4])) * time.Millisecond), Duration: time.Duration(int(data[5])-16) * time.Millisecond, Error: data[3]&0x80 != 0,
			}
			if data[1]%16 > 0 {
				s.ParentID = string('a' + rune(data[1]%20))
			}
			if data[2] == 255 && len(data) >= 14 { // times nobody would write
				s.Start, s.Duration = time.Unix(0, int64(binary.BigEndian.Uint64(data[6:]))), time.Duration(binary.LittleEndian.Uint64(data[6:]))
			}
			spans = append(spans, s)
		}
		c, ok := telemetry.CriticalPath(spans)
		if !ok {
			return
		}
		at := time.Duration(0)
		for i, s := range c.Path {
			if s.After != at || s.Took <= 0 {
				t.Fatalf("stretch %d: got %s for %s, want it to begin at %s and to take time", i, s.After, s.Took, at)
			}
			at += s.Took
		}
		if at != c.Total() {
			t.Errorf("the path covers %s, the root takes %s", at, c.Total())
		}
		held := time.Duration(0)
		for _, h := range c.Held() {
			held += h.Took
		}
		if held != c.Total() {
			t.Errorf("operations held %s, the root takes %s", held, c.Total())
		}
	})
}

// BenchmarkCriticalPath walks the largest trace a store gives: four calls each,
// down to the last.
func BenchmarkCriticalPath(b *testing.B) {
	for _, n := range []int{100, telemetry.MaxTrace} {
		spans := make([]heal.Span, n)
		spans[0] = heal.Span{TraceID: "t", SpanID: "0", Service: "s0", Operation: "op", Kind: heal.SpanServer, Start: began, Duration: time.Hour}
		for i := 1; i < n; i++ {
			parent := &spans[(i-1)/4]
			part := parent.Duration / 5
			spans[i] = heal.Span{
				TraceID: "t", SpanID: fmt.Sprint(i), ParentID: parent.SpanID, Service: fmt.Sprint("s", i%20), Operation: "op", Kind: heal.SpanServer,
				Start: parent.Start.Add(time.Duration((i-1)%4) * part), Duration: part,
			}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c, ok := telemetry.CriticalPath(spans); !ok || len(c.Path) < n {
					b.Fatalf("got %d stretches, %v", len(c.Path), ok)
				}
			}
		})
	}
}
