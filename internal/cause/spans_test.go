package cause_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

func span(trace, id, parent, service string, kind heal.SpanKind, from, until int, failed bool) heal.Span {
	return heal.Span{
		TraceID: trace, SpanID: id, ParentID: parent, Service: service, Operation: "GET", Kind: kind, Error: failed,
		Start: now.Add(time.Duration(from) * time.Millisecond), Duration: time.Duration(until-from) * time.Millisecond,
	}
}

// at is the span with the address it calls, in one of the forms there are.
func at(address string, s heal.Span) heal.Span {
	if s.TraceID == "t0" {
		s.Attributes = map[string]string{"url.full": "http://" + address + "/x"}
		return s
	}
	host, port, _ := strings.Cut(address, ":")
	s.Attributes = map[string]string{"server.address": host, "server.port": port}
	return s
}

func TestOperations(t *testing.T) {
	usual := 0.1
	peer := func(s heal.Span) heal.EntityID { return heal.EntityID(s.Attributes["peer"]) }
	query := span("t1", "q", "1", "web", heal.SpanClient, 60, 70, false)
	query.Attributes = map[string]string{"peer": "database/d"}
	tests := []struct {
		name     string
		spans    []heal.Span
		baseline []heal.Span
		want     []cause.Operation
	}{
		{
			name: "time below an internal span counts for the callee, overlapping calls once",
			spans: []heal.Span{
				span("t1", "1", "", "web", heal.SpanServer, 0, 100, false),
				span("t1", "2", "1", "web", heal.SpanInternal, 0, 90, false),
				span("t1", "3", "2", "web", heal.SpanClient, 10, 50, false),
				span("t1", "4", "3", "api", heal.SpanServer, 12, 48, false),
				span("t1", "5", "1", "web", heal.SpanClient, 30, 60, false),
				span("t1", "6", "5", "api", heal.SpanServer, 31, 59, false),
				query,
			},
			baseline: []heal.Span{span("t0", "1", "", "web", heal.SpanServer, 0, 100, false)},
			want:     []cause.Operation{{Name: "GET", Count: 1, P99: 0.1, BaselineP99: &usual, Slower: new(float64), Compared: 1, SelfShare: 0.4, Callee: "service/api", CalleeShare: 0.5, Trace: "t1"}},
		},
		{
			name: "errors of the callee go before time",
			spans: []heal.Span{
				span("t1", "1", "", "web", heal.SpanServer, 0, 100, true),
				span("t1", "2", "1", "web", heal.SpanClient, 0, 80, false),
				span("t1", "3", "2", "slow", heal.SpanServer, 0, 80, false),
				span("t1", "4", "1", "web", heal.SpanClient, 80, 90, true),
				span("t1", "5", "4", "bad", heal.SpanServer, 80, 90, true),
			},
			want: []cause.Operation{{Name: "GET", Count: 1, ErrorShare: 1, P99: 0.1, SelfShare: 0.1, Callee: "service/bad", CalleeShare: 0.1, CalleeErrorShare: 1, CalledErrorShare: 1, Trace: "t1"}},
		},
		{
			name: "a call nobody took goes to who answered at that address before",
			spans: []heal.Span{
				span("t1", "1", "", "web", heal.SpanServer, 0, 100, true),
				at("pay:80", span("t1", "2", "1", "web", heal.SpanClient, 0, 20, true)),
			},
			baseline: []heal.Span{
				at("pay:80", span("t0", "2", "1", "web", heal.SpanClient, 0, 20, false)),
				span("t0", "3", "2", "payment", heal.SpanServer, 0, 20, false),
			},
			want: []cause.Operation{{Name: "GET", Count: 1, ErrorShare: 1, P99: 0.1, SelfShare: 0.8, Callee: "service/payment", CalleeShare: 0.2, CalleeErrorShare: 1, CalledErrorShare: 1, Unanswered: 1, Trace: "t1"}},
		},
		{name: "another service", spans: []heal.Span{span("t1", "1", "", "api", heal.SpanServer, 0, 1, false)}},
		{name: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(cause.Operations("web", tt.spans, tt.baseline, peer), tt.want, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

func TestQuestions(t *testing.T) {
	for _, kind := range []heal.EntityKind{heal.KindService, heal.KindProcess, heal.KindHost, heal.KindPod, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal} {
		list := cause.Questions(heal.NewEntityID(kind, `we"ird\na$w me`+"\n"))
		if len(list) == 0 {
			t.Errorf("%s: no questions", kind)
		}
		seen := map[string]bool{}
		for _, q := range list {
			if seen[q.ID] {
				t.Errorf("%s: %s is asked twice", kind, q.ID)
			}
			seen[q.ID] = true
			if !strings.Contains(q.Expr, `"we\"ird\\na$w me\n"`) {
				t.Errorf("%s: %s does not name the entity, escaped: %s", kind, q.ID, q.Expr)
			}
			if strings.Contains(q.Expr, "$me") || strings.Contains(q.Expr, "[0s]") || strings.Contains(q.Expr, "[$w]") {
				t.Errorf("%s: %s is not filled in: %s", kind, q.ID, q.Expr)
			}
		}
	}
	if got := cause.Questions("nonsense"); got != nil {
		t.Errorf("unknown kind: got %v, want none", got)
	}
	pod := cause.Questions("pod/shop/cart-1")
	if !strings.Contains(pod[0].Expr, `k8s_pod_name="cart-1"`) {
		t.Errorf("a pod is asked for by its name: %s", pod[0].Expr)
	}
	times := cause.BaselineTimes(now)
	if len(times) == 0 || !times[0].Before(now) {
		t.Errorf("baseline times %v, want some before the case", times)
	}
}
