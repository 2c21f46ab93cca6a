package wire

import (
	"encoding/binary"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

// CheckLogs reports what would keep a decoder from reading an
// ExportLogsServiceRequest, and how many records it holds.
func CheckLogs(request []byte) (records int, err error) {
	if err := check(request, msgLogs, 1); err != nil {
		return 0, heal.Errorf(heal.Invalid, "check logs", "the request %w", err)
	}
	return count(request, msgLogs, msgRecord), nil
}

// CheckMetrics is CheckLogs for an ExportMetricsServiceRequest and its data
// points.
func CheckMetrics(request []byte) (points int, err error) {
	if err := check(request, msgMetrics, 1); err != nil {
		return 0, heal.Errorf(heal.Invalid, "check metrics", "the request %w", err)
	}
	for _, kind := range []message{msgNumber, msgHistogram, msgExponential, msgSummary} {
		points += count(request, msgMetrics, kind)
	}
	return points, nil
}

// count is how many messages of a kind a checked message holds.
func count(b []byte, within, kind message) (n int) {
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return n
		}
		at = f.end
		if f.wire != typeLen {
			continue
		}
		for _, s := range schemas[within] {
			if s.number != f.number || s.holds != holdsMessage {
				continue
			}
			if s.inner == kind {
				n++
			} else if slices.Contains(ways[kind], s.inner) {
				n += count(b[f.begin:f.end], s.inner, kind)
			}
		}
	}
	return n
}

// ways are the messages between a request and its items.
var ways = map[message][]message{
	msgRecord:      {msgResourceLogs, msgScopeLogs},
	msgNumber:      {msgResourceMetrics, msgScopeMetrics, msgMetric, msgNumbers},
	msgHistogram:   {msgResourceMetrics, msgScopeMetrics, msgMetric, msgHistograms},
	msgExponential: {msgResourceMetrics, msgScopeMetrics, msgMetric, msgExponentials},
	msgSummary:     {msgResourceMetrics, msgScopeMetrics, msgMetric, msgSummaries},
}

// Pick appends the request of those spans whose place is the one given to out.
// Each span has one of places places, by its trace id: requests are shared among
// several receivers such that each gets whole traces.
func (s *Scanner) Pick(request []byte, place, places int, out []byte) ([]byte, Result, error) {
	s.observe, s.strict = false, false
	return s.walk(request, everything, picking{place, places}, out)
}

var everything = NewSampler(SamplerOptions{Rate: 1})

// picking is the decider of Pick.
type picking struct{ place, places int }

func (d picking) decide(s *Scanner) (Reason, bool) {
	if Place(s.span.traceID, d.places) != d.place {
		return ReasonDropped, false
	}
	return ReasonProbabilistic, false
}

// Place says which of so many places a trace has, by rendezvous hashing: when
// there is one more place, only the traces that move to it change theirs.
func Place(traceID []byte, places int) (best int) {
	var id [16]byte
	copy(id[:], traceID)
	seed := binary.BigEndian.Uint64(id[:]) ^ binary.BigEndian.Uint64(id[8:])
	var highest uint64
	for place := range places {
		if score := mix(seed + uint64(place+1)*0x9e3779b97f4a7c15); score > highest || place == 0 {
			best, highest = place, score
		}
	}
	return best
}

// mix is the finalizer of SplitMix64, by Steele, Lea and Flood.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
