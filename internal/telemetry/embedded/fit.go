package embedded

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// fitSpans leaves out the spans that are too large. The slice that came in is
// not changed: if it is refused, the sender sends it again.
func fitSpans(spans []heal.Span) []heal.Span {
	tooLarge := func(s heal.Span) bool { return spanSize(s) > telemetry.MaxRecord }
	if !slices.ContainsFunc(spans, tooLarge) {
		return spans
	}
	return slices.DeleteFunc(slices.Clone(spans), tooLarge)
}

// fitLogs cuts long bodies, and leaves out what is too large all the same. It
// gives how many it has cut. It does not change the slice that came in.
func fitLogs(logs []heal.LogRecord) (kept []heal.LogRecord, cut int) {
	tooLong := func(r heal.LogRecord) bool { return len(r.Body) > telemetry.MaxBody }
	tooLarge := func(r heal.LogRecord) bool { return logSize(r) > telemetry.MaxRecord }
	if !slices.ContainsFunc(logs, func(r heal.LogRecord) bool { return tooLong(r) || tooLarge(r) }) {
		return logs, 0
	}
	logs = slices.Clone(logs)
	for i, r := range logs {
		if tooLong(r) {
			logs[i].Attributes = withAttribute(r.Attributes, telemetry.AttrCut, strconv.Itoa(len(r.Body)))
			logs[i].Body = cutText(r.Body, telemetry.MaxBody)
			cut++
		}
	}
	return slices.DeleteFunc(logs, tooLarge), cut
}

// cutText gives at most so many bytes of text, not ending within a character. The
// copy lets go of the whole.
func cutText(text string, most int) string {
	for i := 0; i < utf8.UTFMax && most > 0 && !utf8.RuneStart(text[most]); i++ {
		most--
	}
	return strings.Clone(text[:most])
}

// withAttribute copies: the map may be shared by the records of a resource.
func withAttribute(attributes map[string]string, key, value string) map[string]string {
	out := make(map[string]string, len(attributes)+1)
	maps.Copy(out, attributes)
	out[key] = value
	return out
}

// rowOverhead is what a record costs in memory besides its text, roughly.
const rowOverhead = 256

func spanSize(s heal.Span) int {
	n := rowOverhead + len(s.Service) + len(s.Instance) + len(s.Operation) + len(s.StatusMessage) + len(s.TraceID) + len(s.SpanID) + len(s.ParentID)
	for _, e := range s.Exceptions {
		n += len(e.Type) + len(e.Message) + len(e.Stacktrace)
	}
	return n + mapSize(s.Attributes)
}

func logSize(r heal.LogRecord) int {
	return rowOverhead + len(r.Service) + len(r.Instance) + len(r.Host) + len(r.Body) + len(r.TraceID) + len(r.SpanID) + mapSize(r.Attributes)
}

func mapSize(m map[string]string) int {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	return n
}

func weigh[R any](records []R, size func(R) int) int {
	n := 0
	for _, r := range records {
		n += size(r)
	}
	return n
}
