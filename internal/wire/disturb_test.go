package wire

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/otlp/otlptest"
)

// nested says which fields of which messages are messages, and whether one
// given in parts is merged.
var nested = map[string]map[protowire.Number]string{
	"request":   {1: "resources"},
	"resources": {1: "resource!", 2: "scopes"},
	"resource":  {1: "pair"},
	"scopes":    {1: "scope!", 2: "span"},
	"scope":     {3: "pair"},
	"span":      {9: "pair", 11: "event", 13: "link", 15: "status!"},
	"event":     {3: "pair"},
	"link":      {4: "pair"},
	"pair":      {2: "value!"},
	"value":     {5: "values", 6: "pairs"},
	"values":    {1: "value"},
	"pairs":     {1: "pair"},
}

// disturb writes a message anew, as other and stranger encoders might: fields in
// any order, unknown ones, known ones of the wrong wire type, repeated ones,
// messages in parts, lengths with needless bytes.
func disturb(r *rand.Rand, b []byte, message string) []byte {
	var fields [][]byte
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(number, wire, b[n:])
		raw, value := b[:n+size], b[n:n+size]
		b = b[n+size:]
		inner, merged := strings.CutSuffix(nested[message][number], "!")
		if inner == "" || wire != protowire.BytesType {
			if r.IntN(20) == 0 { // an earlier value, which loses
				fields = append(fields, earlier(r, number, wire))
			}
			fields = append(fields, raw)
			continue
		}
		content, _ := protowire.ConsumeBytes(value)
		content = disturb(r, content, inner)
		parts := [][]byte{content}
		if merged && r.IntN(3) == 0 {
			if cut := boundary(r, content); cut > 0 {
				parts = [][]byte{content[:cut], content[cut:]}
			}
		}
		for _, part := range parts {
			field := protowire.AppendTag(nil, number, wire)
			if r.IntN(10) == 0 { // a length of more bytes than needed
				length := protowire.AppendVarint(nil, uint64(len(part)))
				length[len(length)-1] |= 0x80
				field = append(append(append(field, length...), 0), part...)
			} else {
				field = protowire.AppendBytes(field, part)
			}
			fields = append(fields, field)
		}
	}
	if r.IntN(4) == 0 {
		fields = append(fields, stranger(r))
	}
	if r.IntN(4) == 0 { // order among fields of one number matters only where they repeat
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	return slices.Concat(fields...)
}

// boundary gives a place between two fields, 0 if there is none.
func boundary(r *rand.Rand, b []byte) int {
	var ends []int
	for at := 0; at < len(b); {
		_, _, n := protowire.ConsumeField(b[at:])
		at += n
		ends = append(ends, at)
	}
	if len(ends) == 0 {
		return 0
	}
	return ends[r.IntN(len(ends))]
}

func earlier(r *rand.Rand, number protowire.Number, wire protowire.Type) []byte {
	b := protowire.AppendTag(nil, number, wire)
	switch wire {
	case protowire.VarintType:
		return protowire.AppendVarint(b, r.Uint64()>>r.IntN(64))
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(b, r.Uint64())
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(b, r.Uint32())
	case protowire.BytesType, protowire.StartGroupType, protowire.EndGroupType:
	}
	if number == 1 {
		return protowire.AppendBytes(b, []byte("as long as an id"))
	}
	return protowire.AppendBytes(b, []byte("ot=th:8b"))
}

// stranger is a field nobody knows, or a known one of the wrong wire type.
func stranger(r *rand.Rand) []byte {
	number := protowire.Number(1 + r.IntN(20))
	switch r.IntN(5) {
	case 0:
		number = protowire.Number(100 + r.IntN(10_000))
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), []byte("unknown"))
	case 1:
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), r.Uint64())
	case 2:
		return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), r.Uint64())
	case 3:
		b := protowire.AppendTag(nil, number, protowire.StartGroupType)
		b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 7)
		return protowire.AppendTag(b, number, protowire.EndGroupType)
	}
	return protowire.AppendFixed32(protowire.AppendTag(nil, number, protowire.Fixed32Type), r.Uint32())
}

// strange makes a small request with what matters to a decision in it.
func strange(t testing.TB, r *rand.Rand) []byte {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	g := otlptest.New(r)
	out := new(requestPB)
	if err := proto.Unmarshal(g.Request(t, 1+r.IntN(12)), out); err != nil {
		t.Fatal(err)
	}
	for _, rs := range out.ResourceSpans {
		rs.SchemaUrl = pick("", "https://opentelemetry.io/schemas/1.30.0")
		name := rs.Resource.Attributes[0]
		name.Key, name.Value = pick("service.name", "service.name", "service.namespace"), otlptest.Text("", pick("all", "none", "rare", "shop", "")).Value
		if r.IntN(8) == 0 {
			name.Value = &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}
		}
		for _, span := range rs.ScopeSpans[0].Spans {
			span.Kind = tracepb.Span_SpanKind(r.IntN(7))
			span.TraceState = pick(
				"", "", "ot=th:8", "ot=th:ffff", "ot=th:c;rv:e0000000000000", "congo=t61,ot=rv:d0000000000001;x:y", "ot=th:c", "ot=rv:1", "ot=th:0,a=b",
				" ot=th:d , b=c", "ot=th:D;rv:ZZ", "ot=p:3", "ot=;;th:f", "other=1", "xot=th:8", ",,", "ot=th:e;rv:c0000000000000",
			)
			if r.IntN(3) == 0 {
				span.Attributes = append(
					span.Attributes,
					otlptest.Text(pick("peer.service", "db.system", "messaging.system", "messaging.destination.name", "network.peer.address", "url.full", "server.address"),
						pick("", "redis", "::1", "http://user@example.com:81/x?y", "kafka", "no url")),
					otlptest.Integer(pick("server.port", "net.peer.port", "peer.service"), r.Int64N(3)-1),
				)
			}
			if r.IntN(5) == 0 {
				span.Attributes = span.Attributes[6:]
			}
			if r.IntN(10) == 0 {
				span.Links = []*tracepb.Span_Link{{TraceId: g.ID(16), SpanId: g.ID(8), Attributes: span.Attributes}}
				span.Events = []*tracepb.Span_Event{{Name: "exception", Attributes: span.Attributes}}
			}
			switch r.IntN(200) {
			case 0:
				span.TraceId = nil
			case 1:
				span.ParentSpanId = g.ID(7)
			case 2:
				span.EndTimeUnixNano = span.StartTimeUnixNano - 1
			case 3:
				span.StartTimeUnixNano = 0
			}
		}
	}
	b, err := proto.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// badID reports whether an id anywhere in the message has the wrong length, one
// that a later value replaces included.
func badID(b []byte, message string) bool {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(number, wire, b[n:])
		value := b[n : n+size]
		b = b[n+size:]
		if wire != protowire.BytesType {
			continue
		}
		content, _ := protowire.ConsumeBytes(value)
		proper, isID := map[string]map[protowire.Number]int{"span": {1: 16, 2: 8, 4: 8}, "link": {1: 16, 2: 8}}[message][number]
		if isID && len(content) != proper && len(content) != 0 {
			return true
		}
		if inner := strings.TrimSuffix(nested[message][number], "!"); inner != "" && badID(content, inner) {
			return true
		}
	}
	return false
}
