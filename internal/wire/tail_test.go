package wire

import (
	"slices"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// one makes a request of one span.
func one(t *testing.T, trace byte, span byte, status tracepb.Status_StatusCode) []byte {
	t.Helper()
	b, err := proto.Marshal(&requestPB{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{
		TraceId: append(make([]byte, 15), trace), SpanId: append(make([]byte, 7), span), Name: "x", Status: &tracepb.Status{Code: status},
	}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const failed, fine = tracepb.Status_STATUS_CODE_ERROR, tracepb.Status_STATUS_CODE_UNSET

func TestTracesWithAnErrorAreKeptWhole(t *testing.T) {
	tail := NewTail(TailOptions{Window: 10 * time.Second}, start)
	s, sampler := new(Scanner), NewSampler(SamplerOptions{})
	hold := func(seconds int, request []byte) {
		result, err := s.Watch(request, sampler)
		if err != nil || result.Spans != 1 {
			t.Fatalf("watch: got %+v, %v", result, err)
		}
		if !tail.Hold(request, s, result.Spans, at(seconds)) {
			t.Fatal("refused")
		}
	}
	due := func(seconds int, all bool) (kept []byte, reasons []Reason) {
		for {
			request := tail.Next(at(seconds), all)
			if request == nil {
				return kept, reasons
			}
			out, result, err := tail.Decide(s, request, sampler, nil)
			if err != nil {
				t.Fatal(err)
			}
			for why, n := range result.Reasons {
				if n > 0 {
					reasons = append(reasons, Reason(why))
				}
			}
			for _, span := range spansOf(t, out) {
				kept = append(kept, span.SpanId[7])
			}
		}
	}
	hold(0, one(t, 1, 1, fine)) // its error comes nine seconds later
	hold(1, one(t, 2, 2, fine)) // its error comes too late
	hold(2, one(t, 3, 3, fine))
	hold(9, one(t, 1, 4, failed))
	if kept, why := due(9, false); len(kept)+len(why) > 0 {
		t.Errorf("got %v, %v before the window was over", kept, why)
	}
	kept, why := due(11, false)
	if want := []byte{1}; !slices.Equal(kept, want) || !slices.Equal(why, []Reason{ReasonTrace, ReasonDropped}) {
		t.Errorf("got spans %v for %v, want %v for trace, dropped", kept, why, want)
	}
	hold(12, one(t, 2, 5, failed))
	hold(13, one(t, 1, 6, fine)) // late, of a trace that is known to be bad
	kept, _ = due(23, false)
	if want := []byte{4, 5, 6}; !slices.Equal(kept, want) {
		t.Errorf("got spans %v, want %v", kept, want)
	}
	hold(24, one(t, 9, 7, failed))
	if got := tail.Stats(); got.Spans != 1 || got.Requests != 1 || got.Bytes == 0 || !got.OldestReceived.Equal(at(24)) || got.EarlySpans != 0 {
		t.Errorf("got %+v, want one span held since 24", got)
	}
	kept, _ = due(25, true)
	if got := tail.Stats(); len(kept) != 1 || got.Spans != 0 || got.Bytes != 0 || got.EarlySpans != 1 {
		t.Errorf("drained: got %v and %+v, want one span decided early", kept, got)
	}
}

func TestWhatATailHoldsIsBounded(t *testing.T) {
	request := one(t, 1, 1, failed)
	tail := NewTail(TailOptions{MaxBytes: 4 * len(request), MaxTraces: 2}, start)
	s, sampler := new(Scanner), NewSampler(SamplerOptions{})
	for i := range byte(10) {
		r := one(t, i+1, i+1, failed)
		if _, err := s.Watch(r, sampler); err != nil {
			t.Fatal(err)
		}
		if !tail.Hold(r, s, 1, at(0)) {
			t.Fatal("refused")
		}
		for tail.Next(at(0), false) != nil {
		}
	}
	for range 9 {
		tail.Hold(request, s, 1, at(0)) // nobody asks for what is due
	}
	if got := tail.Stats(); got.Bytes > 5*len(request) {
		t.Errorf("got %d bytes held, want %d at most", got.Bytes, 5*len(request))
	}
	for tail.Next(at(0), false) != nil {
	}
	if got := tail.Stats(); got.Requests != 4 || got.EarlySpans != 7 || got.Traces != 2 || got.TracesDropped != 9 {
		t.Errorf("got %+v, want 4 requests held, 7 decided early, 2 traces known, 9 times one not", got)
	}
}

// TestWatchRefusesWhatCannotBeDecoded: what Watch lets in, Decide must not
// refuse, since there is nobody left to tell.
func TestWatchRefusesWhatCannotBeDecoded(t *testing.T) {
	broken := one(t, 1, 1, fine)
	broken = append(broken[:len(broken)-1:len(broken)-1], 0xff, 0xff)
	if _, err := new(Scanner).Watch(broken, NewSampler(SamplerOptions{})); err == nil {
		t.Error("a request that ends within a field was taken")
	}
	text := slices.Clone(one(t, 1, 1, fine))
	text[slices.Index(text, 'x')] = 0xff
	if _, err := new(Scanner).Watch(text, NewSampler(SamplerOptions{})); err == nil {
		t.Error("a span with a name that is not UTF-8 was taken")
	}
}
