package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
)

// The oracle: what should become of a request, worked out on the messages that
// the protobuf library decodes.

// oracleRates are the rates of every comparison.
var oracleRates = SamplerOptions{Rate: 0.25, Services: map[string]float64{"all": 1, "none": 0, "rare": 0.001}, Slow: time.Second}

func oracleService(rs *tracepb.ResourceSpans) string {
	for _, kv := range rs.GetResource().GetAttributes() {
		if kv.GetKey() == "service.name" {
			if name := kv.GetValue().GetStringValue(); name != "" {
				return name
			}
			break
		}
	}
	return "unknown_service"
}

func oracleDuration(span *tracepb.Span) time.Duration {
	if d := span.GetEndTimeUnixNano() - span.GetStartTimeUnixNano(); span.GetEndTimeUnixNano() > span.GetStartTimeUnixNano() && d <= math.MaxInt64 {
		return time.Duration(d)
	}
	return 0
}

// oracleDecide gives the reason and the tracestate the span leaves with.
func oracleDecide(service string, span *tracepb.Span) (Reason, string) {
	state := span.GetTraceState()
	switch {
	case span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR:
		return ReasonError, state
	case oracleDuration(span) > oracleRates.Slow:
		return ReasonSlow, state
	}
	rate, ok := oracleRates.Services[service]
	if !ok {
		rate = oracleRates.Rate
	}
	least := map[float64]uint64{1: 0, 0.25: 0xc0 << 48, 0.001: 0xffbe77 << 32}[rate] // 1-0.001 is .ffbe76c8b4395...
	if rate == 0 {
		return ReasonDropped, ""
	}
	if least == 0 {
		return ReasonProbabilistic, state
	}
	var random uint64
	if id := span.GetTraceId(); len(id) == 16 {
		random = binary.BigEndian.Uint64(id[8:]) & (1<<56 - 1)
	}
	var earlier uint64
	var others, kept []string
	ours, found := "", false
	for member := range strings.SplitSeq(state, ",") {
		trimmed := strings.Trim(member, " \t")
		if value, ok := strings.CutPrefix(trimmed, "ot="); ok && value != "" && !found {
			ours, found = value, true
			continue
		}
		if trimmed != "" {
			others = append(others, trimmed)
		}
	}
	hasEarlier := false
	for part := range strings.SplitSeq(ours, ";") {
		key, digits, _ := strings.Cut(part, ":")
		valid := len(digits) > 0 && len(digits) <= 14 && strings.Trim(digits, "0123456789abcdef") == ""
		n, _ := strconv.ParseUint(digits+strings.Repeat("0", max(0, 14-len(digits))), 16, 64)
		if key == "th" && valid {
			earlier, hasEarlier = n, true
		}
		if key == "rv" && valid && len(digits) == 14 {
			random = n
		}
		if part != "" && !strings.HasPrefix(part, "th:") {
			kept = append(kept, part)
		}
	}
	if random < least {
		return ReasonDropped, ""
	}
	if hasEarlier && earlier >= least && random >= earlier {
		return ReasonProbabilistic, state
	}
	threshold := strings.TrimRight(fmt.Sprintf("%014x", least), "0")
	out := strings.Join(append([]string{"ot=th:" + threshold}, kept...), ";")
	return ReasonProbabilistic, strings.Join(append([]string{out}, others...), ",")
}

// oracleSpan is the span as the aggregator should see it.
func oracleSpan(service string, span *tracepb.Span) Span {
	s := Span{Service: service, Operation: span.GetName(), Duration: oracleDuration(span)}
	if k := span.GetKind(); k >= 0 && k <= 5 {
		s.Kind = Kind(k)
	}
	if c := span.GetStatus().GetCode(); c >= 0 && c <= 2 {
		s.Status = Status(c)
	}
	copy(s.TraceID[:], span.GetTraceId())
	copy(s.SpanID[:], span.GetSpanId())
	copy(s.ParentID[:], span.GetParentSpanId())
	if s.Kind >= KindClient {
		s.Peer = oraclePeer(span.GetAttributes())
	}
	return s
}

func oraclePeer(attributes []*commonpb.KeyValue) Peer {
	v := map[string]string{}
	for _, kv := range attributes {
		meaning := map[string]string{
			"peer.service": "service", "service.peer.name": "service", "server.address": "host", "net.peer.name": "host",
			"network.peer.address": "network", "net.sock.peer.addr": "network", "net.peer.ip": "network", "server.port": "port", "net.peer.port": "port",
			"url.full": "link", "http.url": "link", "db.system": "db", "db.system.name": "db", "messaging.system": "messaging",
			"messaging.destination.name": "destination", "messaging.destination": "destination",
		}[kv.GetKey()]
		switch value := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			v[meaning] = value.StringValue
		case *commonpb.AnyValue_IntValue:
			v[meaning] = strconv.FormatInt(value.IntValue, 10)
		}
	}
	host := v["host"]
	if host == "" {
		host = v["network"]
	}
	name := host
	switch {
	case v["service"] != "":
		name = v["service"]
	case host != "" && v["port"] != "":
		name = net.JoinHostPort(host, v["port"])
	case host == "" && v["link"] != "":
		_, rest, _ := strings.Cut(v["link"], "://")
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		name = rest[strings.LastIndex(rest, "@")+1:]
	}
	switch {
	case v["messaging"] != "":
		if v["destination"] != "" {
			name = v["destination"]
		}
		return Peer{Name: name, Kind: heal.KindQueue, System: v["messaging"]}
	case v["db"] != "":
		return Peer{Name: name, Kind: databaseKind([]byte(v["db"])), System: v["db"]}
	}
	return Peer{Name: name, Kind: heal.KindExternal}
}

// oracle gives the request that should come out, the counts and the spans that
// should be seen.
func oracle(request []byte) (want *requestPB, result Result, spans []Span, err error) {
	want = new(requestPB)
	if err := proto.Unmarshal(request, want); err != nil {
		return nil, result, nil, err
	}
	want.ProtoReflect().SetUnknown(nil)
	var resources []*tracepb.ResourceSpans
	for _, rs := range want.ResourceSpans {
		service := oracleService(rs)
		var scopes []*tracepb.ScopeSpans
		for _, ss := range rs.ScopeSpans {
			var kept []*tracepb.Span
			for _, span := range ss.Spans {
				spans = append(spans, oracleSpan(service, span))
				why, state := oracleDecide(service, span)
				result.Spans++
				result.Reasons[why]++
				if why == ReasonDropped {
					continue
				}
				span.TraceState = state
				kept = append(kept, span)
			}
			if ss.Spans = kept; len(kept) > 0 {
				scopes = append(scopes, ss)
			}
		}
		if rs.ScopeSpans = scopes; len(scopes) > 0 {
			resources = append(resources, rs)
		}
	}
	want.ResourceSpans = resources
	return want, result, spans, nil
}

// compare holds the scanner against the oracle.
func compare(t *testing.T, s *Scanner, request []byte) {
	t.Helper()
	prefix := []byte("before")
	out, result, err := s.Scan(request, NewSampler(oracleRates), slices.Clone(prefix))
	if string(out[:len(prefix)]) != "before" {
		t.Fatalf("what was in out is now %q", out[:len(prefix)])
	}
	out = out[len(prefix):]
	want, wantResult, spans, wantErr := oracle(request)
	if _, id := errors.AsType[idError](err); id && wantErr == nil && badID(request, "request") {
		wantErr = err
	}
	got := new(requestPB)
	switch {
	case err != nil && wantErr == nil && !errors.Is(err, errDeep) && !errors.Is(err, errAncient) && !errors.Is(err, errMany):
		t.Fatalf("the scanner refuses what the oracle takes: %v\n%x", err, request)
	case err != nil:
		if len(out) > 0 {
			t.Fatalf("got %d bytes along with %v", len(out), err)
		}
		return
	}
	if err := proto.Unmarshal(out, got); err != nil {
		t.Fatalf("what comes out cannot be decoded: %v\n%x\n%x", err, request, out)
	}
	if wantErr != nil {
		return // wrong only where nothing is kept
	}
	if !proto.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v\nof %x", got, want, request)
	}
	if diff := cmp.Diff(result, wantResult); diff != "" {
		t.Fatalf("result (-got +want):\n%s%x", diff, request)
	}
	for _, span := range spans {
		if max(len(span.Service), len(span.Operation), len(span.Peer.Name), len(span.Peer.System)) > maxName {
			return // cut, see maxName
		}
	}
	taken, observed := New(Options{}, start), New(Options{}, start)
	taken.Take(s)
	observed.Observe(spans...)
	if got, want := told(taken), told(observed); !slices.Equal(got, want) {
		t.Fatalf("RED and edges (-got +want):\n%s%x", cmp.Diff(got, want), request)
	}
}

// told is what an aggregator says after every call was given up.
func told(a *Aggregator) []string {
	var out []string
	for i := range 3 {
		samples, edges := a.Flush(at(60 * (i + 1)))
		for _, s := range samples {
			out = append(out, fmt.Sprintf("%s %v %s %.6g", s.Metric, s.Labels, s.At, s.Value)) // sums depend on the order by a hair
		}
		for _, e := range edges {
			out = append(out, fmt.Sprint(e))
		}
	}
	slices.Sort(out)
	return append(out, fmt.Sprint(a.Stats()))
}

func TestDecisionsEqualThoseOnDecodedSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	s := new(Scanner)
	var kept, refused int
	for range 1500 {
		request := strange(t, r)
		if r.IntN(4) > 0 {
			request = disturb(r, request, "request")
		}
		switch r.IntN(20) {
		case 0: // the sender broke off
			request = request[:r.IntN(len(request)+1)]
		case 1: // a bit fell over
			request[r.IntN(len(request))] ^= 1 << r.IntN(8)
		}
		compare(t, s, request)
		_, result, err := s.Scan(request, NewSampler(oracleRates), nil)
		kept += result.Kept()
		if err != nil {
			refused++
		}
	}
	if kept == 0 || refused == 0 || refused > 750 {
		t.Errorf("got %d spans kept and %d of 1500 requests refused: the test shows nothing", kept, refused)
	}
}

func FuzzScan(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 5))
	for range 20 {
		request := strange(f, r)
		f.Add(request)
		f.Add(disturb(r, request, "request"))
	}
	f.Fuzz(func(t *testing.T, request []byte) { compare(t, new(Scanner), request) })
}
